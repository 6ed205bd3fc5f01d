"""DPUSets and the DPUs that they make: creation, names, labels, selection, statistics and conditions."""

from __future__ import annotations

import json

import msgspec
import pytest
from tests.support import dpusets as some
from tests.support.platform import EXAMPLES
from tests.support.world import NAMESPACE

from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpuset import DPUSet
from dpf.provisioning.dpuset.controller import DPUSetController
from dpf.provisioning.dpuset.snapshot import Snapshot

READY = ("True", "Success", "")
RECONCILING = ("False", "Pending", "DPUs are being reconciled")
NOT_READY = ("False", "Pending", "Some DPUs are not ready")


async def test_two_nodes_with_two_devices_each_make_four_dpus() -> None:
    devices = [some.a_device(f"mt{n}", f"worker{1 + n // 2}", labels={"rack": "r1"}) for n in range(4)]
    stage = some.a_stage(
        some.a_dpuset(labels={"team": "net"}, annotations={"note": "x"}), some.a_node("worker1"),
        some.a_node("worker2"), *devices,
    )
    async with stage.controller() as manager:
        await manager.settle()
    assert list(stage.dpus) == ["worker1-mt0", "worker1-mt1", "worker2-mt2", "worker2-mt3"]
    dpu, dpuset = stage.dpus["worker2-mt2"], stage.dpuset()
    assert dpu.spec is not None
    assert dpuset is not None
    digest = (dpuset.metadata.labels or {})[some.HASH_LABEL]
    assert len(digest) == 10
    prefix = "provisioning.dpu.nvidia.com/"
    assert dpu.metadata.labels == {
        f"{prefix}dpuset-name": "dpuset-dk", f"{prefix}dpuset-namespace": NAMESPACE, f"{prefix}dpudevice-name": "mt2",
        f"{prefix}dpunode-name": "worker2", f"{prefix}dpudevice-pciAddress": "0000-2b-00", "team": "net", "rack": "r1",
        some.HASH_LABEL: digest,
    }
    (owner,) = dpu.metadata.ownerReferences or ()
    assert (owner.kind, owner.name, owner.uid, owner.controller) == ("DPUSet", "dpuset-dk", "uid-dpuset-dk", True)
    assert (dpu.spec.dpuNodeName, dpu.spec.dpuDeviceName, dpu.spec.serialNumber) == ("worker2", "mt2", "MT-MT2")
    assert (dpu.spec.bfb, dpu.spec.dpuFlavor, dpu.spec.pciAddress) == ("bfb-a", "flavor-a", "0000-2b-00")
    assert dpu.spec.nodeEffect is not None
    assert dpu.spec.nodeEffect.noEffect
    assert dpu.spec.cluster is not None
    assert dpu.spec.cluster.nodeLabels == {
        f"{prefix}dpunode-name": "worker2", f"{prefix}dpunode-namespace": NAMESPACE,
        "operator.dpu.nvidia.com/dpf-version": some.VERSION,
    }
    annotations = dpu.metadata.annotations or {}
    assert annotations["note"] == "x"
    assert json.loads(annotations[f"{prefix}last-applied-labels-on-dpu"]) == dpu.spec.cluster.nodeLabels


async def test_the_life_of_a_set_up_to_ready() -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(2))
    async with stage.controller() as manager:
        await manager.settle()
        assert stage.told() == NOT_READY
        assert stage.told("DPUSetPrereqsReconciled") == READY
        assert stage.statistics() == {"Initializing": 2}
        await stage.report("worker01-dev01", "OS Installing")
        await manager.settle()
        assert stage.statistics() == {"Initializing": 1, "OS Installing": 1}
        await stage.work(manager)
        assert stage.told() == READY
        assert stage.statistics() == {"Ready": 2}
    writes = stage.world.writes
    assert [w for w in writes if " create " in w] == [
        f"host: create DPU {NAMESPACE}/worker01-dev01", f"host: create DPU {NAMESPACE}/worker02-dev02",
    ]
    assert ("Normal", "SuccessfulCreate") in stage.events
    dpuset = stage.dpuset()
    assert dpuset is not None
    assert dpuset.metadata.finalizers == ["provisioning.dpu.nvidia.com/dpuset-protection"]


async def test_a_settled_set_writes_and_asks_nothing_also_after_a_restart() -> None:
    stage = some.a_stage(some.a_dpuset(strategy=some.rolling("25%")), *some.hosts(4))
    async with stage.controller() as manager:
        await stage.work(manager)
        writes, asked = list(stage.world.writes), stage.asked
        for _ in range(5):
            await stage.tick(manager, 700)
        assert stage.world.writes == writes
        assert stage.asked == asked
    async with stage.controller() as manager:
        await stage.tick(manager, 700)
    assert stage.world.writes == writes


@pytest.mark.parametrize("heard", [
    {"status": {"agentStatus": {"kubeletVersion": "v1.34.1"}}}, {"status": {"requiredReset": True}},
])
async def test_what_a_dpu_does_inside_a_phase_causes_no_pass(heard: dict[str, object]) -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.host.patch(DPU, "worker01-dev01", NAMESPACE, subresource="status", patch=heard)
        assert await manager.settle() == 0


async def test_a_set_without_devices_is_ready() -> None:
    stage = some.a_stage(some.a_dpuset())
    async with stage.controller() as manager:
        await manager.settle()
    assert stage.told() == READY
    assert stage.statistics() is None


async def test_devices_that_come_and_go_are_followed() -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
        stage.host.add(some.a_node("worker9"))
        await manager.settle()
        await stage.host.create(some.a_device("dev9", "worker9"))
        await stage.work(manager)
        assert set(stage.dpus) == {"worker01-dev01", "worker9-dev9"}
        await stage.host.delete(DPUDevice, "dev9", NAMESPACE)
        await manager.settle()
        assert stage.going == ["worker9-dev9"]
        await stage.work(manager)
        assert set(stage.dpus) == {"worker01-dev01"}
        await stage.host.delete(DPUNode, "worker01", NAMESPACE)
        await stage.work(manager)
    assert stage.dpus == {}


async def test_a_narrowed_selector_deletes_what_it_leaves_out() -> None:
    stage = some.a_stage(
        some.a_dpuset(), some.a_node("a", zone="1"), some.a_device("d1", "a"), some.a_node("b"),
        some.a_device("d2", "b"),
    )
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.edit({"dpuNodeSelector": {"matchLabels": {"zone": "1"}}})
        await manager.settle()
        assert stage.going == ["b-d2"]
        assert stage.told() == READY
        await stage.work(manager)
        assert set(stage.dpus) == {"a-d1"}
        await stage.host.patch(DPUNode, "b", NAMESPACE, patch={"metadata": {"labels": {"zone": "1"}}})
        await stage.work(manager)
    assert set(stage.dpus) == {"a-d1", "b-d2"}
    assert stage.told() == READY


@pytest.mark.parametrize("spec", [
    {"dpuNodeSelector": {"matchLabels": {"zone": "1"}}},
    {"nodeSelector": {"matchLabels": {"zone": "1"}}},
    {"dpuNodeSelector": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["1", "3"]}]}},
    {"dpuNodeSelector": {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["2"]}]}},
    {"dpuNodeSelector": {"matchLabels": {"both": "yes"}, "matchExpressions": [{"key": "one", "operator": "Exists"}]}},
    {"dpuSelector": {"pciAddr": "0000:0e:00.0"}},
    {"dpuSelector": {"pciAddr": "0000-0e-00"}},
    {"dpuSelector": {"feature.node.kubernetes.io/dpu-1-pci-address": "0000-0e-00"}},
    {"dpuDeviceSelector": {"matchLabels": {some.PCI_LABEL: "0000-0e-00"}}},
    {"dpuDeviceSelector": {"matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]}},
], ids=lambda spec: next(iter(spec)))
async def test_selectors_of_every_release(spec: dict[str, object]) -> None:
    features = {"feature.node.kubernetes.io/dpu-1-pci-address": "0000-0e-00"}
    stage = some.a_stage(
        some.a_dpuset(**spec),
        some.a_node("wanted", zone="1", both="yes", one="x", **features),
        some.a_device("d1", "wanted", pci="0000-0e-00"),
        some.a_node("other", zone="2", both="yes"), some.a_device("d2", "other", pci="0000-2b-00", labels={"old": "1"}),
    )
    async with stage.controller() as manager:
        await manager.settle()
    assert list(stage.dpus) == ["wanted-d1"]


async def test_a_device_without_a_host_or_of_another_namespace_is_not_selected() -> None:
    stage = some.a_stage(some.a_dpuset(), some.a_node("a"), some.a_device("d1", None), some.a_device("d2", "nowhere"))
    stage.host.add(some.a_dpuset("elsewhere", namespace="other"))
    async with stage.controller() as manager:
        await manager.settle()
    assert stage.dpus == {}


async def test_the_example_of_the_users_guide() -> None:
    dpuset = msgspec.yaml.decode((EXAMPLES / "001-dpuset-dk.yaml").read_bytes(), type=DPUSet)
    stage = some.a_stage(
        some.a_node("worker1", **{"e2e.servers/dk": "true"}), some.a_device("mt1", "worker1"),
        some.a_node("worker2"), some.a_device("mt2", "worker2"),
    )
    async with stage.controller() as manager:
        await stage.host.create(dpuset)
        await stage.work(manager)
    assert list(stage.dpus) == ["worker1-mt1"]
    spec = stage.dpus["worker1-mt1"].spec
    assert spec is not None
    assert (spec.bfb, spec.dpuFlavor) == ("bf-bundle-dk-ga", "dpf-provisioning-hbn-ovn")
    assert spec.cluster is not None
    assert (spec.cluster.nodeLabels or {})["bfb"] == "dk"
    assert spec.nodeEffect is not None
    assert spec.nodeEffect.taint is not None
    assert (spec.nodeEffect.taint.key, spec.nodeEffect.taint.effect) == ("dpu", "NoSchedule")
    assert stage.told() == READY


async def test_an_absent_node_effect_stays_absent() -> None:
    template = {"bfb": {"name": "b"}, "dpuFlavor": "f"}
    stage = some.a_stage(some.a_dpuset(template=template), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
    spec = stage.dpus["worker01-dev01"].spec
    assert spec is not None
    assert spec.nodeEffect is None
    assert stage.told() == READY


async def test_the_pci_address_is_refreshed() -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(1))
    async with stage.controller() as manager:
        await stage.work(manager)
        await stage.host.patch(DPUDevice, "dev01", NAMESPACE, subresource="status",
                               patch={"status": {"pciAddress": "0000:3c:00.0"}})
        await stage.work(manager)
    spec = stage.dpus["worker01-dev01"].spec
    assert spec is not None
    assert spec.pciAddress == "0000-3c-00"


async def test_a_set_whose_passes_take_long_counts_later_but_acts_at_once() -> None:
    stage = some.a_stage(some.a_dpuset(), *some.hosts(2))
    async with stage.controller() as manager:
        await stage.work(manager)
        controller = manager.controllers[0].reconciler
        assert isinstance(controller, DPUSetController)
        observe = controller.observe

        async def slowly(root: DPUSet) -> Snapshot:
            found = await observe(root)
            if not found.rests_s:
                stage.world.clock.advance(1.0)
            return found

        controller.observe = slowly  # type: ignore[method-assign]
        await stage.report("worker01-dev01", "Node Effect")
        await manager.settle()
        assert stage.statistics() == {"Node Effect": 1, "Ready": 1}
        await stage.report("worker01-dev01", "Error")
        await manager.settle()
        assert stage.statistics() == {"Node Effect": 1, "Ready": 1}
        await stage.host.delete(DPUDevice, "dev02", NAMESPACE)
        await manager.settle()
        assert stage.going == ["worker02-dev02"]
        assert stage.statistics() == {"Error": 1}
        await stage.report("worker01-dev01")
        await manager.settle()
        assert stage.statistics() == {"Error": 1}
        await stage.tick(manager, 2.1)
        assert stage.statistics() == {"Ready": 1}
        assert stage.told() == READY
