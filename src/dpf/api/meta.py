"""What every Kubernetes object shares: identity of a kind, metadata, conditions, selectors.

Field names are the wire names (camelCase), so that a reader finds the same word in code, YAML and `kubectl explain`.
All types are frozen: a reconciler computes a new value instead of changing one it was handed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, dataclass_transform

import msgspec

from dpf.api.schema import Schema


@dataclass(frozen=True, slots=True)
class Resource:
    """Identity of a kind at the API server: group, version, kind, plural and scope."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or the bare version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified_name(self) -> str:
        """`plural.group`, the name of the CRD and the way kubectl spells the type unambiguously."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, or of one object when `name` is given.

        `namespace=None` on a namespaced kind means the collection over all namespaces.
        """
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _ModelMeta(msgspec.StructMeta):
    """Makes every wire type frozen and keyword-only, and tells type checkers so.

    msgspec inherits `frozen` and `omit_defaults`, but takes `kw_only` for each class anew.
    """

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> type:  # noqa: ANN401
        return super().__new__(mcls, name, bases, namespace, **{"kw_only": True, **config})


class Model(msgspec.Struct, metaclass=_ModelMeta, frozen=True, omit_defaults=True):
    """Base of every wire type: immutable, unknown fields ignored, defaults not sent."""


class OwnerReference(Model):
    """The controller or owner of an object, for garbage collection."""

    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    blockOwnerDeletion: bool | None = None


class ObjectMeta(Model):
    """metav1.ObjectMeta without `managedFields`, which are never kept (design section 5)."""

    name: str = ""
    generateName: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resourceVersion: str | None = None
    generation: int | None = None
    creationTimestamp: str | None = None
    deletionTimestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None
    ownerReferences: list[OwnerReference] | None = None


class Object(Model):
    """Base of every root object. Subclasses set `resource`."""

    resource: ClassVar[Resource]

    apiVersion: str = ""
    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()


_CONDITION_REASON: Final = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
_CONDITION_TYPE: Final = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
)


class Condition(Model):
    """One aspect of the object's current state."""

    # The API server demands reason and message even when they are empty: `omit_defaults` sends what a factory made.
    type: Annotated[str, Schema(max_length=316, pattern=_CONDITION_TYPE, description="Which aspect, in CamelCase.")]
    status: Annotated[str, Schema(enum=("True", "False", "Unknown"), description="Whether it holds.")]
    reason: Annotated[
        str,
        Schema(required=True, min_length=1, max_length=1024, pattern=_CONDITION_REASON,
               description="Why it is so, one word in CamelCase."),
    ] = msgspec.field(default_factory=str)
    message: Annotated[
        str, Schema(required=True, max_length=32768, description="Details for people.")
    ] = msgspec.field(default_factory=str)
    lastTransitionTime: Annotated[
        str | None, Schema(required=True, format="date-time", description="When `status` changed last.")
    ] = None
    observedGeneration: Annotated[
        int | None, Schema(format="int64", minimum=0, description="Generation of the object that was looked at.")
    ] = None


class LabelSelectorRequirement(Model):
    """One expression of a selector."""

    key: Annotated[str, Schema(description="Key of the label.")]
    operator: Annotated[
        str, Schema(description="In, NotIn, Exists or DoesNotExist; a node selector also knows Gt and Lt.")
    ]
    values: Annotated[
        list[str] | None, Schema(list_type="atomic", description="Values that the operator compares with.")
    ] = None


class LabelSelector(Model):
    """Selects objects by label: every pair and every expression must hold; empty selects everything."""

    schema: ClassVar[Schema] = Schema(map_type="atomic")

    matchLabels: Annotated[dict[str, str] | None, Schema(description="Labels that must have these values.")] = None
    matchExpressions: Annotated[
        list[LabelSelectorRequirement] | None, Schema(list_type="atomic", description="Expressions that must hold.")
    ] = None


class NodeSelectorTerm(Model):
    """Expressions that must all hold for a node."""

    schema: ClassVar[Schema] = Schema(map_type="atomic")

    matchExpressions: Annotated[
        list[LabelSelectorRequirement] | None, Schema(list_type="atomic", description="Conditions on labels.")
    ] = None
    matchFields: Annotated[
        list[LabelSelectorRequirement] | None, Schema(list_type="atomic", description="Conditions on fields.")
    ] = None


class NodeSelector(Model):
    """Selects nodes: one of the terms must hold."""

    schema: ClassVar[Schema] = Schema(map_type="atomic")

    nodeSelectorTerms: Annotated[
        list[NodeSelectorTerm], Schema(list_type="atomic", description="Terms, of which one must hold.")
    ]


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Identity of one object within one cluster: what a work queue holds and messages print."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def object_key(obj: Object) -> Key:
    """The key of `obj`; the namespace of a cluster-scoped object is the empty string."""
    return Key(obj.metadata.namespace or "", obj.metadata.name)


FreeForm = dict[str, Any]
"""A field that keeps whatever the user wrote, such as Helm values."""
