"""The emulated DMS as any gNOI client sees it, and as a program of its own."""

from __future__ import annotations

import asyncio
import base64
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from tests.support import ownrepository
from tests.support.dmss import BFCFG, BUNDLE, CONFIGURATION, VERSION, Rig, a_rig, identity, target, until

from dpf.emulation import bfb
from dpf.emulation.dms import faults
from dpf.emulation.dms.faults import Faults
from dpf.emulation.dms.server import DMS
from dpf.provisioning.install.gnoi import messages as m
from dpf.provisioning.install.gnoi.installer import GNOIInstaller
from dpf.provisioning.install.gnoi.messages import Method, Refusal
from dpf.provisioning.install.port import Activate, Card, Outcome, Sight, Topic
from dpf.provisioning.install.redfish.tls import Identity


@asynccontextmanager
async def a_client(rig: Rig) -> AsyncIterator[grpc.aio.Channel]:
    ours = identity()
    credentials = grpc.ssl_channel_credentials(ours.ca_pem, ours.key_pem, ours.certificate_pem)
    async with grpc.aio.secure_channel(f"127.0.0.1:{rig.dms.port}", credentials) as channel:
        yield channel


async def call(rig: Rig, method: Method, request: bytes, *, at: str | None = None) -> Any:
    metadata = (("target", at),) if at is not None else ()
    async with a_client(rig) as channel:
        unary: Any = channel.unary_unary(method.path)
        return method.response.FromString(await unary(request, metadata=metadata, timeout=5))


async def transfer(rig: Rig, *requests: Any) -> list[Any]:
    async with a_client(rig) as channel:
        stream: Any = channel.stream_stream(m.INSTALL.path)
        going = stream((one.SerializeToString() for one in requests), timeout=5)
        return [m.InstallResponse.FromString(raw) async for raw in going]


def named(version: str, size: int = 0) -> Any:
    return m.InstallRequest(transfer_request=m.TransferRequest(version=version, package_size=size))


def pieces(content: bytes, size: int) -> Iterable[Any]:
    return [m.InstallRequest(transfer_content=content[n:n + size]) for n in range(0, len(content), size)]


@pytest.mark.parametrize(("method", "request_", "code"), [
    (m.ACTIVATE, b"\xff", "INVALID_ARGUMENT"),
    (m.ACTIVATE, m.ActivateRequest(version="a", no_reboot=True).SerializeToString(), "UNIMPLEMENTED"),
    (m.REBOOT_STATUS, m.RebootStatusRequest(
        subcomponents=[m.SystemPath(elem=[m.SystemPathElem(name="FAN")])]).SerializeToString(), "INVALID_ARGUMENT"),
    (m.REBOOT, b"", "INVALID_ARGUMENT"),
    (m.SET, m.SetRequest(update=[m.Update(path=m.path("x"))]).SerializeToString(), "NOT_FOUND"),
    (m.SET, m.SetRequest(update=[m.Update(
        path=m.path(*m.MODE), val=m.TypedValue(string_val="x"))]).SerializeToString(), "INVALID_ARGUMENT"),
    (m.GET, m.GetRequest(path=[m.path("x")]).SerializeToString(), "NOT_FOUND"),
], ids=["no message", "no reboot", "part", "method", "setting", "value", "question"])
async def test_a_call_that_makes_no_sense_is_refused(
    tmp_path: Path, method: Method, request_: bytes, code: str
) -> None:
    async with a_rig(tmp_path) as rig:
        before = msgspec.to_builtins(rig.card().record)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(rig, method, request_)

        assert caught.value.code().name == code
        assert msgspec.to_builtins(rig.card().record) == before


async def test_with_several_cards_the_target_is_needed(tmp_path: Path) -> None:
    async with a_rig(tmp_path, cards=2) as rig:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(rig, m.VERIFY, b"")

        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert (await call(rig, m.VERIFY, b"", at=target(1))).version == ""


async def test_progress_is_told_and_the_whole_file_is_validated(tmp_path: Path) -> None:
    content = bfb.build(size=6 << 20)
    async with a_rig(tmp_path) as rig:
        end = m.InstallRequest(transfer_end=m.TransferEnd())
        answers = await transfer(rig, named(BUNDLE, len(content)), *pieces(content, 1 << 20), end)

        kinds = [answer.WhichOneof("response") for answer in answers]
        assert kinds == ["transfer_ready", "transfer_progress", "validated"]
        assert answers[1].transfer_progress.bytes_received == 5 << 20


@pytest.mark.parametrize("requests", [
    (named(BUNDLE), m.InstallRequest(transfer_content=b"x")), (m.InstallRequest(transfer_content=b"x"),), (),
], ids=["not ended", "not named", "nothing"])
async def test_a_transfer_that_is_none_leaves_nothing(tmp_path: Path, requests: tuple[Any, ...]) -> None:
    async with a_rig(tmp_path) as rig:
        with pytest.raises(grpc.aio.AioRpcError):
            await transfer(rig, *requests)

        assert list((tmp_path / "cards" / "dpu-0" / "images").iterdir()) == []


async def test_another_size_than_announced_is_refused(tmp_path: Path) -> None:
    content = bfb.build()
    async with a_rig(tmp_path) as rig:
        end = m.InstallRequest(transfer_end=m.TransferEnd())
        answers = await transfer(rig, named(BUNDLE, 5), *pieces(content, 1 << 20), end)

        assert answers[-1].install_error.type == Refusal.INTEGRITY_FAIL


async def test_a_restart_starts_the_system_anew(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.install(rig.at())
        await rig.ended()
        await call(rig, m.REBOOT, m.RebootRequest(method=1).SerializeToString())
        await rig.until(lambda sight: len(rig.systems.booted) > 1)

        assert [count for _, count, _ in rig.systems.booted] == [1, 2]


async def test_why_the_last_activation_failed_is_part_of_its_verification(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(failure=1))
        await rig.install(rig.at())
        await rig.ended()

        assert "gave up" in (await call(rig, m.VERIFY, b"")).activation_fail_message


async def test_an_address_in_use_is_an_error(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        second = DMS(
            tmp_path / "second", {"a": "a"}, identity=lambda: rig.shows, listen=f"127.0.0.1:{rig.dms.port}"
        )
        with pytest.raises(OSError, match="is it in use"):
            await second.start()


class Program:
    """`python -m dpf.emulation.dms` with the files of a pod."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: list[dict[str, Any]] = []
        self.process: asyncio.subprocess.Process | None = None
        self.port = 0
        for name in ("tls", "bfb"):
            (folder / name).mkdir(exist_ok=True)
        bfb.write(folder / "bfb" / BUNDLE)
        (folder / "bfb" / CONFIGURATION).write_bytes(BFCFG)

    def show(self, shown: Identity) -> None:
        for name, content in (("crt", shown.certificate_pem), ("key", shown.key_pem)):
            (self.folder / "tls" / f"tls.{name}").write_bytes(content)
        (self.folder / "tls" / "ca.crt").write_bytes(shown.ca_pem)

    async def start(self) -> None:
        arguments = [
            "--listen", f"127.0.0.1:{self.port}", "--tls-dir", self.folder / "tls", "--folder", self.folder / "cards",
            "--target", "0000:0e:00.0=dpu-0", "--bfb-folder", self.folder / "bfb",
            "--boot-socket", self.folder / "boot.sock", "--no-latency",
        ]
        words = [sys.executable, "-m", "dpf.emulation.dms", *map(str, arguments)]
        self.process = await asyncio.create_subprocess_exec(*words)

    async def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return await self.process.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(msgspec.json.decode(await reader.readline()))
        writer.write(b'{"ok": true}\n')
        writer.close()


async def test_the_program_installs_and_tells_the_hardware_and_survives_a_kill(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.port = ownrepository.free_port()
    program.show(identity(server="127.0.0.1"))
    ours = identity()
    installer = GNOIInstaller(lambda: ours)
    card = Card(name="dpu-0", host="127.0.0.1", port=program.port, target="0000:0e:00.0")
    await program.start()
    try:
        await seen(installer, card)
        await installer.order(card, Activate(version=VERSION))
        sight = await seen(installer, card, lambda s: s.activation is not None and not s.activation.is_active)
        await program.end(signal.SIGKILL)
        hardware = await asyncio.start_unix_server(program.serve, tmp_path / "boot.sock")
        await program.start()
        after = await seen(installer, card)
        await until(lambda: program.heard)
        hardware.close()

        assert sight.activation is not None
        assert (sight.running, sight.activation.outcome) == (VERSION, Outcome.SUCCESS)
        assert after.running == VERSION
        assert program.heard == [
            {"card": "dpu-0", "count": 1, "install": "1", "bfcfg": base64.b64encode(BFCFG).decode()}
        ]
    finally:
        await installer.aclose()
        assert await program.end(signal.SIGTERM) == 0


async def test_the_program_takes_faults_and_renewed_certificates_while_it_runs(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.port = ownrepository.free_port()
    program.show(identity(server="127.0.0.1"))
    ours = identity()
    installer = GNOIInstaller(lambda: ours)
    card = Card(name="dpu-0", host="127.0.0.1", port=program.port, target="0000:0e:00.0")
    await program.start()
    try:
        await seen(installer, card)
        program.show(identity("new-ca", trusts="new-ca", server="127.0.0.1"))
        ours = identity("new-ca", trusts="new-ca")
        await seen(installer, card)
        faults.write(tmp_path / "cards" / "dpu-0", Faults(failure=1))
        await installer.order(card, Activate(version=VERSION))
        sight = await seen(installer, card, lambda s: s.activation is not None and not s.activation.is_active)

        assert sight.activation is not None
        assert sight.activation.outcome is Outcome.FAILURE
    finally:
        await installer.aclose()
        assert await program.end(signal.SIGTERM) == 0


async def seen(installer: GNOIInstaller, card: Card, accept: Any = lambda sight: True) -> Sight:
    async with asyncio.timeout(20):
        while True:
            sight = await installer.look(card, topics=Topic.INSTALLED)
            if isinstance(sight, Sight) and accept(sight):
                return sight
            await asyncio.sleep(0.02)
