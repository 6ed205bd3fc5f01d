"""What a planner returns and an executor carries out: actions with a reason, in steps.

Pure values. A planner (`plan.py` of a kind) builds a `Plan`; `runtime.executor` carries it out against the clusters;
the kind's `status.py` reads `Applied`. `dpfctl plan` prints the same values without carrying anything out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dpf.api.meta import Key, Object

ClusterKey = Key
Reasons = tuple[str, str]
"""Reasons of an action's Event, when it was carried out and when it failed: words that a kind has always used."""
HOST: Key = Key("", "host")
"""Names the host cluster where an action needs a cluster; every other key is a DPUCluster's namespace and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """Server-side apply of exactly the fields set in `object`."""

    cluster: ClusterKey = HOST
    object: Object
    because: str
    reasons: Reasons | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Patch of an object of which we own only some fields: a map is a JSON merge patch, a list a JSON patch (RFC 6902).

    Only a JSON patch can replace a map whole, whoever wrote its keys, and set a field to null.
    """

    cluster: ClusterKey = HOST
    kind: type[Object]
    key: Key
    patch: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    because: str
    reasons: Reasons | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete; already gone counts as done. `uid` protects a namesake that was created since.

    With `version`, the resourceVersion that was read, only while nobody has changed it since.
    """

    cluster: ClusterKey = HOST
    kind: type[Object]
    key: Key
    uid: str | None = None
    version: str | None = None
    because: str
    reasons: Reasons | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """An intent for the controller's own driver (`Reconciler.drive`): a process or a device instead of an object.

    `intent` is a frozen value of the domain, written so that carrying it out twice is the same as once.
    """

    intent: Any
    because: str
    reasons: Reasons | None = None


Action = Apply | Patch | Delete | Drive


class Severity(StrEnum):
    """How a finding is meant."""

    INVALID = "invalid"
    """Only a change of the object, or of something it names, can help."""
    BLOCKED = "blocked"
    """Something else has to change first; a watch will tell."""
    WAITING = "waiting"
    """In progress; a watch or the wake-up will tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something the user should read, in words; it becomes a condition message.

    `event` is the reason of a Warning Event about it. A planner names one when the finding is news, and not in every
    pass that finds the same again.
    """

    severity: Severity
    message: str
    event: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Actions and findings that one condition reports.

    Steps are carried out in order. One with a failed action or a finding stops the later ones, unless it says
    `blocks=False`: best effort, whose failures are told but hold nothing up, neither later steps nor the release of the
    finalizer. Inside a step every action is tried (one broken cluster never delays another), findings or not.
    """

    name: str
    actions: tuple[Action, ...] = ()
    findings: tuple[Finding, ...] = ()
    blocks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything one pass wants to do.

    `wake_after_s` asks for another look later (only where no watch can tell). `release` lets the finalizer go: the
    teardown is complete; it happens only when every step that blocks succeeded. `paused` ends the pass after the
    steps (usually none): the status stays as it is.
    """

    steps: tuple[Step, ...] = ()
    wake_after_s: float | None = None
    release: bool = False
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one action; `error` is None when it was carried out.

    `answer` is what the controller's driver answered to a `Drive`: a value of the domain, never a secret. `outdated`
    says that the object is newer than the pass has seen: nothing is wrong, another look is needed.
    """

    action: Action
    error: str | None = None
    retryable: bool = False
    outdated: bool = False
    answer: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What became of one step. `ran` is False when an earlier step stopped the pass."""

    name: str
    ran: bool
    outcomes: tuple[Outcome, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[str, ...]:
        """Messages of what failed, findings first."""
        failed = tuple(o.error for o in self.outcomes if o.error is not None)
        return tuple(f.message for f in self.findings) + failed

    @property
    def succeeded(self) -> bool:
        """Ran, and nothing went wrong or has to be waited for."""
        return self.ran and not self.errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a plan, step by step, in the plan's order."""

    results: tuple[StepResult, ...] = ()
    by_name: Mapping[str, StepResult] = field(default_factory=dict)

    def step(self, name: str) -> StepResult:
        """The result of the named step; a step that the plan did not contain counts as not run."""
        return self.by_name.get(name, StepResult(name=name, ran=False))
