"""A BMC as it leaves the factory becomes ours: password, truststore, certificates (scenarios 18 to 24)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from tests.support import bmcs
from tests.support.bmcs import PASSWORD, a_rig, authority, identity, sign

from dpf.api.provisioning import DPUType
from dpf.emulation.bmc.faults import Faults
from dpf.provisioning.install.port import Cause, Sight, Silence, Topic
from dpf.provisioning.install.redfish import discovery, errors, login, setup
from dpf.provisioning.install.redfish.bmc import BMC
from dpf.provisioning.install.redfish.discovery import Foreign, Found
from dpf.provisioning.install.redfish.setup import Setup, Synced
from dpf.provisioning.install.redfish.transport import Login, Target, Transport

FACTORY = login.FACTORY_PASSWORD


def target(rig: bmcs.Rig, *, proven: bool = False, user: Login | None = None) -> Target:
    return Target(address=rig.at().address, proven=proven, login=user)


async def logged_in(rig: bmcs.Rig) -> Setup:
    """The set-up of a new BMC, after its password was settled."""
    account = await login.settle(rig.transport, target(rig), PASSWORD)
    return Setup(BMC(rig.transport, target(rig, user=account.login)))


def now() -> datetime:
    return datetime.now(UTC)


async def make_ours(step: Setup, host: str = "127.0.0.1") -> None:
    """Every step, in the order of the controller."""
    await step.sync_trusted(authority().pem)
    await step.install_certificate(sign(await step.request_certificate(host)))
    await step.turn_tls_login_on()


async def test_a_new_bmc_becomes_ours_step_by_step(tmp_path: Path) -> None:
    async with a_rig(tmp_path, factory_new=True) as rig:
        before = await rig.installer.look(rig.at(), topics=Topic.BOOT)
        assert isinstance(before, Silence)
        assert before.cause is Cause.UNTRUSTED

        await make_ours(await logged_in(rig))

        assert isinstance(await rig.installer.look(rig.at(), topics=Topic.BOOT), Sight)
        stranger = Transport(lambda: identity(issuer=authority("stranger")), limits=bmcs.QUICK)
        with pytest.raises(errors.Rejected):
            await BMC(stranger, target(rig, proven=True)).get("/redfish/v1/Managers")
        await stranger.aclose()
        with pytest.raises(errors.Rejected):
            await BMC(rig.transport, target(rig)).get("/redfish/v1/Managers")


async def test_what_decides_the_next_step_is_observed(tmp_path: Path) -> None:
    async with a_rig(tmp_path, factory_new=True) as rig:
        step = await logged_in(rig)
        new = await step.observe(now)
        assert (new.trusted, new.is_tls_login_on, new.firmware) == ((), False, "BF-24.10-17")
        assert new.served is not None
        assert new.served.common_name == "testhost"

        await make_ours(step)
        ours = await step.observe(now)
        assert ours.served is not None
        assert (ours.served.common_name, ours.served.issuer) == ("127.0.0.1", "CN=bmc-ca")
        assert timedelta(minutes=50) < ours.served.not_after - now() < timedelta(minutes=61)
        assert (len(ours.trusted), ours.is_tls_login_on) == (1, True)
        assert ours.clock_skew_s is not None
        assert abs(ours.clock_skew_s) < 5


async def test_the_factory_password_is_changed_once(tmp_path: Path) -> None:
    async with a_rig(tmp_path, factory_new=True) as rig:
        first = await login.settle(rig.transport, target(rig), PASSWORD)
        second = await login.settle(rig.transport, target(rig), PASSWORD)

        assert (first.changed, second.changed) == (True, False)
        with pytest.raises(errors.Rejected):
            await login.verify(rig.transport, target(rig), FACTORY)


async def test_the_factory_password_is_none_of_ours(tmp_path: Path) -> None:
    async with a_rig(tmp_path, factory_new=True) as rig:
        with pytest.raises(errors.PasswordMustChange, match="put another one into it"):
            await login.settle(rig.transport, target(rig), FACTORY)


async def test_a_rotation_tries_the_new_password_and_then_the_former(tmp_path: Path) -> None:
    async with a_rig(tmp_path, factory_new=True) as rig:
        await login.settle(rig.transport, target(rig), PASSWORD)
        rotated = await login.settle(rig.transport, target(rig), "another-password", former=PASSWORD)
        again = await login.settle(rig.transport, target(rig), "another-password", former=PASSWORD)

        assert (rotated.changed, again.changed) == (True, False)


async def test_a_wrong_password_is_rejected_and_a_dead_bmc_is_unreachable(tmp_path: Path) -> None:
    async with a_rig(tmp_path, factory_new=True) as rig:
        await login.settle(rig.transport, target(rig), PASSWORD)
        with pytest.raises(errors.Rejected, match="does not accept the password; correct it in the Secret"):
            await login.settle(rig.transport, target(rig), "wrong-password")
        rig.card().lose_power()
        with pytest.raises(errors.Unreachable):
            await login.settle(rig.transport, target(rig), PASSWORD)


async def test_a_password_that_the_bmc_does_not_take_is_in_no_text(tmp_path: Path) -> None:
    async with a_rig(tmp_path, factory_new=True) as rig:
        with pytest.raises(errors.Refused) as caught:
            await login.settle(rig.transport, target(rig), "sh0rt&<")

        assert "different format" in str(caught.value)
        assert "sh0rt" not in str(caught.value) + repr(caught.value) + caught.value.complaint
        assert "[redacted]" in str(caught.value)


async def test_no_secret_shows_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with a_rig(tmp_path, factory_new=True) as rig:
        step = await logged_in(rig)
        await make_ours(step)
        shown = repr((rig.card().record, Login(user="root", password=PASSWORD), identity(), step, rig.transport))
        with pytest.raises(errors.RedfishError) as caught:
            await login.settle(rig.transport, target(rig), "never-to-be-seen")

        texts = shown + caplog.text + str(caught.value) + repr(caught.value.__context__)
        for secret in (PASSWORD, "never-to-be-seen", "PRIVATE KEY", rig.card().record.key_pem):
            assert secret not in texts


async def test_the_truststore_becomes_the_bundle(tmp_path: Path) -> None:
    async with a_rig(tmp_path, factory_new=True) as rig:
        step = await logged_in(rig)
        for n in range(10):
            rig.card().trust(authority(f"stale-{n}").pem.decode())
        bundle = authority().pem + authority("second").pem + authority().pem

        assert await step.sync_trusted(bundle) == Synced(added=2, removed=10)
        assert await step.sync_trusted(bundle) == Synced()
        assert list(rig.card().record.trusted.values()) == [authority().pem.decode(), authority("second").pem.decode()]


async def test_during_a_renewal_the_bmc_never_trusts_nobody(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        step = Setup(BMC(rig.transport, target(rig, proven=True)))
        await step.sync_trusted(authority("next").pem + authority().pem)
        assert isinstance(await rig.installer.look(rig.at(), topics=Topic.BOOT), Sight)


@pytest.mark.parametrize(("bundle", "why"), [
    (b"no certificate", "is not a list of PEM certificates"),
    (b"".join(authority(f"ca-{n}").pem for n in range(11)), "holds 11 certificates; a BMC takes 10"),
], ids=["noise", "eleven"])
async def test_a_bundle_that_no_bmc_can_hold(tmp_path: Path, bundle: bytes, why: str) -> None:
    async with a_rig(tmp_path) as rig:
        step = Setup(BMC(rig.transport, target(rig, proven=True)))
        with pytest.raises(errors.RedfishError, match=why):
            await step.sync_trusted(bundle)
        assert len(rig.card().record.trusted) == 1


async def test_a_bmc_that_restarts_loses_the_key_and_gets_another_certificate(tmp_path: Path) -> None:
    async with a_rig(tmp_path, factory_new=True) as rig:
        step = await logged_in(rig)
        certificate = sign(await step.request_certificate("127.0.0.1"))
        rig.card().reset_bmc()
        with pytest.raises(errors.Refused, match="the private key does not fit"):
            await settled(step, certificate)

        await step.install_certificate(sign(await step.request_certificate("127.0.0.1")))
        served = await step.served()
        assert served is not None
        assert served.issuer == "CN=bmc-ca"


async def settled(step: Setup, certificate: str) -> None:
    """As soon as the BMC is back."""
    while True:
        try:
            await step.install_certificate(certificate)
        except errors.Unreachable:
            continue
        return


@pytest.mark.parametrize(("host", "issuer", "life_s", "why"), [
    ("127.0.0.1", "stranger", 3600, "unable to get local issuer certificate"),
    ("127.0.0.1", "bmc-ca", -60, "certificate has expired"),
    ("127.0.0.9", "bmc-ca", 3600, "its certificate is not for 127.0.0.1"),
], ids=["CA", "time", "address"])
async def test_a_certificate_that_proves_nothing(
    tmp_path: Path, host: str, issuer: str, life_s: float, why: str
) -> None:
    async with a_rig(tmp_path, factory_new=True) as rig:
        step = await logged_in(rig)
        await step.install_certificate(sign(await step.request_certificate(host), authority(issuer), life_s=life_s))
        await step.turn_tls_login_on()
        silence = await rig.installer.look(rig.at(), topics=Topic.BOOT)

        assert isinstance(silence, Silence)
        assert silence == Silence(
            cause=Cause.UNTRUSTED, why=f"the BMC at {rig.at().address} is not trusted: {why}")


async def test_a_factory_reset_takes_everything_back(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        step = Setup(BMC(rig.transport, target(rig, proven=True)))
        await step.reset_to_factory()
        await make_ours(await back(rig))

        assert isinstance(await rig.installer.look(rig.at(), topics=Topic.BOOT), Sight)


async def back(rig: bmcs.Rig) -> Setup:
    while True:
        try:
            return await logged_in(rig)
        except errors.Unreachable:
            continue


async def test_a_clock_that_is_off_is_seen_before_the_bmc_is_set_up(tmp_path: Path) -> None:
    async with a_rig(tmp_path, factory_new=True) as rig:
        step = await logged_in(rig)
        rig.card().set_faults(Faults(clock_skew_s=90))
        skew_s = (await step.observe(now)).clock_skew_s

        assert skew_s is not None
        assert 85 < skew_s < 95


async def test_new_bmc_firmware_counts_after_a_restart(tmp_path: Path) -> None:
    async with a_rig(tmp_path, firmware={"BMC_Firmware": "BF-24.04-5"}) as rig:
        step = Setup(BMC(rig.transport, target(rig, proven=True)))
        assert setup.is_outdated((await step.observe(now)).firmware) is True
        task = await step.update_firmware(b"BF-24.10-17\n" + b"\0" * 4096)
        assert (await rig.finished(task)).percent == 100
        await step.restart()
        while True:
            try:
                state = await step.observe(now)
            except errors.Unreachable:
                continue
            break

        assert setup.is_outdated(state.firmware) is False


@asynccontextmanager
async def a_foreigner(product: str, asked: list[str]) -> AsyncIterator[str]:
    """The address of another Redfish service."""
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.headers.get("Authorization", ""))
        return web.json_response({"Product": product})

    async with bmcs.a_tls_server(answer, authority("stranger")) as port:
        yield f"127.0.0.1:{port}"


async def test_a_scan_tells_dpus_strangers_and_dead_addresses_apart(tmp_path: Path) -> None:
    asked: list[str] = []
    async with a_rig(tmp_path, cards=2, factory_new=True) as rig, a_foreigner("Some Server", asked) as stranger:
        first = await discovery.probe(rig.transport, rig.at("dpu-0").address, PASSWORD)
        again = await discovery.probe(rig.transport, rig.at("dpu-0").address, PASSWORD)
        other = await discovery.probe(rig.transport, rig.at("dpu-1").address, PASSWORD)
        foreign = await discovery.probe(rig.transport, stranger, PASSWORD)
        dead = await discovery.probe(rig.transport, "127.0.0.1:1", PASSWORD)

    assert isinstance(first, Found)
    assert isinstance(again, Found)
    assert isinstance(other, Found)
    assert (first.serial, first.type, first.psid) == ("MT2334XZ0000", DPUType.BLUEFIELD_3, "MT_0000000884")
    assert (first.password_changed, again.password_changed, other.serial) == (True, False, "MT2334XZ0001")
    assert isinstance(foreign, Foreign)
    assert (foreign.why.endswith("is of another product: Some Server"), asked) == (True, [""])
    assert isinstance(dead, Silence)
    assert dead.cause is Cause.UNREACHABLE


async def test_a_probe_with_the_wrong_password_is_rejected(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        probed = await discovery.probe(rig.transport, rig.at().address, "wrong-password")

    assert isinstance(probed, Silence)
    assert probed.cause is Cause.REJECTED
