"""Servers and volumes that misbehave while a BFB is downloaded (behaviour-provisioning.md 16: 2; resolutions row 6)."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.bfbs import FILE, Stage, a_bfb, phases_seen
from tests.support.bundleserver import BundleServer, a_server

from dpf.emulation import bfb as emulated
from dpf.provisioning.bfb import files
from dpf.provisioning.bfb.connecting import Limits

BUNDLE = emulated.build(size=1 << 16)
CUT = "downloaded file size mismatch: expected 65536 bytes, got 1000 bytes"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "bfb")


async def test_a_server_that_closes_early_is_tried_four_times_and_leaves_no_target(stage: Stage) -> None:
    seen = phases_seen(stage)
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        server.cut = 1000
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 60)
        assert len(server.asked) == 4
    assert seen == ["Initializing", "Downloading", "Error"]
    assert stage.told("Downloaded") == ("False", "Error", CUT)
    assert stage.told("Error")[:2] == ("True", "Error")
    assert stage.condition("Error").message.startswith(f"{CUT}. Tried 4 times; the next attempt is at 2026-01-01T00:1")
    assert [name for name in stage.on_disk if not name.endswith(".json")] == []
    assert [event for event in stage.events if "FailedDownload" in event] == [f"Warning FailedDownload: {CUT}"]


async def test_between_attempts_it_stays_in_downloading_and_says_why(stage: Stage) -> None:
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        server.status = 503
        await stage.world.host.create(a_bfb(server.url()))
        await stage.until(manager, lambda: stage.condition("Downloaded").reason == "Retrying")
        assert stage.phase() == "Downloading"
        why = f"http://127.0.0.1:{server.port} answers with status 503 Service Unavailable; attempt 2 of 4"
        assert stage.told("Downloaded") == ("False", "Retrying", why)
        server.status = 200
        await stage.settle(manager, 30)
    assert stage.phase() == "Ready"


async def test_error_is_tried_again_every_ten_minutes_and_given_up_after_six_hours(stage: Stage) -> None:
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        server.status = 404
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 60)
        assert len(server.asked) == 4
        await stage.settle(manager, 540, step_s=10)
        assert len(server.asked) == 4
        await stage.settle(manager, 60, step_s=10)
        assert len(server.asked) == 5
        await stage.settle(manager, 6 * 3600, step_s=60)
        assert 35 <= len(server.asked) <= 40
        asked, writes = len(server.asked), list(stage.world.writes)
        await stage.settle(manager, 6 * 3600, step_s=600)
        assert (len(server.asked), stage.world.writes) == (asked, writes)
    why = f"http://127.0.0.1:{server.port} answers with status 404 Not Found"
    assert stage.told("Downloaded") == ("False", "Failure", why)
    assert stage.told("Error") == ("True", "Failure", (
        f"{why}. Tried {asked} times and given up. Next step: see that the server has the file, then delete the BFB "
        "and create it again"
    ))


async def test_a_server_that_comes_back_is_found_from_error(stage: Stage) -> None:
    seen = phases_seen(stage)
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        server.status = 500
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 60)
        server.status = 200
        await stage.settle(manager, 660, step_s=10)
    assert seen == ["Initializing", "Downloading", "Error", "Downloading", "Ready"]
    assert stage.on_disk[FILE] == BUNDLE


async def test_the_attempts_are_counted_across_restarts(stage: Stage) -> None:
    async with a_server(BUNDLE) as server:
        server.status = 500
        await stage.world.host.create(a_bfb(server.url()))
        for _ in range(6):
            async with stage.controller() as manager:
                await stage.settle(manager, 12)
        assert len(server.asked) == 4
    assert stage.phase() == "Error"


async def test_a_server_that_allows_it_is_asked_for_the_rest_only(stage: Stage) -> None:
    async with a_server(BUNDLE, etag='"v1"') as server, stage.controller() as manager:
        server.cut = 30_000
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 60)
        assert [(a.range, a.if_range) for a in server.asked] == [
            (None, None), ("bytes=30000-", '"v1"'), ("bytes=60000-", '"v1"'),
        ]
    assert stage.phase() == "Ready"
    assert stage.on_disk[FILE] == BUNDLE


async def test_a_bundle_that_was_replaced_meanwhile_comes_anew(stage: Stage) -> None:
    other = emulated.build(emulated.Versions(doca="3.0.0058-1"), size=1 << 16, seed=1)
    async with a_server(BUNDLE, etag='"v1"') as server, stage.controller() as manager:
        server.cut = 30_000
        await stage.world.host.create(a_bfb(server.url()))
        await stage.until(manager, lambda: stage.condition("Downloaded").reason == "Retrying")
        server.body, server.etag, server.cut = other, '"v2"', None
        await stage.settle(manager, 30)
    assert stage.on_disk[FILE] == other


def _status(server: BundleServer) -> None:
    server.status = 404


def _reset(server: BundleServer) -> None:
    server.raw = b""


def _nonsense(server: BundleServer) -> None:
    server.raw = b"SSH-2.0-OpenSSH_9.6\r\n"


def _silence(server: BundleServer) -> None:
    server.hold_after = 100


def _compressed(server: BundleServer) -> None:
    server.encoding = "br"


def _elsewhere(server: BundleServer) -> None:
    server.redirect = "ftp://example.com/x.bfb"


def _in_circles(server: BundleServer) -> None:
    server.redirect = server.url()


@pytest.mark.parametrize(("spoil", "why"), [
    (_status, "http://{} answers with status 404 Not Found"),
    (_reset, "http://{} closes the connection without an answer"),
    (_nonsense, "http://{} answers with something that is not HTTP"),
    (_silence, "http://{} does not answer in time"),
    (_compressed, "http://{} answers in an encoding that was not asked for"),
    (_elsewhere, "http://{} redirects to something that is no http or https URL"),
    (_in_circles, "http://{} redirects more than 5 times"),
])
async def test_what_a_server_did_is_said(stage: Stage, spoil: object, why: str) -> None:
    stage.limits = Limits(connect_s=1.0, silence_s=0.1, connect_pause_s=0.0)
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        spoil(server)  # type: ignore[operator]
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 60)
        assert stage.told("Downloaded") == ("False", "Error", why.format(f"127.0.0.1:{server.port}"))
    assert FILE not in stage.on_disk


async def test_a_bundle_beyond_the_limit_is_refused_at_once(stage: Stage) -> None:
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        server.announced = 1 << 40
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 60)
        assert len(server.asked) == 1
    assert stage.told("Downloaded")[1:] == (
        "Failure", f"http://127.0.0.1:{server.port} answers with more than 32768 MiB"
    )


async def test_nobody_listens(stage: Stage) -> None:
    async with a_server(BUNDLE) as server:
        pass
    async with stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 60)
    assert stage.told("Downloaded")[1:] == (
        "Error", f"http://127.0.0.1:{server.port} cannot be reached: Connection refused"
    )


async def test_an_untrusted_server_gets_nothing_from_us(stage: Stage) -> None:
    async with a_server(BUNDLE, tls=True, trusted=False) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url(user="me:not-for-eyes")))
        await stage.settle(manager, 60)
        assert server.asked == []
    assert stage.condition("Downloaded").message.startswith(f"https://127.0.0.1:{server.port} is not trusted: ")


async def test_a_server_that_drips_is_cut_off_after_the_longest_time(stage: Stage) -> None:
    stage.limits = Limits(total_s=0.2)
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        server.hold_after = 10
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 60)
    assert stage.told("Downloaded")[1:] == ("Error", "the download was not complete after 0.0 hours")


async def test_a_full_volume_is_said_before_anything_is_written(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.Volume, "free", lambda _: 1000)
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        await stage.settle(manager, 60)
        assert stage.told("Downloaded") == ("False", "Error", (
            "the BFB volume is full: 65536 bytes are needed and 1000 are free; free space on it or enlarge it"
        ))
        monkeypatch.undo()
        await stage.settle(manager, 660, step_s=10)
    assert stage.phase() == "Ready"


async def test_a_volume_that_fills_up_meanwhile(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        with monkeypatch.context() as patched:
            patched.setattr("dpf.provisioning.bfb.partial.os.write", full)
            await stage.settle(manager, 60)
        assert stage.told("Downloaded") == ("False", "Error", (
            f"the BFB volume {stage.folder} is full: free space on it or enlarge it"
        ))
        assert "bfb-" not in "".join(name for name in stage.on_disk if not name.endswith(".json"))
        await stage.settle(manager, 660, step_s=10)
    assert stage.phase() == "Ready"


async def test_a_volume_that_cannot_be_written_to_is_a_failure(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the record can be written then: the process remembers."""
    real = files.os.open

    def read_only(path: object, flags: int, *rest: int) -> int:
        if flags & files.os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system")
        return real(path, flags, *rest)  # type: ignore[arg-type]

    async with a_server(BUNDLE) as server, stage.controller() as manager:
        await stage.world.host.create(a_bfb(server.url()))
        with monkeypatch.context() as patched:
            patched.setattr(files.os, "open", read_only)
            await stage.settle(manager, 60)
        assert server.asked == []
    why = f"cannot write to the BFB volume {stage.folder}: Read-only file system"
    assert stage.told("Error") == (
        "True", "Failure", f"{why}. Next step: correct that, then delete the BFB and create it again"
    )


async def test_a_file_that_another_process_writes_is_left_alone(stage: Stage) -> None:
    await stage.world.host.create(a_bfb())
    bfb = stage.bfb()
    assert bfb is not None
    path = stage.folder / f"bfb-{bfb.metadata.uid}"
    async with stage.controller() as manager:
        with path.open("wb") as theirs:
            theirs.write(b"theirs")
            theirs.flush()
            files.lock(theirs.fileno(), path)
            await stage.until(manager, lambda: stage.condition("Downloaded").reason == "Retrying")
            assert stage.condition("Downloaded").message == f"another process is writing {path.name}; attempt 2 of 4"
        assert path.read_bytes() == b"theirs"


async def test_progress_is_told_in_steps_and_seldom(stage: Stage) -> None:
    big = emulated.build(size=40 << 20)
    async with a_server(big) as server, stage.controller() as manager:
        server.hold_after = len(big) * 35 // 100
        await stage.world.host.create(a_bfb(server.url()))
        await stage.until(manager, lambda: "%" in stage.condition("Downloaded").message)
        await server.reached.wait()
        await stage.until(manager, lambda: "30 %" in stage.condition("Downloaded").message)
        assert stage.told("Downloaded") == (
            "False", "Pending", f"Downloading from http://127.0.0.1:{server.port}: 30 % of 40 MiB"
        )
        writes = list(stage.world.writes)
        for _ in range(50):
            stage.world.clock.advance(1)
            await manager.settle()
        assert stage.world.writes == writes
        server.release.set()
        await stage.settle(manager, 10)
    assert stage.phase() == "Ready"
    assert len(stage.world.writes) <= 7


async def test_no_secret_of_a_url_is_told(stage: Stage) -> None:
    stage.limits = replace(stage.limits, connects=1)
    async with a_server(BUNDLE) as server, stage.controller() as manager:
        server.status = 403
        url = server.url("/x.bfb?token=not-for-eyes", user="me:not-for-eyes")
        await stage.world.host.create(a_bfb(url))
        await stage.settle(manager, 60)
        assert server.asked[0].authorization is not None
        assert server.asked[0].path == "/x.bfb?token=not-for-eyes"
    bfb = stage.bfb()
    assert bfb is not None
    assert "not-for-eyes" not in str(bfb.status) + str(stage.events) + str(stage.on_disk)
