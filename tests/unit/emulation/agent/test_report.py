"""What an agent reports, boot by boot (behaviour-provisioning.md 7, 10 and 14)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.support import joins
from tests.support.agents import NOTHING_TO_DO

from dpf.api.dpu import DPU, DPUStatus, RebootStatus
from dpf.api.dpuagent import AgentStatus, HostOSInit, HostOSInitSkipped, HostOSInitSucceeded
from dpf.api.meta import Condition
from dpf.emulation.agent import record, report
from dpf.emulation.agent.config import Setup
from dpf.emulation.agent.record import Boot

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = Boot(id="b1", initial="b1", started="2026-01-01T00:00:00Z")
LATER = Boot(id="b2", initial="b1", started="2026-01-01T00:01:00Z", reboots=1)
FIRMWARE = Setup(has_firmware_settings=True, needs_reboot=False, delays_host=False)
KERNEL = Setup(has_firmware_settings=False, needs_reboot=True, delays_host=False)
BOTH = Setup(has_firmware_settings=True, needs_reboot=True, delays_host=False)
DELAYED = Setup(has_firmware_settings=True, needs_reboot=False, delays_host=True)


def with_status(**status: object) -> DPU:
    return msgspec.structs.replace(joins.a_dpu(), status=DPUStatus(**status))  # type: ignore[arg-type]


def decided(setup: Setup, boot: Boot = FIRST, dpu: DPU | None = None, now: str = "now") -> AgentStatus:
    return report.when_decided(setup, boot, dpu or joins.a_dpu(), kubelet_version="v1", now=now)


@pytest.mark.parametrize(("setup", "boot", "method"), [
    (NOTHING_TO_DO, FIRST, "NoAction"), (NOTHING_TO_DO, LATER, "NoAction"),
    (FIRMWARE, FIRST, "SystemLevelReset"), (FIRMWARE, LATER, "NoAction"),
    (KERNEL, FIRST, "DPUWarmReboot"), (KERNEL, LATER, "NoAction"),
    (BOTH, FIRST, "SystemLevelReset"), (BOTH, LATER, "NoAction"),
])
def test_what_has_to_restart(setup: Setup, boot: Boot, method: str) -> None:
    assert decided(setup, boot).rebootMethod == method
    assert report.must_restart(setup, boot) is (method == "DPUWarmReboot")


def test_a_boot_begins_with_an_unknown_method() -> None:
    found = report.at_start(FIRST, None, kubelet_version="v1.36.3", now="now")
    assert (found.lastStartupTime, found.initialBootID, found.rebootMethod, found.kubeletVersion) == (
        "2026-01-01T00:00:00Z", "b1", "Unknown", "v1.36.3"
    )
    assert {c.type: c.status for c in found.conditions or ()} == {
        "NVConfigApplied": "Unknown", "RebootMethodDiscovery": "Unknown", "ReadyForReboot": "False",
    }


def test_a_decided_report_says_that_everything_is_done() -> None:
    found = decided(FIRMWARE, LATER)
    assert {c.type: c.status for c in found.conditions or ()} == {
        "NVConfigApplied": "True", "RebootMethodDiscovery": "True", "ReadyForReboot": "True",
    }
    assert (found.initialBootID, found.rebootSequenceCount) == ("b1", 1)
    assert all(c.reason and c.message for c in found.conditions or ())


def test_a_condition_keeps_its_time_until_its_status_changes_and_others_stay() -> None:
    foreign = Condition(type="EWNICConfigured", status="True", reason="X", lastTransitionTime="long ago")
    old = decided(FIRMWARE, now="then")
    before = msgspec.structs.replace(old, conditions=[*(old.conditions or ()), foreign])
    again = decided(FIRMWARE, dpu=with_status(agentStatus=before), now="now")
    assert again == before
    begun = report.at_start(LATER, before, kubelet_version="v1", now="now")
    assert {c.lastTransitionTime for c in begun.conditions or ()} == {"now", "long ago"}


def test_what_others_wrote_into_the_report_stays() -> None:
    before = AgentStatus(trustBundleHash="abc")
    assert decided(NOTHING_TO_DO, dpu=with_status(agentStatus=before)).trustBundleHash == "abc"


def test_a_host_that_is_not_kept_waiting_is_released_at_once() -> None:
    skipped = decided(FIRMWARE).hostOSInit
    assert skipped is not None
    assert skipped.skipped is not None
    assert (skipped.skipped.reason, skipped.succeeded) == ("NotDelayed", None)


def test_a_host_that_is_kept_waiting_is_released_by_the_services_and_stays_so() -> None:
    ready = Condition(type="DPUServiceCriticalPodsReady", status="True", reason="X")
    waiting = Condition(type="DPUServiceCriticalPodsReady", status="False", reason="X")
    released = HostOSInit(succeeded=HostOSInitSucceeded(gate="DPUServiceCriticalPodsReady"))

    assert decided(DELAYED).hostOSInit is None
    assert decided(DELAYED, dpu=with_status(operationalConditions=[waiting])).hostOSInit is None
    assert decided(DELAYED, dpu=with_status(operationalConditions=[ready])).hostOSInit == released
    lost = with_status(operationalConditions=[waiting], agentStatus=AgentStatus(hostOSInit=released))
    assert decided(DELAYED, dpu=lost).hostOSInit == released


@pytest.mark.parametrize(("release", "sent"), [
    (None, None),
    (HostOSInit(skipped=HostOSInitSkipped(reason="R")), {"skipped": {"reason": "R"}, "succeeded": None}),
    (HostOSInit(succeeded=HostOSInitSucceeded(gate="G")), {"skipped": None, "succeeded": {"gate": "G"}}),
])
def test_a_patch_never_leaves_two_releases(release: HostOSInit | None, sent: object) -> None:
    assert report.patch(AgentStatus(hostOSInit=release))["status"]["agentStatus"]["hostOSInit"] == sent


@pytest.mark.parametrize(("setup", "boot", "phase", "expected"), [
    (FIRMWARE, FIRST, "WaitForShutdown", True),
    (FIRMWARE, FIRST, "Pending", False),
    (FIRMWARE, LATER, "WaitForShutdown", False),
    (NOTHING_TO_DO, FIRST, "WaitForShutdown", False),
])
def test_it_shuts_down_when_the_host_waits_for_that(setup: Setup, boot: Boot, phase: str, expected: bool) -> None:
    assert report.must_shut_down(setup, boot, with_status(rebootStatus=RebootStatus(phase=phase))) is expected


def test_nothing_is_expected_of_an_agent_that_has_restarted_and_released_its_host() -> None:
    assert report.is_settled(FIRMWARE, LATER, joins.a_dpu())
    assert not report.is_settled(FIRMWARE, FIRST, joins.a_dpu())
    assert not report.is_settled(DELAYED, LATER, joins.a_dpu())


def test_each_boot_starts_later_and_the_agents_own_restart_is_no_boot() -> None:
    first = record.next_boot(None, "b1", T0)
    again = record.next_boot(first, "b1", T0 + timedelta(hours=1))
    second = record.next_boot(first, "b2", T0)
    third = record.next_boot(second, "b3", T0 - timedelta(days=1))
    assert again == first
    assert [boot.started for boot in (first, second, third)] == [
        "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z",
    ]
    assert [(boot.is_first, boot.reboots) for boot in (first, second, third)] == [(True, 0), (False, 1), (False, 2)]
