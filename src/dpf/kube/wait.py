"""Wait until one object is as wanted, by watch. For programs that start things; controllers never wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import cast

from dpf.api.meta import Object
from dpf.kube import client as port
from dpf.kube import errors


async def until(
    client: port.Client, kind: type[port.T], name: str, namespace: str | None = None, *,
    accept: Callable[[port.T | None], bool], timeout_s: float,
) -> port.T | None:
    """The object as soon as `accept` says yes to it (None: it does not exist).

    Survives the end of a watch, lost history and a server that is away. Raises Timeout with the last known trouble.
    """
    trouble = ""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    found, obj = await _follow(client, kind, name, namespace, accept)
                    if found:
                        return obj
                except errors.Transient as error:
                    trouble = f" ({error})"
                    await asyncio.sleep(0.1)
    except TimeoutError:
        what = f"{kind.resource.kind} {namespace + '/' if namespace else ''}{name}"
        raise errors.Timeout(f"{what} was not as expected within {timeout_s:.0f} s{trouble}") from None


async def _follow(
    client: port.Client, kind: type[port.T], name: str, namespace: str | None, accept: Callable[[port.T | None], bool],
) -> tuple[bool, port.T | None]:
    fields = f"metadata.name={name}"
    listing = await client.list(kind, namespace, fields=fields)
    current = listing.items[0] if listing.items else None
    if accept(current):
        return True, current
    watch = client.watch(kind, namespace, resource_version=listing.resource_version, fields=fields)
    async with aclosing(cast("AsyncGenerator[Sequence[port.Event[port.T]], None]", watch)) as batches:
        async for batch in batches:
            for event in batch:
                gone = event.type is port.EventType.DELETED
                if (gone or event.object is not None) and accept(None if gone else event.object):
                    return True, None if gone else event.object
    return False, None


def condition_is_true(obj: Object | None, type_: str) -> bool:
    """Whether `status.conditions` of the object has that type with status True."""
    conditions = getattr(getattr(obj, "status", None), "conditions", None) or ()
    return any(c.type == type_ and c.status == "True" for c in conditions)
