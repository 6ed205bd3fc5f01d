"""Documents of a BMC as facts; whatever is missing or odd is "not told"."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.api.provisioning import DPUMode, DPUType
from dpf.provisioning.install.port import Boot, Power, SecureBoot, Task, TaskState
from dpf.provisioning.install.redfish import looking, reading


@pytest.mark.parametrize(("model", "kind"), [
    ("BlueField-3 DPU", DPUType.BLUEFIELD_3), ("Nvidia bluefield 2", DPUType.BLUEFIELD_2),
    ("BLUEFIELD3", DPUType.BLUEFIELD_3), ("B4240V", DPUType.BLUEFIELD_4), ("BlueField-9", DPUType.UNKNOWN),
    ("ConnectX-7", DPUType.UNKNOWN), (None, DPUType.UNKNOWN), ("AB4", DPUType.UNKNOWN),
])
def test_type_by_model(model: str | None, kind: DPUType) -> None:
    assert reading.dpu_type(model) is kind


@pytest.mark.parametrize(("product", "kind"), [
    ("BlueField-3 DPU", DPUType.BLUEFIELD_3), ("Nvidia BlueField-4", DPUType.BLUEFIELD_4),
    ("P-B4-X", DPUType.BLUEFIELD_4), ("Server", DPUType.UNKNOWN), (None, DPUType.UNKNOWN),
])
def test_type_by_product(product: str | None, kind: DPUType) -> None:
    assert reading.product_type(product) is kind


@pytest.mark.parametrize(("document", "found"), [
    ({"BootProgress": {"OemLastState": "OsIsRunning", "LastState": "OEM"}}, (Boot.OS_RUNNING, "OsIsRunning")),
    ({"BootProgress": {"OemLastState": "OsStarting"}}, (Boot.OS_STARTING, "OsStarting")),
    ({"BootProgress": {"OemLastState": "UEFI"}}, (Boot.UEFI, "UEFI")),
    ({"BootProgress": {"LastState": "OSRunning"}}, (Boot.OS_RUNNING, "OSRunning")),
    ({"BootProgress": {"OemLastState": "Bl2"}}, (Boot.OTHER, "Bl2")),
    ({"BootProgress": {"OemLastState": "OsIsRunning"}, "PowerState": "Off"}, (Boot.OFF, "OsIsRunning")),
    ({"BootProgress": 3}, (None, "")),
    ({}, (None, "")),
])
def test_boot(document: dict[str, Any], found: tuple[Boot | None, str]) -> None:
    assert reading.boot(document) == found


@pytest.mark.parametrize(("document", "task"), [
    ({"Id": "7", "TaskState": "Running", "PercentComplete": 12},
     Task(id="7", state=TaskState.RUNNING, percent=12, state_text="Running")),
    ({"Id": "7", "TaskState": "Exception", "Messages": [{"Message": "no"}, {"Message": "no"}]},
     Task(id="7", state=TaskState.FAILED, state_text="Exception", messages=("no",))),
    ({"Id": "7", "TaskState": "Completed", "PercentComplete": 100,
      "Payload": {"JsonBody": '{"ImageURI": "h:1/a"}'}},
     Task(id="7", state=TaskState.COMPLETED, percent=100, state_text="Completed", image="h:1/a")),
    ({"Id": "7", "TaskState": "New", "PercentComplete": 1000, "Payload": {"JsonBody": "{"}},
     Task(id="7", state=TaskState.RUNNING, percent=100, state_text="New")),
    ({"Id": "7", "TaskState": "Starting", "PercentComplete": True, "Payload": {"JsonBody": {"ImageURI": "h/b"}}},
     Task(id="7", state=TaskState.RUNNING, state_text="Starting", image="h/b")),
    ({"TaskState": "Running"}, None),
])
def test_task(document: dict[str, Any], task: Task | None) -> None:
    assert reading.task(document) == task


def test_secure_boot_that_is_not_told_is_not_off() -> None:
    assert reading.secure_boot({}) == SecureBoot()
    assert reading.secure_boot({"SecureBootCurrentBoot": "Disabled", "SecureBootEnable": True}) == SecureBoot(
        current=False, wanted=True)


@pytest.mark.parametrize(("told", "skew_s"), [
    ("2026-01-01T00:01:30+00:00", 90.0), ("2026-01-01T01:00:00+01:00", 0.0), ("2026-01-01T00:00:00Z", 0.0),
    ("2026-01-01T00:00:00", None), ("yesterday", None), (None, None), (5, None),
])
def test_clock(told: object, skew_s: float | None) -> None:
    assert reading.clock_skew_s({"DateTime": told}, datetime(2026, 1, 1, tzinfo=UTC)) == skew_s


def test_what_is_unset_is_not_told() -> None:
    facts = looking.of_chassis({"Model": " BlueField-3 ", "AssetTag": "N/A", "SerialNumber": "", "PartNumber": 7})

    assert facts == {"model": "BlueField-3", "type": DPUType.BLUEFIELD_3, "serial": None, "psid": None, "opn": None}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["Id", "Members", "@odata.id", "BootProgress", "OemLastState", "Messages", "PercentComplete",
                         "Status", "State", "PowerState", "DateTime", "Payload", "JsonBody", "Ethernet", "Mode"]),
        inner, max_size=4),
    max_leaves=8,
)


@given(JSON)
def test_no_document_is_too_odd(document: Any) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    reading.members(document), reading.boot(document), reading.task(document), reading.mac(document)
    reading.secure_boot(document), reading.clock_skew_s(document, now), reading.mode(document)
    assert reading.power(document) in {None, *Power}
    assert reading.mode(document) in {None, *DPUMode}
