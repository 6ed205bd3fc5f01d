"""The table of phases: every move in it can happen, and no handler makes another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from tests.unit.provisioning.dpu import snapshots as given
from tests.unit.provisioning.dpu.snapshots import a_condition, a_dpu, a_snapshot, ago, by_host

from dpf.api import names
from dpf.api.dpu import ConditionType, Phase
from dpf.api.provisioning import DPUMode
from dpf.provisioning.dpu.decision import Decision, move
from dpf.provisioning.dpu.intents import Prepared, Unprepared
from dpf.provisioning.dpu.phases import table
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.provisioning.hostpods.state import PodPhase, PodState
from dpf.provisioning.install.port import Boot, Component, SecureBoot, Sight

P = Phase
RESTARTS = '{"generation": 1, "attempt": 2, "max": 2, "last": "%s"}'
FIRMWARE = {Component.UEFI: "4.9.1-11", Component.BSP: "4.9.1"}
NIC = Sight(mode=DPUMode.NIC)
AGENT: Mapping[str, Any] = {"lastStartupTime": ago(minutes=1), "rebootMethod": "NoAction"}
SKIP = {names.SKIP_DPU_PROVISIONING_LABEL: "true"}
LEFT_ALONE = {names.SKIP_HW_PROVISIONING_LABEL: "true"}


def rebooted(previous: Phase, **status: Any) -> Snapshot:
    return a_snapshot(a_dpu(P.REBOOTING, previousPhase=previous, rebootStatus={"phase": "Succeeded"}, **status))


def with_agent(*, note: str = "{}", **agent: Any) -> Snapshot:
    notes = {names.INSTALL_TRACKER_ANNOTATION: note}
    return a_snapshot(a_dpu(P.DPU_CONFIG, agentStatus={**AGENT, **agent}, annotations=notes))


MOVES: dict[tuple[Phase, Phase], tuple[Snapshot, Any]] = {
    (P.INITIALIZING, P.PENDING): (a_snapshot(P.INITIALIZING), None),
    (P.INITIALIZING, P.READY): (a_snapshot(P.INITIALIZING, device=given.a_device(labels=SKIP)), None),
    (P.INITIALIZING, P.ERROR): (a_snapshot(P.INITIALIZING, device=given.a_device(bmcIp=None)), None),
    (P.PENDING, P.NODE_EFFECT): (a_snapshot(P.PENDING), None),
    (P.PENDING, P.ERROR): (
        a_snapshot(P.PENDING, flavor=given.a_flavor(nvconfig=[{"parameters": ["DELAY_HOST_OS_INIT=1"]}])), None),
    (P.NODE_EFFECT, P.INITIALIZE_INTERFACE): (
        a_snapshot(P.NODE_EFFECT, maintenances=(given.a_maintenance(),)), None),
    (P.NODE_EFFECT, P.DPU_CLUSTER_CONFIG): (
        a_snapshot(a_dpu(P.NODE_EFFECT, postProvisioningNodeEffect=True), maintenances=(given.a_maintenance(),)), None),
    (P.INITIALIZE_INTERFACE, P.CONFIG_FW_PARAMETERS): (a_snapshot(P.INITIALIZE_INTERFACE), None),
    (P.INITIALIZE_INTERFACE, P.REBOOTING): (a_snapshot(P.INITIALIZE_INTERFACE, sight=NIC), None),
    (P.INITIALIZE_INTERFACE, P.PERFORM_ARM_FORCE_RESTART): (
        a_snapshot(a_dpu(P.INITIALIZE_INTERFACE, spec={"secureBoot": True}),
                   sight=Sight(secure_boot=SecureBoot(current=False, wanted=False))), None),
    (P.INITIALIZE_INTERFACE, P.ERROR): (
        a_snapshot(by_host(P.INITIALIZE_INTERFACE), dms=PodState(phase=PodPhase.FAILED, reason="DMSPodFailed")), None),
    (P.PERFORM_ARM_FORCE_RESTART, P.INITIALIZE_INTERFACE): (
        a_snapshot(
            a_dpu(P.PERFORM_ARM_FORCE_RESTART,
                  annotations={names.ARM_RESTART_TRACKER_ANNOTATION: RESTARTS % ago(minutes=2)}),
            sight=Sight(boot=Boot.OS_RUNNING),
        ), None),
    (P.PERFORM_ARM_FORCE_RESTART, P.ERROR): (
        a_snapshot(
            a_dpu(P.PERFORM_ARM_FORCE_RESTART,
                  annotations={names.ARM_RESTART_TRACKER_ANNOTATION: RESTARTS % ago(minutes=6)}),
            sight=Sight(boot=Boot.UEFI),
        ), None),
    (P.CONFIG_FW_PARAMETERS, P.PREPARE_BFB): (a_snapshot(P.CONFIG_FW_PARAMETERS), None),
    (P.PREPARE_BFB, P.OS_INSTALLING): (a_snapshot(P.PREPARE_BFB), Prepared(file="bfcfg/x")),
    (P.PREPARE_BFB, P.ERROR): (
        a_snapshot(P.PREPARE_BFB), Unprepared(reason="FailedToGenerateBFConfig", why="too large", is_final=True)),
    (P.OS_INSTALLING, P.DPU_CONFIG): (a_snapshot(a_dpu(P.OS_INSTALLING, agentStatus=AGENT)), None),
    (P.OS_INSTALLING, P.REBOOTING): (a_snapshot(P.OS_INSTALLING, device=given.a_device(labels=LEFT_ALONE)), None),
    (P.OS_INSTALLING, P.ERROR): (a_snapshot(a_dpu(P.OS_INSTALLING, a_condition("BFBPrepared", hours=2))), None),
    (P.DPU_CONFIG, P.REBOOTING): (
        with_agent(rebootMethod="PowerCycle", note=f'{{"reboots": 1, "boot": "{ago(minutes=1)}"}}'), None),
    (P.DPU_CONFIG, P.ERROR): (with_agent(rebootMethod="PowerCycle", note='{"reboots": 5}'), None),
    (P.DPU_CONFIG, P.DPU_CLUSTER_CONFIG): (with_agent(), None),
    (P.DPU_CONFIG, P.HOST_NETWORK_CONFIGURATION): (a_snapshot(by_host(P.DPU_CONFIG)), None),
    (P.REBOOTING, P.INITIALIZE_INTERFACE): (rebooted(P.INITIALIZE_INTERFACE), None),
    (P.REBOOTING, P.DPU_CONFIG): (
        rebooted(P.DPU_CONFIG, agentStatus={"conditions": [a_condition("RebootMethodDiscovery")]}), None),
    (P.REBOOTING, P.DPU_CLUSTER_CONFIG): (rebooted(P.DPU_CONFIG), None),
    (P.REBOOTING, P.HOST_NETWORK_CONFIGURATION): (rebooted(P.DPU_CONFIG, interface="gNOI"), None),
    (P.HOST_NETWORK_CONFIGURATION, P.DPU_CLUSTER_CONFIG): (a_snapshot(by_host(P.HOST_NETWORK_CONFIGURATION)), None),
    (P.HOST_NETWORK_CONFIGURATION, P.ERROR): (
        a_snapshot(by_host(P.HOST_NETWORK_CONFIGURATION),
                   host_network=PodState(phase=PodPhase.FAILED, reason="InitializationFailed")), None),
    (P.DPU_CLUSTER_CONFIG, P.SERVICE_READINESS): (
        a_snapshot(P.DPU_CLUSTER_CONFIG, sight=Sight(firmware=FIRMWARE)), None),
    (P.SERVICE_READINESS, P.NODE_EFFECT_REMOVAL): (a_snapshot(P.SERVICE_READINESS), None),
    (P.NODE_EFFECT_REMOVAL, P.READY): (a_snapshot(P.NODE_EFFECT_REMOVAL), None),
    (P.NODE_EFFECT_REMOVAL, P.DPU_CLUSTER_CONFIG): (a_snapshot(P.NODE_EFFECT_REMOVAL, node=given.a_node()), None),
    (P.NODE_EFFECT_REMOVAL, P.ERROR): (
        a_snapshot(a_dpu(P.NODE_EFFECT_REMOVAL, a_condition("NodeEffectRemoved", "False", minutes=11)),
                   maintenances=(given.a_maintenance(),), settings=replace(given.SETTINGS, removal_timeout_s=600.0)),
        None),
    (P.READY, P.DPU_CLUSTER_CONFIG): (a_snapshot(P.READY, node=given.a_node()), None),
    (P.READY, P.NODE_EFFECT): (
        a_snapshot(a_dpu(P.READY, spec={
            "nodeEffect": {"drain": True, "applyOnLabelChange": True},
            "cluster": {"name": "tenant1", "namespace": given.NAMESPACE, "nodeLabels": {"bfb": "dk"}},
        })), None),
}


def test_there_is_an_example_of_every_move_and_of_no_other() -> None:
    assert set(MOVES) == {(phase, one.to) for phase, row in table.ROWS.items() for one in row.moves}


@pytest.mark.parametrize(("phase", "to"), MOVES, ids=[f"{a} to {b}" for a, b in MOVES])
def test_every_move_can_happen(phase: Phase, to: Phase) -> None:
    snapshot, answer = MOVES[phase, to]
    assert (snapshot.phase, given.written(snapshot, answer).phase) == (phase, to)


@pytest.mark.parametrize("phase", [phase for phase, row in table.ROWS.items() if P.ERROR in {m.to for m in row.moves}])
def test_what_ends_in_error_says_so_in_two_conditions(phase: Phase) -> None:
    snapshot, answer = MOVES[phase, P.ERROR]
    update = given.written(snapshot, answer)
    error, about = update.states[ConditionType.ERROR], update.states[given.decided(snapshot).about]
    if phase is P.PREPARE_BFB:
        about = update.states[ConditionType.BFB_PREPARED]
    assert (error.status, error.reason, about.status) == ("True", about.reason, "False")


def test_a_move_that_the_table_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def astray(snapshot: Snapshot, now: datetime) -> Decision:
        return move(ConditionType.PENDING, Phase.READY, "a mistake")

    monkeypatch.setattr(table, "ROWS", {
        **table.ROWS, P.PENDING: replace(table.ROWS[P.PENDING], handler=astray)
    })
    with pytest.raises(table.MoveError, match="Pending does not lead to Ready"):
        table.decide(a_snapshot(P.PENDING), given.NOW)


@pytest.mark.parametrize("told", ["DMS Deployment", "Checking Host Reboot Required", "Update Firmware", "", "Odd"])
def test_a_phase_that_nobody_leads_into_begins_anew(told: str) -> None:
    assert table.phase_of(told) is Phase.INITIALIZING


@pytest.mark.parametrize("phase", table.ROWS)
def test_a_dpu_with_nothing_around_it_is_decided_about(phase: Phase) -> None:
    """Whatever is gone, no handler fails, and nothing is concluded about a card that nobody can see."""
    for interface in ("redfish", "gNOI"):
        bare = Snapshot(dpu=a_dpu(phase, interface=interface), settings=given.SETTINGS)
        assert given.written(bare).phase is not Phase.ERROR
