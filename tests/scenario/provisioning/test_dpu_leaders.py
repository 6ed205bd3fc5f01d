"""Two processes, of which one leads: the lead changes at any write, while caches are late.

The other one goes on looking; what it decides it may not do. Each card is installed once.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import dpus as some
from tests.support.clock import turns
from tests.support.dpus import Stage
from tests.support.lagging import LaggingCluster
from tests.support.world import a_world

from dpf.api.dpu import DPU
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.provisioning import InstallInterface
from dpf.kube.memory import Request
from dpf.runtime.manager import Manager

BOTH = pytest.mark.parametrize("interface", [InstallInterface.REDFISH, InstallInterface.GNOI])


LATE_ROUNDS = 6


class Lead:
    """Who leads: the first, until so many writes and orders have been made; then the second.

    Before that caches begin to be late, so that the last writes of the first are news that the second does not have.
    """

    def __init__(self, stage: Stage, host: LaggingCluster, at: int) -> None:
        self.host, self.left, self.leader, self.late = host, at, 1, LATE_ROUNDS
        for cluster in stage.clusters:
            cluster.after_write = self._count

    def _count(self, request: Request) -> None:
        if request.kind == "Event":
            return
        self.left -= 1
        if self.left == 2:
            self.host.hold_up(DPU, DPUNodeMaintenance)
        if self.left == 0:
            self.leader = 2

    async def tick(self) -> None:
        """Another round: a leader that waits for its own writes is replaced, too; in the end caches catch up."""
        if self.left > 2 or self.late == 0:
            return
        self.late -= 1
        if self.late == LATE_ROUNDS - 1:
            self.leader = 2
        if self.late == 0:
            await self.host.let_through(DPU, DPUNodeMaintenance)


async def work(stage: Stage, lead: Lead, first: Manager, second: Manager) -> None:
    """Both do what they may."""
    for _ in range(80):
        await settle(first, second)
        await stage.act()
        await settle(first, second)
        stage.world.clock.advance(some.STEP_S)
        await turns()
        await lead.tick()
        if lead.late == 0 and stage.is_over():
            return
    raise AssertionError(f"they go on and on: {stage.phases}")


async def settle(first: Manager, second: Manager) -> None:
    """Each works through what is due."""
    await first.settle()
    await second.settle()


@BOTH
@pytest.mark.parametrize("at", range(3, 50, 3))
async def test_the_lead_changes(tmp_path: Path, interface: InstallInterface, at: int) -> None:
    world = a_world(dpu_clusters=(some.CLUSTER,))
    world.host = host = LaggingCluster(now=world.clock.now)
    stage = some.a_stage(tmp_path, interface=interface, effect={"hold": True}, world=world)
    lead = Lead(stage, host, at)
    async with (
        stage.controllers(may_write=lambda: lead.leader == 1) as first,
        stage.controllers(may_write=lambda: lead.leader == 2) as second,
    ):
        await work(stage, lead, first, second)
    assert lead.leader == 2
    assert stage.phases == {"worker-1-d1": "Ready"}
    assert stage.installs == {"d1": 1}
    assert [name for name in stage.left if "Secret" in name or "Maintenance" in name] == []
