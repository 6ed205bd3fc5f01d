"""What the handler of a phase decides in one pass, as a value. Pure. Made by `phases`, read by `plan` and `status`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from dpf.api.dpu import ConditionType, Phase
from dpf.runtime import conditions
from dpf.runtime.conditions import Reason, State
from dpf.runtime.plan import Action, StepResult

AT_ONCE_S: Final = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What goes into the status: the next phase, conditions, fields of the status, conditions that are taken off."""

    phase: Phase | None = None
    states: Mapping[ConditionType, State] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    dropped: frozenset[ConditionType] = frozenset()

    def also(self, other: Update) -> Update:
        """Both; where they disagree, `other`."""
        return Update(
            phase=other.phase or self.phase, states={**self.states, **other.states},
            fields={**self.fields, **other.fields}, dropped=self.dropped | other.dropped,
        )


NOTHING: Final = Update()
Settle = Callable[[StepResult], Update]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`actions` are carried out, then `update` is written if none of them failed.

    `settle` says instead what is written when it depends on the answers; a failure is told by `about`, the condition
    that the phase works towards. `why` is what is waited for, and `wake_after_s` when to look
    again at the latest; None where a watch tells.
    """

    about: ConditionType
    update: Update = NOTHING
    actions: tuple[Action, ...] = ()
    settle: Settle | None = None
    why: str = ""
    is_invalid: bool = False
    wake_after_s: float | None = None
    because: str = ""


def move(
    about: ConditionType, to: Phase, because: str, *, state: State | None = None,
    **fields: Any,  # noqa: ANN401 - fields of DPUStatus
) -> Decision:
    """The phase has done its work: its condition holds, and the next phase begins."""
    states = {about: state or conditions.true(str(about))}
    return Decision(
        about=about, update=Update(phase=to, states=states, fields=fields), wake_after_s=AT_ONCE_S, because=because,
    )


def wait(
    about: ConditionType, reason: str, why: str, *, wake_after_s: float | None = None, is_invalid: bool = False,
    **fields: Any,  # noqa: ANN401 - fields of DPUStatus
) -> Decision:
    """Not yet, because of `why`."""
    return Decision(
        about=about, update=Update(states={about: conditions.false(reason, why)}, fields=fields), why=why,
        wake_after_s=wake_after_s, is_invalid=is_invalid,
    )


def fail(about: ConditionType, reason: str, why: str) -> Decision:
    """It will not work; only deleting the DPU leads out of it (BP 5.16)."""
    return Decision(about=about, update=failed(about, reason, why), wake_after_s=AT_ONCE_S, because=why)


def failed(about: ConditionType, reason: str, why: str) -> Update:
    """What a phase writes that ends in Error."""
    states = {about: conditions.false(reason, why), ConditionType.ERROR: conditions.true(reason, why)}
    return Update(phase=Phase.ERROR, states=states)


def do(decision: Decision, *actions: Action, settle: Settle | None = None) -> Decision:
    """The same, after `actions`."""
    return replace(decision, actions=(*decision.actions, *actions), settle=settle or decision.settle)


def outcome(decision: Decision, result: StepResult | None) -> Update:
    """What is written after the actions."""
    if result is None or not result.ran:
        return decision.update
    errors = [one.error for one in result.outcomes if one.error is not None]
    if errors:
        return Update(states={decision.about: conditions.false(Reason.ERROR, errors[0])})
    return decision.settle(result) if decision.settle is not None else decision.update
