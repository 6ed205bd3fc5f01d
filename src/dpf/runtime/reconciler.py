"""The contract of a controller: declarations, then observe, plan, apply, status (style.md 2.2 and 2.7).

A kind's `controller.py` subclasses `Reconciler` and only wires its pure modules; `runtime.manager` runs it. The runtime
fetches the root from the cache, adds the finalizer, hands the same pipeline a teardown plan when the object is being
deleted, patches status once per pass also after a failure, writes events and metrics, and turns the result into queue
operations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from dpf.api.meta import Condition, Key, Object
from dpf.runtime.conditions import State
from dpf.runtime.plan import Applied, Plan

K = TypeVar("K", bound=Object)
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Another kind whose changes concern roots of this one.

    `maps(old, new)` names the roots to look at; on creation `old` is None, on deletion `new` is None. `everywhere`
    means the DPU clusters rather than the host cluster. `labels` narrows the watch at the server (selector syntax).
    `indexes` are declared on the cache for the kind. `optional` means that the kind need not be served, because it
    belongs to a product that may not be installed: nothing waits for its cache, so a reconciler must not read there.
    """

    kind: type[Object]
    maps: Callable[[Any, Any], Iterable[Key]]
    everywhere: bool = False
    labels: str | None = None
    indexes: dict[str, Callable[[Any], Iterable[str]]] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Verbs on one kind; `tools/rbacgen` writes Roles from these.

    `everywhere` means DPU clusters. `namespace` narrows it to one namespace, where that is known beforehand, `names` to
    objects of these names.
    """

    kind: type[Object]
    verbs: tuple[str, ...]
    everywhere: bool = False
    namespace: str | None = None
    subresources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a pass says about the root: states by condition type, and other fields of its status.

    `fields` are merged into `status` beside `conditions` and `observedGeneration`; None removes a field. The runtime
    adds `Ready` as the summary over `condition_types` when it is one of them and `states` does not name it. A
    controller writes only the types it declares, so that two of them may share the conditions of one kind.
    `dropped` are conditions that are taken off, where unseen ones are not kept.
    """

    states: dict[str, State]
    fields: dict[str, Any] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()


class DriverError(Exception):
    """A driver could not carry out an intent now; the message is for people and names the next step."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class Reconciler(ABC, Generic[K, S]):
    """One controller. Everything above the methods is declaration; the methods only delegate."""

    kind: ClassVar[type[Object]]
    name: ClassVar[str]
    field_owner: ClassVar[str]
    finalizer: ClassVar[str | None] = None
    condition_types: ClassVar[Sequence[str]] = ()
    permissions: ClassVar[Sequence[Permission]] = ()
    observes_generation: ClassVar[bool] = True
    """Whether the kind has status.observedGeneration."""
    resync_s: ClassVar[float] = 600.0
    root_fields: str | None = None
    """Field selector that narrows at the server which roots are watched at all; None: all of them."""
    workers: ClassVar[int | None] = None
    """Passes at the same time, where they wait for devices; None: as many as the manager lends to everybody."""
    keeps_unseen_conditions: ClassVar[bool] = True
    """Whether a condition of `condition_types` that no pass has found yet is written as Unknown, or not at all."""

    @property
    @abstractmethod
    def watches(self) -> Sequence[Watch]:
        """What else triggers a pass."""

    def selects(self, root: K) -> bool:  # noqa: ARG002 - a declaration that few kinds narrow
        """Whether this controller is responsible for `root` at all (cluster managers: by spec.type)."""
        return True

    @abstractmethod
    async def observe(self, root: K) -> S:
        """Read everything the decision needs. Reads only; unreachable is a value in the snapshot."""

    @abstractmethod
    def plan(self, snapshot: S, now: datetime) -> Plan:
        """Decide. Pure and total: bad input is a finding."""

    @abstractmethod
    def plan_teardown(self, snapshot: S, now: datetime) -> Plan:
        """Decide what remains to be done before the finalizer may go."""

    @abstractmethod
    def status(self, snapshot: S, plan: Plan, applied: Applied, now: datetime) -> Verdict:
        """Compute every condition from what was seen and done. Pure."""

    async def drive(self, intent: Any) -> Any:  # noqa: ANN401 - each domain has its own intents and answers
        """Carry out one `plan.Drive`; controllers with a driver override it. Raises DriverError, kube.errors.Error.

        What it returns is the outcome's `answer`, for `status`.
        """
        raise TypeError(f"{self.name} has no driver for {intent!r}")

    async def aclose(self) -> None:
        """Give up connections; called once, when no pass runs any more. Most have none of their own."""

    def conditions_of(self, root: K) -> Sequence[Condition]:
        """The conditions that `root` carries now."""
        status = getattr(root, "status", None)
        return getattr(status, "conditions", None) or ()
