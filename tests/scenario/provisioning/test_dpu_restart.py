"""A flash survives the end of its process at any point, answers that get lost, and a change of the leader.

Whatever happens, a card is installed exactly once for each DPU, and the end is that of an undisturbed life.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import dpus as some
from tests.support.crash import Crash, crash_at, crash_everywhere
from tests.support.dpus import Stage
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.provisioning import InstallInterface
from dpf.kube import errors
from dpf.kube.memory import Request
from dpf.provisioning.install.port import Activate, Install, Order, PrepareRShim, Restart, SetMode, Transfer

BOTH = pytest.mark.parametrize("interface", [InstallInterface.REDFISH, InstallInterface.GNOI])
REBOOT = {"nvconfig": [{"device": "*", "parameters": ["NUM_OF_VFS=8"]}]}
"""A flavor for which the host has to be rebooted."""


def stages(folder: Path, interface: InstallInterface, **options: Any) -> Callable[[], Stage]:
    """New stages, each with a volume of its own; their hosts are rebooted in the course of the installation."""
    numbers = itertools.count()

    def make() -> Stage:
        stage = some.a_stage(
            folder / str(next(numbers)), interface=interface, effect={"hold": True}, flavor=REBOOT, **options
        )
        stage.plays.methods = dict.fromkeys(stage.cards, "SystemLevelReset")
        return stage

    return make


async def install(stage: Stage) -> None:
    """One life of the process, until the DPUs are Ready."""
    async with stage.controllers() as manager:
        await stage.work(manager)


def end_state(stage: Stage) -> object:
    """What users see at the end, and what cards were told to begin."""
    dpus = {
        name: (dpu.status.phase, [(c.type, c.status, c.reason, c.message) for c in dpu.status.conditions or ()],
               dpu.status.redfishTaskId, dpu.status.bfCFGFile, _timeless(dpu.metadata.annotations))
        for name, dpu in stage.dpus.items()
    }
    nodes = {name: (n.metadata.labels, n.metadata.annotations) for name, n in stage.nodes().items()}
    hosts = {
        name: (dpunode.metadata.annotations, [(c.type, c.status) for c in dpunode.status.conditions or ()])
        for name in ["worker-1"] for dpunode in [stage.dpunode(name)]
    }
    return dpus, nodes, hosts, stage.installs, sorted(stage.left)


def _timeless(annotations: dict[str, str] | None) -> dict[str, str]:
    """When an agent started differs between two lives."""
    return {key: re.sub(r'"boot":"[^"]*"', '"boot":"?"', value) for key, value in (annotations or {}).items()}


@BOTH
async def test_a_crash_after_any_write_or_order(tmp_path: Path, interface: InstallInterface) -> None:
    tried = await crash_everywhere(stages(tmp_path, interface), install, end_state, limit=400)
    assert tried > 60


async def test_a_crash_between_restarts_of_the_arm_cores(tmp_path: Path) -> None:
    """A restart is written down before it is ordered: none is ordered once too often."""
    numbers = itertools.count()

    def make() -> Stage:
        return some.a_stage(tmp_path / str(next(numbers)), effect={"noEffect": True}, secureBoot=True)

    def restarts(stage: Stage) -> object:
        restarted = [type(order) for order in stage.cards["d1"].orders].count(Restart)
        assert restarted <= 2
        return stage.phases, stage.installs

    await crash_everywhere(make, install, restarts, limit=100)


@BOTH
async def test_a_crash_anywhere_in_a_deletion_leaves_nothing(tmp_path: Path, interface: InstallInterface) -> None:
    make = stages(tmp_path, interface)
    for n in itertools.count(1):
        stage = make()
        await install(stage)
        countdown = crash_at(n, *stage.clusters)
        try:
            await remove(stage)
        except Crash:
            await remove(stage)
        assert stage.left == [], f"a crash after write {n} leaves something"
        assert stage.nodes() == {}
        if not countdown.crashed:
            break
    assert n > 8


async def remove(stage: Stage) -> None:
    """One life of the process, in which the DPU is deleted, if it is not yet."""
    async with stage.controllers() as manager:
        await manager.settle()
        if any(dpu.metadata.deletionTimestamp is None for dpu in stage.dpus.values()):
            await stage.delete()
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left)


@pytest.mark.parametrize(("interface", "kind"), [
    *((InstallInterface.REDFISH, kind) for kind in (PrepareRShim, Install)),
    *((InstallInterface.GNOI, kind) for kind in (SetMode, Transfer, Activate)),
], ids=lambda value: str(getattr(value, "__name__", value)))
async def test_the_answer_to_an_order_gets_lost(
    tmp_path: Path, interface: InstallInterface, kind: type[Order],
) -> None:
    stage = stages(tmp_path, interface)()
    stage.installer.loses = [kind, kind]
    await install(stage)
    assert kind not in stage.installer.loses or kind in (Install, Activate), "it was ordered again only where it may be"
    assert len(stage.installer.loses) < 2, "it was lost"
    assert stage.installs == {"d1": 1}
    assert stage.phases == {"worker-1-d1": "Ready"}


@BOTH
@pytest.mark.parametrize("phase", ["Prepare BFB", "OS Installing", "DPU Cluster Config"])
async def test_the_leader_changes_while_its_last_write_is_late(
    tmp_path: Path, interface: InstallInterface, phase: str,
) -> None:
    """The old leader has decided, and its status arrives after the new one's: the server refuses it."""
    stage = stages(tmp_path, interface)()
    late: list[Request] = []

    def on_request(request: Request) -> None:
        is_status = request.kind == "DPU" and request.subresource == "status"
        if is_status and stage.phases["worker-1-d1"] == phase and not late:
            late.append(request)
            raise Crash("the write is on its way")

    stage.host.on_request = on_request
    with pytest.raises(Crash):
        await install(stage)
    version = stage.dpu().metadata.resourceVersion
    stage.host.on_request = None
    await install(stage)
    with pytest.raises(errors.Conflict):
        await stage.host.patch(DPU, "worker-1-d1", NAMESPACE, subresource="status", patch={
            "metadata": {"resourceVersion": version}, "status": {"phase": "OS Installing", "redfishTaskId": "99"},
        })
    assert late
    assert stage.installs == {"d1": 1}
    assert stage.phases == {"worker-1-d1": "Ready"}
    assert [s for s in stage.host.objects(core.Secret) if "bootstrap-token" in s.metadata.name] == []


@BOTH
async def test_who_is_not_the_leader_any_more_orders_nothing(tmp_path: Path, interface: InstallInterface) -> None:
    stage = stages(tmp_path, interface)()
    leads = True
    async with stage.controllers(may_write=lambda: leads) as manager:
        await stage.work(manager, until=stage.in_phase("Prepare BFB", "Config FW Parameters", "OS Installing"))
        leads, orders = False, list(stage.cards["d1"].orders)
        before = list(stage.world.writes)
        await stage.pass_time(manager, 120)
        assert stage.cards["d1"].orders == orders
        assert stage.world.writes == before
    await install(stage)
    assert stage.installs == {"d1": 1}


@BOTH
async def test_two_hosts_at_once_and_a_crash_at_every_tenth_write(
    tmp_path: Path, interface: InstallInterface,
) -> None:
    stage = stages(tmp_path, interface, hosts=2, cards=2)()
    for _ in range(60):
        countdown = crash_at(10, *stage.clusters)
        try:
            await install(stage)
        except Crash:
            continue
        assert not countdown.crashed
        break
    assert set(stage.phases.values()) == {"Ready"}
    assert stage.installs == {"d1": 1, "d1b": 1, "d2": 1, "d2b": 1}
