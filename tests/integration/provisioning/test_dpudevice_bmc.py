"""DPUDevices that are reached by their BMCs, over real sockets (behaviour-provisioning.md 4, 9, 16.18 to 24, 36)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support import bmcs
from tests.support.bmcdevices import Fleet, a_fleet, a_secret, by_bmcs
from tests.support.bmcs import PASSWORD, authority
from tests.support.crash import Crash, crash_at
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpudevice import DPUDevice
from dpf.provisioning.certificates.issuer import CA_SECRET, TRUST_BUNDLE
from dpf.provisioning.dpudevice.credentials import SHARED_SECRET
from dpf.provisioning.install.redfish import login
from dpf.provisioning.install.redfish.bmc import BMC
from dpf.provisioning.install.redfish.errors import Rejected, Untrusted
from dpf.provisioning.install.redfish.transport import Target, Transport

P = "provisioning.dpu.nvidia.com/"
GOOD = ("True", "Success", "")


async def make_bundle(fleet: Fleet, text: str) -> None:
    await fleet.host.patch(core.ConfigMap, TRUST_BUNDLE, NAMESPACE, patch={"data": {"ca.crt": text}})


def bundle(fleet: Fleet) -> str:
    (found,) = [c for c in fleet.host.objects(core.ConfigMap) if c.metadata.name == TRUST_BUNDLE]
    return (found.data or {})["ca.crt"]


def writes(fleet: Fleet) -> list[str]:
    return fleet.world.writes


def requests(fleet: Fleet) -> list[str]:
    """Everything but the probes of the connection."""
    return [f"{one.verb} {one.kind} {one.key}" for one in fleet.host.requests if one.verb != "version"]


async def test_a_new_card_becomes_ours_and_tells_who_it_is(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running():
        card, device = fleet.card(), fleet.device()
        assert fleet.told("Ready") == GOOD
        assert {c.type: (c.status, c.reason) for c in device.status.conditions or ()} == {
            "Discovered": ("True", "Success"), "NodeAttached": ("True", "Success"), "Initialized": ("True", "Success"),
            "Ready": ("True", "Success"), "BMCFactoryResetReady": ("True", "FactoryResetSkipped"),
            "BMCCredentialsReady": ("True", "CredentialsValid"), "BMCServerCertificateReady": ("True", "Success"),
            "CATrustBundleReady": ("True", "CATrustBundleSynced"),
        }
        status = device.status
        assert (status.serialNumber, status.psid, status.opn) == (
            card.settings.serial, "MT_0000000884", "900-9D3B6-00CV-AA0",
        )
        assert (status.dpuType, status.dpuMode, status.pf0Mac) == ("BlueField3", "dpu", "02:00:00:00:00:01")
        assert (status.bmcIp, status.bmcPort) == ("127.0.0.1", card.record.port)
        assert status.secureBoot is not None
        assert status.secureBoot.enabled is False
        assert status.bmcCredentialSecretName == SHARED_SECRET
        assert status.bmcServerCertificate is not None
        assert status.bmcServerCertificate.notAfter is not None
        life = datetime.fromisoformat(status.bmcServerCertificate.notAfter) - datetime.now(UTC)
        assert timedelta(days=89) < life < timedelta(days=91)
        assert card.record.is_tls_login_on is True
        assert list(card.record.trusted.values()) == [bundle(fleet)]
        assert card.record.accounts["root"].password == PASSWORD
        labels = device.metadata.labels or {}
        assert labels[f"{P}dpudevice-psid"] == "MT_0000000884"
        assert labels[f"{P}dpudevice-bmc-ip"] == "127.0.0.1"


async def test_afterwards_nobody_without_our_certificate_gets_in(tmp_path: Path) -> None:
    """16.21."""
    async with a_fleet(tmp_path) as fleet, fleet.running():
        address = f"127.0.0.1:{fleet.card().record.port}"
        stranger = Transport(lambda: bmcs.identity(issuer=authority("stranger")), limits=bmcs.QUICK)
        with pytest.raises(Rejected):
            await BMC(stranger, Target(address=address, proven=False)).get("/redfish/v1/Managers")
        with pytest.raises(Untrusted):
            await BMC(stranger, Target(address=address)).get("/redfish/v1/Managers")
        await stranger.aclose()


async def test_a_settled_device_costs_no_write_and_no_request(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        before, asked = writes(fleet), requests(fleet)
        for controller in manager.controllers:
            controller.enqueue_all()
        await manager.settle()
        await fleet.pass_time(manager, 700)
        assert writes(fleet) == before
        assert requests(fleet) == asked


async def test_another_card_than_expected_is_left_alone(tmp_path: Path) -> None:
    """16.18."""
    async with a_fleet(tmp_path) as fleet:
        fleet.set_faults(serial="MT9999X00000")
        async with fleet.running():
            text = f"serial number mismatch, expected: {fleet.card().settings.serial}, actual: MT9999X00000"
            assert fleet.told("Discovered") == ("False", "Error", text)
            assert fleet.told("Error") == ("True", "Error", text)
            assert fleet.told("Ready")[0] == "False"
            assert fleet.card().record.trusted == {}
            assert fleet.device().status.psid is None


async def test_the_error_goes_when_the_right_card_is_there(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet:
        fleet.set_faults(serial="MT9999X00000")
        async with fleet.running() as manager:
            fleet.set_faults()
            await fleet.pass_time(manager, 700)
            assert fleet.told("Error") == ("", "", "")
            assert fleet.told("Ready") == GOOD


async def test_without_an_address_nothing_is_done(tmp_path: Path) -> None:
    async with a_fleet(tmp_path, devices=False) as fleet:
        fleet.add_device(bmcIp=None)
        async with fleet.running() as manager:
            text = f"DPUDevice {NAMESPACE}/{fleet.name()} has no address of its BMC; set spec.bmcIp"
            assert fleet.told("Initialized") == ("False", "Failure", text)
            assert fleet.told("Ready")[0] == "False"
            await fleet.patch({"spec": {"bmcIp": "127.0.0.1"}})
            await manager.settle()
            assert fleet.told("Ready") == GOOD


@pytest.mark.parametrize(("objects", "reason", "text"), [
    ([], "CredentialsSecretNotFound",
     f"Secret {NAMESPACE}/{SHARED_SECRET} does not exist; make it, with the BMC's password under the key password"),
    ([a_secret(key="other")], "CredentialsSecretInvalid",
     f"Secret {NAMESPACE}/{SHARED_SECRET} has no password under the key password; put it there"),
    ([a_secret(password=b"\xff\xfe")], "CredentialsSecretInvalid",
     f"Secret {NAMESPACE}/{SHARED_SECRET} has no password under the key password; put it there"),
], ids=["none", "key", "bytes"])
async def test_without_a_password_it_waits_for_one(
    tmp_path: Path, objects: list[Any], reason: str, text: str
) -> None:
    async with a_fleet(tmp_path, objects=[by_bmcs(), *objects]) as fleet, fleet.running() as manager:
        assert fleet.told("BMCCredentialsReady") == ("False", reason, text)
        assert fleet.told("Ready")[0] == "False"
        data = {"password": base64.b64encode(PASSWORD.encode()).decode()}
        if objects:
            await fleet.host.patch(core.Secret, SHARED_SECRET, NAMESPACE, patch={"data": data})
        else:
            fleet.host.add(a_secret())
        await manager.settle()
        assert fleet.told("BMCCredentialsReady") == ("True", "CredentialsValid", "")
        assert fleet.told("Ready") == GOOD


async def test_a_wrong_password_is_rejected_and_a_dead_bmc_unreachable(tmp_path: Path) -> None:
    """16.20."""
    async with a_fleet(tmp_path, cards=2) as fleet:
        fleet.card(0).set_password("root", "somebody-else's")
        fleet.card(1).lose_power()
        async with fleet.running() as manager:
            first, second = (f"the BMC at 127.0.0.1:{fleet.card(n).record.port}" for n in (0, 1))
            assert fleet.told("BMCCredentialsReady", 0) == (
                "False", "BMCAuthenticationFailed",
                f"{first} does not accept the password; correct it in the Secret, or on the BMC",
            )
            assert fleet.told("Initialized", 1)[:2] == ("False", "Error")
            assert fleet.told("Initialized", 1)[2].startswith(f"{second} cannot be reached: ")
            assert fleet.told("BMCCredentialsReady", 1) == ("", "", "")

            right = base64.b64encode(b"somebody-else's").decode()
            await fleet.host.patch(core.Secret, SHARED_SECRET, NAMESPACE, patch={"data": {"password": right}})
            await manager.settle()
            assert fleet.told("Ready", 0) == GOOD
            fleet.card(1).restore_power()
            await fleet.pass_time(manager, 31)
            assert fleet.told("Ready", 1) == GOOD


async def test_a_password_that_is_refused_is_not_tried_again_and_again(tmp_path: Path) -> None:
    """BMCs lock accounts that are guessed at."""
    async with a_fleet(tmp_path) as fleet:
        fleet.card().set_password("root", "somebody-else's")
        async with fleet.running() as manager:
            fleet.card().lose_power()
            for _ in range(10):
                await fleet.patch({"metadata": {"annotations": {"x": str(_)}}})
                await fleet.pass_time(manager, 30)
            assert fleet.told("BMCCredentialsReady")[1] == "BMCAuthenticationFailed", "it was not even asked"


async def test_the_factory_password_is_none_of_ours(tmp_path: Path) -> None:
    secret = a_secret(password=login.FACTORY_PASSWORD)
    async with a_fleet(tmp_path, objects=[by_bmcs(), secret]) as fleet, fleet.running():
        status, reason, message = fleet.told("BMCCredentialsReady")
        assert (status, reason) == ("False", "BMCAuthenticationFailed")
        assert message.endswith("the Secret holds the factory's password; put another one into it")


async def test_from_the_shared_password_to_one_of_its_own_and_not_back(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        fleet.host.add(a_secret("own", "another-password"))
        await fleet.patch({"spec": {"bmcCredentialSecretName": "own"}})
        await manager.settle()
        await fleet.pass_time(manager, 31)
        assert fleet.card().record.accounts["root"].password == "another-password"
        assert fleet.device().status.bmcCredentialSecretName == "own"
        assert fleet.told("Ready") == GOOD

        await fleet.patch({"spec": {"bmcCredentialSecretName": None}})
        await manager.settle()
        status, reason, message = fleet.told("BMCCredentialsReady")
        assert (status, reason) == ("False", "ModeSwitchNotAllowed")
        assert message == (
            f"DPUDevice {NAMESPACE}/{fleet.name()} uses its own Secret own; going back to the shared Secret "
            f"{SHARED_SECRET} is not allowed: set spec.bmcCredentialSecretName again"
        )
        assert fleet.card().record.accounts["root"].password == "another-password"
        assert fleet.told("Ready")[0] == "False"


async def test_a_wrong_password_is_told_although_the_certificate_opens_the_bmc(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        wrong = base64.b64encode(b"wrong-password").decode()
        await fleet.host.patch(core.Secret, SHARED_SECRET, NAMESPACE, patch={"data": {"password": wrong}})
        await manager.settle()
        assert fleet.told("BMCCredentialsReady")[:2] == ("False", "BMCAuthenticationFailed")
        assert fleet.told("Initialized")[0] == "True"
        assert fleet.told("Ready")[0] == "False"


async def test_a_bmc_restart_between_request_and_certificate_costs_another_request(tmp_path: Path) -> None:
    """16.22: the key is gone; nothing is wiped."""
    async with a_fleet(tmp_path) as fleet:
        card = fleet.card()
        made = card.request_certificate
        restarts: list[int] = []

        def restarting(common_name: str, alternatives: list[str]) -> str:
            text = made(common_name, alternatives)
            if not restarts:
                restarts.append(1)
                card.change(pending_key_pem="")
            return text

        card.request_certificate = restarting  # type: ignore[method-assign]
        async with fleet.running() as manager:
            assert fleet.told("BMCServerCertificateReady")[:2] == ("False", "BMCServerCertificateRotationFailed")
            assert "the private key does not fit" in fleet.told("BMCServerCertificateReady")[2]
            for _ in range(4):
                await fleet.pass_time(manager, 5)
            assert fleet.told("Ready") == GOOD
            assert card.record.accounts["root"].password == PASSWORD
            assert fleet.device().status.bmcFactoryResetRequestTime is None


async def test_ten_stale_cas_give_way_to_ours(tmp_path: Path) -> None:
    """16.23."""
    async with a_fleet(tmp_path) as fleet:
        for n in range(10):
            fleet.card().trust(authority(f"stale-{n}").pem.decode())
        async with fleet.running():
            assert list(fleet.card().record.trusted.values()) == [bundle(fleet)]
            assert fleet.told("Ready") == GOOD


async def test_a_change_of_the_cas_reaches_the_bmc_once(tmp_path: Path) -> None:
    """16.23."""
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        more = authority("company").pem.decode()
        await fleet.pass_time(manager, 60)
        await make_bundle(fleet, more + bundle(fleet))
        await manager.settle()
        assert len(fleet.card().record.trusted) == 2
        assert more in fleet.card().record.trusted.values()
        synced = fleet.device().status.caTrustBundle
        before = writes(fleet)
        await fleet.pass_time(manager, 700)
        await fleet.pass_time(manager, 700)
        assert fleet.device().status.caTrustBundle == synced
        assert writes(fleet) == before


async def test_a_ca_that_went_from_a_bmc_comes_back(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        (number,) = fleet.card().record.trusted
        fleet.card().distrust(number)
        await fleet.pass_time(manager, 700)
        await fleet.pass_time(manager, 31)
        assert list(fleet.card().record.trusted.values()) == [bundle(fleet)]
        assert fleet.told("Ready") == GOOD


@pytest.mark.parametrize(("text", "reason"), [
    ("nonsense", "CATrustBundleUnavailable"),
    ("".join(authority(f"ca-{n}").pem.decode() for n in range(11)), "CATrustBundleSyncFailed"),
], ids=["noise", "many"])
async def test_a_bundle_that_cannot_be_used_is_told(tmp_path: Path, text: str, reason: str) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        good = bundle(fleet)
        await make_bundle(fleet, text)
        await manager.settle()
        assert fleet.told("CATrustBundleReady")[:2] == ("False", reason)
        await make_bundle(fleet, good)
        for _ in range(3):
            await fleet.pass_time(manager, 31)
        assert fleet.told("Ready") == GOOD


@pytest.mark.parametrize("skew_s", [90.0, -3600.0])
async def test_a_clock_that_is_off_is_waited_for(tmp_path: Path, skew_s: float) -> None:
    """16.24."""
    async with a_fleet(tmp_path) as fleet:
        fleet.set_faults(clock_skew_s=skew_s)
        async with fleet.running() as manager:
            where = "ahead of" if skew_s > 0 else "behind"
            assert fleet.told("Initialized") == ("False", "BMCManagerDateTimeUnsynchronized", (
                f"the clock of the BMC at 127.0.0.1 is more than a minute {where} ours, so that certificates cannot be "
                "verified; set up NTP on the BMC, or correct our clock"
            ))
            assert fleet.card().record.trusted == {}
            before = writes(fleet)
            await fleet.pass_time(manager, 31)
            assert writes(fleet) == before
            fleet.set_faults()
            await fleet.pass_time(manager, 31)
            await fleet.pass_time(manager, 31)
            assert fleet.told("Ready") == GOOD


async def test_old_firmware_of_a_bmc_is_told(tmp_path: Path) -> None:
    async with a_fleet(tmp_path, firmware={"BMC_Firmware": "BF-24.04-5"}) as fleet, fleet.running() as manager:
        text = "the firmware BF-24.04-5 of the BMC at 127.0.0.1 is older than BF-24.10; update it"
        assert fleet.told("Initialized") == ("False", "Error", text)
        assert fleet.told("Error")[0] == "True"
        fleet.card().change(firmware={"BMC_Firmware": "BF-24.10-17"})
        await fleet.pass_time(manager, 700)
        assert fleet.told("Ready") == GOOD


async def test_a_card_in_nic_mode_is_known_as_such(tmp_path: Path) -> None:
    """16.36: its type may be unknown as long as it is a plain network card."""
    async with a_fleet(tmp_path, model="Plain NIC") as fleet:
        fleet.card().become_network_card()
        async with fleet.running() as manager:
            assert (fleet.device().status.dpuMode, fleet.device().status.dpuType) == ("nic", "Unknown")
            assert fleet.told("Ready") == GOOD
            fleet.card().change(mode="DpuMode")
            await fleet.pass_time(manager, 700)
            assert fleet.told("Discovered") == (
                "False", "Error", "the BMC at 127.0.0.1 names no BlueField that we know: Plain NIC"
            )


async def test_mode_and_secure_boot_are_refreshed_slowly(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        fleet.card().change(secure_boot=True)
        fleet.card().become_network_card()
        await fleet.pass_time(manager, 60)
        assert fleet.device().status.dpuMode == "dpu"
        await fleet.pass_time(manager, 640)
        assert fleet.device().status.dpuMode == "nic"
        assert fleet.device().status.secureBoot is not None
        assert fleet.device().status.secureBoot.enabled is True


async def test_a_certificate_is_renewed_when_somebody_asks_for_it(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        first = fleet.card().record.certificate_pem
        await fleet.patch({"metadata": {"annotations": {f"{P}rotate-bmc-server-certificate": "now"}}})
        await manager.settle()
        second = fleet.card().record.certificate_pem
        assert second != first
        certificate = fleet.device().status.bmcServerCertificate
        assert certificate is not None
        assert certificate.observedManualTrigger == "now"
        await fleet.pass_time(manager, 31)
        await fleet.pass_time(manager, 700)
        assert fleet.card().record.certificate_pem == second
        assert fleet.told("Ready") == GOOD
        await fleet.patch({"metadata": {"annotations": {f"{P}rotate-bmc-server-certificate": "again"}}})
        await manager.settle()
        assert fleet.card().record.certificate_pem != second


async def test_a_bmc_that_breaks_off_while_it_takes_its_certificate_is_not_given_another(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        made = fleet.card().replace_certificate
        count: list[str] = []

        def counting(pem: str) -> bool:
            count.append(pem)
            fleet.set_faults(answer_lost=1)
            return made(pem)

        fleet.card().replace_certificate = counting  # type: ignore[method-assign]
        await fleet.patch({"metadata": {"annotations": {f"{P}rotate-bmc-server-certificate": "now"}}})
        await manager.settle()
        for _ in range(4):
            await fleet.pass_time(manager, 31)
        assert len(count) == 1
        assert fleet.told("Ready") == GOOD


async def test_a_certificate_is_renewed_before_its_end(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        first = fleet.card().record.certificate_pem
        change = {"spec": {"provisioningController": {"bmcServerCertRenewBefore": "1440h"}}}
        await fleet.host.patch(type(by_bmcs()), "dpf", NAMESPACE, patch=change)
        await manager.settle()
        assert fleet.card().record.certificate_pem == first, "60 days before, of 90"
        ends = datetime.now(UTC) + timedelta(days=31)
        short = bmcs.sign(certificate_request(fleet), issuer_of(fleet), life_s=31 * 86400)
        fleet.card().replace_certificate(short)
        await fleet.pass_time(manager, 700)
        found = fleet.device().status.bmcServerCertificate
        assert found is not None
        assert found.notAfter is not None
        assert datetime.fromisoformat(found.notAfter) > ends + timedelta(days=30)
        assert fleet.told("Ready") == GOOD


@pytest.mark.parametrize(("host", "ours", "life_s"), [
    ("127.0.0.1", False, 86400.0), ("127.0.0.1", True, -60.0), ("127.0.0.9", True, 86400.0),
], ids=["CA", "time", "address"])
async def test_a_certificate_that_proves_nothing_is_replaced(
    tmp_path: Path, host: str, ours: bool, life_s: float
) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        issuer = issuer_of(fleet) if ours else authority("stranger")
        bad = bmcs.sign(certificate_request(fleet, host), issuer, life_s=life_s)
        fleet.card().replace_certificate(bad)
        for _ in range(4):
            await fleet.pass_time(manager, 600)
        assert fleet.card().record.certificate_pem != bad
        assert fleet.told("Ready") == GOOD


async def test_a_new_ca_of_ours_reaches_every_bmc(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        old = bundle(fleet)
        await fleet.host.delete(core.Secret, CA_SECRET, NAMESPACE)
        for _ in range(4):
            await fleet.pass_time(manager, 600)
        assert fleet.told("Ready") == GOOD
        assert len(fleet.card().record.trusted) == 2
        assert bundle(fleet) != old


async def test_a_bmc_that_was_wiped_becomes_ours_again(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        fleet.card().reset_bmc(to_factory=True)
        for _ in range(5):
            await fleet.pass_time(manager, 600)
        assert fleet.told("Ready") == GOOD
        assert fleet.card().record.accounts["root"].password == PASSWORD


async def test_a_card_that_is_not_to_be_touched_is_ready(tmp_path: Path) -> None:
    async with a_fleet(tmp_path, devices=False) as fleet:
        fleet.add_device()
        await fleet.patch({"metadata": {"labels": {f"{P}skip-hw-provisioning": "true"}}})
        async with fleet.running():
            for type_ in ("Discovered", "NodeAttached", "Initialized", "Ready", "BMCCredentialsReady"):
                assert fleet.told(type_)[0] == "True"
            assert fleet.card().record.accounts["root"].password == login.FACTORY_PASSWORD


async def test_a_bmc_that_hangs_lies_or_is_something_else_spoils_no_other(tmp_path: Path) -> None:
    async with a_fleet(tmp_path, cards=4) as fleet:
        fleet.set_faults(1, silent=True)
        fleet.set_faults(2, garbled=True)
        fleet.set_faults(3, unavailable=True)
        async with fleet.running():
            assert fleet.told("Ready", 0) == GOOD
            for number in (1, 2, 3):
                assert fleet.told("Initialized", number)[:2] == ("False", "Error")
                assert fleet.told("Ready", number)[0] == "False"


async def test_a_card_that_nobody_lists_is_set_up_and_not_ready(tmp_path: Path) -> None:
    async with a_fleet(tmp_path, devices=False) as fleet:
        fleet.add_device(attach=False)
        async with fleet.running():
            assert fleet.told("NodeAttached") == ("False", "Pending", "No DPUNode found")
            assert fleet.told("Initialized")[0] == "True"
            assert fleet.told("Ready") == ("False", "Pending", "The following conditions are not ready: NodeAttached")


async def test_a_kill_after_any_write_ends_the_same(tmp_path: Path) -> None:
    async def live(fleet: Fleet) -> None:
        async with fleet.running() as manager:
            await fleet.pass_time(manager, 31)
            await fleet.pass_time(manager, 31)

    async with a_fleet(tmp_path / "0") as fleet:
        await live(fleet)
        expected = comparable(fleet)
    for n in range(1, 50):
        async with a_fleet(tmp_path / str(n)) as fleet:
            countdown = crash_at(n, fleet.host)
            try:
                await live(fleet)
            except Crash:
                await live(fleet)
            if not countdown.crashed:
                break
            assert comparable(fleet) == expected, f"a crash after write {n} ends differently"
    assert n >= 7


def comparable(fleet: Fleet) -> Any:
    """The objects, and what the card is; ports differ."""
    state = fleet.kinds()
    for one in state.values():
        one.get("spec", {}).pop("bmcPort", None)
        one.get("status", {}).pop("bmcPort", None)
    record = fleet.card().record
    return state, len(record.trusted), record.is_tls_login_on, record.accounts["root"].password


async def test_a_crash_between_two_orders_to_the_bmc_is_made_good(tmp_path: Path) -> None:
    """An answer that is lost is an order of which nobody knows whether it was carried out."""
    for lost in range(1, 5):
        async with a_fleet(tmp_path / str(lost)) as fleet:
            fleet.set_faults(answer_lost=lost)
            async with fleet.running() as manager:
                for _ in range(8):
                    await fleet.pass_time(manager, 31)
                assert fleet.told("Ready") == GOOD, lost
                assert len(fleet.card().record.trusted) == 1


async def test_no_secret_shows_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with a_fleet(tmp_path, cards=2) as fleet:
        fleet.card(1).set_password("root", "never-to-be-seen")
        async with fleet.running() as manager:
            fleet.set_faults(0, garbled=True)
            await fleet.pass_time(manager, 700)
            shown = caplog.text + repr([
                *fleet.host.objects(DPUDevice), *fleet.host.objects(core.Event), manager.controllers[0].reconciler,
                fleet.world.state(DPUDevice, core.Event),
            ])
        for secret in (PASSWORD, "never-to-be-seen", "PRIVATE KEY", base64.b64encode(PASSWORD.encode()).decode()):
            assert secret not in shown


async def test_a_device_that_goes_leaves_its_bmc_alone(tmp_path: Path) -> None:
    async with a_fleet(tmp_path) as fleet, fleet.running() as manager:
        fleet.card().lose_power()
        await fleet.host.delete(DPUDevice, fleet.name(), NAMESPACE)
        await manager.settle()
        assert fleet.host.objects(DPUDevice) == ()


def certificate_request(fleet: Fleet, host: str = "127.0.0.1") -> str:
    return fleet.card().request_certificate(host, [host])


def issuer_of(fleet: Fleet) -> Any:
    """Our CA, as the helper that signs for tests wants it."""
    from dpf.local.pki import certificates
    from dpf.provisioning.certificates import authority as authorities

    (secret,) = [s for s in fleet.host.objects(core.Secret) if s.metadata.name == CA_SECRET]
    pair = authorities.Pair(*(base64.b64decode((secret.data or {})[key]) for key in ("tls.crt", "tls.key")))
    loaded = authorities.load_authority(pair)
    return certificates.Authority(certificate=loaded.certificate, key=loaded.key)  # type: ignore[arg-type]


