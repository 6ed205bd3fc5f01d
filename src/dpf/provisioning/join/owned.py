"""Objects that we keep in the host cluster for one DPU: written only when they differ, and never taken from others.

Called by `joiner`.
"""

from __future__ import annotations

from typing import Final, TypeVar

from dpf.api.meta import Object, object_key
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.provisioning.join import build, identity
from dpf.runtime import diff

T = TypeVar("T", bound=Object)

FIELD_OWNER: Final = "dpf-join"


class NotOurs(Exception):
    """Somebody else's object has the name that we need; `str()` says which, and what to do."""


async def ensure(client: Client, wanted: T) -> None:
    """Have `wanted` in the cluster. Raises NotOurs, kube.errors.Error."""
    kind, key = type(wanted), object_key(wanted)
    actual = await find(client, kind, wanted)
    if actual is not None and wanted.metadata.labels and not identity.is_made_for(actual.metadata.labels):
        raise NotOurs(
            f"{kind.resource.kind} {key} exists and was made by somebody else: rename or delete it, its name is needed"
        )
    if actual is not None and diff.covers(actual, wanted):
        return
    if actual is not None and build.role_ref(actual) != build.role_ref(wanted):
        # The API server changes no roleRef.
        await client.delete(kind, key.name, key.namespace or None, uid=actual.metadata.uid)
    await client.apply(wanted, field_owner=FIELD_OWNER)


async def find(client: Client, kind: type[T], named: Object) -> T | None:
    """The object of `kind` with the name of `named`; None when there is none. Raises kube.errors.Error."""
    try:
        return await client.get(kind, named.metadata.name, named.metadata.namespace)
    except errors.NotFound:
        return None


async def remove(client: Client, wanted: Object) -> tuple[str, ...]:
    """Delete the object if it was made for the same DPU; returns its name, or nothing. Raises kube.errors.Error."""
    kind, key = type(wanted), object_key(wanted)
    actual = await find(client, kind, wanted)
    if actual is None or _uid(actual) != _uid(wanted):
        return ()
    try:
        await client.delete(kind, key.name, key.namespace or None, uid=actual.metadata.uid)
    except errors.NotFound:
        return ()
    return (f"{kind.resource.kind} {key}",)


def _uid(obj: Object) -> str | None:
    return (obj.metadata.labels or {}).get(identity.DPU_UID_LABEL)
