"""Everything at once, in random order: users change their minds, cards fail and fall silent, the process ends anywhere.

At every order to install, what stands around it is looked at; in the end everybody has what he asked for last.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from tests.support import dpus as some
from tests.support import dpusets
from tests.support.crash import Crash, crash_at
from tests.support.dpus import Stage

from dpf.api.dpu import DPU
from dpf.api.dpuset import DPUSet
from dpf.api.provisioning import InstallInterface
from dpf.kube.memory import Request
from dpf.provisioning.install.port import Activate, Cause, Install, Order, Silence
from dpf.runtime.controller import Controller
from dpf.runtime.manager import Manager

GNOI, REDFISH = InstallInterface.GNOI, InstallInterface.REDFISH
HOSTS, CARDS = 2, 2
SILENT = Silence(cause=Cause.UNREACHABLE, why="nobody answers")


class Life:
    """Two hosts with two cards each, and one DPUSet; `wrong` is what must not have happened."""

    def __init__(self, folder: Path, interface: InstallInterface, seed: int) -> None:
        self.random = Random(seed)
        dpuset = dpusets.a_dpuset(strategy=dpusets.rolling(2), template={
            "bfb": {"name": some.BFB_NAME}, "dpuFlavor": some.FLAVOR, "nodeEffect": {"hold": True},
        })
        self.stage = some.a_stage(
            folder, dpuset, some.a_bfb("bf-newer"), interface=interface, hosts=HOSTS, cards=CARDS, dpus=False,
        )
        self.wrong: list[str] = []
        self.failed: set[str] = set()
        self.stage.drives.after_write = self._judge

    def choose(self, due: Sequence[Controller]) -> Controller:
        return self.random.choice(due)

    def _judge(self, request: Request) -> None:
        if request.kind not in ("Install", "Activate"):
            return
        installs = self.stage.cards[request.key.name].installs
        again = [one for one in installs if installs.count(one) > 1 and one not in self.failed]
        if again:
            self.wrong.append(f"{request.key.name} was installed twice with {again[0]}, which had not failed")

    async def act(self) -> None:
        """Somebody does something."""
        stage, random = self.stage, self.random
        card = stage.cards[random.choice(sorted(stage.cards))]
        match random.choice(("play", "play", "play", "play", "bfb", "delete", "fail", "silent", "lose", "label")):
            case "play":
                await stage.act()
            case "bfb":
                name = random.choice((some.BFB_NAME, "bf-newer"))
                await stage.patch(DPUSet, dpusets.SET, dpuTemplate={"spec": {"bfb": {"name": name}}})
            case "delete" if stage.dpus:
                await stage.delete(random.choice(sorted(stage.dpus)))
            case "fail" if card.is_busy:
                self.failed.add(card.installs[-1])
                card.fail("worn out")
            case "silent":
                card.silence = None if card.silence is not None else SILENT
            case "lose":
                kinds: list[type[Order]] = [Install, Activate]
                stage.installer.loses = [random.choice(kinds)]
            case "label":
                value = random.choice("abc")
                template = {"spec": {"cluster": {"nodeLabels": {"tenant": value}}}}
                await stage.patch(DPUSet, dpusets.SET, dpuTemplate=template)

    async def live(self, manager: Manager, steps: int) -> None:
        """So many things happen."""
        for _ in range(steps):
            await self.act()
            await manager.settle(self.choose)
            self.stage.world.clock.advance(self.random.choice((0.2, 1.0, 5.0, 31.0)))
            await manager.settle(self.choose)

    async def come_to_rest(self, manager: Manager) -> None:
        """Cards answer again, users repair what failed; everything becomes Ready."""
        stage = self.stage
        stage.installer.loses = []
        for card in stage.cards.values():
            card.silence = None
        for _ in range(60):
            await stage.work(manager, until=lambda stage: stage.is_over() and len(stage.dpus) == HOSTS * CARDS)
            broken = [name for name, phase in stage.phases.items() if phase == "Error"]
            if not broken and self.is_as_wanted:
                return
            for name in broken:
                await stage.delete(name)
            await stage.pass_time(manager, 30)
        raise AssertionError(f"they do not come to rest: {stage.phases}")

    @property
    def is_as_wanted(self) -> bool:
        (dpuset,) = self.stage.host.objects(DPUSet)
        assert dpuset.spec is not None
        bfb = dpuset.spec.dpuTemplate.spec.bfb
        return all(
            d.spec is not None and bfb is not None and d.spec.bfb == bfb.name and is_ready(d)
            for d in self.stage.dpus.values()
        )


def is_ready(dpu: DPU) -> bool:
    """Whether the DPU works."""
    return any(c.type == "Ready" and c.status == "True" for c in dpu.status.conditions or ())


def a_life(folder: Path, interface: InstallInterface, seed: int) -> Life:
    """A new one."""
    return Life(folder, interface, seed)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("interface", [REDFISH, GNOI])
async def test_whatever_happens(tmp_path: Path, interface: InstallInterface, seed: int) -> None:
    life = a_life(tmp_path, interface, seed)
    async with life.stage.controllers() as manager:
        await life.live(manager, 60)
        await life.come_to_rest(manager)
        before = list(life.stage.world.writes)
        await life.stage.pass_time(manager, 3600, step_s=120)
        assert life.stage.world.writes == before
    assert life.wrong == []
    assert nothing_is_left_over(life.stage) == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("interface", [REDFISH, GNOI])
async def test_whatever_happens_and_the_process_ends(tmp_path: Path, interface: InstallInterface, seed: int) -> None:
    life = a_life(tmp_path, interface, 100 + seed)
    for _ in range(12):
        crash_at(life.random.randint(1, 25), *life.stage.world.clusters)
        try:
            async with life.stage.controllers() as manager:
                await life.live(manager, 6)
        except Crash:
            pass
        for cluster in life.stage.world.clusters:
            cluster.after_write = None
    async with life.stage.controllers() as manager:
        await life.come_to_rest(manager)
    assert life.wrong == []
    assert nothing_is_left_over(life.stage) == []


def nothing_is_left_over(stage: Stage) -> list[str]:
    """What belongs to no DPU that is there."""
    uids = [dpu.metadata.uid or "" for dpu in stage.dpus.values()]
    files = [file.name for file in stage.files if not any(uid in file.name for uid in uids)]
    nodes = [name for name in stage.nodes() if name not in stage.dpus]
    tokens = [name for name in stage.left if "bootstrap-token" in name or "kubeadm-join" in name]
    return [*files, *nodes, *tokens, *stage.maintenances]
