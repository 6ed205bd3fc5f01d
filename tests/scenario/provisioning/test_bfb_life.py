"""The life of a BFB: downloaded, read, kept, its file lost, its bundle bad (behaviour-provisioning.md 16: 1, 4 and 5).

Servers are real ones on loopback, the volume is a folder; only the API server is in memory and the clock is a fake.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from tests.support.bfbs import DECLARED, FILE, NAME, Stage, a_bfb, phases_seen
from tests.support.bundleserver import a_server
from tests.support.world import NAMESPACE

from dpf.api.bfb import BFB, BFBStatus, BFBVersions
from dpf.emulation import bfb as emulated

BUNDLE = emulated.build()
SHA256 = hashlib.sha256(BUNDLE).hexdigest()
WITHOUT_INVENTORY = emulated.build(None)


def of_doca(version: str) -> bytes:
    return emulated.build(emulated.Versions(doca=version))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "bfb")


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_it_is_downloaded_and_its_versions_are_reported(stage: Stage, tls: bool) -> None:
    seen = phases_seen(stage)
    async with a_server(BUNDLE, tls=tls) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
    bfb = stage.bfb()
    assert bfb is not None
    assert seen == ["Initializing", "Downloading", "Ready"]
    assert bfb.status.fileName == FILE
    assert bfb.spec is not None
    assert bfb.spec.fileName is None
    assert bfb.status.versions == BFBVersions(
        bsp="4.9.3.13617", doca="2.9.3", uefi="4.9.3-25-gf0aa3d6a62", atf="v2.2(release):4.9.3-2-g2b5c0fa"
    )
    assert bfb.status.observedGeneration == 1
    assert bfb.metadata.finalizers == ["provisioning.dpu.nvidia.com/bfb-protection"]
    assert stage.on_disk[FILE] == BUNDLE
    assert stat.S_IMODE((stage.folder / FILE).stat().st_mode) == 0o644
    assert {c.type: (c.status, c.reason) for c in bfb.status.conditions or ()} == {
        "Initialized": ("True", "Success"), "Downloaded": ("True", "Success"), "Ready": ("True", "Success"),
        "Error": ("False", "Success"),
    }
    assert stage.condition("Downloaded").message == f"{FILE}: 8192 bytes, sha256 {SHA256}"
    assert f"Normal SuccessfulDownload: {FILE} is complete: Publish" in stage.events


async def test_a_small_bundle_costs_three_writes_and_then_none(stage: Stage) -> None:
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        writes = list(stage.world.writes)
        await stage.settle(manager, 1200, step_s=10)
    key = f"{NAMESPACE}/{NAME}"
    assert writes == [
        f"host: create BFB {key}", f"host: patch BFB {key}", f"host: patch/status BFB {key}",
        f"host: patch/status BFB {key}",
    ]
    assert stage.world.writes == writes
    assert stage.driven == ["Fetch", "Publish"]
    assert len(server.asked) == 1


async def test_a_restarted_controller_writes_nothing_and_asks_nobody(stage: Stage) -> None:
    async with a_server(BUNDLE) as server:
        async with stage.controller() as manager:
            await stage.world.host.create(a_bfb(server.url()))
            await stage.settle(manager, 5)
        writes, driven = list(stage.world.writes), list(stage.driven)
        async with stage.controller() as manager:
            await stage.settle(manager, 60, step_s=10)
        assert (stage.world.writes, stage.driven) == (writes, driven)
        assert len(server.asked) == 1


async def test_a_given_file_name_is_used(stage: Stage) -> None:
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url(), file_name="bfb-2.9.0.bfb"))
        await stage.settle(manager, 5)
    bfb = stage.bfb()
    assert bfb is not None
    assert bfb.status.fileName == "bfb-2.9.0.bfb"
    assert [name for name in stage.on_disk if name.endswith(".bfb")] == ["bfb-2.9.0.bfb"]


async def test_declared_versions_stand_and_the_bundle_is_not_asked(stage: Stage) -> None:
    async with a_server(b"no bundle at all") as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url(), versions=DECLARED))
        await stage.settle(manager, 5)
    bfb = stage.bfb()
    assert bfb is not None
    assert bfb.status.phase == "Ready"
    assert bfb.status.versions == BFBVersions(bsp="4.9", doca="2.9.1", uefi="4.9-1", atf="v2.2")


@pytest.mark.parametrize(("body", "why"), [
    (WITHOUT_INVENTORY, "software inventory JSON not found in BFB"),
    (of_doca("3.0"), "DOCA version '3.0' in BFB is not of the form major.minor.patch"),
    (of_doca(""), "DOCA version '' in BFB is not of the form major.minor.patch"),
    (of_doca("3.0.x"), "DOCA version '3.0.x' in BFB is not of the form major.minor.patch"),
])
async def test_a_bad_bundle_is_a_failure_that_is_not_tried_again(stage: Stage, body: bytes, why: str) -> None:
    seen = phases_seen(stage)
    async with a_server(body) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 10)
        writes = list(stage.world.writes)
        await stage.settle(manager, 7 * 3600, step_s=600)
    assert seen == ["Initializing", "Downloading", "Error"]
    assert stage.told("Downloaded") == ("False", "Failure", why)
    assert stage.told("Error") == ("True", "Failure", (
        f"{why}. Next step: declare spec.versions, or delete the BFB and create it again with the URL of a complete "
        "bundle"
    ))
    assert stage.told("Ready") == ("False", "Failure", "The following conditions are not ready: Downloaded")
    assert FILE not in stage.on_disk
    assert len(server.asked) == 1
    assert stage.world.writes == writes


async def test_declaring_versions_later_uses_what_was_downloaded(stage: Stage) -> None:
    async with a_server(WITHOUT_INVENTORY) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 10)
        assert stage.phase() == "Error"
        versions = {"bsp": "4.9", "doca": "2.9.1", "uefi": "4.9-1", "atf": "v2.2"}
        await stage.world.host.patch(BFB, NAME, NAMESPACE, patch={"spec": {"versions": versions}})
        await stage.settle(manager, 5)
    assert stage.phase() == "Ready"
    assert stage.told("Error") == ("False", "Success", "")
    assert stage.on_disk[FILE] == WITHOUT_INVENTORY
    assert len(server.asked) == 1


async def test_a_file_that_has_gone_is_downloaded_again(stage: Stage) -> None:
    seen = phases_seen(stage)
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        (stage.folder / FILE).unlink()
        await stage.settle(manager, 30)
    assert seen == ["Initializing", "Downloading", "Ready", "Downloading", "Ready"]
    assert stage.on_disk[FILE] == BUNDLE
    assert len(server.asked) == 2


async def test_a_file_that_was_changed_is_downloaded_again(stage: Stage) -> None:
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        os.truncate(stage.folder / FILE, 100)
        await stage.settle(manager, 30)
    assert stage.phase() == "Ready"
    assert stage.on_disk[FILE] == BUNDLE


async def test_a_ready_bfb_of_an_older_release_is_looked_into_and_stays_ready(stage: Stage) -> None:
    """24.10 knew neither status.versions nor conditions; its file is on the volume."""
    seen = phases_seen(stage)
    (stage.folder / FILE).write_bytes(BUNDLE)
    stage.world.host.add(a_bfb("http://192.0.2.1/gone.bfb", status=BFBStatus(phase="Ready")))
    async with stage.controller() as manager:
        await stage.settle(manager, 20)
    bfb = stage.bfb()
    assert bfb is not None
    assert bfb.status.versions is not None
    assert bfb.status.versions.doca == "2.9.3"
    assert stage.told("Ready") == ("True", "Success", "")
    assert stage.told("Downloaded")[2] == f"{FILE}: 8192 bytes, sha256 {SHA256}, found on the volume and not downloaded"
    assert seen == ["Ready"]
    assert stage.driven == ["Inspect"]


async def test_a_file_that_somebody_put_on_the_volume_is_used(stage: Stage) -> None:
    """A site without a way out copies its bundles by hand."""
    (stage.folder / "site.bfb").write_bytes(BUNDLE)
    async with stage.controller() as manager:
        await stage.world.host.create(a_bfb("http://192.0.2.1/site.bfb", file_name="site.bfb"))
        await stage.settle(manager, 5)
        assert stage.phase() == "Ready"
        os.utime(stage.folder / "site.bfb", (1, 1))
        await stage.settle(manager, 30)
    assert stage.phase() == "Ready"
    assert stage.driven == ["Inspect", "Inspect"]


async def test_a_volume_that_cannot_be_looked_at_keeps_a_ready_bfb(stage: Stage) -> None:
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        away = stage.folder.rename(stage.folder.with_name("away"))
        await stage.settle(manager, 60)
        why = f"the folder {stage.folder} does not exist: mount the BFB volume there"
        assert stage.phase() == "Ready"
        assert stage.told("Downloaded") == ("Unknown", "Error", why)
        assert stage.condition("Ready").status == "False"
        away.rename(stage.folder)
        await stage.settle(manager, 60)
    assert stage.told("Ready") == ("True", "Success", "")
    assert len(server.asked) == 1


async def test_without_a_volume_a_new_bfb_is_in_error_until_there_is_one(stage: Stage) -> None:
    stage.folder.rmdir()
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        assert stage.phase() == "Error"
        assert stage.told("Downloaded")[:2] == ("False", "Error")
        writes = list(stage.world.writes)
        await stage.settle(manager, 600, step_s=30)
        assert stage.world.writes == writes
        stage.folder.mkdir()
        await stage.settle(manager, 60)
    assert stage.phase() == "Ready"
