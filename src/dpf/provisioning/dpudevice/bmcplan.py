"""What one pass has the BMC of a DPUDevice do: one step after the other, each only where it is missing. Pure.

Called by `plan`. What is already so is seen from the BMC itself, never remembered; so a pass that was cut short is
completed by the next one. Source: behaviour-provisioning.md 4.3 to 4.5 and 9.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from dpf.api.provisioning import DPUMode, DPUType
from dpf.provisioning.certificates import bundle
from dpf.provisioning.dpudevice.intents import (
    InstallCertificate,
    PrepareCertificates,
    SettlePassword,
    SyncTrust,
    TurnTLSLoginOn,
)
from dpf.provisioning.dpudevice.snapshot import Access, Look, Password, Reach, Snapshot
from dpf.provisioning.install.port import Cause
from dpf.runtime.plan import Drive, Finding, Severity, Step

ADDRESS: Final = "Address"
CERTIFICATES: Final = "Certificates"
CONTACT: Final = "Contact"
PASSWORD: Final = "Password"  # noqa: S105 - a step
IDENTITY: Final = "Identity"
SUPPORT: Final = "Support"
CLOCK: Final = "Clock"
TRUST: Final = "Trust"
CERTIFICATE: Final = "Certificate"
TLS: Final = "TLS"
PROOF: Final = "Proof"

REQUEUE_S: Final = 30.0
"""While something is not as it should be (behaviour-provisioning.md 4.1, 4.3)."""
MOST_SKEW_S: Final = 60.0
SETTLING_S: Final = 120.0
"""How long a BMC may go on showing its former certificate."""
_LONGEST_SHARE: Final = 2 / 3
"""Of a certificate's life: a renewal that is wanted earlier would never end."""
_LIFE_S: Final = 90 * 86400.0
_SOON_S: Final = 1.0


def steps(snapshot: Snapshot, now: datetime) -> tuple[Step, ...]:
    """The steps of this pass; the first one that finds something ends it."""
    return tuple(_steps(snapshot, now))


def wake_after_s(snapshot: Snapshot, planned: Sequence[Step]) -> float | None:
    """When to look again although nothing has happened; None for the resync, which is the slow refresh.

    A BMC that takes what it is told and is not ours afterwards is asked less and less often.
    """
    look, acts = snapshot.look, any(step.actions for step in planned)
    if look is None or snapshot.reach is None:
        return _SOON_S if acts else None
    if look.silence is not None or clock_off(snapshot) is not None:
        return REQUEUE_S
    if look.access is Access.CERTIFICATE:
        return REQUEUE_S if acts else None
    if look.password is Password.REFUSED or mismatch(snapshot) is not None or unsupported(snapshot) is not None:
        return None
    return 0.0 if look.attempts <= 1 else min(REQUEUE_S, 2.0 ** (look.attempts - 1))


def mismatch(snapshot: Snapshot) -> str | None:
    """Why the card behind the address is none that we can use; None when it is."""
    look, spec = snapshot.look, snapshot.device.spec
    if look is None or look.sight is None or spec is None:
        return None
    sight = look.sight
    if sight.serial is None:
        return f"the BMC at {snapshot.bmc_ip} tells no serial number"
    if sight.serial.lower() != spec.serialNumber.lower():
        return f"serial number mismatch, expected: {spec.serialNumber}, actual: {sight.serial}"
    if sight.type in {None, DPUType.UNKNOWN} and sight.mode is not DPUMode.NIC:
        return f"the BMC at {snapshot.bmc_ip} names no BlueField that we know: {sight.model or 'no model'}"
    return None


def unsupported(snapshot: Snapshot) -> str | None:
    """Why the right card cannot be used all the same; None when it can."""
    look = snapshot.look
    if look is None or look.access is None:
        return None
    if look.sight is not None and look.sight.type is DPUType.BLUEFIELD_4:
        return f"the DPU at {snapshot.bmc_ip} is a BlueField-4, which is not supported yet; use BlueField-3"
    if look.is_outdated:
        return f"the firmware {look.firmware} of the BMC at {snapshot.bmc_ip} is older than BF-24.10; update it"
    return None


def why_new_certificate(snapshot: Snapshot, now: datetime) -> str | None:
    """Why the BMC needs another certificate; None when it does not."""
    look = snapshot.look
    if look is None:
        return None
    if look.access is Access.PASSWORD:
        return _why_first(snapshot, look, now)
    recorded = snapshot.device.status.bmcServerCertificate
    if snapshot.manual_trigger is not None and snapshot.manual_trigger != (
        recorded.observedManualTrigger if recorded is not None else None
    ):
        return "a new certificate of the BMC was asked for"
    before_s = min(snapshot.renew_before_s, _life_s(snapshot, look) * _LONGEST_SHARE)
    if look.not_after is not None and look.not_after - now < timedelta(seconds=before_s):
        return f"the certificate of the BMC ends {look.not_after:%Y-%m-%d}"
    return None


def is_settling(snapshot: Snapshot, now: datetime) -> bool:
    """Whether the BMC got a certificate a moment ago, and does not show it yet."""
    look = snapshot.look
    return look is not None and look.is_served_ours and now - _rotated(snapshot) < timedelta(seconds=SETTLING_S)


def is_bundle_new(snapshot: Snapshot) -> bool:
    """Whether the CAs are others than those that were handed over last."""
    recorded = snapshot.device.status.caTrustBundle
    observed = recorded.observedBundleHash if recorded is not None else None
    return snapshot.reach is not None and observed != bundle.digest(snapshot.reach.bundle)


def clock_off(snapshot: Snapshot) -> str | None:
    """What is wrong with the BMC's clock; the text stays the same while the clock is off."""
    skew_s = snapshot.look.clock_skew_s if snapshot.look is not None else None
    if skew_s is None or abs(skew_s) <= MOST_SKEW_S:
        return None
    where = "ahead of" if skew_s > 0 else "behind"
    return (
        f"the clock of the BMC at {snapshot.bmc_ip} is more than a minute {where} ours, so that certificates cannot be "
        "verified; set up NTP on the BMC, or correct our clock"
    )


def _steps(snapshot: Snapshot, now: datetime) -> Iterator[Step]:
    if not snapshot.bmc_ip:
        message = f"DPUDevice {snapshot.key} has no address of its BMC; set spec.bmcIp"
        yield _finding(ADDRESS, message, Severity.INVALID)
        return
    look, reach = snapshot.look, snapshot.reach
    if reach is None or look is None:
        yield Step(name=CERTIFICATES, actions=(
            Drive(intent=PrepareCertificates(), because="BMCs have to know us, and we them"),
        ))
        return
    yield from _entry(snapshot, look, reach)
    if look.access is not None:
        yield from _facts(snapshot)
        yield from _ownership(snapshot, now)


def _entry(snapshot: Snapshot, look: Look, reach: Reach) -> Iterator[Step]:
    """Until we are in. What is wrong with the password does not matter to a BMC that knows our certificate."""
    stops = look.access is None
    if look.password is Password.WRONG:
        action = Drive(intent=SettlePassword(reach=reach), because="the BMC has another password than the Secret")
        yield Step(name=PASSWORD, actions=(action,), blocks=stops)
    elif look.password is Password.REFUSED:
        yield _finding(PASSWORD, look.password_why, Severity.BLOCKED, blocks=stops)
    elif look.silence is not None:
        problem = snapshot.credentials.problem if snapshot.credentials is not None else None
        missing = problem is not None and look.silence.cause is not Cause.UNREACHABLE
        yield _finding(
            PASSWORD if missing and problem is not None else CONTACT,
            problem.message if missing and problem is not None else look.silence.why, Severity.BLOCKED,
        )


def _facts(snapshot: Snapshot) -> Iterator[Step]:
    """What the BMC must be before anything about it is changed."""
    wrong = mismatch(snapshot)
    if wrong is not None:
        yield _finding(IDENTITY, wrong, Severity.BLOCKED)
    useless = unsupported(snapshot)
    if useless is not None:
        yield _finding(SUPPORT, useless, Severity.BLOCKED)
    off = clock_off(snapshot)
    if off is not None:
        yield _finding(CLOCK, off, Severity.WAITING)


def _ownership(snapshot: Snapshot, now: datetime) -> Iterator[Step]:
    look, reach = snapshot.look, snapshot.reach
    if look is None or reach is None or look.access is None:
        return
    access, user = look.access, look.user
    if not look.is_trusting or is_bundle_new(snapshot):
        sync = SyncTrust(reach=reach, access=access, user=user)
        yield Step(name=TRUST, actions=(Drive(intent=sync, because="the BMC is to trust our CAs"),))
    why = why_new_certificate(snapshot, now)
    if why is not None:
        install = InstallCertificate(reach=reach, access=access, user=user)
        yield Step(name=CERTIFICATE, actions=(Drive(intent=install, because=why),))
    if not look.is_tls_login_on:
        turn_on = TurnTLSLoginOn(reach=reach, access=access, user=user)
        yield Step(name=TLS, actions=(Drive(intent=turn_on, because="the BMC is to know us by our certificate"),))
    elif look.access is Access.PASSWORD and look.is_trusting and why is None and look.doubt is not None:
        yield _finding(PROOF, look.doubt.why, Severity.WAITING)


def _why_first(snapshot: Snapshot, look: Look, now: datetime) -> str | None:
    """A BMC that lets us in by password only: is it because of its certificate?"""
    if look.is_served_ours and look.doubt is not None and look.doubt.cause is not Cause.UNTRUSTED:
        return None
    if is_settling(snapshot, now):
        return None
    return look.doubt.why if look.is_served_ours and look.doubt is not None else "the BMC has no certificate of ours"


def _life_s(snapshot: Snapshot, look: Look) -> float:
    """How long the certificate is good for: one that we have issued while its authority ended soon got less."""
    recorded, rotated = snapshot.device.status.bmcServerCertificate, _rotated(snapshot)
    end = look.not_after
    if recorded is None or end is None or end <= rotated or _moment(recorded.notAfter) != end:
        return _LIFE_S
    return min(_LIFE_S, (end - rotated).total_seconds())


def _rotated(snapshot: Snapshot) -> datetime:
    recorded = snapshot.device.status.bmcServerCertificate
    return _moment(recorded.lastRotationTime if recorded is not None else None)


def _moment(text: str | None) -> datetime:
    """What cannot be read is long ago."""
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return datetime.fromisoformat("1970-01-01T00:00:00Z")


def _finding(step: str, message: str, severity: Severity, *, blocks: bool = True) -> Step:
    return Step(name=step, findings=(Finding(severity=severity, message=message),), blocks=blocks)
