"""What is done to a BMC in one pass, from what was seen of it: a table (behaviour-provisioning.md 4, 9.2)."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dpf.api.dpudevice import BMCServerCertificate, CATrustBundle, DPUDevice, DPUDeviceSpec, DPUDeviceStatus
from dpf.api.meta import Key, ObjectMeta
from dpf.api.provisioning import DPUMode, DPUType, InstallInterface
from dpf.provisioning.certificates import authority, bundle
from dpf.provisioning.dpudevice import bmcplan, bmcstatus
from dpf.provisioning.dpudevice import plan as planner
from dpf.provisioning.dpudevice.credentials import Credentials
from dpf.provisioning.dpudevice.snapshot import Access, Look, Password, Reach, Snapshot
from dpf.provisioning.install.port import Cause, Sight, Silence
from dpf.runtime.plan import Applied

NOW = datetime(2026, 5, 1, tzinfo=UTC)
BUNDLE = authority.new_authority(NOW).certificate_pem
SERIAL = "MT2334XZ0000"
SIGHT = Sight(serial=SERIAL, type=DPUType.BLUEFIELD_3, mode=DPUMode.DPU, psid="MT_1", opn="900-9D3B6-00CV-AA0")
OURS = Look(
    access=Access.CERTIFICATE, password=Password.ACCEPTED, is_outdated=False, clock_skew_s=1.0, is_trusting=True,
    is_served_ours=True, not_after=NOW + timedelta(days=80), is_tls_login_on=True, sight=SIGHT,
)
UNTRUSTED = Silence(cause=Cause.UNTRUSTED, why="it is not trusted: self-signed certificate")
REJECTED = Silence(cause=Cause.REJECTED, why="it does not accept our client certificate")
NEW = dataclasses.replace(
    OURS, access=Access.PASSWORD, user="root", is_trusting=False, is_served_ours=False, is_tls_login_on=False,
    doubt=UNTRUSTED,
)


def seen(look: Look | None, *, trigger: str | None = None, recorded: str = "", rotated: str | None = None,
         ends: str | None = None, **spec: Any) -> Snapshot:
    """A device whose BMC was seen like that, and was told of the present CAs."""
    annotations = {"provisioning.dpu.nvidia.com/rotate-bmc-server-certificate": trigger} if trigger else None
    device = DPUDevice(
        metadata=ObjectMeta(name=SERIAL.lower(), namespace="ns", annotations=annotations),
        spec=DPUDeviceSpec(**{"serialNumber": SERIAL, "bmcIp": "10.0.0.5", **spec}),
        status=DPUDeviceStatus(
            caTrustBundle=CATrustBundle(observedBundleHash=bundle.digest(BUNDLE)),
            bmcServerCertificate=BMCServerCertificate(
                observedManualTrigger=recorded or None, lastRotationTime=rotated, notAfter=ends,
            ),
        ),
    )
    given = Credentials(secret="s", password="never-to-be-seen")
    reach = Reach(device=Key("ns", SERIAL.lower()), host="10.0.0.5", port=443, credentials=given, bundle=BUNDLE)
    return Snapshot(
        device=device, interface=InstallInterface.REDFISH, credentials=given,
        reach=reach if look is not None else None, look=look,
    )


def but(look: Look, **fields: Any) -> Look:
    return dataclasses.replace(look, **fields)


@pytest.mark.parametrize(("look", "expected", "wake_s"), [
    (OURS, [], None),
    (NEW, ["Trust", "Certificate", "TLS"], 0.0),
    (None, ["Certificates"], 1.0),
    (Look(silence=Silence(cause=Cause.UNREACHABLE, why="dead")), ["Contact"], 30.0),
    (Look(doubt=UNTRUSTED, password=Password.WRONG), ["Password"], 0.0),
    (Look(doubt=UNTRUSTED, password=Password.REFUSED), ["Password"], None),
    (but(OURS, password=Password.WRONG), ["Password"], 30.0),
    (but(OURS, is_trusting=False), ["Trust"], 30.0),
    (but(OURS, is_tls_login_on=False), ["TLS"], 30.0),
    (but(OURS, clock_skew_s=61.0), ["Clock"], 30.0),
    (but(OURS, clock_skew_s=-61.0), ["Clock"], 30.0),
    (but(OURS, clock_skew_s=60.0), [], None),
    (but(OURS, clock_skew_s=None), [], None),
    (but(NEW, is_outdated=True), ["Support", "Trust", "Certificate", "TLS"], None),
    (but(OURS, is_outdated=None), [], None),
    (but(OURS, not_after=NOW + timedelta(days=29)), ["Certificate"], 30.0),
    (but(OURS, not_after=NOW + timedelta(days=31)), [], None),
    (but(NEW, is_trusting=True, is_tls_login_on=True, is_served_ours=True, doubt=REJECTED), ["Proof"], 0.0),
    (but(NEW, attempts=1), ["Trust", "Certificate", "TLS"], 0.0),
    (but(NEW, attempts=4), ["Trust", "Certificate", "TLS"], 8.0),
    (but(NEW, attempts=40), ["Trust", "Certificate", "TLS"], 30.0),
], ids=[
    "ours", "new", "no-ca", "dead", "password", "refused", "password-later", "ca", "tls", "ahead", "behind", "in-time",
    "no-clock", "old-firmware", "unknown-firmware", "ending", "fresh", "rejected", "once", "four-times", "for-ever",
])
def test_steps(look: Look | None, expected: list[str], wake_s: float | None) -> None:
    snapshot = seen(look)
    steps = bmcplan.steps(snapshot, NOW)

    assert [step.name for step in steps if step.actions or step.findings] == expected
    assert bmcplan.wake_after_s(snapshot, steps) == wake_s


def test_what_stands_in_the_way_ends_the_pass() -> None:
    steps = bmcplan.steps(seen(but(NEW, is_outdated=True)), NOW)

    first = steps[0]
    assert (first.name, bool(first.findings), first.blocks) == ("Support", True, True)


def test_no_address_is_told_and_nothing_asked() -> None:
    (step,) = bmcplan.steps(seen(None, bmcIp=None), NOW)

    assert [finding.message for finding in step.findings] == [
        f"DPUDevice ns/{SERIAL.lower()} has no address of its BMC; set spec.bmcIp"
    ]


@pytest.mark.parametrize(("trigger", "recorded", "expected"), [
    (None, "", None), ("a", "", "a new certificate of the BMC was asked for"), ("a", "a", None),
    ("b", "a", "a new certificate of the BMC was asked for"), (None, "a", None),
])
def test_a_request_for_a_certificate_is_met_once(trigger: str | None, recorded: str, expected: str | None) -> None:
    assert bmcplan.why_new_certificate(seen(OURS, trigger=trigger, recorded=recorded), NOW) == expected


def test_a_renewal_that_is_wanted_before_the_beginning_ends_nevertheless() -> None:
    wish = dataclasses.replace(seen(but(OURS, not_after=NOW + timedelta(days=90))), renew_before_s=1e9)

    assert bmcplan.why_new_certificate(wish, NOW) is None


@pytest.mark.parametrize(("left", "is_recorded", "expected"), [
    (timedelta(days=10), True, True), (timedelta(days=17), True, False), (timedelta(days=17), False, True),
], ids=["nearly over", "good", "somebody else's"])
def test_a_certificate_that_is_short_because_its_authority_ends_is_not_renewed_all_the_time(
    left: timedelta, is_recorded: bool, expected: bool
) -> None:
    """It was issued with 20 days: less than what is usual before its end (30 days)."""
    end = (NOW + left).replace(microsecond=0)
    text = "%Y-%m-%dT%H:%M:%SZ"
    snapshot = seen(
        but(OURS, not_after=end), rotated=(end - timedelta(days=20)).strftime(text),
        ends=end.strftime(text) if is_recorded else None,
    )

    assert (bmcplan.why_new_certificate(snapshot, NOW) is not None) is expected


@pytest.mark.parametrize(("ago_s", "expected"), [(119, None), (121, UNTRUSTED.why)])
def test_a_bmc_has_time_to_show_its_new_certificate(ago_s: float, expected: str | None) -> None:
    rotated = (NOW - timedelta(seconds=ago_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    look = but(NEW, is_trusting=True, is_tls_login_on=True, is_served_ours=True)

    assert bmcplan.why_new_certificate(seen(look, rotated=rotated), NOW) == expected


@pytest.mark.parametrize(("sight", "expected"), [
    (SIGHT, None),
    (dataclasses.replace(SIGHT, serial=SERIAL.lower()), None),
    (dataclasses.replace(SIGHT, serial="A"), f"serial number mismatch, expected: {SERIAL}, actual: A"),
    (dataclasses.replace(SIGHT, serial=None), "the BMC at 10.0.0.5 tells no serial number"),
    (dataclasses.replace(SIGHT, type=DPUType.UNKNOWN, mode=DPUMode.NIC), None),
    (dataclasses.replace(SIGHT, type=DPUType.UNKNOWN, model="X"),
     "the BMC at 10.0.0.5 names no BlueField that we know: X"),
    (dataclasses.replace(SIGHT, type=DPUType.BLUEFIELD_4), None),
], ids=["right", "case", "other", "none", "nic", "unknown", "bf4"])
def test_which_cards_can_be_used(sight: Sight, expected: str | None) -> None:
    assert bmcplan.mismatch(seen(but(OURS, sight=sight))) == expected


def test_a_card_that_is_not_supported_is_known_and_left_alone() -> None:
    snapshot = seen(but(NEW, sight=dataclasses.replace(SIGHT, type=DPUType.BLUEFIELD_4)))
    text = "the DPU at 10.0.0.5 is a BlueField-4, which is not supported yet; use BlueField-3"

    assert [finding.message for finding in bmcplan.steps(snapshot, NOW)[0].findings] == [text]
    assert bmcstatus.fields(snapshot, Applied(), NOW)["dpuType"] == "BlueField4"
    assert bmcstatus.states(snapshot, Applied())["Error"].message == text


def test_a_pass_that_changes_labels_does_nothing_else() -> None:
    plan = planner.plan(seen(NEW), NOW)

    assert ([step.name for step in plan.steps], plan.paused) == (["Labels"], True)


def test_no_password_is_shown() -> None:
    snapshot = seen(NEW)

    assert "never-to-be-seen" not in repr((snapshot, planner.plan(snapshot, NOW), bmcplan.steps(snapshot, NOW)))
