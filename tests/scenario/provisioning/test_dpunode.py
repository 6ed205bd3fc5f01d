"""From node features to DPUDevices and DPUNodes, and their life (behaviour-provisioning.md 4, resolutions.md 48)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support import maintenances as some
from tests.support.clock import turns
from tests.support.crash import crash_everywhere
from tests.support.maintenances import NAMESPACE
from tests.support.world import World, a_world

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig, DPFOperatorConfigSpec
from dpf.api.dpu import DPU, DPUSpec
from dpf.api.dpudevice import DPUDevice, DPUDeviceSpec
from dpf.api.dpunode import DPUNode, DPUNodeSpec, DPURef
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import ObjectMeta
from dpf.api.operatorprovisioning import InstallInterface, InstallViaRedfish, ProvisioningController
from dpf.provisioning.dpudevice.controller import DPUDeviceController
from dpf.provisioning.dpunode.controller import DPUNodeController
from dpf.provisioning.dpunode.registration.controller import DPURegistrationController
from dpf.provisioning.maintenance.controller import DPUNodeMaintenanceController
from dpf.runtime.manager import Manager

F = "feature.node.kubernetes.io/"
P = "provisioning.dpu.nvidia.com/"
TWO_CARDS = {
    f"{F}dpu-enabled": "true", f"{F}dpu-0-pci-address": "0000-04-00", f"{F}dpu-0-ps-id": "MT_0000000884",
    f"{F}dpu-0-pf0-name": "ens1f0np0", f"{F}dpu-1-pci-address": "0000-2b-00", f"{F}dpu-1-serial-number": "MT2402XZ0F7X",
}


def a_host(name: str = "worker1", **more: str) -> core.Node:
    """A Node with two cards; keywords are further labels."""
    return core.Node(metadata=ObjectMeta(name=name, labels={**TWO_CARDS, **more}))


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Manager]:
    """One life of the process."""
    async with world.controllers(lambda w: [
        DPURegistrationController(clusters=w.registry), DPUDeviceController(clusters=w.registry),
        DPUNodeController(clusters=w.registry, clock=w.clock), DPUNodeMaintenanceController(clusters=w.registry),
    ]) as manager:
        await manager.settle()
        yield manager


def a_stage(*nodes: core.Node) -> World:
    world = a_world()
    world.host.add(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)), *(nodes or (a_host(),)))
    return world


def devices(world: World) -> dict[str, DPUDevice]:
    return {d.metadata.name: d for d in world.host.objects(DPUDevice)}


def dpunodes(world: World) -> dict[str, DPUNode]:
    return {d.metadata.name: d for d in world.host.objects(DPUNode)}


def listed(dpunode: DPUNode) -> list[str]:
    return [ref.name for ref in (dpunode.spec.dpus if dpunode.spec is not None else None) or ()]


def told(obj: DPUNode | DPUDevice, type_: str) -> tuple[str, str, str]:
    (found,) = [c for c in obj.status.conditions or () if c.type == type_]
    return found.status, found.reason, found.message


async def test_cards_of_a_node_become_devices_and_a_dpunode() -> None:
    world = a_stage()
    async with running(world):
        found = devices(world)
        assert set(found) == {"worker1-0000-04-00", "mt2402xz0f7x"}
        known = found["mt2402xz0f7x"]
        assert known.spec is not None
        assert known.spec.serialNumber == "MT2402XZ0F7X"
        first = found["worker1-0000-04-00"]
        assert first.metadata.labels == {
            f"{P}dpudevice-name": "worker1-0000-04-00", f"{P}dpudevice-pciAddress": "0000-04-00",
            f"{P}dpudevice-psid": "MT_0000000884", f"{P}dpudevice-pf0-name": "ens1f0np0",
            f"{P}dpudevice-num-of-pfs": "1", f"{P}dpunode-name": "worker1",
        }
        status = first.status
        assert (status.pciAddress, status.pf0Name, status.psid) == ("0000-04-00", "ens1f0np0", "MT_0000000884")
        for type_ in ("Discovered", "NodeAttached", "Ready"):
            assert told(first, type_)[:2] == ("True", "Success")
        (dpunode,) = dpunodes(world).values()
        assert dpunode.metadata.name == "worker1"
        assert listed(dpunode) == ["worker1-0000-04-00", "mt2402xz0f7x"]
        assert [(o.kind, o.name) for o in dpunode.metadata.ownerReferences or ()] == [("Node", "worker1")]
        assert (dpunode.status.kubeNodeRef, dpunode.status.dpuInstallInterface) == ("worker1", "gNOI")
        assert told(dpunode, "Ready") == ("True", "Success", "")
        assert (dpunode.metadata.labels or {}).items() >= TWO_CARDS.items()


async def test_labels_and_annotations_follow_the_node_and_others_stay() -> None:
    world = a_stage(a_host(rack="a"))
    async with running(world) as manager:
        own = {"metadata": {"labels": {"mine": "yes"}, "annotations": {f"{P}dpunode-external-reboot-required": "true"}}}
        await world.host.patch(DPUNode, "worker1", NAMESPACE, patch=own)
        annotations = {f"{P}reboot-command": "skip", f"{P}other": "x"}
        change = {"labels": {"rack": None, "zone": "z"}, "annotations": annotations}
        await world.host.patch(core.Node, "worker1", patch={"metadata": change})
        await manager.settle()
        metadata = dpunodes(world)["worker1"].metadata
        labels, annotations = metadata.labels or {}, metadata.annotations or {}
        assert (labels.get("rack"), labels.get("zone"), labels.get("mine")) == (None, "z", "yes")
        assert annotations[f"{P}reboot-command"] == "skip"
        assert annotations[f"{P}dpunode-external-reboot-required"] == "true"
        assert f"{P}other" not in annotations


async def test_bridge_condition_follows_the_label() -> None:
    """16.25."""
    world = a_stage()
    async with running(world) as manager:
        assert told(dpunodes(world)["worker1"], "OOBBridgeConfigured")[:2] == ("False", "BridgeNotFound")
        patch = {"metadata": {"labels": {f"{F}dpu-oob-bridge-configured": ""}}}
        await world.host.patch(core.Node, "worker1", patch=patch)
        await manager.settle()
        assert told(dpunodes(world)["worker1"], "OOBBridgeConfigured")[0] == "True"


async def test_long_node_name_has_a_short_unique_dpunode() -> None:
    """resolutions.md row 34."""
    names = ["n" * 240 + tail for tail in ("-a", "-b")]
    hosts = [core.Node(metadata=ObjectMeta(name=n, labels={f"{F}dpu-0-pci-address": "0000-04-00"})) for n in names]
    world = a_stage(*hosts)
    async with running(world):
        assert len(dpunodes(world)) == len(devices(world)) == 2
        assert max(map(len, dpunodes(world))) <= 48
        assert max(map(len, devices(world))) <= 63
        assert {d.status.kubeNodeRef for d in dpunodes(world).values()} == set(names)


async def test_card_that_vanishes_stays_and_a_new_one_is_added() -> None:
    """A card that is being installed is not there for the host for a while."""
    world = a_stage()
    async with running(world) as manager:
        gone = {f"{F}dpu-0-pci-address": None, f"{F}dpu-2-pci-address": "0000-b1-00"}
        await world.host.patch(core.Node, "worker1", patch={"metadata": {"labels": gone}})
        await manager.settle()
        assert listed(dpunodes(world)["worker1"]) == ["worker1-0000-04-00", "mt2402xz0f7x", "worker1-0000-b1-00"]
        assert len(devices(world)) == 3


async def test_device_keeps_its_name_when_its_serial_number_becomes_known() -> None:
    world = a_stage()
    async with running(world) as manager:
        await world.host.patch(core.Node, "worker1", patch={"metadata": {"labels": {f"{F}dpu-0-serial-number": "MT1"}}})
        await manager.settle()
        assert set(devices(world)) == {"worker1-0000-04-00", "mt2402xz0f7x"}


async def test_card_that_two_nodes_report_stays_where_it_was_first() -> None:
    world = a_stage()
    async with running(world) as manager:
        world.host.add(a_host("worker2"))
        await manager.settle()
        assert listed(dpunodes(world)["worker2"]) == ["worker2-0000-04-00"]
        assert (devices(world)["mt2402xz0f7x"].metadata.labels or {})[f"{P}dpunode-name"] == "worker1"


@pytest.mark.parametrize("labels", [
    {}, {f"{F}dpu-0-pci-address": "nonsense"}, {f"{F}dpu-enabled": "false", f"{F}dpu-0-pci-address": "0000-04-00"},
])
async def test_nodes_without_cards_have_nothing(labels: dict[str, str]) -> None:
    world = a_stage(core.Node(metadata=ObjectMeta(name="n", labels=labels)))
    async with running(world):
        assert devices(world) == dpunodes(world) == {}
        assert world.writes == []


async def test_cards_that_are_reached_by_their_bmcs_are_not_registered() -> None:
    world = a_stage()
    chosen = InstallInterface(installViaRedfish=InstallViaRedfish())
    world.host.add(DPFOperatorConfig(
        metadata=ObjectMeta(name="dpf", namespace=NAMESPACE),
        spec=DPFOperatorConfigSpec(provisioningController=ProvisioningController(installInterface=chosen)),
    ))
    async with running(world):
        assert dpunodes(world) == {}


async def test_device_that_nobody_lists_waits_and_is_attached_whatever_its_case() -> None:
    world = a_stage(core.Node(metadata=ObjectMeta(name="n")))
    metadata = ObjectMeta(name="mt1", namespace=NAMESPACE)
    world.host.add(DPUDevice(metadata=metadata, spec=DPUDeviceSpec(serialNumber="MT1")))
    async with running(world) as manager:
        assert told(devices(world)["mt1"], "NodeAttached") == ("False", "Pending", "No DPUNode found")
        assert told(devices(world)["mt1"], "Ready")[:2] == ("False", "Pending")
        world.host.add(DPUNode(
            metadata=ObjectMeta(name="host", namespace=NAMESPACE),
            spec=DPUNodeSpec(dpus=[DPURef(name="MT1"), DPURef(name="mt2")]),
        ))
        await manager.settle()
        assert told(devices(world)["mt1"], "NodeAttached")[0] == "True"
        assert (devices(world)["mt1"].metadata.labels or {})[f"{P}dpunode-name"] == "host"
        message = "DPUDevice mt2 does not exist"
        assert told(dpunodes(world)["host"], "InvalidDPUDetails") == ("True", "Error", message)
        assert dpunodes(world)["host"].status.kubeNodeRef is None


async def test_device_without_a_host_has_a_dpunode_of_its_own() -> None:
    world = a_stage(core.Node(metadata=ObjectMeta(name="n")))
    metadata = ObjectMeta(name="mt1", namespace=NAMESPACE, labels={f"{P}hostless": "true"})
    world.host.add(DPUDevice(metadata=metadata, spec=DPUDeviceSpec(serialNumber="MT1")))
    async with running(world):
        (dpunode,) = dpunodes(world).values()
        assert (dpunode.metadata.name, listed(dpunode)) == ("dpu-node-mt1", ["mt1"])
        assert (dpunode.metadata.labels or {})[f"{P}hostless"] == "true"
        assert told(devices(world)["mt1"], "NodeAttached")[0] == "True"


async def test_host_is_out_of_service_while_an_effect_is_on_it() -> None:
    world = a_stage()
    effect = some.a_maintenance({"taint": {"key": "dpu", "effect": "NoSchedule"}, "force": True})
    world.host.add(effect)
    async with running(world) as manager:
        dpunode = dpunodes(world)["worker1"]
        why = f"DPUNodeMaintenance {effect.metadata.name}"
        assert told(dpunode, "DPUNodeNodeEffectInProgress") == ("True", "DPUNodeNodeEffectInProgress", why)
        assert told(dpunode, "Ready") == ("False", "Pending", f"The host is out of service because of {why}")
        await some.request(world, name=effect.metadata.name)
        await manager.settle()
        assert world.host.objects(DPUNodeMaintenance) == ()
        assert told(dpunodes(world)["worker1"], "DPUNodeNodeEffectInProgress")[0] == "False"
        assert told(dpunodes(world)["worker1"], "Ready")[0] == "True"


async def test_everything_goes_with_the_node_dpus_first() -> None:
    world = a_stage()
    async with running(world) as manager:
        dpu = some.a_dpu(phase="Ready")
        world.host.add(DPU(
            metadata=ObjectMeta(name="worker1-mt2402xz0f7x", namespace=NAMESPACE, finalizers=["example.com/hold"]),
            spec=dpu.spec, status=dpu.status,
        ))
        await manager.settle()
        await world.host.delete(core.Node, "worker1")
        await manager.settle()
        (left,) = world.host.objects(DPU)
        assert left.metadata.deletionTimestamp is not None
        assert len(devices(world)) == 2
        assert told(dpunodes(world)["worker1"], "Ready") == (
            "False", "AwaitingDeletion", "Waiting for DPUs to go: worker1-mt2402xz0f7x (Ready)"
        )
        await world.host.patch(DPU, left.metadata.name, NAMESPACE, patch={"metadata": {"finalizers": None}})
        await manager.settle()
        assert devices(world) == dpunodes(world) == {}


async def test_device_with_a_dpu_on_it_stays() -> None:
    world = a_stage()
    async with running(world) as manager:
        spec = DPUSpec(dpuNodeName="other", dpuDeviceName="MT2402XZ0F7X", serialNumber="s", bfb="b", dpuFlavor="f")
        world.host.add(DPU(metadata=ObjectMeta(name="d", namespace=NAMESPACE), spec=spec))
        await manager.settle()
        await world.host.delete(DPUDevice, "mt2402xz0f7x", NAMESPACE)
        await manager.settle()
        message = f"DPUDevice {NAMESPACE}/mt2402xz0f7x is still used by DPU d"
        assert told(devices(world)["mt2402xz0f7x"], "Ready") == ("False", "AwaitingDeletion", message)
        await world.host.delete(DPU, "d", NAMESPACE)
        await manager.settle()
        assert devices(world)["mt2402xz0f7x"].metadata.deletionTimestamp is None, "registered anew"


async def test_a_host_that_is_given_to_a_namespace_moves_there_once_its_dpus_are_gone() -> None:
    world = a_stage()
    async with running(world) as manager:
        device = "worker1-0000-04-00"
        world.host.add(core.Namespace(metadata=ObjectMeta(name="customer")), DPU(
            metadata=ObjectMeta(name=device, namespace=NAMESPACE),
            spec=DPUSpec(dpuNodeName="worker1", dpuDeviceName=device, serialNumber=device, dpuFlavor="f"),
        ))
        label = {"metadata": {"labels": {f"{P}dpunode-namespace": "customer"}}}
        await world.host.patch(core.Node, "worker1", patch=label)
        await manager.settle()
        assert {d.metadata.namespace for d in world.host.objects(DPUNode)} == {NAMESPACE}
        await turns()
        expected = (
            f"Node worker1 belongs to namespace customer: DPUNode {NAMESPACE}/worker1 still has DPUs, or an effect on "
            "the host. Next step: delete the DPUs there"
        )
        said = {e.message for e in world.host.objects(core.Event) if e.reason == "HostInUse"}
        assert said == {expected}, "a Node has no condition that could say it"
        await world.host.delete(DPU, "worker1-0000-04-00", NAMESPACE)
        await manager.settle()
        assert {d.metadata.namespace for d in world.host.objects(DPUNode)} == {"customer"}
        assert {d.metadata.namespace for d in world.host.objects(DPUDevice)} == {"customer"}
        assert set(devices(world)) == {"worker1-0000-04-00", "mt2402xz0f7x"}


async def test_a_host_that_is_given_to_a_namespace_that_does_not_exist_stays() -> None:
    world = a_stage()
    async with running(world) as manager:
        label = {"metadata": {"labels": {f"{P}dpunode-namespace": "nowhere"}}}
        await world.host.patch(core.Node, "worker1", patch=label)
        await manager.settle()
        assert {d.metadata.namespace for d in world.host.objects(DPUNode)} == {NAMESPACE}
        world.host.add(core.Namespace(metadata=ObjectMeta(name="nowhere")))
        for _ in range(3):
            world.clock.advance(31)
            await manager.settle()
        assert {d.metadata.namespace for d in world.host.objects(DPUNode)} == {"nowhere"}


async def test_settled_hosts_and_heartbeats_cause_no_write_and_no_request() -> None:
    world = a_stage(a_host("worker1"), core.Node(metadata=ObjectMeta(name="worker2")))
    async with running(world) as manager:
        beat = {"status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "now"}]}}
        for name in ("worker1", "worker2"):
            await world.host.patch(core.Node, name, patch=beat, subresource="status")
        before, asked = list(world.writes), len(world.host.requests)
        await manager.settle()
        for controller in manager.controllers:
            controller.enqueue_all()
        await manager.settle()
        assert world.writes == before
        assert world.host.requests[asked:] == []


async def test_a_kill_after_any_write_ends_the_same() -> None:
    async def live(world: World) -> None:
        async with running(world):
            pass

    def end(world: World) -> object:
        return world.state(core.Node, DPUNode, DPUDevice)

    assert await crash_everywhere(a_stage, live, end) >= 10


async def test_a_kill_during_removal_ends_the_same() -> None:
    async def live(world: World) -> None:
        async with running(world) as manager:
            if any(n.metadata.name == "worker1" for n in world.host.objects(core.Node)):
                await world.host.delete(core.Node, "worker1")
            await manager.settle()

    def end(world: World) -> object:
        return world.state(core.Node, DPUNode, DPUDevice)

    assert await crash_everywhere(a_stage, live, end) >= 10
