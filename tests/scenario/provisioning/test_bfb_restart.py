"""Killed after every write and every intent, a BFB ends as in an undisturbed life, also while it is downloaded."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from tests.support.bfbs import FILE, NAME, Stage, a_bfb, a_dpuset
from tests.support.bundleserver import a_server
from tests.support.crash import crash_everywhere
from tests.support.world import NAMESPACE

from dpf.api.bfb import BFB
from dpf.api.dpuset import DPUSet
from dpf.emulation import bfb as emulated

BUNDLE = emulated.build(size=1 << 20)


def end_state(stage: Stage) -> Any:
    """Objects without times and uids, and the files without records, which tell uids and times."""
    files = {name: data for name, data in stage.on_disk.items() if not name.endswith(".json")}
    return stage.world.state(BFB), files


async def test_from_creation_to_ready(tmp_path: Path) -> None:
    folders = (tmp_path / f"bfb-{n}" for n in itertools.count())
    async with a_server(BUNDLE) as server:

        def make() -> Stage:
            stage = Stage(next(folders))
            stage.world.host.add(a_bfb(server.url()))
            return stage

        async def live(stage: Stage) -> None:
            async with stage.controller() as manager:
                await stage.settle(manager, 10)

        assert await crash_everywhere(make, live, end_state) >= 5


async def test_with_a_server_that_closes_early_until_error(tmp_path: Path) -> None:
    folders = (tmp_path / f"bfb-{n}" for n in itertools.count())
    async with a_server(BUNDLE) as server:
        server.status = 500

        def make() -> Stage:
            stage = Stage(next(folders))
            stage.world.host.add(a_bfb(server.url()))
            return stage

        async def live(stage: Stage) -> None:
            async with stage.controller() as manager:
                await stage.settle(manager, 60)

        def phase_and_reason(stage: Stage) -> tuple[str | None, ...]:
            return stage.phase(), *stage.told("Downloaded")

        assert await crash_everywhere(make, live, phase_and_reason) >= 9


async def test_from_ready_to_gone(tmp_path: Path) -> None:
    folders = (tmp_path / f"bfb-{n}" for n in itertools.count())
    async with a_server(BUNDLE) as server:

        def make() -> Stage:
            stage = Stage(next(folders))
            stage.world.host.add(a_bfb(server.url()), a_dpuset())
            return stage

        async def live(stage: Stage) -> None:
            async with stage.controller() as manager:
                await stage.settle(manager, 10)
                if stage.bfb() is not None:
                    await stage.delete()
                await stage.settle(manager, 5)
                if stage.world.host.objects(DPUSet):
                    await stage.world.host.delete(DPUSet, "dpuset-dk", NAMESPACE)
                await stage.settle(manager, 5)

        assert await crash_everywhere(make, live, end_state) >= 8


async def test_a_download_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Here the end of a life cuts the connection; the checkpoint of a real kill is in tests/integration."""
    stage = Stage(tmp_path / "bfb")
    async with a_server(BUNDLE, etag='"v1"') as server:
        server.hold_after = 700_000
        await stage.world.host.create(a_bfb(server.url()))
        async with stage.controller() as manager:
            await stage.until(manager, server.reached.is_set)
        assert stage.phase() == "Downloading"
        assert FILE not in stage.on_disk
        server.hold_after = None
        server.release.set()
        async with stage.controller() as manager:
            await stage.settle(manager, 10)
    assert stage.phase() == "Ready"
    assert stage.on_disk[FILE] == BUNDLE
    assert stage.condition("Downloaded", NAME).status == "True"
