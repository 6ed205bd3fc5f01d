"""What answers of a DMS mean."""

from __future__ import annotations

from typing import Any

import pytest

from dpf.api.provisioning import DPUMode
from dpf.provisioning.install.gnoi import messages as m
from dpf.provisioning.install.gnoi import reading
from dpf.provisioning.install.port import Activation, Outcome, Task, TaskState


def status(number: int, **fields: Any) -> Any:
    return m.RebootStatusResponse(status=m.RebootStatus(status=number, message=fields.pop("message", "")), **fields)


@pytest.mark.parametrize(("answer", "expected"), [
    (m.RebootStatusResponse(), Activation(is_active=False, count=0)),
    (status(0, active=True, reason="flashing"), Activation(is_active=True, reason="flashing", count=0)),
    (status(1, count=3), Activation(is_active=False, outcome=Outcome.SUCCESS, count=3)),
    (status(2, reason="why"), Activation(is_active=False, outcome=Outcome.RETRIABLE_FAILURE, reason="why", count=0)),
    (status(3, message="text"), Activation(is_active=False, outcome=Outcome.FAILURE, reason="text", count=0)),
    (status(99), Activation(is_active=False, count=0)),
    (status(3, reason="a\nb\x00" + "c" * 2000),
     Activation(is_active=False, outcome=Outcome.FAILURE, reason="a b " + "c" * 1020, count=0)),
], ids=["never", "active", "success", "retriable", "failure", "unknown", "long"])
def test_an_activation(answer: Any, expected: Activation) -> None:
    assert reading.activation(answer) == expected


@pytest.mark.parametrize(("activation", "state", "messages"), [
    (Activation(is_active=True, outcome=Outcome.FAILURE, reason="old"), TaskState.RUNNING, ()),
    (Activation(is_active=False, outcome=Outcome.SUCCESS, reason="activation"), TaskState.COMPLETED, ()),
    (Activation(is_active=False, outcome=Outcome.FAILURE, reason="why"), TaskState.FAILED, ("why",)),
    (Activation(is_active=False, outcome=Outcome.RETRIABLE_FAILURE), TaskState.FAILED, ()),
    (Activation(is_active=False), TaskState.LOST, ()),
])
def test_an_activation_as_a_task(activation: Activation, state: TaskState, messages: tuple[str, ...]) -> None:
    text = "active" if activation.is_active else activation.outcome.value

    assert reading.task("v", activation) == Task(id="v", state=state, image="v", state_text=text, messages=messages)


@pytest.mark.parametrize(("value", "mode"), [
    ({"string_val": "DPU"}, DPUMode.DPU), ({"string_val": "nic"}, DPUMode.NIC), ({"ascii_val": "NIC"}, DPUMode.NIC),
    ({"json_ietf_val": b'"DPU"'}, DPUMode.DPU), ({"json_val": b'"NIC"'}, DPUMode.NIC),
    ({"json_val": b"\xff"}, None), ({"json_val": b"{"}, None), ({"string_val": "both"}, None), ({}, None),
])
def test_the_mode_in_any_encoding(value: dict[str, Any], mode: DPUMode | None) -> None:
    update = m.Update(path=m.path("config", "mode"), val=m.TypedValue(**value))
    answer = m.GetResponse(notification=[m.Notification(prefix=m.path("nvidia", "mode"), update=[update])])

    assert reading.mode(answer) is mode


def test_another_setting_is_not_the_mode() -> None:
    update = m.Update(path=m.path("nvidia", "other"), val=m.TypedValue(string_val="DPU"))

    assert reading.mode(m.GetResponse(notification=[m.Notification(update=[update])])) is None


@pytest.mark.parametrize(("version", "names"), [
    ("", ()), ("a.bfb", ("a.bfb",)), ("a.bfb;b.cfg", ("a.bfb", "b.cfg")), (";a.bfb;;", ("a.bfb",)),
])
def test_the_names_of_a_version(version: str, names: tuple[str, ...]) -> None:
    assert reading.names(version) == names
