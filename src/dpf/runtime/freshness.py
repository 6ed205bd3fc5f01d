"""Remembers our own last write of each root, because the cache learns of it a little later.

Two uses, both by `controller` and `pipeline`: a pass that would start on a root older than our own write is held back
until the cache has caught up (else it would write the same status twice), and the watch event that merely brings our
own status back causes no further pass. Our writes are conditional on the resourceVersion that the pass had read, so
such an echo cannot carry anybody else's change.

Losing this memory in a restart costs at most one superfluous pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dpf.api.meta import Key
from dpf.runtime.clock import Clock

BOUND_S: Final = 2.0
"""A cache that is later than this is broken in another way; the pass goes on and its conditional writes are refused."""


@dataclass(slots=True)
class _Write:
    resource_version: str
    until: float
    echo: bool
    held: bool = False


class Freshness:
    """Our last write per root, until the cache has it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._writes: dict[Key, _Write] = {}

    def wrote(self, key: Key, resource_version: str, *, echo: bool) -> None:
        """We wrote `key`. With `echo`, the event about it needs no pass."""
        self._writes[key] = _Write(resource_version, self._clock.monotonic() + BOUND_S, echo)

    def lag_s(self, key: Key, resource_version: str) -> float | None:
        """None when a pass may start on this version, else how long to wait at most for a newer one."""
        write = self._writes.get(key)
        if write is None:
            return None
        remaining = write.until - self._clock.monotonic()
        if remaining <= 0 or _reached(resource_version, write.resource_version):
            del self._writes[key]
            return None
        write.held = True
        return remaining

    def is_echo(self, key: Key, resource_version: str) -> bool:
        """Whether the event with this version only brings back what we wrote, and nobody waits for it."""
        write = self._writes.get(key)
        if write is None or not _reached(resource_version, write.resource_version):
            return False
        del self._writes[key]
        return write.echo and not write.held and resource_version == write.resource_version

    def forget(self, key: Key) -> None:
        """The root is gone."""
        self._writes.pop(key, None)


def _reached(version: str, wanted: str) -> bool:
    """Resource versions of one kind are decimal numbers that grow; anything else is only compared for equality."""
    if version.isdecimal() and wanted.isdecimal():
        return int(version) >= int(wanted)
    return version == wanted
