"""Permissions to RBAC rules: merged, least privilege, in one fixed order. Called by `roles`. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from dpf.api.core import PolicyRule
from dpf.runtime.reconciler import Permission

VERB_ORDER: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "approve")

SUBRESOURCE_VERBS: Final[Mapping[str, tuple[str, ...]]] = {
    "status": ("patch",),
    "finalizers": ("update",),
    "approval": ("patch",),
}
"""What a subresource needs, whatever the verbs on the object: status and approval are only ever patched, and
`finalizers` with `update` is what the API server asks of whoever sets a blocking owner reference. Others follow the
object's verbs."""


def build_rules(permissions: Iterable[Permission]) -> list[PolicyRule]:
    """As few rules as say exactly this: resources of one group that share their verbs and names share a rule.

    Raises ValueError for a verb that RBAC does not know.
    """
    allowed: dict[tuple[str, str, tuple[str, ...]], set[str]] = defaultdict(set)
    for permission in permissions:
        for resource, verbs in _resources(permission):
            allowed[permission.kind.resource.group, resource, permission.names].update(verbs)
    shared: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource, names), union in sorted(allowed.items()):
        shared[group, _ordered(union), names].append(resource)
    return [
        PolicyRule(apiGroups=[group], resources=resources, resourceNames=list(names) or None, verbs=list(verbs))
        for (group, verbs, names), resources in sorted(shared.items(), key=lambda item: (item[0][0], item[1]))
    ]


def _resources(permission: Permission) -> Iterator[tuple[str, tuple[str, ...]]]:
    plural = permission.kind.resource.plural
    yield plural, permission.verbs
    for subresource in permission.subresources:
        yield f"{plural}/{subresource}", SUBRESOURCE_VERBS.get(subresource, permission.verbs)


def _ordered(verbs: set[str]) -> tuple[str, ...]:
    unknown = verbs - set(VERB_ORDER)
    if unknown:
        raise ValueError(f"unknown verbs {sorted(unknown)}: a permission names its verbs one by one, never `*`")
    return tuple(verb for verb in VERB_ORDER if verb in verbs)
