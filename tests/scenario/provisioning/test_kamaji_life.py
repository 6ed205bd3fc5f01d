"""The life of a DPUCluster of type kamaji beside a played Kamaji: made, edited, upgraded, deleted, killed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.scenario.provisioning.stage import any_order
from tests.support import kamajis as some
from tests.support.clock import turns
from tests.support.crash import crash_everywhere
from tests.support.dpuclusters import NAME, NAMESPACE
from tests.support.kamajis import Kamaji
from tests.support.world import World, a_world

from dpf.api import core
from dpf.api.dpucluster import DPUCluster, Keepalived
from dpf.api.kamaji import TenantControlPlane
from dpf.api.meta import Condition, ObjectMeta
from dpf.kube import errors
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.clustermanager.kamaji.controller import KamajiClusterManager
from dpf.provisioning.dpucluster.controller import DPUClusterController
from dpf.provisioning.dpucluster.memoryprober import MemoryProber
from dpf.provisioning.dpucluster.prober import Healthy
from dpf.runtime.manager import Manager
from dpf.runtime.reconciler import Reconciler

MADE: tuple[Any, ...] = (TenantControlPlane, core.Service, core.ConfigMap, core.DaemonSet)
KEEPALIVED_NAME = f"{NAME}-keepalived"


@dataclass(slots=True)
class Stage:
    """What outlives a restart of the controllers. The played Kamaji works whenever time passes."""

    world: World
    kamaji: Kamaji
    prober: MemoryProber
    told: bool = False

    @property
    def host(self) -> MemoryCluster:
        return self.world.host

    @property
    def clusters(self) -> tuple[MemoryCluster, ...]:
        """For `crash_everywhere`."""
        return (self.host,)

    @asynccontextmanager
    async def controllers(self) -> AsyncIterator[Manager]:
        async with self.world.controllers(self._reconcilers) as manager:
            yield manager

    def _reconcilers(self, world: World) -> Sequence[Reconciler[Any, Any]]:
        return [
            DPUClusterController(clusters=world.registry, prober=self.prober), KamajiClusterManager(host=world.host),
        ]

    async def pass_time(self, manager: Manager, seconds: float, *, step_s: float = 1.0) -> None:
        """Let time pass in steps, Kamaji and our controllers working in turn."""
        for _ in range(round(seconds / step_s)):
            hook, self.host.after_write = self.host.after_write, None
            await self.kamaji.work()
            self.host.after_write = hook
            self.world.clock.advance(step_s)
            await turns()
            await manager.settle()

    def writes(self) -> list[str]:
        """All writes so far; what the played Kamaji finds as it should be, it does not write either."""
        return list(self.world.writes)

    @property
    def cluster(self) -> DPUCluster | None:
        return next(iter(self.host.objects(DPUCluster)), None)

    @property
    def phase(self) -> str | None:
        return self.cluster.status.phase if self.cluster else None

    def condition(self, type_: str) -> Condition:
        assert self.cluster is not None
        (found,) = [c for c in self.cluster.status.conditions or () if c.type == type_]
        return found

    def made(self) -> list[str]:
        """What exists of what we make."""
        return [obj.resource.kind for kind in MADE for obj in self.host.objects(kind, NAMESPACE)]


def a_stage(*, keepalived: Keepalived | None = some.KEEPALIVED, installed: bool = True, version: str = "") -> Stage:
    world = a_world()
    cluster = some.a_kamaji_cluster(keepalived=keepalived, version=version or None)
    world.host.add(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)), cluster)
    if installed:
        world.host.add(some.the_crd())
    prober = MemoryProber()
    for address in (some.VIP, "192.0.2.1"):
        prober.set(f"https://{address}:{some.NODE_PORT}", Healthy(version="v1.35.6"))
    return Stage(world=world, kamaji=Kamaji(host=world.host), prober=prober)


async def settled(**given: Any) -> Stage:
    stage = a_stage(**given)
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.pass_time(manager, 60)
    assert stage.phase == "Ready"
    return stage


@pytest.mark.parametrize("keepalived", [None, some.KEEPALIVED])
async def test_it_becomes_ready(keepalived: Keepalived | None) -> None:
    stage = await settled(keepalived=keepalived)
    assert stage.cluster is not None
    assert stage.cluster.spec.kubeconfig == some.SECRET
    assert stage.cluster.metadata.finalizers is not None
    assert "provisioning.dpu.nvidia.com/cluster-manager-clean-up" in stage.cluster.metadata.finalizers
    (control_plane,) = stage.host.objects(TenantControlPlane)
    assert control_plane.spec.networkProfile.address == (some.VIP if keepalived else None)
    (service,) = stage.host.objects(core.Service)
    ports = {(p.port, p.targetPort, p.nodePort) for p in service.spec.ports or ()}
    assert ports == {(some.NODE_PORT, some.NODE_PORT, some.NODE_PORT)}, "as Kamaji made them"
    assert {o.kind for o in service.metadata.ownerReferences or ()} == {"DPUCluster", "TenantControlPlane"}
    expected = ["TenantControlPlane", "Service"] + (["ConfigMap", "DaemonSet"] if keepalived else [])
    assert stage.made() == expected
    assert [stage.condition(t).status for t in ("Created", "KeepalivedReady", "Upgraded", "Ready")] == ["True"] * 4


async def test_the_first_pass_waits_for_the_node_port_without_an_error() -> None:
    stage = a_stage()
    stage.kamaji.chooses_node_ports = False
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.pass_time(manager, 30)
        assert stage.made() == ["Service"]
        assert stage.condition("Created").message == f"service {NAMESPACE}/{NAME} has no node port yet"
        writes = stage.writes()
        await stage.pass_time(manager, 60)
        assert stage.writes() == writes
        stage.kamaji.chooses_node_ports = True
        await stage.kamaji.work()
        await manager.settle()
        assert "TenantControlPlane" in stage.made(), "the watch on the Service tells, not the timer"


async def test_the_kubeconfig_is_named_before_created_is_true_and_after_its_secret_exists() -> None:
    stage = a_stage()
    told: list[tuple[bool, bool, bool]] = []

    def look(_: object) -> None:
        cluster = stage.cluster
        assert cluster is not None
        true = any(c.type == "Created" and c.status == "True" for c in cluster.status.conditions or ())
        told.append((bool(stage.host.objects(core.Secret)), bool(cluster.spec.kubeconfig), true))

    stage.host.after_write = look
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.pass_time(manager, 30)
    assert sorted(set(told)) == [
        (False, False, False), (True, True, False), (True, True, True),
    ]


async def test_nothing_is_written_in_ten_quiet_minutes() -> None:
    stage = await settled()
    writes = stage.writes()
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.pass_time(manager, 600, step_s=5)
    assert stage.writes() == writes


@pytest.mark.parametrize(("kind", "name"), [
    (TenantControlPlane, NAME), (core.Service, NAME), (core.ConfigMap, KEEPALIVED_NAME),
    (core.DaemonSet, KEEPALIVED_NAME),
])
async def test_what_is_deleted_is_made_again_with_the_same_node_port(kind: Any, name: str) -> None:
    stage = await settled()
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.host.delete(kind, name, NAMESPACE)
        await stage.pass_time(manager, 90)
    assert sorted(stage.made()) == sorted(k.resource.kind for k in MADE)
    (control_plane,) = stage.host.objects(TenantControlPlane)
    (service,) = stage.host.objects(core.Service)
    assert control_plane.spec.networkProfile.port == some.NODE_PORT
    assert [p.nodePort for p in service.spec.ports or ()] == [some.NODE_PORT]
    assert "DPUCluster" in {o.kind for o in service.metadata.ownerReferences or ()}
    assert stage.phase == "Ready"


async def test_an_edit_is_put_back_and_a_new_virtual_address_is_carried() -> None:
    stage = await settled()
    async with stage.controllers() as manager:
        await manager.settle()
        edit = {"spec": {"controlPlane": {"deployment": {"replicas": 1}}}}
        await stage.host.patch(TenantControlPlane, NAME, NAMESPACE, patch=edit)
        await stage.pass_time(manager, 31)
        (control_plane,) = stage.host.objects(TenantControlPlane)
        assert control_plane.spec.controlPlane is not None
        assert control_plane.spec.controlPlane.deployment is not None
        assert control_plane.spec.controlPlane.deployment.replicas == 3
        address = {"spec": {"clusterEndpoint": {"keepalived": {"vip": "192.0.2.1", "nodeSelector": None}}}}
        await stage.host.patch(DPUCluster, NAME, NAMESPACE, patch=address)
        await stage.pass_time(manager, 2)
        (control_plane,) = stage.host.objects(TenantControlPlane)
        assert control_plane.spec.networkProfile.address == "192.0.2.1"
        (config,) = stage.host.objects(core.ConfigMap)
        assert "192.0.2.1 dev br-dpu" in (config.data or {})["keepalived.conf"]
        (daemonset,) = stage.host.objects(core.DaemonSet)
        assert daemonset.spec is not None
        assert "nodeSelector" not in daemonset.spec["template"]["spec"]
        await stage.host.patch(DPUCluster, NAME, NAMESPACE, patch={"spec": {"clusterEndpoint": None}})
        await stage.pass_time(manager, 2)
    assert stage.made() == ["TenantControlPlane", "Service"]
    (control_plane,) = stage.host.objects(TenantControlPlane)
    assert control_plane.spec.networkProfile.address is None
    assert stage.condition("KeepalivedReady").message == "The DPUCluster asks for no virtual address"


async def test_kamaji_that_is_missing_is_told_and_found_when_it_comes() -> None:
    stage = a_stage(installed=False)
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.pass_time(manager, 60)
        assert (stage.made(), stage.phase) == ([], "Creating")
        assert stage.condition("Created").message.startswith("Kamaji is not installed: the host cluster does not serve")
        writes = stage.writes()
        await stage.pass_time(manager, 300, step_s=5)
        assert stage.writes() == writes
        stage.host.add(some.the_crd())
        await stage.pass_time(manager, 60)
    assert stage.phase == "Ready"


async def test_a_read_that_fails_is_no_answer() -> None:
    stage = await settled()
    writes = stage.writes()
    stage.kamaji.at_work = False
    stage.host.fail_next(lambda r: r.verb == "get", errors.Unreachable("no connection"), times=8)
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.pass_time(manager, 60, step_s=5)
    assert stage.writes() == writes


async def test_a_control_plane_that_breaks_is_not_ready_and_comes_back() -> None:
    stage = await settled()
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.kamaji.report("NotReady")
        await stage.pass_time(manager, 40)
        assert (stage.phase, stage.condition("Created").reason) == ("NotReady", "ClusterNotReady")
        assert f"TenantControlPlane {NAMESPACE}/{NAME} is NotReady" in stage.condition("Ready").message
        await stage.kamaji.report("Ready")
        await stage.pass_time(manager, 40)
    assert (stage.phase, stage.condition("Created").status) == ("Ready", "True")


async def test_an_upgrade_in_place_goes_through_without_losing_ready() -> None:
    stage = await settled(version="v1.35.6")
    phases: set[str | None] = set()
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.host.patch(DPUCluster, NAME, NAMESPACE, patch={"spec": {"version": "1.36.1"}})
        await turns()
        await manager.settle()
        assert stage.condition("Upgraded").message == "Kamaji upgrades the control plane from v1.35.6 to v1.36.1"
        await stage.kamaji.report("Upgrading", "v1.35.6")
        await stage.pass_time(manager, 40)
        phases.add(stage.phase)
        assert stage.condition("Upgraded").status == "False"
        await stage.kamaji.report("Ready", "v1.36.1")
        await stage.pass_time(manager, 40)
        phases.add(stage.phase)
    assert phases == {"Ready"}
    assert (stage.condition("Upgraded").status, stage.condition("Upgraded").message) == (
        "True", "The control plane runs Kubernetes v1.36.1",
    )


async def test_deletion_waits_for_kamaji_says_so_and_leaves_nothing() -> None:
    stage = await settled()
    stage.kamaji.lets_go = False
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.host.delete(DPUCluster, NAME, NAMESPACE)
        await stage.pass_time(manager, 30)
        assert stage.made() == ["TenantControlPlane", "Service"]
        created = stage.condition("Created")
        assert (created.status, created.reason) == ("False", "AwaitingDeletion")
        assert created.message == (
            f"TenantControlPlane {NAMESPACE}/{NAME} is being removed; Kamaji lets it go "
            f"(finalizers: {some.KAMAJI_FINALIZER})"
        )
        writes = stage.writes()
        await stage.pass_time(manager, 60)
        assert stage.writes() == writes
        stage.kamaji.lets_go = True
        await stage.pass_time(manager, 10)
    assert stage.cluster is None
    assert stage.made() == []
    assert stage.host.objects(core.Secret) == ()


async def test_deletion_leaves_what_belongs_to_others() -> None:
    stage = a_stage()
    theirs = core.ConfigMap(metadata=ObjectMeta(name=KEEPALIVED_NAME, namespace=NAMESPACE), data={"mine": "1"})
    stage.host.add(theirs)
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.pass_time(manager, 30)
        assert stage.phase == "Ready", "keepalived holds nothing else up"
        assert stage.condition("KeepalivedReady").status == "False"
        await stage.host.delete(DPUCluster, NAME, NAMESPACE)
        await stage.pass_time(manager, 30)
    assert stage.cluster is None
    (left,) = stage.host.objects(core.ConfigMap)
    assert left.data == {"mine": "1"}


async def test_a_namesake_does_not_take_over_what_its_predecessor_left() -> None:
    stage = await settled()
    (old,) = stage.host.objects(TenantControlPlane)
    stage.host.add(some.a_kamaji_cluster(keepalived=some.KEEPALIVED, uid="uid-2"))
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.pass_time(manager, 10)
    assert "belongs to an earlier or another DPUCluster" in stage.condition("Created").message
    (still,) = stage.host.objects(TenantControlPlane)
    assert still == old


@pytest.mark.parametrize("seed", range(5))
async def test_the_order_of_controllers_does_not_matter(seed: int) -> None:
    stage = a_stage()
    async with stage.controllers() as manager:
        for _ in range(30):
            await stage.kamaji.work()
            stage.world.clock.advance(1.0)
            await turns()
            await manager.settle(any_order(seed))
    assert stage.phase == "Ready"


@pytest.mark.parametrize("story", ["create", "delete"])
async def test_a_crash_after_any_single_write_ends_the_same(story: str) -> None:
    async def live(stage: Stage) -> None:
        async with stage.controllers() as manager:
            await manager.settle()
            await stage.pass_time(manager, 30)
            if story == "delete" and stage.cluster is not None and not stage.told:
                stage.told = True
                await stage.host.delete(DPUCluster, NAME, NAMESPACE)
            await stage.pass_time(manager, 30)

    crashes = await crash_everywhere(
        a_stage, live, lambda stage: stage.world.state(DPUCluster, *MADE, core.Secret)
    )
    assert crashes > 8
