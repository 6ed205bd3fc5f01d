"""Edits while a cache is late: kinds are watched one by one, and nothing says that they keep pace.

However late, a revision has one object, and one that nodes run is not deleted before its successor has taken over.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from tests.scenario.services import stage_dpudeployment as stage
from tests.support import dpudeployments as some
from tests.support.clock import turns
from tests.support.lagging import LaggingCluster
from tests.support.world import World, a_world

from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Object
from dpf.kube.memory import Request
from dpf.runtime.manager import Manager
from dpf.services.dpudeployment import revisions

CHAIN = [{"ports": [{"service": {"name": "producer", "interface": "eth0"}}]}]
NODE_LABELS: dict[str, str] = {
    "DPUService": "svc.dpu.nvidia.com/dpuservice-producer-version",
    "DPUServiceChain": "svc.dpu.nvidia.com/dpuservicechain-version",
}
VERSIONS: dict[type[Object], str] = {
    DPUService: "svc.dpu.nvidia.com/dpuservice-version", DPUServiceInterface: "svc.dpu.nvidia.com/dpuservice-version",
    DPUServiceChain: "svc.dpu.nvidia.com/dpuservicechain-version",
}
LATE: tuple[type[Object], ...] = (*some.CHILDREN, DPUServiceConfiguration, DPUDeployment)


class Life:
    """A producer in a chain on two DPUSets. `nodes` are the labels that the DPUs of a DPUSet have got."""

    def __init__(self) -> None:
        self.world: World = a_world()
        self.host = LaggingCluster(now=self.world.clock.now)
        self.world.host = self.host
        deployment = some.a_deployment(
            serviceChains=CHAIN, dpus={"dpuSets": [{"nameSuffix": "a"}, {"nameSuffix": "b"}]}
        )
        self.host.add(deployment, *some.dependencies_of(deployment))
        self.nodes: dict[str, dict[str, str]] = {}
        self.wrong: list[str] = []
        self.host.on_request, self.host.after_write = self._before, self._after

    async def work_on(self, child: Object) -> None:
        """The child's own controller does its part. DPUs get new labels at once."""
        if isinstance(child, DPUService) and child.spec is not None and child.spec.paused:
            return
        if isinstance(child, DPUSet) and child.spec is not None and child.spec.dpuTemplate.spec.cluster is not None:
            self.nodes[child.metadata.name] = child.spec.dpuTemplate.spec.cluster.nodeLabels or {}
        if not revisions.is_ready(child):
            await some.report(self.host, child)

    async def work(self, manager: Manager) -> None:
        """All of them, until nothing happens any more."""
        writes = -1
        while writes != len(self.host.writes):
            writes = len(self.host.writes)
            for child in stage.children(self.world):
                await self.work_on(child)
            await manager.settle()

    async def edit(self, replicas: int) -> None:
        """A user edits the values."""
        await self.configure({"serviceConfiguration": {"helmChart": {"values": {"replicas": replicas}}}})

    async def configure(self, spec: dict[str, object]) -> None:
        """A user edits the configuration."""
        await self.host.patch(DPUServiceConfiguration, "producer", some.TENANT, patch={"spec": spec})

    async def lose_the_deleted_service(self) -> None:
        """What is being deleted goes and the cache hears of it; of what comes next it does not."""
        self.host.before_apply = None
        await some.let_go(self.host, stage.one(self.world, DPUService, "dd-producer"))
        await turns()
        self.host.hold_up(DPUService)

    def _before(self, request: Request) -> None:
        label = NODE_LABELS.get(request.kind, "")
        if request.verb == "delete" and any(has.get(label) == request.key.name for has in self.nodes.values()):
            self.wrong.append(f"{request} while nodes run it")

    def _after(self, request: Request) -> None:
        for kind in VERSIONS:
            found = list(self._versions(kind))
            if len(set(found)) != len(found):
                self.wrong.append(f"two {kind.__name__} of one revision after {request}")

    def _versions(self, kind: type[Object]) -> Iterator[str | None]:
        return ((obj.metadata.annotations or {}).get(VERSIONS[kind]) for obj in self.host.objects(kind))


async def test_an_edit_is_reverted_while_dpusets_are_late() -> None:
    """The DPUSets seem to carry the old labels still; the nodes have got the new ones already."""
    life = Life()
    async with stage.running(life.world) as manager:
        await life.configure({"nodeEffect": True})
        await manager.settle()
        await life.work(manager)
        life.host.hold_up(DPUSet)
        await life.edit(2)
        await manager.settle()
        for dpuset in life.host.objects(DPUSet):
            await life.work_on(dpuset)
        await life.configure({"serviceConfiguration": None})
        await manager.settle()
        assert life.wrong == []
        assert len(stage.names(life.world, DPUServiceChain)) == 2
        await life.host.let_through(DPUSet)
        await life.work(manager)
        assert stage.names(life.world, DPUServiceChain) == ["dd"]
        assert life.wrong == []


@pytest.mark.parametrize("late", [DPUService, DPUServiceInterface, DPUServiceChain])
async def test_an_update_becomes_peaceful_while_its_objects_are_not_seen_yet(late: type[Object]) -> None:
    """What seems to be the youngest revision is the old one; changed in place it would be a second new one."""
    life = Life()
    async with stage.running(life.world) as manager:
        await life.configure({"nodeEffect": True})
        await manager.settle()
        await life.work(manager)
        life.host.hold_up(late)
        await life.edit(2)
        await manager.settle()
        await life.configure({"nodeEffect": False})
        await manager.settle()
        await life.edit(3)
        await manager.settle()
        await life.host.let_through(late)
        await life.work(manager)
        assert [len(stage.names(life.world, kind)) for kind in VERSIONS] == [1, 1, 1]
        assert life.wrong == []


async def test_a_service_is_made_again_while_the_old_one_goes() -> None:
    """The plain name gets free after it was passed over, and the cache hears of that first."""
    life = Life()
    async with stage.running(life.world) as manager:
        await life.work(manager)
        await some.hold(life.host, stage.one(life.world, DPUService, "dd-producer"))
        await manager.settle()
        life.host.before_apply = life.lose_the_deleted_service
        await life.host.delete(DPUService, "dd-producer", some.TENANT)
        life.wrong.clear()  # it was the user who deleted it
        await manager.settle()
        (name,) = stage.names(life.world, DPUService)
        assert name != "dd-producer"
        await life.host.let_through(DPUService)
        await life.work(manager)
        assert stage.names(life.world, DPUService) == [name]
        assert life.wrong == []


@pytest.mark.parametrize("seed", range(12))
async def test_random_edits_with_random_lags(seed: int) -> None:
    random, life = Random(seed), Life()
    async with stage.running(life.world) as manager:
        await life.configure({"nodeEffect": True})
        await manager.settle()
        await life.work(manager)
        for _ in range(60):
            match random.choice(["edit", "policy", "late", "on time", "work", "work", "work", "pass", "pass", "wait"]):
                case "edit":
                    await life.edit(random.randint(1, 3))
                case "policy":
                    await life.configure({"nodeEffect": random.random() < 0.8})
                case "late":
                    life.host.hold_up(random.choice(LATE))
                case "on time":
                    await life.host.let_through(random.choice(LATE))
                case "work":
                    await life.work_on(random.choice(stage.children(life.world)))
                case "pass":
                    await manager.settle()
                case _:
                    await life.world.clock.run_for(random.choice([0.3, 1, 3, 31]))
                    await manager.settle()
            assert life.wrong == []
        await life.host.let_through(*LATE)
        for _ in range(3):
            await life.work(manager)
            await life.world.clock.run_for(31)
            await manager.settle()
        assert [len(stage.names(life.world, kind)) for kind in VERSIONS] == [1, 1, 1]
        assert life.wrong == []
