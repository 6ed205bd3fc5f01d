"""BMCs that hang, lie, restart or lose their power, and what our client makes of it, over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from tests.support import bmcs
from tests.support.bmcs import BFCFG, PASSWORD, a_rig, authority, identity

from dpf.emulation.bmc import control
from dpf.emulation.bmc.control import ControlError, Deed, Request
from dpf.emulation.bmc.faults import Faults
from dpf.emulation.bmc.settings import Timings
from dpf.provisioning.install.port import (
    Boot,
    Card,
    Cause,
    Install,
    InstallError,
    Restart,
    Silence,
    TaskState,
    Topic,
)
from dpf.provisioning.install.redfish.installer import RedfishInstaller
from dpf.provisioning.install.redfish.transport import Limits, Transport


async def silence_of(rig: bmcs.Rig, name: str = "dpu-0") -> Silence:
    silence = await rig.installer.look(rig.at(name), topics=Topic.BOOT)
    assert isinstance(silence, Silence)
    return silence


async def test_a_bmc_that_never_answers_delays_no_other(tmp_path: Path) -> None:
    async with a_rig(tmp_path, cards=8, limits=Limits()) as rig:
        for n in range(7):
            rig.card(f"dpu-{n}").set_faults(Faults(silent=True))
        hanging = [asyncio.create_task(silence_of(rig, f"dpu-{n}")) for n in range(7) for _ in range(5)]
        await asyncio.sleep(0)
        await rig.see(Topic.BOOT, name="dpu-7")

        assert not any(task.done() for task in hanging)  # they are given up after five seconds
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


@pytest.mark.parametrize(("faults", "cause", "why"), [
    (Faults(silent=True), Cause.UNREACHABLE, "does not answer"),
    (Faults(unavailable=True), Cause.UNREACHABLE, "is not ready (503 Service Unavailable)"),
    (Faults(garbled=True), Cause.UNREADABLE, "answers something that is not JSON"),
], ids=lambda value: value if isinstance(value, str) else "")
async def test_causes_are_told_apart(tmp_path: Path, faults: Faults, cause: Cause, why: str) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(faults)
        silence = await silence_of(rig)

        assert (silence.cause, silence.why) == (cause, f"the BMC at {rig.at().address} {why}")


async def test_a_slow_bmc_is_slow_and_nothing_else(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().set_faults(Faults(delay_s=0.05))
        assert (await rig.see(Topic.BOOT)).boot is Boot.OS_RUNNING


async def test_an_order_whose_answer_got_lost_is_doubtful(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        image = rig.images.bundle()
        await rig.see(Topic.BOOT)
        slow = asyncio.create_task(rig.installer.order(Card(name="d", host="127.0.0.1", port=rig.at().port),
                                                       Install(image=image)))
        rig.card().set_faults(Faults(silent=True))
        with pytest.raises(InstallError) as caught:
            await slow

        assert caught.value.doubtful
        assert caught.value.silence is not None
        assert caught.value.silence.cause is Cause.UNREACHABLE


async def test_an_order_to_nobody_is_not_doubtful(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.card().lose_power()
        with pytest.raises(InstallError, match=r"restarting the Arm cores: the BMC at .* cannot be reached") as caught:
            await rig.installer.order(rig.at(), Restart())

        assert (caught.value.doubtful, caught.value.retryable) == (False, True)


async def test_a_bmc_that_restarts_forgets_tasks_and_cuts_a_transfer_off(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.images.gate.clear()
        task = await rig.installer.order(rig.at(), Install(image=rig.images.bundle()))
        await rig.until(lambda s: bool(s.task and s.task.percent), Topic.TASK, task=task)
        rig.card().reset_bmc()
        lost = (await until_seen(rig, Topic.TASK, task)).task

        assert lost is not None
        assert lost.state is TaskState.LOST
        assert [made.outcome for made in rig.card().record.installs] == ["aborted"]
        assert (await rig.see(Topic.BOOT)).boot is Boot.UEFI


async def until_seen(rig: bmcs.Rig, topic: Topic, task: str | None = None) -> bmcs.Sight:
    """Look until the BMC is back."""
    async with asyncio.timeout(20):
        while isinstance(sight := await rig.installer.look(rig.at(), topics=topic, task=task), Silence):
            continue
    return sight


async def test_a_bmc_is_away_while_it_restarts(tmp_path: Path) -> None:
    async with a_rig(tmp_path, timings=Timings(bmc_reset_s=0.3)) as rig:
        await rig.see(Topic.BOOT)
        rig.card().reset_bmc()
        silence = await silence_of(rig)
        assert silence.cause is Cause.UNREACHABLE
        assert (await until_seen(rig, Topic.BOOT)).boot is Boot.OS_RUNNING


async def test_power_lost_in_the_middle_leaves_no_system(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.finished(await rig.installer.order(rig.at(), Install(image=rig.images.bundle())) or "")
        await rig.until(lambda sight: sight.boot is Boot.OS_RUNNING, Topic.BOOT)
        rig.images.gate.clear()
        await rig.installer.order(rig.at(), Install(image=rig.images.bundle()))
        await rig.until(lambda sight: sight.boot is Boot.UEFI, Topic.BOOT)
        rig.card().lose_power()
        assert (await silence_of(rig)).why == f"the BMC at {rig.at().address} cannot be reached: Connection refused"
        rig.card().restore_power()
        sight = await until_seen(rig, Topic.BOOT)

        assert sight.boot is Boot.UEFI
        assert [made.outcome for made in rig.card().record.installs] == ["booted", "aborted"]
        assert rig.systems.booted == [("dpu-0", 2, BFCFG)]
        assert rig.systems.halted == [("dpu-0", 2)]


async def test_power_that_returns_boots_the_same_system_again(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.finished(await rig.installer.order(rig.at(), Install(image=rig.images.bundle())) or "")
        await rig.until(lambda sight: sight.boot is Boot.OS_RUNNING, Topic.BOOT)
        rig.card().lose_power()
        rig.card().restore_power()
        await until_seen(rig, Topic.BOOT)
        await rig.until(lambda sight: sight.boot is Boot.OS_RUNNING, Topic.BOOT)

        assert rig.systems.booted == [("dpu-0", 2, BFCFG), ("dpu-0", 3, BFCFG)]


async def test_an_installation_goes_on_after_the_emulator_was_killed(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        rig.images.gate.clear()
        task = await rig.installer.order(rig.at(), Install(image=rig.images.bundle()))
        port, image_port = rig.at().port, rig.images.port
    assert image_port
    async with a_rig(tmp_path) as again:
        again.card().record.installs[0].image = again.images.bundle()  # the server of images has another port now
        assert task is not None
        done = await again.finished(task)

        assert again.at().port == port
        assert (done.state, len(again.card().record.installs)) == (TaskState.COMPLETED, 1)


async def test_a_booted_system_is_told_of_again_after_the_emulator_was_killed(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.finished(await rig.installer.order(rig.at(), Install(image=rig.images.bundle())) or "")
        await rig.until(lambda sight: sight.boot is Boot.OS_RUNNING, Topic.BOOT)
    async with a_rig(tmp_path) as again:
        await again.see(Topic.BOOT)
        assert again.systems.booted == [("dpu-0", 2, BFCFG)]


@pytest.mark.parametrize(("who", "cause", "why"), [
    (identity(issuer=authority("stranger")), Cause.REJECTED, "does not accept our client certificate"),
    (identity(trusts=authority("stranger")), Cause.UNTRUSTED, "is not trusted: "),
], ids=["our certificate", "its certificate"])
async def test_certificates_of_another_ca(tmp_path: Path, who: bmcs.Identity, cause: Cause, why: str) -> None:
    async with a_rig(tmp_path, who=who) as rig:
        silence = await silence_of(rig)

        assert silence.cause is cause
        assert why in silence.why


async def test_no_client_certificate_is_refused(tmp_path: Path) -> None:
    async with a_rig(tmp_path, who=bmcs.Identity(ca_pem=authority().pem)) as rig:
        silence = await silence_of(rig)

        assert (silence.cause, silence.why) == (
            Cause.REJECTED, f"the BMC at {rig.at().address} does not accept our client certificate")


@pytest.mark.parametrize(("sans", "is_trusted"), [(("127.0.0.1",), True), (("127.0.0.9",), False), ((), False)])
async def test_the_certificate_is_for_the_address_that_was_called(sans: tuple[str, ...], is_trusted: bool) -> None:
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        return web.json_response({})

    ours = identity()
    async with bmcs.a_tls_server(answer, authority(), sans=sans) as port:
        transport = Transport(lambda: ours, limits=bmcs.QUICK)
        silence = await RedfishInstaller(transport).look(Card(name="d", host="127.0.0.1", port=port))
        await transport.aclose()

    assert isinstance(silence, Silence)
    assert silence.cause is (Cause.UNREADABLE if is_trusted else Cause.UNTRUSTED)
    assert bool(asked) is is_trusted
    if not is_trusted:
        assert silence.why == f"the BMC at 127.0.0.1:{port} is not trusted: its certificate is not for 127.0.0.1"


async def test_a_server_without_end_is_given_up() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(64):
            await response.write(b" " * (1 << 16))
        return response

    ours = identity()
    async with bmcs.a_tls_server(answer, authority()) as port:
        transport = Transport(lambda: ours, limits=bmcs.QUICK)
        silence = await RedfishInstaller(transport).look(Card(name="d", host="127.0.0.1", port=port))
        await transport.aclose()

    assert silence == Silence(
        cause=Cause.UNREADABLE, why=f"the BMC at 127.0.0.1:{port} answers more than {1 << 20} bytes")


async def test_faults_are_set_from_outside_while_it_runs(tmp_path: Path) -> None:
    async with a_rig(tmp_path, cards=2) as rig:
        shown = control.apply(rig.emulator, Request(card="dpu-1", faults={"unavailable": True}))
        assert shown["dpu-1"]["faults"]["unavailable"] is True
        assert (await silence_of(rig, "dpu-1")).cause is Cause.UNREACHABLE
        assert (await rig.see(Topic.BOOT)).boot is Boot.OS_RUNNING

        control.apply(rig.emulator, Request(card="*", clear=True, do=Deed.SHUT_DOWN))
        for name in ("dpu-0", "dpu-1"):
            assert (await rig.see(Topic.BOOT, name=name)).is_standby is True
        assert PASSWORD not in str(control.apply(rig.emulator, Request(card="*")))


@pytest.mark.parametrize(("request_", "text"), [
    (Request(card="nobody"), "there is no card 'nobody'; there are: dpu-0"),
    (Request(card="dpu-0", faults={"bussy": 1}), "there is no fault 'bussy'; there are: busy, "),
    (Request(card="dpu-0", faults={"busy": "often"}), "this fault cannot be: Expected `int`, got `str`"),
])
async def test_nonsense_is_refused_and_changes_nothing(tmp_path: Path, request_: Request, text: str) -> None:
    async with a_rig(tmp_path) as rig:
        with pytest.raises(ControlError) as caught:
            control.apply(rig.emulator, request_)

        assert text in str(caught.value)
        assert rig.card().record.faults == Faults()
