"""DPU Cluster Config and Service Readiness, and what a DPU that is Ready or in Error says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.provisioning.dpu import snapshots as given
from tests.unit.provisioning.dpu.snapshots import a_condition, a_dpu, a_snapshot

from dpf.api import core, names
from dpf.api.dpu import ConditionType, Phase
from dpf.provisioning.dpu.intents import EnsureHostNetwork, KeepToken, Revoke
from dpf.provisioning.dpu.snapshot import Snapshot, Unknown
from dpf.provisioning.hostpods.state import PodPhase, PodState
from dpf.provisioning.install.port import Cause, Component, Sight, Silence
from dpf.runtime.plan import Drive, Patch

CLUSTER = f"{given.NAMESPACE}/tenant1"
SILENT = Silence(cause=Cause.UNREACHABLE, why="BMC 192.0.2.5:443 does not answer within 10 s")
EQUAL = Sight(firmware={Component.UEFI: "4.9.1-11", Component.BSP: "4.9.1"})
DELAYS = given.a_flavor(nvconfig=[{"parameters": ["DELAY_HOST_OS_INIT=1"]}])


def joining(*conditions: dict[str, Any], **changes: Any) -> Snapshot:
    return a_snapshot(a_dpu(Phase.DPU_CLUSTER_CONFIG, *conditions), **{"sight": EQUAL, **changes})


def serving(gate: str | None = None, *operational: dict[str, Any], **more: Any) -> Snapshot:
    flavor = given.a_flavor(serviceReadiness={"gate": gate} if gate else None)
    dpu = a_dpu(Phase.SERVICE_READINESS, operationalConditions=list(operational), **more)
    return a_snapshot(dpu, flavor=flavor)


def is_ready(**changes: Any) -> Snapshot:
    return a_snapshot(Phase.READY, **changes)


GUARDS = {
    "older firmware": (
        joining(sight=Sight(firmware={Component.UEFI: "4.2.0", Component.BSP: "4.9.1"})), "CheckFwVersionError",
        "DPU UEFI version 4.2.0 was not updated, expected 4.9.1-11",
    ),
    "two of them": (
        joining(sight=Sight(firmware={Component.UEFI: "4.2.0", Component.BSP: "4.2"})), "CheckFwVersionError",
        ("DPU UEFI version 4.2.0 was not updated, expected 4.9.1-11; "
         "DPU BSP version 4.2 was not updated, expected 4.9.1"),
    ),
    "bmc is silent": (joining(sight=SILENT), "CheckFwVersionError", SILENT.why),
    "bmc does not tell": (
        joining(sight=Sight()), "CheckFwVersionError", "The BMC does not tell its firmware versions",
    ),
    "cluster is gone": (joining(cluster=None), "DPUClusterNotFound", f"DPUCluster {CLUSTER} does not exist"),
    "cluster is silent": (
        joining(node=Unknown(why="no answer for 30 s")), "DPUClusterClientGetError",
        f"DPUCluster {CLUSTER}: no answer for 30 s",
    ),
    "no node": (
        joining(node=None), "NodeNotFound",
        f"Node {given.NAME} has not joined DPUCluster {CLUSTER} yet; see the system's own log on DPUDevice mt1",
    ),
    "no node, and no token any more": (
        joining(a_condition("BFBPrepared", hours=25), node=None), "NodeNotFound",
        (f"Node {given.NAME} has not joined DPUCluster {CLUSTER} yet, and its token has ended after 24 h. Next step: "
         "delete the DPU; it is made and installed again by its DPUSet"),
    ),
    "node is not ready": (
        joining(node=given.a_node(ready="False")), "NodeNotReady",
        f"Node {given.NAME} in DPUCluster {CLUSTER} is not ready: the network is not ready",
    ),
    "gate is closed": (
        serving("OperationalReady", a_condition("OperationalReady", "False", message="2 pods are missing")),
        "AwaitingServices", "The flavor waits for operational condition OperationalReady: 2 pods are missing",
    ),
    "gate that nobody tells about": (
        serving("DPUServiceCriticalPodsReady"), "AwaitingServices",
        "The flavor waits for operational condition DPUServiceCriticalPodsReady, which nobody has reported yet",
    ),
    "host is held": (
        a_snapshot(a_dpu(Phase.SERVICE_READINESS, agentStatus={"hostOSInit": {}}), flavor=DELAYS), "AwaitingAgent",
        "The agent on the DPU has not let the system of the host start yet",
    ),
}


@pytest.mark.parametrize(("snapshot", "reason", "message"), GUARDS.values(), ids=GUARDS)
def test_waits_for(snapshot: Snapshot, reason: str, message: str) -> None:
    assert given.reason(snapshot) == (reason, message)


@pytest.mark.parametrize("before", [Phase.READY, Phase.NODE_EFFECT, Phase.NODE_EFFECT_REMOVAL])
def test_other_labels_are_no_reason_to_look_at_the_firmware_again(before: Phase) -> None:
    """Somebody may have updated it since, and the BMC may be away: neither keeps a label from a Node that is ready."""
    for sight in (SILENT, Sight(firmware={Component.UEFI: "5.0.0"})):
        dpu = a_dpu(Phase.DPU_CLUSTER_CONFIG, previousPhase=before)
        assert given.written(a_snapshot(dpu, sight=sight)).phase is Phase.SERVICE_READINESS


def test_a_gate_that_there_is_none_of_names_those_that_there_are() -> None:
    assert "Odd; there are: OperationalReady, " in given.reason(serving("Odd"))[1]


@pytest.mark.parametrize(("sight", "conditions"), [
    (Sight(firmware={}), ()), (Sight(firmware={Component.UEFI: ""}), ()), (SILENT, (a_condition("DPUClusterReady"),)),
], ids=["nothing is listed", "an empty version", "it was ready once"])
def test_firmware_that_cannot_be_compared_holds_nothing_up(sight: Sight | Silence, conditions: Any) -> None:
    assert given.written(joining(*conditions, sight=sight)).phase is Phase.SERVICE_READINESS


@pytest.mark.parametrize("dpu", [
    given.by_host(Phase.DPU_CLUSTER_CONFIG), a_dpu(Phase.DPU_CLUSTER_CONFIG),
], ids=["gNOI", "left alone"])
def test_cards_whose_bmc_is_not_ours_are_not_asked_for_versions(dpu: Any) -> None:
    device = given.a_device(labels={names.SKIP_HW_PROVISIONING_LABEL: "true"})
    assert given.written(a_snapshot(dpu, sight=None, device=device)).phase is Phase.SERVICE_READINESS


def test_the_node_gets_its_labels_before_the_tokens_are_taken_back() -> None:
    patch, drive = given.decided(joining(node=given.a_node())).actions
    assert isinstance(patch, Patch)
    assert (patch.kind, patch.key.name, str(patch.cluster)) == (core.Node, given.NAME, CLUSTER)
    assert isinstance(drive, Drive)
    assert drive.intent == Revoke(dpu=joining().dpu, cluster=joining().cluster_key, for_good=False)


def test_a_complete_node_is_not_written() -> None:
    assert [type(action) for action in given.decided(joining()).actions] == [Drive]


def test_a_failure_is_told_and_the_phase_stays() -> None:
    update = given.written(joining(), error="Secret x cannot be deleted")
    assert (update.phase, update.states[ConditionType.DPU_CLUSTER_READY].message) == (
        None, "Secret x cannot be deleted",
    )


@pytest.mark.parametrize("init", [{"skipped": {"reason": "x"}}, {"succeeded": {"gate": "x"}}], ids=str)
def test_a_host_that_was_released(init: dict[str, Any]) -> None:
    dpu = a_dpu(Phase.SERVICE_READINESS, agentStatus={"hostOSInit": init})
    assert given.written(a_snapshot(dpu, flavor=DELAYS)).phase is Phase.NODE_EFFECT_REMOVAL


def test_an_open_gate() -> None:
    snapshot = serving("OperationalReady", a_condition("OperationalReady"))
    assert given.written(snapshot).phase is Phase.NODE_EFFECT_REMOVAL


READY = {
    "works": (is_ready(), "True", "DPUReady", ""),
    "cluster is silent": (
        is_ready(node=Unknown(why="no answer")), "False", "GetNodeFromDPUClusterError",
        f"DPUCluster {CLUSTER}: no answer",
    ),
    "node has gone": (
        is_ready(node=None), "False", "GetNodeFromDPUClusterError",
        f"Node {given.NAME} is not in DPUCluster {CLUSTER} any more",
    ),
}


@pytest.mark.parametrize(("snapshot", "status", "reason", "message"), READY.values(), ids=READY)
def test_a_dpu_that_is_installed(snapshot: Snapshot, status: str, reason: str, message: str) -> None:
    assert given.told(snapshot, "Ready") == (status, reason, message)
    assert given.written(snapshot).phase is None


def test_a_node_that_is_not_ready() -> None:
    settled = given.settled_node().metadata
    node = given.a_node(ready="Unknown", labels=settled.labels, annotations=settled.annotations)
    assert given.told(is_ready(node=node), "Ready") == (
        "False", "NodeNotReady", f"Node {given.NAME} in DPUCluster {CLUSTER} is not ready",
    )


def test_addresses_are_copied_and_stay_while_the_node_is_silent() -> None:
    settled = given.settled_node().metadata
    address = {"type": "InternalIP", "address": "10.0.0.7"}
    node = given.a_node(labels=settled.labels, annotations=settled.annotations, addresses=[address])
    assert given.written(is_ready(node=node)).fields == {"addresses": [address]}
    assert given.written(is_ready(node=Unknown(why="x"))).fields == {}


@pytest.mark.parametrize(("effect", "labels", "expected"), [
    ({"drain": True, "applyOnLabelChange": True}, {"bfb": "dk"}, ("RerunNodeEffect", Phase.NODE_EFFECT)),
    ({"drain": True}, {"bfb": "dk"}, ("RerunClusterConfig", Phase.DPU_CLUSTER_CONFIG)),
    ({"drain": True, "applyOnLabelChange": True}, {"operator.dpu.nvidia.com/x": "y"},
     ("RerunClusterConfig", Phase.DPU_CLUSTER_CONFIG)),
], ids=["with its effect", "no effect is wanted for labels", "a label of ours"])
def test_labels_have_changed(effect: dict[str, Any], labels: dict[str, str], expected: tuple[str, Phase]) -> None:
    cluster = {"name": "tenant1", "namespace": given.NAMESPACE, "nodeLabels": labels}
    snapshot = a_snapshot(a_dpu(Phase.READY, spec={"nodeEffect": effect, "cluster": cluster}))
    update = given.written(snapshot)
    assert (update.states[ConditionType.READY].reason, update.phase) == expected
    assert update.fields.get("postProvisioningNodeEffect") is (True if update.phase is Phase.NODE_EFFECT else None)
    assert (ConditionType.NODE_EFFECT_READY in update.dropped) is (update.phase is Phase.NODE_EFFECT)


def test_a_pod_of_the_host_network_that_has_gone_is_made_again() -> None:
    gone = PodState(phase=PodPhase.NOT_THERE)
    snapshot = a_snapshot(given.by_host(Phase.READY), host_network=gone)
    settled = replace(snapshot, node=_of_a_host())
    (drive,) = given.decided(settled).actions
    assert isinstance(drive, Drive)
    assert isinstance(drive.intent, EnsureHostNetwork)
    assert given.decided(replace(settled, host_network=given.RUNNING)).actions == ()


def test_a_dpu_that_somebody_else_installs_is_left_alone() -> None:
    device = given.a_device(labels={names.SKIP_DPU_PROVISIONING_LABEL: "true"})
    skipped = is_ready(device=device, node=None, flavor=None, bfb=None)
    assert given.told(skipped, "Ready")[:2] == ("True", "Skipped")
    assert given.decided(skipped).actions == ()


def test_an_error_keeps_its_reason_and_says_what_to_do() -> None:
    snapshot = a_snapshot(a_dpu(Phase.ERROR, a_condition("Error", "True", "FailToInstall", "Tried 2 times")))
    assert given.told(snapshot, "Ready") == (
        "False", "FailToInstall",
        "Tried 2 times. Next step: mend that, then delete the DPU: it is made and installed again by its DPUSet",
    )


def _of_a_host() -> core.Node:
    """A Node with all that a DPU of worker1 gives it."""
    labels = {
        names.DPU_NODE_LABEL: "true", names.HOST_LABEL: "worker1", names.DOCA_BFB_VERSION_LABEL: "bf-bundle-2.9.1",
    }
    note = (f'{{"{names.DOCA_BFB_VERSION_LABEL}":"bf-bundle-2.9.1","{names.DPU_NODE_LABEL}":"true",'
            f'"{names.HOST_LABEL}":"worker1"}}')
    return given.a_node(labels=labels, annotations={names.LAST_APPLIED_LABELS_ANNOTATION: note})


@pytest.mark.parametrize(("hours", "wake_after_s", "intents"), [
    (0.5, 1800.0, []), (3, 1200.0, [KeepToken]), (25, None, []),
])
def test_the_token_lasts_on_while_the_node_is_waited_for(
    hours: float, wake_after_s: float | None, intents: list[type],
) -> None:
    decision = given.decided(joining(a_condition("BFBPrepared", hours=hours), node=None))
    assert decision.wake_after_s == wake_after_s
    assert [type(action.intent) for action in decision.actions if isinstance(action, Drive)] == intents
