"""What a DPU waits for before anything is done to its card, and how it says so (behaviour-provisioning.md 5.1, 5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support import dpucards
from tests.support import dpus as some
from tests.support.dpus import Stage
from tests.support.world import NAMESPACE

from dpf.api import core, names
from dpf.api.bfb import BFB
from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpunode import DPUNode
from dpf.api.meta import ObjectMeta
from dpf.api.provisioning import InstallInterface
from dpf.kube import errors
from dpf.runtime.manager import Manager

GNOI, REDFISH = InstallInterface.GNOI, InstallInterface.REDFISH
BRIDGE = names.OOB_BRIDGE_CONFIGURED_LABEL
NOT_READY = [{"type": "Ready", "status": "False", "reason": "Pending", "message": "Not yet",
              "lastTransitionTime": some.LONG_AGO}]
CLOCK = [*NOT_READY, {"type": "BMCReady", "status": "False", "reason": "BMCManagerDateTimeUnsynchronized",
                      "message": "The clock of the BMC is 300 s ahead", "lastTransitionTime": some.LONG_AGO}]


async def idle(stage: Stage, manager: Manager) -> None:
    """Hours in which nobody does anything about what a DPU waits for: nothing is written."""
    before = list(stage.world.writes)
    await stage.pass_time(manager, 6 * 3600, step_s=300)
    assert stage.world.writes == before


async def report_device(stage: Stage, conditions: list[dict[str, Any]]) -> None:
    """The DPUDevice controller says how the card is."""
    await stage.patch_status(DPUDevice, "d1", {"conditions": conditions})


async def test_16_24_a_card_whose_clock_is_off_is_waited_for(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, effect={"noEffect": True})
    await report_device(stage, CLOCK)
    async with stage.controllers() as manager:
        await manager.settle()
        assert stage.phases == {"worker-1-d1": "Initialize Interface"}
        assert stage.told("InterfaceInitialized") == (
            "False", "DPUDeviceNotReady", "DPUDevice d1 is not ready: The clock of the BMC is 300 s ahead",
        )
        await idle(stage, manager)
        await report_device(stage, [{**NOT_READY[0], "status": "True", "reason": "Success", "message": ""}])
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


async def test_16_25_no_bridge_to_the_out_of_band_ports(tmp_path: Path) -> None:
    node = core.Node(
        metadata=ObjectMeta(name="worker-1", labels={BRIDGE: "false"}),
        status=core.NodeStatus(addresses=[core.NodeAddress(type="InternalIP", address="10.0.0.1")]),
    )
    stage = some.a_stage(tmp_path, node, interface=GNOI, effect={"noEffect": True})
    async with stage.controllers() as manager:
        await manager.settle()
        assert stage.phases == {"worker-1-d1": "Initializing"}
        status, reason, message = stage.told("Initialized")
        assert (status, reason) == ("False", "DPUOOBBridgeNotConfigured")
        assert message.startswith("Node worker-1 does not report the bridge to the out-of-band ports")
        assert stage.told() == ("False", "DPUOOBBridgeNotConfigured", f"Initializing: {message}")
        await idle(stage, manager)
        await stage.host.patch(core.Node, "worker-1", patch={"metadata": {"labels": {BRIDGE: "true"}}})
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


@pytest.mark.parametrize("there", [False, True], ids=["no BFB", "BFB that is downloaded"])
async def test_16_26_no_bfb_yet(tmp_path: Path, there: bool) -> None:
    stage = some.a_stage(tmp_path, some.a_bfb(phase="Downloading"))
    if not there:
        await stage.host.delete(BFB, some.BFB_NAME, NAMESPACE)
    why = (
        ("BFBIsNotReady", f"BFB {NAMESPACE}/bf-bundle is not ready, phase: Downloading") if there
        else ("BFBNotFound", f"BFB {NAMESPACE}/bf-bundle does not exist")
    )
    async with stage.controllers() as manager:
        await manager.settle()
        assert stage.phases == {"worker-1-d1": "Pending"}
        assert stage.told("BFBReady") == stage.told("Pending") == ("False", *why)
        assert stage.told() == ("False", why[0], f"Pending: {why[1]}")
        assert stage.maintenances == {}
        await idle(stage, manager)
        if there:
            await stage.patch_status(BFB, some.BFB_NAME, {"phase": "Ready"})
        else:
            await stage.host.create(msgspec.structs.replace(some.a_bfb()))
            await stage.patch_status(BFB, some.BFB_NAME, {"phase": "Ready", "fileName": "bf-bundle.bfb"})
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


@pytest.mark.parametrize(("kind", "name", "phase", "type_", "reason", "message"), [
    (DPUNode, "worker-1", "Initializing", "Initialized", "DPUNodeNotFound",
     f"DPUNode {NAMESPACE}/worker-1 does not exist"),
    (DPUDevice, "d1", "Initializing", "Initialized", "DPUDeviceNotFound", f"DPUDevice {NAMESPACE}/d1 does not exist"),
    (DPUCluster, "tenant1", "Initializing", "Initialized", "DPUClusterNotAllocated", "no cluster available"),
    (DPUFlavor, "flavor", "Pending", "DPUFlavorExists", "DPUFlavorNotFound",
     f"DPUFlavor {NAMESPACE}/flavor does not exist"),
], ids=lambda value: getattr(value, "__name__", None))
async def test_something_that_it_names_is_missing(
    tmp_path: Path, kind: type[Any], name: str, phase: str, type_: str, reason: str, message: str,
) -> None:
    stage = some.a_stage(tmp_path)
    (missing,) = [obj for obj in stage.host.objects(kind) if obj.metadata.name == name]
    await stage.host.delete(kind, name, NAMESPACE)
    async with stage.controllers() as manager:
        await manager.settle()
        assert stage.phases == {"worker-1-d1": phase}
        assert stage.told(type_) == ("False", reason, message)
        assert stage.told() == ("False", reason, f"{phase}: {message}")
        await idle(stage, manager)
        stage.host.add(missing)
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


@pytest.mark.parametrize(("change", "reason", "message"), [
    ({"bmcIp": "bmc.example"}, "BMCIPNotValid",
     "DPUDevice d1 has no valid bmcIp (bmc.example); set it, then delete the DPU"),
    ({"bmcIp": None}, "BMCIPNotValid", "DPUDevice d1 has no valid bmcIp (none); set it, then delete the DPU"),
], ids=["a name", "none"])
async def test_a_bmc_without_an_address(
    tmp_path: Path, change: Mapping[str, Any], reason: str, message: str,
) -> None:
    stage = some.a_stage(tmp_path)
    await stage.patch(DPUDevice, "d1", **change)
    async with stage.controllers() as manager:
        await stage.work(manager)
        assert stage.phases == {"worker-1-d1": "Error"}
        assert stage.told("Error") == ("True", reason, message)
        assert stage.told() == ("False", reason, (f"{message}. Next step: mend that, then delete the DPU: it is made "
                                                 "and installed again by its DPUSet"))
        await idle(stage, manager)


async def test_a_device_of_unknown_type(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path)
    await stage.patch_status(DPUDevice, "d1", {"dpuType": "Unknown"})
    async with stage.controllers() as manager:
        await manager.settle()
        assert stage.told("Initialized") == (
            "False", "DPUTypeUnknown", "DPUDevice d1 does not say yet what hardware it is",
        )
        await stage.patch_status(DPUDevice, "d1", {"dpuType": "BlueField3"})
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


async def test_16_27_sixty_dpus_fifty_places(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path, hosts=60, effect={"noEffect": True})
    stage.plays.installs = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("OS Installing", "Pending"), rounds=10)
        await stage.pass_time(manager, 60)
        waiting = sorted(name for name, phase in stage.phases.items() if phase == "Pending")
        assert len(waiting) == 10
        assert sum(stage.installs.values()) == 50
        for name in waiting:
            assert stage.told("Pending", name) == (
                "False", "MaxParallelInstallations",
                "50 of at most 50 DPUs are being installed; this one follows when one of them is done",
            )
        going = sorted(name for name, phase in stage.phases.items() if phase == "OS Installing")
        done, broken = (stage.dpu(name) for name in going[:2])
        dpucards.finish(stage.cards[device_of(done)])
        await stage.report(done)
        stage.cards[device_of(broken)].fail("no")
        await stage.pass_time(manager, 30)
        stage.cards[device_of(broken)].fail("no")
        await stage.pass_time(manager, 30)
        assert stage.phases[done.metadata.name] == "DPU Cluster Config"
        assert stage.phases[broken.metadata.name] == "Error"
        assert sum(phase == "Pending" for phase in stage.phases.values()) == 8
        assert sum(phase == "OS Installing" for phase in stage.phases.values()) == 50


def device_of(dpu: DPU) -> str:
    """The card of a DPU."""
    assert dpu.spec is not None
    return dpu.spec.dpuDeviceName


async def test_16_28_a_restart_in_the_middle_keeps_all_places(tmp_path: Path) -> None:
    stage = some.a_stage(
        tmp_path, hosts=12, effect={"noEffect": True}, config={"maxDPUParallelInstallations": 10},
    )
    stage.plays.installs = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("OS Installing", "Pending"))
    for _ in range(3):
        async with stage.controllers() as manager:
            await stage.pass_time(manager, 60)
    assert sorted(stage.phases.values()) == [*["OS Installing"] * 10, *["Pending"] * 2]
    assert sorted(stage.installs.values()) == [0, 0, *[1] * 10]
    stage.plays.installs = True
    async with stage.controllers() as manager:
        await stage.work(manager)
    assert set(stage.installs.values()) == {1}


def cluster_of(dpu: DPU) -> str | None:
    """Name of the DPUCluster of a DPU."""
    assert dpu.spec is not None
    return dpu.spec.cluster.name if dpu.spec.cluster is not None else None


async def test_16_51_the_fuller_cluster_fills_first(tmp_path: Path) -> None:
    clusters = [some.a_cluster(name, max_nodes=10) for name in ("a", "b")]
    full, broken = some.a_cluster("full", max_nodes=1), some.a_cluster("broken", phase="NotReady")
    names_ = ("a", "b", "full", "broken")
    members = [(number, "a") for number in range(1, 4)] + [(number, "b") for number in range(4, 9)] + [(9, "full")]
    stage = some.a_stage(
        tmp_path, *clusters, full, broken, hosts=22, dpus=False, clusters=names_, effect={"noEffect": True},
    )
    for number, cluster in members:
        stage.host.add(some.a_dpu(number, cluster={"name": cluster, "namespace": NAMESPACE}))
    stage.plays.installs = False
    async with stage.controllers() as manager:
        await manager.settle()
        given = []
        for number in range(10, 23):
            stage.host.add(some.a_dpu(number, cluster=None))
            await manager.settle()
            given.append(cluster_of(stage.dpu(f"worker-{number}-d{number}")))
        assert given == [*["b"] * 5, *["a"] * 7, None]
        assert stage.told("Initialized", "worker-22-d22") == (
            "False", "DPUClusterNotAllocated",
            (f"no feasible cluster found: cluster {NAMESPACE}/a is full, max node: 10; cluster {NAMESPACE}/b is full, "
            f"max node: 10; cluster {NAMESPACE}/broken is not ready, phase: NotReady; cluster {NAMESPACE}/full is "
            "full, max node: 1"),
        )
        await stage.patch_status(DPUCluster, "broken", {"phase": "Ready"})
        await manager.settle()
        assert cluster_of(stage.dpu("worker-22-d22")) == "broken"


async def test_many_at_once_never_overfill_a_cluster(tmp_path: Path) -> None:
    """All are allocated before the caches show any of it."""
    stage = some.a_stage(
        tmp_path, *(some.a_cluster(name, max_nodes=4) for name in ("a", "b")), hosts=10, clusters=("a", "b"),
        effect={"noEffect": True}, cluster=None,
    )
    stage.plays.installs = False
    async with stage.controllers() as manager:
        await manager.settle()
    given = [cluster_of(dpu) for dpu in stage.dpus.values()]
    assert sorted(map(str, given)) == [*["None"] * 2, *["a"] * 4, *["b"] * 4]


async def test_the_platform_is_being_upgraded(tmp_path: Path) -> None:
    config = some.a_config(REDFISH)
    stage = some.a_stage(tmp_path, config)
    await stage.patch_status(type(config), "dpfoperatorconfig", {"version": "26.4.0", "targetVersion": "26.5.0"})
    async with stage.controllers() as manager:
        await manager.settle()
        assert stage.told("Pending") == (
            "False", "DPFOperatorUpgradeInProgress",
            "The platform is being upgraded (26.4.0 to 26.5.0); the installation begins afterwards",
        )
        await stage.patch_status(type(config), "dpfoperatorconfig", {"version": "26.5.0"})
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}


async def test_a_device_that_is_not_ours(tmp_path: Path) -> None:
    stage = some.a_stage(tmp_path)
    label = names.SKIP_DPU_PROVISIONING_LABEL
    await stage.host.patch(DPUDevice, "d1", NAMESPACE, patch={"metadata": {"labels": {label: "true"}}})
    async with stage.controllers() as manager:
        await stage.work(manager)
        assert stage.told() == ("True", "Skipped", f"The DPUDevice has the label {label}: nothing is installed")
        assert stage.cards["d1"].orders == []
        await idle(stage, manager)


def elsewhere(obj: Any, name: str | None = None) -> Any:
    """The same object in another namespace."""
    metadata = msgspec.structs.replace(
        obj.metadata, namespace="other", name=name or obj.metadata.name, uid=f"{obj.metadata.uid}-other",
    )
    return msgspec.structs.replace(obj, metadata=metadata)


@pytest.mark.parametrize("namespace", [NAMESPACE, "other"])
async def test_a_card_has_one_dpu(tmp_path: Path, namespace: str) -> None:
    """Two objects for one card, in one namespace or two, would install it one after the other."""
    stage = some.a_stage(tmp_path, effect={"noEffect": True})
    first = some.a_dpu(nodeEffect={"noEffect": True})
    if namespace == "other":
        for kind in (DPUNode, DPUDevice, BFB, DPUFlavor):
            stage.host.add(*(elsewhere(obj) for obj in stage.host.objects(kind)))
        stage.host.add(elsewhere(first, "zz"))
    else:
        stage.host.add(msgspec.structs.replace(
            first, metadata=msgspec.structs.replace(first.metadata, name="zz", uid="zz"),
        ))
    stage.plays.joins = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: stage.phases["worker-1-d1"] == "DPU Cluster Config")
        assert stage.phases["zz"] == "Pending"
        owner = f"{NAMESPACE}/worker-1-d1"
        why = (
            "False", "DPUDeviceInUse",
            f"The card of DPUDevice d1 is that of DPU {owner} already. Next step: delete one of the two",
        )
        assert stage.told("Pending", "zz") == why
        stage.plays.joins = True
        await stage.work(manager, until=lambda stage: stage.phases["worker-1-d1"] == "Ready")
        await stage.pass_time(manager, 120)
        assert stage.told("Pending", "zz") == why
        assert stage.installs == {"d1": 1}
        await stage.delete()
        await stage.pass_time(manager, 60)
        assert "worker-1-d1" not in stage.phases
        assert stage.phases["zz"] not in ("Initializing", "Pending"), "the card is free"


async def test_room_in_a_cluster_is_offered_to_those_who_can_take_it(tmp_path: Path) -> None:
    """Others have no DPUCluster either, and wait for something else."""
    stage = some.a_stage(tmp_path, some.a_cluster(max_nodes=1), hosts=7, effect={"noEffect": True})
    for number in range(2, 7):
        await stage.host.delete(DPUNode, f"worker-{number}", NAMESPACE)
    async with stage.controllers() as manager:
        await stage.work(manager, until=lambda stage: stage.phases["worker-1-d1"] == "Ready")
        assert stage.told("Initialized", "worker-7-d7") == (
            "False", "DPUClusterNotAllocated",
            f"no feasible cluster found: cluster {NAMESPACE}/tenant1 is full, max node: 1",
        )
        await stage.delete()
        await stage.pass_time(manager, 15, step_s=1.0)
        assert "worker-1-d1" not in stage.phases
        assert stage.phases["worker-7-d7"] != "Initializing"


async def test_a_place_that_is_held_for_somebody_who_cannot_begin_goes_to_the_next(tmp_path: Path) -> None:
    """His bundle went between the moment when he got the place and the one when that was written down."""
    stage = some.a_stage(
        tmp_path, some.a_bfb("other"), hosts=2, dpus=False, effect={"noEffect": True},
        config={"maxDPUParallelInstallations": 1},
    )
    stage.host.add(some.a_dpu(1, nodeEffect={"noEffect": True}))
    fails: list[str] = []

    async def patch(kind: Any, name: str, *args: Any, **options: Any) -> Any:
        status = options.get("patch", {}).get("status", {})
        if kind is DPU and status.get("phase") == "Node Effect" and not fails:
            fails.append(name)
            await patched(BFB, some.BFB_NAME, NAMESPACE, patch={"status": {"phase": "Error"}}, subresource="status")
            raise errors.Conflict("somebody was faster")
        return await patched(kind, name, *args, **options)

    patched, stage.host.patch = stage.host.patch, patch  # type: ignore[method-assign]
    async with stage.controllers() as manager:
        await stage.pass_time(manager, 30)
        assert (fails, stage.phases) == (["worker-1-d1"], {"worker-1-d1": "Pending"})
        stage.host.add(some.a_dpu(2, nodeEffect={"noEffect": True}, bfb="other"))
        await stage.work(manager, until=lambda stage: stage.phases["worker-2-d2"] == "Ready")
