"""What runs on a card: what the flashed bytes ask for, from a start to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support import dpuflavors
from tests.support.machinerooms import a_bfcfg, a_room, nodes_of

from dpf.emulation.dpu.config import DPUConfig
from dpf.emulation.hardware.nodesfile import NodesFile
from dpf.emulation.hardware.systems import FACTORY_SF_COUNT, RunningSystem, Systems


@dataclass(slots=True)
class Rig:
    """Two cards without BMCs; their agents only wait."""

    folder: Path
    agents: list[RunningSystem] = field(default_factory=list)
    ended: list[RunningSystem] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)

    def systems(self) -> Systems:
        """As after a start of the process."""
        settings = a_room(self.folder, gnoi=2)
        (self.folder / "logs").mkdir(exist_ok=True)
        made = Systems(
            folder=settings.state / "systems", logs=self.folder / "logs", cards=settings.cards,
            nodes=NodesFile(settings.dpuKubelet), agents=self._agent, machines=self,
        )
        made.start()
        return made

    @property
    def nodes(self) -> dict[str, Any]:
        """What the kubelet reads."""
        return nodes_of(self.folder / "nodes.json")

    def log(self, card: str) -> str:
        """What the card says of itself."""
        return (self.folder / "logs" / f"card-{card}.log").read_text()

    async def restart(self, card: str) -> None:
        self.restarted.append(card)

    async def shut_down(self, card: str) -> None:
        self.restarted.append(f"{card} down")

    def _agent(self, config: DPUConfig, system: RunningSystem) -> Coroutine[Any, Any, None]:
        async def work() -> None:
            self.agents.append(system)
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.append(system)

        assert config.node_name
        return work()


def content_and_mode(path: Path) -> tuple[str, int]:
    return path.read_text(), path.stat().st_mode & 0o777


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_the_node_is_what_was_flashed(rig: Rig) -> None:
    flavor = dpuflavors.a_flavor(nvconfig=[{"device": "*", "parameters": ["PF_TOTAL_SF=7"]}])
    await rig.systems().boot("dpu-0", a_bfcfg("dpu-a", flavor=flavor, node_labels={"a": "b"}), count=1)

    node = rig.nodes["dpu-a"]
    assert (node.index, node.labels["a"]) == (0, "b")
    assert (node.capacity["nvidia.com/bf_sf"], node.capacity["nvidia.com/sf"]) == ("7", "7")
    assert content_and_mode(Path(node.join.tokenFile)) == ("abcdef.0123456789abcdef", 0o600)
    assert node.join.server == "https://127.0.0.1:1"


async def test_a_flavor_without_functions_leaves_those_of_the_factory(rig: Rig) -> None:
    await rig.systems().boot("dpu-0", a_bfcfg("dpu-a"), count=1)
    assert rig.nodes["dpu-a"].capacity["nvidia.com/sf"] == str(FACTORY_SF_COUNT)


async def test_the_same_start_told_again_changes_nothing(rig: Rig) -> None:
    systems, bfcfg = rig.systems(), a_bfcfg("dpu-a")
    await systems.boot("dpu-0", bfcfg, count=1)
    before = rig.nodes["dpu-a"]
    await systems.boot("dpu-0", bfcfg, count=1)
    assert (rig.nodes["dpu-a"], systems.record("dpu-0").boots) == (before, 1)


async def test_a_restart_is_another_boot_of_the_same_disk(rig: Rig) -> None:
    systems, bfcfg = rig.systems(), a_bfcfg("dpu-a")
    await systems.boot("dpu-0", bfcfg, count=1)
    first = rig.nodes["dpu-a"]
    await systems.boot("dpu-0", bfcfg, count=2)
    second = rig.nodes["dpu-a"]
    assert first.disk == second.disk
    assert first.boot != second.boot


async def test_an_installation_leaves_nothing_of_before(rig: Rig) -> None:
    systems, bfcfg = rig.systems(), a_bfcfg("dpu-a")
    await systems.boot("dpu-0", bfcfg, count=1, installation="1")
    await asyncio.sleep(0)
    (rig.agents[0].folder / "identity").write_text("old")
    first = rig.nodes["dpu-a"]
    await systems.boot("dpu-0", bfcfg, count=2, installation="2")
    await asyncio.sleep(0)
    assert rig.nodes["dpu-a"].disk != first.disk
    assert list(rig.agents[1].folder.iterdir()) == []
    assert [system.boot_count for system in rig.agents] == [1, 1]


async def test_a_flavor_that_changes_the_kernel_restarts_the_card_once(rig: Rig) -> None:
    flavor = dpuflavors.a_flavor(grub={"kernelParameters": ["hugepages=3072"]})
    systems, bfcfg = rig.systems(), a_bfcfg("dpu-a", flavor=flavor, additional_reboot=True)
    await systems.boot("dpu-0", bfcfg, count=1)
    assert systems.record("dpu-0").boots == 2
    await systems.boot("dpu-0", bfcfg, count=2)
    assert systems.record("dpu-0").boots == 3


async def test_bytes_that_make_no_sense_are_told_and_disturb_nobody(rig: Rig) -> None:
    systems = rig.systems()
    await systems.boot("dpu-1", a_bfcfg("dpu-b"), count=1)
    await systems.boot("dpu-0", b"\xff\xfe", count=1)
    assert list(rig.nodes) == ["dpu-b"]
    assert systems.record("dpu-0").running
    assert "not UTF-8" in rig.log("dpu-0")
    assert "joins no cluster" in systems.problem("dpu-0")


async def test_a_name_that_another_card_has_is_told_and_disturbs_nobody(rig: Rig) -> None:
    systems = rig.systems()
    await systems.boot("dpu-0", a_bfcfg("dpu-a"), count=1)
    await systems.boot("dpu-1", a_bfcfg("dpu-a"), count=1)
    assert rig.nodes["dpu-a"].index == 0
    assert "there twice" in systems.problem("dpu-1")


async def test_what_halts_is_gone_and_starts_again_from_its_disk(rig: Rig) -> None:
    systems = rig.systems()
    await systems.boot("dpu-0", a_bfcfg("dpu-a"), count=1)
    await asyncio.sleep(0)
    await systems.halt("dpu-0")
    assert rig.nodes == {}
    assert rig.ended == rig.agents
    await systems.restart("dpu-0")
    assert list(rig.nodes) == ["dpu-a"]
    assert systems.record("dpu-0").boots == 2


async def test_a_card_that_was_never_installed_has_nothing_to_start(rig: Rig) -> None:
    systems = rig.systems()
    await systems.restart("dpu-0")
    await systems.halt("dpu-0")
    assert rig.nodes == {}
    assert not systems.record("dpu-0").running


async def test_another_process_takes_up_what_was_running(rig: Rig) -> None:
    first = rig.systems()
    await first.boot("dpu-0", a_bfcfg("dpu-a"), count=1)
    await first.boot("dpu-1", a_bfcfg("dpu-b"), count=1)
    await first.halt("dpu-1")
    before = rig.nodes
    await first.close()

    second = rig.systems()
    await asyncio.sleep(0)
    assert rig.nodes == before
    assert [system.boot_id for system in rig.agents[-1:]] == [rig.agents[0].boot_id]
    await second.close()


async def test_no_secret_is_in_a_log(rig: Rig) -> None:
    systems = rig.systems()
    await systems.boot("dpu-0", a_bfcfg("dpu-a"), count=1)
    await systems.boot("dpu-0", a_bfcfg("dpu-a")[:-200], count=2)
    assert "0123456789abcdef" not in rig.log("dpu-0")
    assert "0123456789abcdef" not in repr(systems.record("dpu-0"))
