"""What becomes of the revisions of one child: make one, change one in place, keep it, let old ones go.

Pure. Called by `services`, `interfaces` and `chains`; source: behaviour-service.md 6.7. An update is disruptive (a new
object beside the old one, node by node) or not (the same object, changed in place). A revision that is being deleted is
none any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from dpf.api.meta import Condition, Object
from dpf.runtime import conditions

T = TypeVar("T", bound=Object)


class Move(StrEnum):
    """What happens to the wanted revision."""

    CREATE = "create"
    """There is no object for it: one is made."""
    ADOPT = "adopt"
    """An old object becomes it, in place."""
    KEEP = "keep"
    """It has its object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[T]):
    """`target` is the object of the wanted revision; None when it has to be made.

    `kept` old revisions stay until the wanted one has taken over; `dropped` ones go. Both have the youngest first.
    """

    move: Move
    target: T | None = None
    kept: tuple[T, ...] = ()
    dropped: tuple[T, ...] = ()

    @property
    def is_update(self) -> bool:
        """Whether an older revision is still there, or just becomes the wanted one."""
        return self.move is Move.ADOPT or bool(self.kept or self.dropped)


def decide(
    revisions: Iterable[T], *, digest: str, version: Callable[[T], str | None], limit: int, disruptive: bool,
    settled: Callable[[T], bool], heir: T | None = None,
) -> Decision[T]:
    """The decision for a child whose wanted revision has `digest`.

    `revisions` are its objects that are not being deleted, `version` reads the digest of one. `limit` counts objects,
    the wanted one among them. `settled` says of the object of the wanted revision whether it has taken over everywhere.
    `heir` is the old revision to be changed in place even if the update is disruptive: it is in use already.

    An object whose digest was stripped off counts as the wanted revision when nothing else does.
    """
    ordered = youngest_first(revisions)
    current = _current(ordered, digest, version)
    if current is not None:
        olds = tuple(old for old in ordered if old is not current)
        allowed = 0 if settled(current) else limit - 1
        return Decision(move=Move.KEEP, target=current, kept=olds[:allowed], dropped=olds[allowed:])
    heir = heir if heir is not None or disruptive else next(iter(ordered), None)
    olds = tuple(old for old in ordered if old is not heir)
    return Decision(
        move=Move.CREATE if heir is None else Move.ADOPT, target=heir, kept=olds[: limit - 1],
        dropped=olds[limit - 1 :],
    )


def alive(objects: Iterable[T]) -> tuple[T, ...]:
    """Those that are not being deleted."""
    return tuple(obj for obj in objects if obj.metadata.deletionTimestamp is None)


def youngest_first(objects: Iterable[T]) -> tuple[T, ...]:
    """By age. Of objects made within one second, one that works is younger than a paused one, a long name than a short.

    The first revision has the shortest name.
    """
    return tuple(sorted(objects, key=_age, reverse=True))


def is_ready(obj: Object) -> bool:
    """Whether the object says that it is ready, and says so about its present generation."""
    ready = conditions.find(conditions_of(obj), conditions.READY)
    if ready is None or ready.status != conditions.Status.TRUE:
        return False
    return ready.observedGeneration is None or ready.observedGeneration == obj.metadata.generation


def conditions_of(obj: Object) -> Sequence[Condition]:
    """The conditions in the status of `obj`."""
    return getattr(getattr(obj, "status", None), "conditions", None) or ()


def _current(ordered: Sequence[T], digest: str, version: Callable[[T], str | None]) -> T | None:
    versions = [(version(revision), revision) for revision in ordered]
    named = (revision for found, revision in versions if found == digest)
    unnamed = (revision for found, revision in versions if found is None)
    return next(named, None) or next(unnamed, None)


def _age(obj: Object) -> tuple[str, bool, int, str]:
    paused = bool(getattr(getattr(obj, "spec", None), "paused", False))
    return obj.metadata.creationTimestamp or "", not paused, len(obj.metadata.name), obj.metadata.name
