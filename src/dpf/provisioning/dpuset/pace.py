"""Keeps a large DPUSet from being looked at for every step of every DPU: progress alone waits for a moment.

A pass costs as much as the set has DPUs, and each DPU takes some fifteen steps. So after a pass a set rests for a
multiple of what the pass took. Small sets do not notice. The rest ends when a DPU, a device or a host is changed, comes
or goes: `watches` says so (`urge`), and a changed DPUSet says so itself. The controller asks before each pass (`begin`)
and tells when one has gone well (`end`); after one that has not there is no rest. What is remembered here is when to
look again, never what was seen: losing it costs a pass.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, object_key
from dpf.runtime.clock import Clock

RATIO: Final = 20.0
"""A set whose DPUs only progress is worked on for a twentieth of the time."""
LONGEST_S: Final = 2.0
"""No progress is noticed later than this."""


@dataclass(slots=True)
class _Life:
    seen: Hashable
    began: float
    rests_until: float = 0.0
    is_urgent: bool = False


class Pace:
    """When each DPUSet of one controller is due."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lives: dict[Key, _Life] = {}

    def urge(self, key: Key) -> None:
        """Something happened that the DPUSet may have to act on."""
        life = self._lives.get(key)
        if life is not None:
            life.is_urgent = True

    def begin(self, dpuset: DPUSet) -> float:
        """0.0: the pass goes on, and has begun. Otherwise how many seconds it can wait."""
        key, seen, now = object_key(dpuset), _identity(dpuset), self._clock.monotonic()
        life = self._lives.get(key)
        # All that a set on its way out does is to wait for its DPUs.
        is_urgent = life is not None and life.is_urgent and dpuset.metadata.deletionTimestamp is None
        if life is not None and life.seen == seen and not is_urgent and now < life.rests_until:
            return life.rests_until - now
        self._lives[key] = _Life(seen=seen, began=now)
        return 0.0

    def end(self, key: Key, *, is_last: bool) -> None:
        """The pass has done all that it wanted. `is_last`: the DPUSet goes."""
        life = self._lives.get(key) if not is_last else self._lives.pop(key, None)
        if life is not None:
            now = self._clock.monotonic()
            life.rests_until = now + min(LONGEST_S, RATIO * (now - life.began))


def _identity(dpuset: DPUSet) -> Hashable:
    """What tells that somebody else than us has changed the DPUSet."""
    metadata = dpuset.metadata
    return metadata.uid, metadata.generation, metadata.deletionTimestamp, tuple(sorted((metadata.labels or {}).items()))
