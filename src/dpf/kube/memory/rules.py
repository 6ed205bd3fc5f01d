"""What an API server makes of one write: fields it fills in, fields it protects, when it refuses.

Pure. Called by `cluster`. Objects are wire data (`Tree`) and never changed in place.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dpf.api.meta import Key, Object, Resource
from dpf.kube import codec, errors, patches
from dpf.kube.client import PatchType

Tree = dict[str, Any]
Family = tuple[str, str]
"""Group and plural: versions of a kind share their objects."""

NAMESPACES: Final[Family] = ("", "namespaces")
_SECRETS: Final[Family] = ("", "secrets")
_PODS: Final[Family] = ("", "pods")
_APPROVAL: Final = (("certificates.k8s.io", "certificatesigningrequests"), "approval")
"""The subresource whose body is not the field of its name: it changes conditions, and the signer the rest of status."""
_GRACE_S: Final = 30
_PROTECTED: Final = (
    "name", "namespace", "generateName", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds",
)


def family(kind: type[Object]) -> Family:
    """Where objects of the kind are kept."""
    return (kind.resource.group, kind.resource.plural)


def wire(obj: Object) -> Tree:
    """The object as plain data."""
    tree: Tree = msgspec.json.decode(codec.encode(obj))
    return tree


def without(tree: Mapping[str, Any], *names: str) -> Tree:
    """A copy without these top-level fields."""
    return {name: value for name, value in tree.items() if name not in names}


def with_metadata(tree: Tree, **changes: Any) -> Tree:  # noqa: ANN401 - any JSON value
    """A copy with these metadata fields changed; empty ones are left out, as the API server leaves them out."""
    metadata = {**tree.get("metadata", {}), **changes}
    return {**tree, "metadata": {name: value for name, value in metadata.items() if value not in ({}, [], "", None)}}


def has_generation(resource: Resource) -> bool:
    """Custom resources and apps/v1 count generations; most kinds of Kubernetes' own other groups do not."""
    return resource.group == "apps" or ("." in resource.group and not resource.group.endswith(".k8s.io"))


def newborn(kind: type[Object], tree: Tree, key: Key, *, uid: str, now: str, has_status: bool) -> Tree:
    """A new object as it is stored: `uid`, creation time `now`, generation 1, no status."""
    tree = with_metadata(
        {**with_encoded_data(kind, tree), "apiVersion": kind.resource.api_version, "kind": kind.resource.kind},
        name=key.name, namespace=key.namespace, uid=uid, creationTimestamp=now, deletionTimestamp=None,
        generation=1 if has_generation(kind.resource) else None,
    )
    if family(kind) == NAMESPACES:
        return {**tree, "status": {"phase": "Active"}}
    return without(tree, "status") if has_status else tree


def reachable(tree: Tree, *, subresource: str | None, has_status: bool) -> Tree:
    """The part of an applied object that its endpoint lets through."""
    if subresource:
        return {name: tree[name] for name in ("apiVersion", "kind", subresource) if name in tree}
    return without(tree, "status") if has_status else tree


def changed(kind: type[Object], old: Tree, new: Tree, *, subresource: str | None, has_status: bool) -> Tree:
    """`new` with everything restored that its endpoint, or nobody, may change; the generation counts on.

    Raises Invalid when a finalizer is added to an object that is being deleted.
    """
    if (family(kind), subresource) == _APPROVAL:
        conditions = (new.get("status") or {}).get("conditions")
        return {**old, "status": {**(old.get("status") or {}), **({"conditions": conditions} if conditions else {})}}
    if subresource:
        kept = without(old, subresource)
        return {**kept, subresource: new[subresource]} if subresource in new else kept
    new = with_encoded_data(kind, new)
    if has_status:
        new = {**without(new, "status"), **({"status": old["status"]} if "status" in old else {})}
    before = old["metadata"]
    new = with_metadata(
        {**new, "apiVersion": old["apiVersion"], "kind": old["kind"]},
        **{name: before.get(name) for name in _PROTECTED},
    )
    _refuse_new_finalizers(kind, before, new["metadata"])
    return _next_generation(kind, old, new, has_status)


def with_encoded_data(kind: type[Object], tree: Tree) -> Tree:
    """A Secret's write-only `stringData` becomes `data`."""
    plain = tree.get("stringData")
    if family(kind) != _SECRETS or not plain:
        return tree
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in plain.items()}
    return {**without(tree, "stringData"), "data": {**(tree.get("data") or {}), **encoded}}


def patched(
    kind: type[Object], key: Key, tree: Tree, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]], type_: PatchType
) -> Tree:
    """The object after a merge or JSON patch. Raises BadRequest and Invalid."""
    plain = msgspec.json.decode(codec.encode_plain(patch))
    if type_ is PatchType.MERGE and isinstance(plain, dict):
        merged: Tree = patches.merge(tree, plain)
        return merged
    if type_ is not PatchType.JSON or not isinstance(plain, list):
        raise errors.BadRequest(
            f"{kind.resource.kind} {key}: the body does not fit {type_.value}, or that type is not supported; use a "
            "merge patch, a JSON patch or apply", status=415,
        )
    try:
        result: Tree = patches.json_patch(tree, plain)
    except patches.PatchError as error:
        raise errors.Invalid(f"{kind.resource.kind} {key}: {error}", status=422, reason="Invalid") from None
    return result


def grace_period_s(family: Family, tree: Tree, wanted: int | None) -> int:
    """How long a deleted pod stays for its kubelet, in seconds; `wanted` overrides its own period. 0 for all else."""
    spec, phase = tree.get("spec") or {}, (tree.get("status") or {}).get("phase")
    if family != _PODS or not spec.get("nodeName") or phase in {"Succeeded", "Failed"}:
        return 0
    return wanted if wanted is not None else int(spec.get("terminationGracePeriodSeconds", _GRACE_S))


def check_version(kind: type[Object], key: Key, old: Tree, wanted: str | None) -> None:
    """Raises Conflict when the request names another resourceVersion than the object has."""
    have = old["metadata"]["resourceVersion"]
    if wanted and wanted != have:
        raise errors.Conflict(
            f"{kind.resource.kind} {key}: the object has been modified (resourceVersion is {have}, not {wanted}); "
            "read it again", status=409, reason="Conflict",
        )


def owner_uids(tree: Tree | None) -> list[str]:
    """The uids of its owner references."""
    return [ref["uid"] for ref in (tree or {}).get("metadata", {}).get("ownerReferences") or ()]


def _refuse_new_finalizers(kind: type[Object], before: Tree, after: Tree) -> None:
    added = set(after.get("finalizers") or ()) - set(before.get("finalizers") or ())
    if before.get("deletionTimestamp") and added:
        raise errors.Invalid(
            f"{kind.resource.kind} {before['name']}: no new finalizers can be added when the object is being deleted: "
            f"{', '.join(sorted(added))}", status=422, reason="Invalid",
        )


def _next_generation(kind: type[Object], old: Tree, new: Tree, has_status: bool) -> Tree:
    ignored = ("metadata", "status") if has_status else ("metadata",)
    if not has_generation(kind.resource) or without(old, *ignored) == without(new, *ignored):
        return new
    return with_metadata(new, generation=old["metadata"].get("generation", 0) + 1)
