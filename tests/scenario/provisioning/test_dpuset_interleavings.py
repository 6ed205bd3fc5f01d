"""Everything at once, in random order, with caches that are late: no DPU is lost needlessly, none is made twice.

The API server's own state is asked at every deletion and creation. Kinds are watched one by one and nothing says that
they keep pace, a controller may restart at any time, and users change their minds while DPUs fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from tests.support import dpusets as some
from tests.support.clock import turns
from tests.support.crash import crash_everywhere
from tests.support.lagging import LaggingCluster
from tests.support.world import NAMESPACE, a_world

from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Object
from dpf.kube.memory import Request
from dpf.runtime.conditions import is_true

COUNT = 6
LIMIT = 2
LATE: tuple[type[Object], ...] = (DPU, DPUSet, DPUDevice, DPUNode)
READY = ("True", "Success", "")


class Life:
    """Six devices and a rolling update of two at a time; `wrong` is what must not have happened."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        world = a_world()
        self.host = LaggingCluster(now=world.clock.now)
        world.host = self.host
        self.stage = some.a_stage(
            some.a_dpuset(strategy=some.rolling(LIMIT)), *some.hosts(COUNT), world=world
        )
        self.wrong: list[str] = []
        self.deleted = 0
        self.host.on_request = self._judge

    @property
    def dpus(self) -> list[str]:
        return list(self.stage.dpus)

    def _judge(self, request: Request) -> None:
        if request.kind == "DPU" and request.verb == "delete":
            self._judge_deletion(request.key.name)
        if request.kind == "DPU" and request.verb == "create":
            device = request.key.name.split("-")[1]
            if any(d.spec is not None and d.spec.dpuDeviceName == device for d in self.stage.dpus.values()
                   if d.metadata.name != request.key.name):
                self.wrong.append(f"a second DPU for {device}")

    def _judge_deletion(self, name: str) -> None:
        dpu, dpuset = self.stage.dpus.get(name), self.stage.dpuset()
        if dpu is None or dpuset is None or dpuset.spec is None or dpu.spec is None or name in self.stage.going:
            return
        self.deleted += 1
        template = dpuset.spec.dpuTemplate.spec
        is_as_wanted = template.bfb is not None and (dpu.spec.bfb, dpu.spec.dpuFlavor) == (
            template.bfb.name, template.dpuFlavor
        )
        if is_as_wanted and self._is_selected(dpu):
            self.wrong.append(f"{name} is as its DPUSet wants it, and is deleted")
        if not is_as_wanted and self._works(dpu) and self.out >= LIMIT and self._is_selected(dpu):
            self.wrong.append(f"{name} is deleted while {self.out} are out of service")

    @property
    def selected(self) -> dict[str, str]:
        """Devices that have a host, and which."""
        found = {d.metadata.name: (d.metadata.labels or {}).get(some.NODE_LABEL) for d in self.host.objects(DPUDevice)}
        return {device: node for device, node in found.items() if node is not None}

    @property
    def out(self) -> int:
        """Selected devices without a DPU that works. One of which the controller has not heard was never in service."""
        working = {d.spec.dpuDeviceName for d in self.stage.dpus.values() if d.spec is not None and self._works(d)}
        heard_of = {
            device.metadata.name for device in self.stage.world.registry.host.cache.list(DPUDevice)
            if some.NODE_LABEL in (device.metadata.labels or {})
        }
        return len(set(self.selected) & heard_of - working)

    def _is_selected(self, dpu: DPU) -> bool:
        return dpu.spec is not None and self.selected.get(dpu.spec.dpuDeviceName) == dpu.spec.dpuNodeName

    @staticmethod
    def _works(dpu: DPU) -> bool:
        return dpu.metadata.deletionTimestamp is None and is_true(dpu.status.conditions, "Ready")

    async def something(self) -> None:
        """Any of what may happen."""
        happenings: Sequence[Callable[[], Any]] = (
            self.edit, self.edit_labels, self.progress, self.progress, self.progress, self.clean_up, self.clean_up,
            self.fail, self.flap, self.nudge, self.lag, self.lag, self.catch_up, self.catch_up,
        )
        await self.random.choice(happenings)()

    async def edit(self) -> None:
        await self.stage.edit_template(bfb={"name": self.random.choice(["bfb-a", "bfb-b"])})

    async def edit_labels(self) -> None:
        disturbs = self.random.choice([True, False])
        await self.stage.edit_template(
            cluster={"nodeLabels": {"version": str(self.random.randrange(3))}},
            nodeEffect={"noEffect": True, "applyOnLabelChange": disturbs},
        )

    async def progress(self) -> None:
        for name in self.dpus:
            if name not in self.stage.going and self.random.random() < 0.5:
                await self.stage.install(name)

    async def clean_up(self) -> None:
        for name in self.stage.going:
            if self.random.random() < 0.7:
                await self.stage.let_go(name)

    async def fail(self) -> None:
        if self.dpus:
            await self.stage.report(self.random.choice(self.dpus), "Error")

    async def flap(self) -> None:
        """A device loses its host, or finds it again."""
        device = f"dev{self.random.randrange(1, COUNT + 1):02}"
        node = None if device in self.selected else f"worker{device[3:]}"
        await self.host.patch(DPUDevice, device, NAMESPACE, patch={"metadata": {"labels": {some.NODE_LABEL: node}}})

    async def nudge(self) -> None:
        """Something that causes a pass and says nothing new about DPUs."""
        note = {"metadata": {"annotations": {"note": str(self.random.random())}}}
        await self.host.patch(DPUSet, some.SET, NAMESPACE, patch=note)

    async def lag(self) -> None:
        self.host.hold_up(self.random.choice(LATE))

    async def catch_up(self) -> None:
        await self.host.let_through(self.random.choice(LATE))


@pytest.mark.parametrize("seed", range(60))
async def test_no_more_are_out_of_service_than_allowed(seed: int) -> None:
    life = Life(seed)
    async with life.stage.controller() as manager:
        await life.stage.work(manager)
    for _ in range(3):  # three processes one after the other
        async with life.stage.controller() as manager:
            for _ in range(25):
                await life.something()
                await turns(life.random.randrange(1, 20))
                if life.random.random() < 0.7:
                    await life.stage.tick(manager, life.random.choice([0, 1, 700]))
            await life.host.let_through(*LATE)
    assert life.wrong == []
    for device in {f"dev{n:02}" for n in range(1, COUNT + 1)} - set(life.selected):
        back = {"metadata": {"labels": {some.NODE_LABEL: f"worker{device[3:]}"}}}
        await life.host.patch(DPUDevice, device, NAMESPACE, patch=back)
    async with life.stage.controller() as manager:
        for _ in range(COUNT):
            await life.stage.tick(manager)
            await life.stage.work(manager)
    assert life.wrong == []
    assert life.stage.told() == READY
    assert len(life.stage.dpus) == COUNT
    assert life.deleted > 0


@pytest.mark.parametrize("kind", LATE)
async def test_a_cache_that_hears_nothing_more_of_a_kind_does_no_harm(kind: type[Object]) -> None:
    life = Life(0)
    async with life.stage.controller() as manager:
        await life.stage.work(manager)
        life.host.hold_up(kind)
        for bfb in ("bfb-b", "bfb-a", "bfb-b"):
            await life.stage.edit_template(bfb={"name": bfb})
            for _ in range(5):
                await life.nudge()
                await life.stage.tick(manager)
                await life.progress()
                await life.clean_up()
        await life.host.let_through(kind)
        for _ in range(COUNT):
            await life.stage.tick(manager)
            await life.stage.work(manager)
    assert life.wrong == []
    assert life.stage.told() == READY


async def test_the_server_is_asked_only_before_something_is_deleted() -> None:
    stage = some.a_stage(some.a_dpuset(strategy=some.rolling(1)), *some.hosts(5))
    async with stage.controller() as manager:
        await stage.work(manager)
        asked = len(stage.asked)
        await stage.edit_template(cluster={"nodeLabels": {"a": "1"}})
        await stage.work(manager)
        assert len(stage.asked) == asked
        await stage.edit_template(bfb={"name": "bfb-b"})
        await stage.work(manager)
    assert set(stage.asked[asked:]) == {f"get DPUSet {NAMESPACE}/{some.SET}", f"list DPU {NAMESPACE}/"}
    assert 5 <= (len(stage.asked) - asked) / 2 <= 6


def _two_sets() -> some.Stage:
    return some.a_stage(
        some.a_dpuset(strategy=some.rolling(1)), some.a_dpuset("second", dpuNodeSelector={"matchLabels": {"z": "1"}}),
        *some.hosts(2), some.a_node("worker03", z="1"), some.a_device("dev03", "worker03"),
    )


async def _a_life(stage: some.Stage) -> None:
    """Both sets up, one of them through a rolling update and new labels, the other one away.

    What users have done is done once; a life that follows a crash does the rest.
    """
    async with stage.controller() as manager:
        await _work(stage, manager)
        dpuset = stage.dpuset()
        assert dpuset is not None
        assert dpuset.spec is not None
        bfb = dpuset.spec.dpuTemplate.spec.bfb
        assert bfb is not None
        if bfb.name == "bfb-a":
            await stage.edit_template(bfb={"name": "bfb-b"}, cluster={"nodeLabels": {"a": "1"}})
        if (second := stage.dpuset("second")) is not None and second.metadata.deletionTimestamp is None:
            await stage.host.delete(DPUSet, "second", NAMESPACE)
        await _work(stage, manager)


async def _work(stage: some.Stage, manager: Any) -> None:
    for _ in range(4):
        await stage.tick(manager)
        await stage.work(manager)


async def test_a_crash_after_any_write_changes_nothing_in_the_end() -> None:
    def end(stage: some.Stage) -> object:
        return stage.world.state(DPUSet, DPU)

    tried = await crash_everywhere(_two_sets, _a_life, end)
    assert tried > 30
