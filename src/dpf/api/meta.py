"""What every Kubernetes object shares: identity of a kind, metadata, conditions, selectors.

Field names are the wire names (camelCase), so that a reader finds the same word in code, YAML and `kubectl explain`.
All types are frozen: a reconciler computes a new value instead of changing one it was handed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, dataclass_transform

import msgspec


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


class Condition(Model):
    """metav1.Condition."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    lastTransitionTime: str | None = None
    observedGeneration: int | None = None


class LabelSelectorRequirement(Model):
    """One expression of a label selector; operators In, NotIn, Exists, DoesNotExist."""

    key: str
    operator: str
    values: list[str] | None = None


class LabelSelector(Model):
    """metav1.LabelSelector: every pair and every expression must hold; empty selects everything."""

    matchLabels: dict[str, str] | None = None
    matchExpressions: list[LabelSelectorRequirement] | None = None


class NodeSelectorTerm(Model):
    """Expressions of one core/v1 node selector term (ANDed). Operators also Gt and Lt."""

    matchExpressions: list[LabelSelectorRequirement] | None = None
    matchFields: list[LabelSelectorRequirement] | None = None


class NodeSelector(Model):
    """core/v1 NodeSelector: the terms are ORed."""

    nodeSelectorTerms: list[NodeSelectorTerm]


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
