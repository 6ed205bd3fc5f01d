"""DPUs that are installed, or cannot be: what still happens to them, and that nothing happens by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import dpucards, dpusets
from tests.support import dpus as some
from tests.support.dpus import Stage
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, ObjectMeta
from dpf.api.provisioning import InstallInterface
from dpf.kube import errors
from dpf.kube.memory import Request
from dpf.runtime.manager import Manager

GNOI, REDFISH = InstallInterface.GNOI, InstallInterface.REDFISH
BOTH = pytest.mark.parametrize("interface", [REDFISH, GNOI])
NO_EFFECT = {"noEffect": True}
LABELS = {"cluster": {"nodeLabels": {"tenant": "b"}}}


async def look_at_everything(manager: Manager) -> None:
    """A pass of each controller over each of its roots."""
    for controller in manager.controllers:
        controller.enqueue_all()
    assert await manager.settle() > len(manager.controllers)


@BOTH
async def test_nothing_is_written_while_nothing_happens(tmp_path: Path, interface: InstallInterface) -> None:
    """One DPU is Ready, one in Error, one waits for its BFB, and one for its host."""
    stage = some.a_stage(tmp_path, interface=interface, dpus=False, hosts=4)
    stage.host.add(
        some.a_dpu(1, nodeEffect=NO_EFFECT), some.a_dpu(2, nodeEffect=NO_EFFECT), some.a_dpu(3, bfb="missing"),
        some.a_dpu(4, nodeEffect={"hold": True}),
    )
    stage.plays.installs = stage.plays.releases = False
    async with stage.controllers() as manager:
        for _ in range(8):
            await stage.pass_time(manager, 30)
            stage.cards["d2"].fail("worn out") if stage.cards["d2"].is_busy else None
            dpucards.finish(stage.cards["d1"]) if stage.cards["d1"].is_busy else None
            await stage.act()
        assert list(stage.phases.values()) == ["Ready", "Error", "Pending", "Node Effect"]
        before, asked = list(stage.world.writes), dict(stage.installer.asked)
        events = len(stage.host.objects(core.Event))
        await stage.pass_time(manager, 24 * 3600, step_s=600)
        await look_at_everything(manager)
        assert stage.world.writes == before
        assert stage.installer.asked == asked, "no card is asked"
        assert len(stage.host.objects(core.Event)) == events
    async with stage.controllers() as manager:
        await stage.pass_time(manager, 3600, step_s=600)
    assert stage.world.writes == before


async def edit_labels(stage: Stage, **cluster: Any) -> None:
    """Somebody changes what the Node shall carry."""
    await stage.patch(DPU, "worker-1-d1", cluster=cluster)


@pytest.mark.parametrize("with_effect", [False, True])
async def test_16_44_labels_of_a_ready_dpu(tmp_path: Path, with_effect: bool) -> None:
    stage = some.a_stage(tmp_path, effect={"hold": True, "applyOnLabelChange": with_effect})
    phases: list[str] = []
    async with stage.controllers() as manager:
        await stage.work(manager)
        orders = list(stage.cards["d1"].orders)
        stage.host.after_write = lambda _request: phases.append(stage.phases["worker-1-d1"])
        await edit_labels(stage, nodeLabels={"tenant": None, "rack": "7"}, nodeAnnotations={"owner": "x"})
        await stage.work(manager)
        stage.host.after_write = None
        node = stage.nodes()["worker-1-d1"]
        assert (node.metadata.labels or {}).get("rack") == "7"
        assert "tenant" not in (node.metadata.labels or {})
        assert (node.metadata.annotations or {})["owner"] == "x"
        assert ("Node Effect" in phases) is with_effect
        assert "DPU Cluster Config" in phases
        assert not {"Initialize Interface", "Prepare BFB", "OS Installing"} & set(phases)
        assert stage.cards["d1"].orders == orders
        assert stage.maintenances == {}
        assert stage.dpu().status.postProvisioningNodeEffect is None
        assert stage.told() == ("True", "DPUReady", "")


async def test_somebodys_own_label_of_a_node_stays(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT)
    async with stage.controllers() as manager:
        await stage.work(manager)
        cluster = stage.world.dpus[Key(NAMESPACE, some.CLUSTER)]
        await cluster.patch(core.Node, "worker-1-d1", patch={"metadata": {"labels": {"mine": "1", "tenant": "no"}}})
        await stage.work(manager)
        await stage.pass_time(manager, 30)
        labels = stage.nodes()["worker-1-d1"].metadata.labels or {}
        assert (labels["mine"], labels["tenant"]) == ("1", "a")


async def test_16_54_the_node_is_not_ready(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT)
    async with stage.controllers() as manager:
        await stage.work(manager)
        await stage.set_node(is_ready=False)
        await manager.settle()
        assert stage.phases == {"worker-1-d1": "Ready"}
        assert stage.told() == (
            "False", "NodeNotReady", f"Node worker-1-d1 in DPUCluster {NAMESPACE}/tenant1 is not ready",
        )
        await stage.set_node()
        await manager.settle()
        assert stage.told() == ("True", "DPUReady", "")
        await stage.world.dpus[Key(NAMESPACE, some.CLUSTER)].delete(core.Node, "worker-1-d1")
        await manager.settle()
        assert stage.told() == (
            "False", "GetNodeFromDPUClusterError",
            f"Node worker-1-d1 is not in DPUCluster {NAMESPACE}/tenant1 any more",
        )
        before = list(stage.cards["d1"].orders)
        await stage.pass_time(manager, 3600, step_s=60)
        assert stage.phases == {"worker-1-d1": "Ready"}
        assert stage.cards["d1"].orders == before


@BOTH
async def test_16_56_a_dpu_in_error(tmp_path: Path, interface: InstallInterface) -> None:
    stage = some.a_stage(tmp_path, interface=interface, effect={"hold": True}, config={"osInstallRetries": 1})
    card = stage.cards["d1"]
    stage.plays.installs = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: bool(stage.cards["d1"].installs))
        card.fail("worn out")
        await stage.work(manager)
        assert stage.phases == {"worker-1-d1": "Error"}
        assert stage.maintenances == {}
        why = "FAILURE: worn out" if interface is GNOI else "task 1 ended with Exception: worn out"
        assert stage.told() == (
            "False", "FailToInstall",
            (f"{why}. Tried once. Next step: mend that, then delete the DPU: it is made and installed again by its "
            "DPUSet"),
        )
        orders, asked = list(card.orders), dict(stage.installer.asked)
        await stage.pass_time(manager, 7200, step_s=60)
        assert card.orders == orders
        assert stage.installer.asked == asked
        await stage.delete()
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left)
        again = some.a_dpu(nodeEffect={"hold": True})
        stage.host.add(renewed(again))
        stage.plays.installs = True
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}
    assert stage.installs == {"d1": 2}


def renewed(dpu: DPU) -> DPU:
    """Another object of the same name."""
    return DPU(
        metadata=ObjectMeta(name=dpu.metadata.name, namespace=NAMESPACE, uid=some.uid_of("another")),
        spec=dpu.spec,
    )


@pytest.mark.parametrize("how", ["the object is gone", "the cluster is silent"])
async def test_16_57_the_dpucluster_goes_first(tmp_path: Path, how: str) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT)
    key = Key(NAMESPACE, some.CLUSTER)
    async with stage.controllers() as manager:
        await stage.work(manager)
        if how == "the object is gone":
            await stage.host.delete(DPUCluster, some.CLUSTER, NAMESPACE)
            stage.world.registry.remove(key)
        else:
            silence(stage)
            stage.world.dpus[key].end_watches(errors.Unreachable("no route to host"))
            await stage.pass_time(manager, 120)
        await stage.delete()
        await stage.pass_time(manager, 60)
        if how == "the cluster is silent":
            status, reason, message = stage.told("Deleting")
            assert (status, reason) == ("True", "Deleting")
            assert message.startswith(f"Still there: DPUCluster {NAMESPACE}/tenant1 does not answer (")
            assert message.endswith("Node worker-1-d1 and its tokens are left until it does, at most 10 min")
            await stage.pass_time(manager, 600)
        assert stage.dpus == {}
    assert [name for name in stage.left if name.startswith(("host", "file"))] == []


def silence(stage: Stage) -> None:
    """The DPU cluster does not answer any more."""
    stage.world.dpus[Key(NAMESPACE, some.CLUSTER)].fail_next(
        lambda _request: True, errors.Unreachable("no route to host"), times=100_000
    )


async def test_a_silent_cluster_is_no_reason_to_install_again(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT)
    async with stage.controllers() as manager:
        await stage.work(manager)
        silence(stage)
        stage.world.dpus[Key(NAMESPACE, some.CLUSTER)].end_watches(errors.Unreachable("no route to host"))
        await stage.pass_time(manager, 3600, step_s=30)
        status, reason, message = stage.told()
        assert (status, reason) == ("False", "GetNodeFromDPUClusterError")
        assert message.startswith(f"DPUCluster {NAMESPACE}/tenant1: ")
        assert stage.phases == {"worker-1-d1": "Ready"}
    assert stage.installs == {"d1": 1}


async def test_16_17_a_dpuset_selects_less(tmp_path: Path) -> None:
    dpuset = dpusets.a_dpuset(template={
        "bfb": {"name": some.BFB_NAME}, "dpuFlavor": some.FLAVOR, "nodeEffect": NO_EFFECT,
    })
    stage = some.a_stage(tmp_path, dpuset, hosts=2, dpus=False)
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: len(stage.dpus) == 2 and stage.is_over())
        assert sorted(stage.nodes()) == ["worker-1-d1", "worker-2-d2"]
        await stage.host.patch(DPUNode, "worker-1", NAMESPACE, patch={"metadata": {"labels": {"stays": "yes"}}})
        await stage.patch(DPUSet, dpusets.SET, dpuNodeSelector={"matchLabels": {"stays": "yes"}})
        await stage.work(manager, until=lambda stage: list(stage.dpus) == ["worker-1-d1"])
        await stage.work(manager)
    assert sorted(stage.nodes()) == ["worker-1-d1"]
    assert [name for name in stage.left if "worker-2" in name] == []


async def test_pods_of_the_host_are_made_again(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, interface=GNOI, effect=NO_EFFECT)
    async with stage.controllers() as manager:
        await stage.work(manager)
        await stage.host.delete(core.Pod, "worker-1-d1-hostnetwork", NAMESPACE, grace_period_s=0)
        await stage.pass_time(manager, 30)
        assert "worker-1-d1-hostnetwork" in {pod.metadata.name for pod in stage.host.objects(core.Pod)}
        await stage.run_pods()
        await stage.pass_time(manager, 30)
        assert stage.told() == ("True", "DPUReady", "")


@pytest.mark.parametrize("gate", [{"serviceReadiness": {"gate": "OperationalReady"}}])
async def test_the_flavor_waits_for_services(tmp_path: Path, gate: Mapping[str, Any]) -> None:
    stage = some.a_stage(tmp_path, effect={"hold": True}, flavor=gate)
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("Service Readiness"))
        await stage.pass_time(manager, 600, step_s=30)
        assert stage.told("ServiceReadiness") == (
            "False", "AwaitingServices",
            "The flavor waits for operational condition OperationalReady, which nobody has reported yet",
        )
        assert list(stage.maintenances) == ["worker-1-hold"]
        condition = {"type": "OperationalReady", "status": "False", "reason": "Pending", "message": "2 of 3 pods run",
                     "lastTransitionTime": some.LONG_AGO}
        await stage.patch_status(DPU, "worker-1-d1", {"operationalConditions": [condition]})
        await manager.settle()
        assert stage.told("ServiceReadiness")[2] == (
            "The flavor waits for operational condition OperationalReady: 2 of 3 pods run"
        )
        await stage.patch_status(DPU, "worker-1-d1", {"operationalConditions": [{**condition, "status": "True"}]})
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


def requests_about(stage: Stage, kind: type[Any]) -> list[Request]:
    """What was asked of the host's server about a kind, beside lists and watches of caches."""
    return [r for r in stage.host.requests if r.kind == kind.resource.kind and r.verb == "get"]


async def test_a_settled_dpu_asks_the_server_nothing(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect=NO_EFFECT)
    async with stage.controllers() as manager:
        await stage.work(manager)
        before = len(stage.host.requests)
        await look_at_everything(manager)
        assert [r for r in stage.host.requests[before:] if r.verb not in ("watch", "list")] == []
        assert requests_about(stage, DPUNodeMaintenance) == []
