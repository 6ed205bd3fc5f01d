"""What a DMS answers -> fields of a Sight.

Pure. Called by `dms` and `installer`. Numbers and words that we do not know are told as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dpf.api.provisioning import DPUMode
from dpf.provisioning.install.gnoi import messages
from dpf.provisioning.install.gnoi.messages import Status
from dpf.provisioning.install.port import Activation, Outcome, Task, TaskState

SEPARATOR: Final = ";"
"""Between the names of a version: the bundle's and the configuration's."""

_LONGEST: Final = 1024
_MODES: Final = {"dpu": DPUMode.DPU, "nic": DPUMode.NIC}
_OUTCOMES: Final[Mapping[int, Outcome]] = {
    Status.SUCCESS: Outcome.SUCCESS, Status.RETRIABLE_FAILURE: Outcome.RETRIABLE_FAILURE,
    Status.FAILURE: Outcome.FAILURE,
}
_STATES: Final[Mapping[Outcome, TaskState]] = {
    Outcome.SUCCESS: TaskState.COMPLETED, Outcome.RETRIABLE_FAILURE: TaskState.FAILED,
    Outcome.FAILURE: TaskState.FAILED, Outcome.UNKNOWN: TaskState.LOST,
}


def names(version: str) -> tuple[str, ...]:
    """The files of a version: `a.bfb;b.cfg` has two."""
    return tuple(name for name in version.split(SEPARATOR) if name)


def activation(answer: Any) -> Activation:  # noqa: ANN401 - a RebootStatusResponse
    """How the last activation stands."""
    why = answer.reason or answer.status.message
    return Activation(
        is_active=answer.active, outcome=_OUTCOMES.get(answer.status.status, Outcome.UNKNOWN),
        reason="".join(char if char.isprintable() else " " for char in why)[:_LONGEST], count=answer.count,
    )


def mode(answer: Any) -> DPUMode | None:  # noqa: ANN401 - a GetResponse
    """DPU or NIC, from whichever notification is about the mode."""
    for notification in answer.notification:
        for update in notification.update:
            if messages.names_of(notification.prefix, update.path) == messages.MODE:
                return _MODES.get(_text(update.val).lower())
    return None


def task(version: str, activation: Activation) -> Task:
    """The activation of `version` as long work; its name is its id."""
    if activation.is_active:
        return Task(id=version, state=TaskState.RUNNING, image=version, state_text="active")
    state = _STATES[activation.outcome]
    messages = (activation.reason,) if state is TaskState.FAILED and activation.reason else ()
    return Task(id=version, state=state, image=version, state_text=activation.outcome.value, messages=messages)


def _text(value: Any) -> str:  # noqa: ANN401 - a TypedValue
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    told = getattr(value, kind)
    if isinstance(told, str):
        return told
    try:
        return str(msgspec.json.decode(told))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
