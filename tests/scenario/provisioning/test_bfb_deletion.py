"""BFBs that are deleted, used, recreated or that want one file name (behaviour-provisioning.md 16: 3, 6 and 7)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.bfbs import FILE, NAME, Stage, a_bfb, a_dpu, a_dpuset, phases_seen
from tests.support.bundleserver import a_server
from tests.support.world import NAMESPACE

from dpf.api.bfb import BFB
from dpf.api.dpu import DPU
from dpf.api.dpuset import DPUSet
from dpf.emulation import bfb as emulated
from dpf.kube.cache import Cache

BUNDLE = emulated.build()
OTHER = emulated.build(emulated.Versions(doca="3.0.0058-1"), seed=1)
HELD = f"BFB {NAMESPACE}/{NAME} cannot be deleted, still referenced by "


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "bfb")


async def test_deletion_in_the_middle_of_a_download_ends_it_and_leaves_nothing(stage: Stage) -> None:
    seen = phases_seen(stage)
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        server.hold_after = 1000
        await stage.world.host.create(a_bfb(server.url()))
        await stage.until(manager, server.reached.is_set)
        assert stage.phase() == "Downloading"
        assert len(stage.on_disk) > 0
        await stage.delete()
        await stage.settle(manager, 2)
        assert stage.bfb() is None
        assert stage.on_disk == {}
        assert stage.downloads.tasks == ()
    assert seen == ["Initializing", "Downloading", "Deleting"]


async def test_a_ready_bfb_goes_with_its_file(stage: Stage) -> None:
    (stage.folder / "bfcfg").mkdir()
    (stage.folder / "somebody-elses.bfb").write_bytes(b"theirs")
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        deleted: list[tuple[str, str]] = []
        stage.world.host.after_write = lambda _: deleted.extend(
            (c.status, c.reason) for b in stage.world.host.objects(BFB) for c in b.status.conditions or ()
            if c.type == "Deleted" and b.status.phase == "Deleting"
        )
        await stage.delete()
        await stage.settle(manager, 2)
    assert stage.bfb() is None
    assert stage.on_disk == {"somebody-elses.bfb": b"theirs"}
    assert deleted == [("True", "Success")]


@pytest.mark.parametrize(("user", "named"), [
    (a_dpuset(), "DPUSet: dpuset-dk"), (a_dpu(), "DPU: worker1-0000-2b-00"),
], ids=["DPUSet", "DPU"])
async def test_it_is_held_while_something_refers_to_it(stage: Stage, user: DPUSet | DPU, named: str) -> None:
    stage.world.host.add(user)
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        await stage.delete()
        await stage.settle(manager, 5)
        writes = list(stage.world.writes)
        await stage.settle(manager, 60, step_s=10)
        assert stage.world.writes == writes
        assert stage.phase() == "Deleting"
        assert stage.told("Deleted") == ("False", "Pending", HELD + named)
        assert stage.told("Downloaded")[0] == "True"
        assert stage.on_disk[FILE] == BUNDLE
        await stage.world.host.delete(type(user), user.metadata.name, NAMESPACE)
        await manager.settle()
    assert stage.bfb() is None
    assert stage.on_disk == {}


async def test_held_by_a_set_then_by_its_dpu_then_released(stage: Stage) -> None:
    stage.world.host.add(a_dpuset(), a_dpu())
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        await stage.delete()
        await manager.settle()
        assert stage.condition("Deleted").message == f"{HELD}DPUSet: dpuset-dk, DPU: worker1-0000-2b-00"
        await stage.world.host.delete(DPUSet, "dpuset-dk", NAMESPACE)
        await manager.settle()
        assert stage.condition("Deleted").message == f"{HELD}DPU: worker1-0000-2b-00"
        await stage.world.host.delete(DPU, "worker1-0000-2b-00", NAMESPACE)
        await manager.settle()
    assert stage.bfb() is None


async def test_users_of_other_bfbs_and_namespaces_do_not_hold_it(stage: Stage) -> None:
    stage.world.host.add(a_dpuset("another"))
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        await stage.delete()
        await manager.settle()
    assert stage.bfb() is None


async def test_a_user_that_the_cache_does_not_know_yet_holds_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        real = Cache.by_index
        monkeypatch.setattr(Cache, "by_index", lambda cache, kind, index, value: (
            () if kind is DPU else real(cache, kind, index, value)
        ))
        stage.world.host.add(a_dpu())
        await stage.delete()
        await manager.settle()
        assert stage.condition("Deleted").message == f"{HELD}DPU: worker1-0000-2b-00"


async def test_a_set_that_turns_to_another_bfb_releases_it(stage: Stage) -> None:
    stage.world.host.add(a_dpuset())
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        await stage.delete()
        await manager.settle()
        patch = {"spec": {"dpuTemplate": {"spec": {"bfb": {"name": "another"}}}}}
        await stage.world.host.patch(DPUSet, "dpuset-dk", NAMESPACE, patch=patch)
        await manager.settle()
    assert stage.bfb() is None


async def test_held_while_it_was_being_downloaded_the_download_ends_at_once(stage: Stage) -> None:
    stage.world.host.add(a_dpu())
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        server.hold_after = 1000
        await stage.world.host.create(a_bfb(server.url()))
        await stage.until(manager, server.reached.is_set)
        await stage.delete()
        await stage.settle(manager, 2)
        assert stage.downloads.tasks == ()
        assert stage.told("Downloaded")[:2] == ("False", "AwaitingDeletion")
        assert stage.told("Ready")[:2] == ("False", "AwaitingDeletion")


async def test_recreated_with_a_new_url_while_the_old_download_runs(stage: Stage) -> None:
    async with a_server(BUNDLE) as old, a_server(OTHER) as new, stage.controller() as manager:
        old.hold_after = 1000
        await stage.world.host.create(a_bfb(old.url()))
        await stage.until(manager, old.reached.is_set)
        await stage.delete()
        await stage.until(manager, lambda: stage.bfb() is None)
        await stage.world.host.create(a_bfb(new.url()))
        old.release.set()
        await stage.settle(manager, 10)
    assert stage.phase() == "Ready"
    assert {name: data for name, data in stage.on_disk.items() if not name.endswith(".json")} == {FILE: OTHER}


@pytest.mark.parametrize("finished", [False, True], ids=["running", "finished"])
async def test_recreated_after_its_finalizer_was_taken_off(stage: Stage, finished: bool) -> None:
    """Nobody could clean up: the old download still runs, or its file is still there; the new bytes win."""
    async with a_server(BUNDLE) as old, a_server(OTHER) as new, stage.controller() as manager:
        old.hold_after = None if finished else 1000
        await stage.world.host.create(a_bfb(old.url()))
        await stage.until(manager, lambda: stage.phase() == "Ready" if finished else old.reached.is_set())
        await stage.world.host.patch(BFB, NAME, NAMESPACE, patch={"metadata": {"finalizers": None}})
        await stage.delete()
        await stage.world.host.create(a_bfb(new.url()))
        await stage.until(manager, lambda: stage.phase() == "Ready")
        old.release.set()
        await stage.settle(manager, 10)
    assert {name: data for name, data in stage.on_disk.items() if not name.endswith(".json")} == {FILE: OTHER}
    assert len([name for name in stage.on_disk if name.endswith(".json")]) == 1
    bfb = stage.bfb()
    assert bfb is not None
    assert bfb.status.versions is not None
    assert bfb.status.versions.doca == "3.0.0"


async def test_a_file_name_belongs_to_one_bfb_of_all_namespaces(stage: Stage) -> None:
    taken = f"spec.fileName 'one.bfb' is already used by BFB '{NAMESPACE}/first'"
    async with a_server(BUNDLE) as server, a_server(OTHER) as other, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url(), name="first", file_name="one.bfb"))
        await stage.settle(manager, 5)
        second = a_bfb(other.url(), name="second", file_name="one.bfb", created="2026-01-01T00:00:05Z")
        await stage.world.host.create(second)
        await stage.settle(manager, 5)
        assert stage.phase("second") == "Initializing"
        assert stage.told("Initialized", "second") == ("False", "Failure", taken)
        assert stage.told("Ready", "second")[1] == "Failure"
        assert other.asked == []
        writes = list(stage.world.writes)
        await stage.settle(manager, 60, step_s=10)
        assert stage.world.writes == writes
        await stage.delete("second")
        await stage.settle(manager, 5)
        assert stage.on_disk["one.bfb"] == BUNDLE, "the second one takes nothing with it"
        await stage.world.host.create(second)
        await stage.settle(manager, 5)
        await stage.delete("first")
        await stage.settle(manager, 10)
        assert stage.phase("second") == "Ready"
        assert stage.on_disk["one.bfb"] == OTHER


async def test_of_two_that_begin_at_once_the_older_one_gets_the_name(stage: Stage) -> None:
    """Both were given it before either saw the other; the younger one gives way and removes nothing."""
    younger = a_bfb("http://192.0.2.1/x.bfb", name="younger", file_name="one.bfb", created="2026-01-01T00:00:01Z")
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        older = a_bfb(server.url(), name="older", file_name="one.bfb")
        given = {"phase": "Downloading", "fileName": "one.bfb"}
        stage.world.host.add(older, younger)
        for name in ("older", "younger"):
            await stage.world.host.patch(BFB, name, NAMESPACE, patch={"status": given}, subresource="status")
        await stage.settle(manager, 10)
        assert (stage.phase("older"), stage.phase("younger")) == ("Ready", "Initializing")
        await stage.delete("younger")
        await stage.settle(manager, 5)
    assert stage.on_disk["one.bfb"] == BUNDLE


@pytest.mark.parametrize(("change", "why"), [
    ({"url": "http://[bad/x.bfb"}, "spec.url is not a URL: check host and port; delete the BFB and create it again"),
    ({"url": "http:///x.bfb"}, "spec.url is not an http or https URL with a host; delete the BFB and create it again"),
    ({"fileName": "../x.bfb"}, "spec.fileName '../x.bfb' is not a file name of the form <letters, digits, _ - .>.bfb"),
])
async def test_what_is_wrong_in_the_object_is_said(stage: Stage, change: dict[str, str], why: str) -> None:
    async with stage.controller() as manager:
        await stage.world.host.create(a_bfb())
        await stage.world.host.patch(BFB, NAME, NAMESPACE, patch={"spec": change})
        await stage.settle(manager, 5)
        assert stage.phase() == "Initializing"
        assert stage.told("Initialized") == ("False", "Failure", why)
        await stage.delete()
        await stage.settle(manager, 2)
    assert stage.bfb() is None


async def test_an_object_without_a_spec_is_no_crash(stage: Stage) -> None:
    stage.world.host.add(BFB(metadata=a_bfb().metadata))
    async with stage.controller() as manager:
        await stage.settle(manager, 5)
    assert stage.told("Initialized")[1] == "Failure"


async def test_files_that_cannot_be_removed_hold_it_and_say_why(stage: Stage) -> None:
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 5)
        (stage.folder / FILE).unlink()
        (stage.folder / FILE).mkdir()
        await stage.delete()
        await stage.settle(manager, 5)
        assert stage.told("Deleted") == (
            "False", "Error", f"cannot remove a file from the BFB volume {stage.folder}: Is a directory"
        )
        assert any(event.startswith("Warning FailedDelete: ") for event in stage.events)
        (stage.folder / FILE).rmdir()
        await stage.settle(manager, 60)
    assert stage.bfb() is None
