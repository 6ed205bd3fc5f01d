"""What the gNOI client says and does when a DMS, or the way to it, does not do what it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from tests.support.dmss import BUNDLE, CONFIGURATION, VERSION, Rig, a_rig, identity, until

from dpf.api.provisioning import DPUMode
from dpf.emulation import bfb
from dpf.emulation.dms.faults import Faults
from dpf.emulation.dms.settings import Timings
from dpf.provisioning.install.gnoi import messages
from dpf.provisioning.install.port import (
    Activate,
    Card,
    Cause,
    InstallError,
    Order,
    Outcome,
    SetMode,
    Sight,
    Silence,
    Topic,
    Transfer,
)
from dpf.provisioning.install.redfish.tls import Identity

LARGE = bfb.build(size=6 << 20)


async def silence_of(rig: Rig, card: Card | None = None) -> Silence:
    silence = await rig.installer.look(card or rig.at())
    assert isinstance(silence, Silence), silence
    return silence


@asynccontextmanager
async def listening(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """The port of somebody who answers every connection like this. Nobody may connect any more at its end."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await answer(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def connections_to(port: int) -> int:
    """TCP connections of this machine that are established to a port of its loopback address, in either table."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return sum(remote.endswith(f"0100007F:{port:04X}") and state == "01" for _, _, remote, state, *_ in rows)


@asynccontextmanager
async def serving(rig: Rig, install: Callable[..., AsyncIterator[bytes]]) -> AsyncIterator[int]:
    """A DMS of another make, which answers Install like this and nothing else."""
    server = grpc.aio.server()
    methods = {messages.INSTALL.name: grpc.stream_stream_rpc_method_handler(install)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(messages.OS, methods),))
    pair = [(rig.shows.key_pem, rig.shows.certificate_pem)]
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair))
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def test_a_dms_of_another_version_is_unreadable(tmp_path: Path) -> None:
    async def nothing(requests: object, context: object) -> AsyncIterator[bytes]:
        yield b""

    async with a_rig(tmp_path) as rig, serving(rig, nothing) as port:
        silence = await silence_of(rig, replace(rig.at(), port=port))

        assert silence.cause is Cause.UNREADABLE
        assert "does not know this call" in silence.why


async def test_a_dms_that_has_just_started_is_seen_at_once(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.dms.close()
        first, second = [await silence_of(rig) for _ in range(2)]
        await rig.restart()
        sight = await rig.installer.look(rig.at())

        assert first == second
        assert first.cause is Cause.UNREACHABLE
        assert first.why == (
            f"the DMS at {rig.at().address} cannot be reached: Connection refused; is the DMS pod of this host running?"
        )
        assert isinstance(sight, Sight)


@pytest.mark.parametrize(("shown", "why"), [
    ({"issuer": "other-ca"}, "not issued by our CA"), ({"expired": True}, "has expired"),
    ({"server": "127.0.0.9"}, "its certificate is for another address"),
], ids=["other CA", "expired", "other address"])
async def test_a_stranger_at_the_address_is_not_trusted_and_gets_no_order(
    tmp_path: Path, shown: dict[str, object], why: str
) -> None:
    async with a_rig(tmp_path) as rig:
        rig.shows = identity(**{"server": "127.0.0.1", **shown})  # type: ignore[arg-type]
        silence = await silence_of(rig)
        with pytest.raises(InstallError) as caught:
            await rig.installer.order(rig.at(), SetMode(mode=DPUMode.NIC))

        assert silence.cause is Cause.UNTRUSTED
        assert why in silence.why
        assert caught.value.silence == silence
        assert not caught.value.doubtful
        assert rig.card().record.mode == "DPU"


async def test_who_has_no_certificate_of_the_ca_is_rejected(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.ours = identity("other-ca")
        silence = await silence_of(rig)

        assert silence.cause is Cause.REJECTED
        assert "may not accept our client certificate" in silence.why


async def test_without_certificates_nobody_is_asked(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.ours = None

        assert (await silence_of(rig)).cause is Cause.UNTRUSTED


async def test_certificates_that_cannot_be_read_are_not_quoted(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.ours = Identity(ca_pem=b"x", certificate_pem=b"secret-text", key_pem=b"secret-text")
        silence = await silence_of(rig)

        assert silence.cause is Cause.UNTRUSTED
        assert "secret-text" not in silence.why


async def test_renewed_certificates_count_at_once_on_both_sides(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        assert isinstance(await rig.installer.look(rig.at()), Sight)
        rig.shows = identity("new-ca", trusts="new-ca", server="127.0.0.1")
        rig.ours = identity("new-ca", trusts="new-ca")

        assert isinstance(await rig.installer.look(rig.at()), Sight)


async def test_a_dms_that_never_answers_is_given_up_and_delays_no_other_card(tmp_path: Path) -> None:
    async with a_rig(tmp_path, cards=2, ask_s=0.3) as rig:
        rig.card().set_faults(Faults(never_answers=True))
        hanging = asyncio.create_task(rig.installer.look(rig.at()))
        assert isinstance(await rig.installer.look(rig.at(1)), Sight)
        assert not hanging.done()

        silence = await hanging
        assert silence == Silence(
            cause=Cause.UNREACHABLE, why=f"the DMS at {rig.at().address} does not answer in time"
        )


async def test_something_that_takes_the_connection_and_says_nothing_is_unreachable(tmp_path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with listening(hang) as port, a_rig(tmp_path, connect_s=0.3) as rig:
        silence = await silence_of(rig, replace(rig.at(), port=port))

        assert silence.cause is Cause.UNREACHABLE
        assert "no answer within 0.3 s" in silence.why


async def test_something_that_is_no_dms_is_unreadable(tmp_path: Path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ready\r\n")
        await writer.drain()
        writer.close()

    async with listening(greet) as port, a_rig(tmp_path) as rig:
        silence = await silence_of(rig, replace(rig.at(), port=port))

        assert silence.cause is Cause.UNREADABLE
        assert "does not speak TLS" in silence.why


async def test_a_host_that_has_no_address_is_unreachable(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        silence = await silence_of(rig, replace(rig.at(), host="unix"))

        assert silence.cause is Cause.UNREACHABLE


@pytest.mark.parametrize("order", [
    Activate(version=VERSION), SetMode(mode=DPUMode.DPU), Transfer(version=CONFIGURATION, path="/dev/null"),
])
async def test_an_order_that_was_not_heard_may_be_given_again(tmp_path: Path, order: Order) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.dms.close()
        with pytest.raises(InstallError) as caught:
            await rig.installer.order(rig.at(), order)

        assert (caught.value.retryable, caught.value.doubtful) == (True, False)
        assert caught.value.silence is not None


async def test_an_activation_whose_answer_got_lost_is_doubtful_and_not_given_twice(tmp_path: Path) -> None:
    async with a_rig(tmp_path, timings=Timings(flash_s=60.0)) as rig:
        await rig.transfer(rig.at())
        rig.card().set_faults(Faults(answer_lost=1))
        with pytest.raises(InstallError) as doubtful:
            await rig.installer.order(rig.at(), Activate(version=VERSION))
        with pytest.raises(InstallError) as busy:
            await rig.installer.order(rig.at(), Activate(version=VERSION))

        assert (doubtful.value.doubtful, busy.value.busy) == (True, True)
        assert (await rig.see(Topic.INSTALLED)).running == VERSION
        assert len(rig.card().record.activations) == 1


async def test_a_transfer_that_breaks_off_leaves_nothing_and_is_repeated(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(reset_transfer=1))
        with pytest.raises(InstallError, match="broke the connection off") as caught:
            await rig.transfer(rig.at(), bundle=LARGE)
        held = (await rig.see(Topic.INSTALLED, task=VERSION)).installed
        await rig.install(rig.at(), bundle=LARGE)

        assert (caught.value.retryable, caught.value.doubtful, held) == (True, False, ())
        assert (await rig.ended()).outcome is Outcome.SUCCESS
        assert not list((tmp_path / "cards" / "dpu-0" / "images").glob(".part-*"))


async def test_a_transfer_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        order = Transfer(version=BUNDLE, path=rig.file(BUNDLE, bfb.build(size=64 << 20)))
        transfer = asyncio.create_task(rig.installer.order(rig.at(), order))
        images = tmp_path / "cards" / "dpu-0" / "images"
        await until(lambda: list(images.glob(".part-*")))
        transfer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await transfer
        await until(lambda: not list(images.iterdir()))

        assert (await rig.see(Topic.INSTALLED, task=VERSION)).installed == ()


async def test_a_second_transfer_to_the_same_card_waits_without_an_attempt(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        incoming = rig.card().receive(BUNDLE)
        with pytest.raises(InstallError) as caught:
            await rig.transfer(rig.at())
        rig.card().end(incoming)

        assert caught.value.busy
        await rig.transfer(rig.at())


async def test_a_transfer_that_makes_no_progress_is_given_up(tmp_path: Path) -> None:
    async def take_nothing(requests: object, context: object) -> AsyncIterator[bytes]:
        yield messages.InstallResponse(transfer_ready=messages.TransferReady()).SerializeToString()
        await asyncio.Event().wait()

    async with a_rig(tmp_path, stall_s=0.3) as rig, serving(rig, take_nothing) as port:
        order = Transfer(version=BUNDLE, path=rig.file(BUNDLE, LARGE))
        with pytest.raises(InstallError, match="takes no more of the file") as caught:
            await rig.installer.order(replace(rig.at(), port=port), order)

        assert (caught.value.retryable, caught.value.doubtful) == (True, False)


@pytest.mark.parametrize(("answers", "why"), [
    ((), "does not say how"), ((b"\xff\xff",), "answers Install with something else"),
    ((messages.InstallResponse().SerializeToString(),), "does not keep to the order"),
], ids=["nothing", "no message", "empty message"])
async def test_a_transfer_that_is_answered_without_sense_is_an_error(
    tmp_path: Path, answers: tuple[bytes, ...], why: str
) -> None:
    async def talk(requests: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
        await anext(requests)
        for answer in answers:
            yield answer

    async with a_rig(tmp_path) as rig, serving(rig, talk) as port:
        order = Transfer(version=BUNDLE, path=rig.file(BUNDLE, LARGE))
        with pytest.raises(InstallError, match=why):
            await rig.installer.order(replace(rig.at(), port=port), order)


async def test_a_slow_card_is_waited_for(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(slow=0.05))

        assert isinstance(await rig.installer.look(rig.at()), Sight)


async def test_a_connection_that_nobody_uses_is_closed_and_opened_again(tmp_path: Path) -> None:
    async with a_rig(tmp_path, idle_s=0.0) as rig:
        for _ in range(3):
            assert isinstance(await rig.installer.look(rig.at()), Sight)
            await until(lambda: not connections_to(rig.dms.port))


async def test_cards_of_a_host_share_a_connection_that_stays(tmp_path: Path) -> None:
    async with a_rig(tmp_path, cards=3) as rig:
        for number in (0, 1, 2, 0):
            assert isinstance(await rig.installer.look(rig.at(number)), Sight)

        assert connections_to(rig.dms.port) == 1


async def test_an_address_that_is_none_is_refused_for_good(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        with pytest.raises(InstallError, match="PCI address") as caught:
            await rig.installer.order(replace(rig.at(), target="0000:é"), SetMode(mode=DPUMode.DPU))

        assert not caught.value.retryable
