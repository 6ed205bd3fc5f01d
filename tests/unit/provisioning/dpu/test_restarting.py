"""DPU Config, Rebooting, Host Network Configuration: what has to restart, and how its end is seen."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.provisioning.dpu import snapshots as given
from tests.unit.provisioning.dpu.snapshots import a_condition, a_dpu, a_snapshot, ago

from dpf.api import names
from dpf.api.dpu import ConditionType, Phase
from dpf.provisioning.dpu.intents import Command, EnsureHostNetwork, Refused
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.provisioning.hostpods.state import PodPhase, PodState
from dpf.provisioning.install.port import ForceReset, Power, Sight
from dpf.runtime.plan import Drive, Patch

HOSTLESS = given.a_dpunode(labels={names.HOSTLESS_LABEL: "true"})


def configuring(agent: dict[str, Any] | None, **status: Any) -> Snapshot:
    return a_snapshot(a_dpu(Phase.DPU_CONFIG, agentStatus=agent, **status))


def asked(reboots: int, boot: str | None = None) -> dict[str, str]:
    """The note about so many reboots; the last was asked for after the present start of the agent."""
    note = {"reboots": reboots, "boot": boot or ago(minutes=1)}
    return {names.INSTALL_TRACKER_ANNOTATION: json.dumps(note)}


def started(method: str | None = "NoAction", **more: Any) -> dict[str, Any]:
    return {"lastStartupTime": ago(minutes=1), "rebootMethod": method, **more}


def by_host(*, annotations: dict[str, str] | None = None, nvconfig: list[dict[str, Any]] | None = None) -> Snapshot:
    flavor = given.a_flavor(nvconfig=nvconfig) if nvconfig is not None else given.a_flavor()
    return a_snapshot(given.by_host(Phase.DPU_CONFIG, annotations=annotations), flavor=flavor)


def rebooting(
    *conditions: dict[str, Any], sight: Sight | None = None, hostless: bool = False,
    agent: dict[str, Any] | None = None, consumed: str | None = None, notes: dict[str, str] | None = None,
    **reboot: Any,
) -> Snapshot:
    dpu = a_dpu(
        Phase.REBOOTING, *conditions, annotations=notes, rebootStatus=reboot, previousPhase=Phase.DPU_CONFIG,
        agentStatus=agent, agentLastStartupTime=consumed,
    )
    return a_snapshot(dpu, sight=sight, dpunode=HOSTLESS if hostless else given.a_dpunode())


GUARDS = {
    "flavor is gone": (
        replace(by_host(), flavor=None), "DPUFlavorNotFound",
        f"DPUFlavor {given.NAMESPACE}/flavor does not exist any more",
    ),
    "no agent": (configuring(None), "WaitingForDPUAgent", "The agent on the DPU has not reported yet"),
    "agent has not started": (
        configuring({"rebootMethod": "NoAction"}), "WaitingForDPUAgent", "The agent on the DPU has not reported yet",
    ),
    "consumed": (
        configuring(started(), agentLastStartupTime=ago(minutes=1)), "WaitingForFreshRebootMethod",
        f"The agent has not started again since {ago(minutes=1)}, when it was acted on",
    ),
    "unknown method": (
        configuring(started("Unknown", conditions=[a_condition("NVConfigApplied", "False", message="mst fails")])),
        "WaitingForRebootMethod", "The agent does not say yet what has to restart: mst fails",
    ),
    "no method": (
        configuring(started(None)), "WaitingForRebootMethod", "The agent does not say yet what has to restart",
    ),
    "by itself": (
        configuring(started("FirmwareReset")), "FirmwareReset", "The DPU restarts by itself (FirmwareReset)",
    ),
    "warm": (configuring(started("DPUWarmReboot")), "DPUWarmReboot", "The DPU restarts by itself (DPUWarmReboot)"),
    "asked for": (
        rebooting(method="PowerCycle"), "WaitingForManualPowerCycleOrReboot",
        "DPUNode worker1 is asked for a PowerCycle of the host",
    ),
    "pending": (
        rebooting(method="PowerCycle", phase="Pending", reason="WaitingForManualPowerCycleOrReboot", message="do it"),
        "WaitingForManualPowerCycleOrReboot", "do it",
    ),
    "failed": (
        rebooting(method="PowerCycle", phase="Failed", reason="RebootScriptFailed", message="exit code 3"),
        "RebootScriptFailed", "exit code 3",
    ),
    "failed without words": (
        rebooting(method="PowerCycle", phase="Failed"), "Failed", "PowerCycle of the host is Failed",
    ),
    "shuts down": (
        rebooting(method="SystemLevelReset", phase="WaitForShutdown", lastTransitionTime=ago(minutes=4)),
        "WaitForShutdown", "The DPU shuts down before its host is reset; it gets 5 min for that",
    ),
    "resets itself": (
        rebooting(hostless=True, method="PowerCycle"), "ResettingDPU", "The card resets itself",
    ),
    "has reset itself": (
        rebooting(hostless=True, method="HostlessDPUReboot", phase="Pending", agent=started(),
                  consumed=ago(minutes=1), lastTransitionTime=ago(minutes=1)),
        "ResettingDPU", "The card resets itself; its agent has not started again yet",
    ),
    "host network": (
        a_snapshot(given.by_host(Phase.HOST_NETWORK_CONFIGURATION),
                   host_network=PodState(phase=PodPhase.STARTING, reason="Initializing", why="Pod x is not ready")),
        "Initializing", "Pod x is not ready",
    ),
}


@pytest.mark.parametrize(("snapshot", "reason", "message"), GUARDS.values(), ids=GUARDS)
def test_waits_for(snapshot: Snapshot, reason: str, message: str) -> None:
    assert given.reason(snapshot) == (reason, message)


@pytest.mark.parametrize(("method", "phase"), [("PowerCycle", None), ("SystemReboot", None),
                                               ("SystemLevelReset", "WaitForShutdown")])
def test_what_the_agent_asks_for_is_entered(method: str, phase: str | None) -> None:
    update = given.written(configuring(started(method), annotations=asked(1)))
    assert update.fields["rebootStatus"].get("phase") == phase
    assert update.fields["rebootStatus"]["method"] == method
    assert update.fields["agentLastStartupTime"] == ago(minutes=1)
    assert update.dropped == {ConditionType.REBOOTED}


def test_a_reboot_is_counted_before_it_is_asked_for() -> None:
    counting = configuring(started("PowerCycle"))
    assert given.reason(counting)[0] == "RebootRequired"
    assert "rebootStatus" not in given.written(counting).fields


def test_an_agent_that_asks_for_ever_is_not_obeyed() -> None:
    again = configuring(started("PowerCycle"), annotations=asked(5, ago(minutes=9)))
    assert given.written(again).phase is Phase.ERROR
    state = given.written(again).states[ConditionType.ERROR]
    assert (state.reason, state.message) == (
        "TooManyReboots", "The agent asks for a PowerCycle after 5 reboots in a row"
    )


def test_an_agent_that_has_started_anew_is_heard_again() -> None:
    snapshot = configuring(started(), agentLastStartupTime=ago(minutes=9))
    assert given.written(snapshot).phase is Phase.DPU_CLUSTER_CONFIG


def test_times_are_compared_as_times() -> None:
    """The same moment in another spelling is not a fresh start."""
    agent = {"lastStartupTime": "2026-03-01T12:59:00+01:00", "rebootMethod": "NoAction"}
    assert given.reason(configuring(agent, agentLastStartupTime=ago(minutes=1)))[0] == "WaitingForFreshRebootMethod"


@pytest.mark.parametrize(("nvconfig", "annotation", "method"), [
    ([{"parameters": ["SRIOV_EN=1"]}], None, "SystemLevelReset"),
    ([{"parameters": ["SRIOV_EN=1"], "hostPowerCycleRequired": True}], None, "SystemLevelReset"),
    (None, "true", "PowerCycle"), (None, "T", "PowerCycle"), (None, "1", "PowerCycle"),
    (None, "false", None), (None, "perhaps", None), ([], None, None), ([{"device": "p0"}], None, None),
])
def test_without_an_agent_the_flavor_tells(
    nvconfig: list[dict[str, Any]] | None, annotation: str | None, method: str | None,
) -> None:
    notes = {names.HOST_POWER_CYCLE_REQUIRED_ANNOTATION: annotation} if annotation is not None else None
    update = given.written(by_host(annotations=notes, nvconfig=nvconfig))
    assert (update.fields.get("rebootStatus") or {}).get("method") == method
    assert update.phase is (Phase.REBOOTING if method else Phase.HOST_NETWORK_CONFIGURATION)


@pytest.mark.parametrize("sight", [
    Sight(power=Power.OFF), Sight(power=Power.PAUSED), Sight(power=Power.ON, is_standby=True),
], ids=str)
def test_a_dpu_that_is_off_may_be_reset(sight: Sight) -> None:
    told = {"method": "SystemLevelReset", "phase": "WaitForShutdown", "lastTransitionTime": ago(minutes=1)}
    assert given.written(rebooting(sight=sight, **told)).fields == {
        "rebootStatus": {"method": "SystemLevelReset", "message": "the DPU is off"},
    }


def test_after_five_minutes_it_may_be_reset_anyway() -> None:
    snapshot = rebooting(method="SystemLevelReset", phase="WaitForShutdown", lastTransitionTime=ago(seconds=301))
    assert given.written(snapshot).fields["rebootStatus"] == {
        "method": "SystemLevelReset", "message": "the DPU has not shut down within 5 min",
    }


def test_the_second_restart_has_five_minutes_of_its_own() -> None:
    """The condition is as old as the first one."""
    snapshot = rebooting(
        a_condition("DPUConfig", hours=1), method="SystemLevelReset", phase="WaitForShutdown",
        lastTransitionTime=ago(seconds=10),
    )
    assert given.reason(snapshot)[0] == "WaitForShutdown"


def test_a_card_without_a_host_is_reset_once() -> None:
    """That it will be is in the status first, and that it was ordered is noted before it is: no crash repeats it."""
    first = rebooting(hostless=True, method="PowerCycle")
    assert given.decided(first).actions == ()
    reboot = given.written(first).fields["rebootStatus"]
    assert (reboot["method"], reboot["phase"]) == ("HostlessDPUReboot", "Pending")
    at = ago(seconds=2)
    note, drive = given.decided(rebooting(hostless=True, **reboot, lastTransitionTime=at)).actions
    assert isinstance(note, Patch)
    assert isinstance(note.patch, dict)
    assert isinstance(drive, Drive)
    assert isinstance(drive.intent, Command)
    assert drive.intent.order == ForceReset()
    noted = rebooting(hostless=True, notes=note.patch["metadata"]["annotations"], **reboot, lastTransitionTime=at)
    assert given.decided(noted).actions == ()
    assert given.reason(noted)[0] == "ResettingDPU"


def test_a_reset_that_led_nowhere_is_ordered_again() -> None:
    reboot = {"method": "HostlessDPUReboot", "phase": "Pending", "reason": "ResettingDPU"}
    late = rebooting(hostless=True, **reboot, lastTransitionTime=ago(minutes=11))
    assert given.decided(late).actions == ()
    assert given.written(late).fields["rebootStatus"]["phase"] == "Pending", "it gets a new time, and so a new order"


@pytest.mark.parametrize(("refused", "fields"), [
    (Refused(why="no answer", silent=True, doubtful=True), {}),
    (Refused(why="busy"), {"rebootStatus": {"method": "HostlessDPUReboot", "reason": "ResettingDPU",
                                            "message": "busy"}}),
])
def test_a_reset_that_was_certainly_not_taken_begins_anew(refused: Refused, fields: dict[str, Any]) -> None:
    reboot = {"method": "HostlessDPUReboot", "phase": "Pending", "reason": "ResettingDPU"}
    snapshot = rebooting(hostless=True, **reboot, lastTransitionTime=ago(seconds=2))
    assert given.written(snapshot, None, refused).fields == fields


def test_a_fresh_agent_shows_that_a_card_without_a_host_has_restarted() -> None:
    snapshot = rebooting(
        hostless=True, method="HostlessDPUReboot", phase="Pending", agent=started(), consumed=ago(minutes=2)
    )
    assert given.written(snapshot).phase is Phase.DPU_CLUSTER_CONFIG


@pytest.mark.parametrize("status", [None, {"phase": "Succeeded", "message": "it is up"}], ids=str)
def test_the_end_of_a_reboot(status: dict[str, str] | None) -> None:
    snapshot = a_snapshot(a_dpu(Phase.REBOOTING, rebootStatus=status, previousPhase=Phase.DPU_CONFIG))
    assert given.written(snapshot).phase is Phase.DPU_CLUSTER_CONFIG


def test_the_pod_of_the_host_network_is_ensured_until_it_runs() -> None:
    starting = PodState(phase=PodPhase.NOT_THERE, reason="Initializing", why="The pod of the host network is made")
    flavor = given.a_flavor(nvconfig=[{"parameters": ["NUM_OF_VFS=46"]}])
    snapshot = a_snapshot(given.by_host(Phase.HOST_NETWORK_CONFIGURATION), host_network=starting, flavor=flavor)
    (drive,) = given.decided(snapshot).actions
    assert isinstance(drive, Drive)
    assert isinstance(drive.intent, EnsureHostNetwork)
    assert (drive.intent.vf_count, drive.intent.mtu, drive.intent.host_name) == (46, 1500, "worker1")


def test_a_host_outside_the_cluster_has_a_network_of_its_own() -> None:
    snapshot = a_snapshot(
        given.by_host(Phase.HOST_NETWORK_CONFIGURATION), dpunode=given.a_dpunode(node=None),
        host_network=PodState(phase=PodPhase.NOT_THERE),
    )
    assert (given.decided(snapshot).actions, given.written(snapshot).phase) == ((), Phase.DPU_CLUSTER_CONFIG)
