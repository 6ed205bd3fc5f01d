"""Conditions and facts of a DPUDevice that is reached by its BMC, from what a pass saw and did. Pure.

Called by `status`. A condition that nobody could judge in this pass keeps its value. Types and reasons:
api-provisioning.md section 9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from dpf.api import provisioning
from dpf.api.dpudevice import ConditionReason, ConditionType
from dpf.api.provisioning import DPUMode, DPUType
from dpf.provisioning.certificates import bundle
from dpf.provisioning.dpudevice import bmcplan
from dpf.provisioning.dpudevice.intents import Installed, Refusal
from dpf.provisioning.dpudevice.snapshot import Access, Look, Password, Snapshot
from dpf.provisioning.install.port import Cause
from dpf.runtime import conditions
from dpf.runtime.conditions import Reason, State
from dpf.runtime.plan import Applied, StepResult

States = dict[str, State]

_SETTING_UP: Final = "The BMC is being set up"
_TOLD: Final = (bmcplan.SUPPORT, bmcplan.TRUST, bmcplan.CERTIFICATE, bmcplan.TLS, bmcplan.PROOF)
"""Steps whose trouble keeps a BMC from being set up, in their order."""


def states(snapshot: Snapshot, applied: Applied) -> States:
    """What this pass says about each condition."""
    return {
        **dict(_discovered(snapshot)), **dict(_initialized(snapshot, applied)),
        **dict(_credentials(snapshot, applied)), **dict(_certificate(snapshot, applied)),
        **dict(_trust(snapshot, applied)),
    }


def dropped(snapshot: Snapshot) -> frozenset[str]:
    """The condition about what cannot be used is there only as long as there is something."""
    return frozenset() if _error(snapshot) is not None or snapshot.look is None else frozenset({ConditionType.ERROR})


def fields(snapshot: Snapshot, applied: Applied, now: datetime) -> dict[str, Any]:
    """Facts that were told, and what was done to the BMC and when."""
    found: dict[str, Any] = {}
    look = snapshot.look
    if look is not None and look.access is not None and bmcplan.mismatch(snapshot) is None:
        found |= _facts(snapshot, look)
    if snapshot.credentials is not None and (_is_accepted(look) or _has_settled(applied)):
        found["bmcCredentialSecretName"] = snapshot.credentials.secret
    return {**found, **_certificate_fields(snapshot, applied, now), **_trust_fields(snapshot, applied, now)}


def _discovered(snapshot: Snapshot) -> Iterator[tuple[str, State]]:
    look, wrong = snapshot.look, _error(snapshot)
    if not snapshot.bmc_ip:
        yield ConditionType.DISCOVERED, conditions.false(Reason.PENDING, _no_address(snapshot))
    if wrong is not None:
        yield ConditionType.ERROR, conditions.true(Reason.ERROR, wrong)
    if look is None or look.access is None:
        if not conditions.is_true(snapshot.device.status.conditions, ConditionType.DISCOVERED) and snapshot.bmc_ip:
            yield ConditionType.DISCOVERED, conditions.false(Reason.PENDING, "The BMC has told nothing yet")
        return
    mismatched = bmcplan.mismatch(snapshot)
    if mismatched is not None:
        yield ConditionType.DISCOVERED, conditions.false(Reason.ERROR, mismatched)
    elif look.access is Access.CERTIFICATE or bmcplan.unsupported(snapshot) is not None:
        yield ConditionType.DISCOVERED, conditions.true()
    elif not conditions.is_true(snapshot.device.status.conditions, ConditionType.DISCOVERED):
        yield ConditionType.DISCOVERED, conditions.false(Reason.PENDING, _SETTING_UP)


def _initialized(snapshot: Snapshot, applied: Applied) -> Iterator[tuple[str, State]]:
    told = conditions.find(snapshot.device.status.conditions, ConditionType.INITIALIZED)
    if snapshot.look is None and snapshot.bmc_ip and told is not None:
        return  # our own certificates are being renewed: that says nothing about the BMC
    state = _initialization(snapshot, applied)
    yield ConditionType.INITIALIZED, state
    if state.status == conditions.Status.TRUE:
        never = snapshot.device.spec is not None and (
            snapshot.device.spec.bmcFactoryResetPolicy == provisioning.BMCFactoryResetPolicy.NEVER
        )
        message = "" if never else "The BMC could be set up without one"
        yield ConditionType.BMC_FACTORY_RESET_READY, conditions.true(ConditionReason.FACTORY_RESET_SKIPPED, message)


def _initialization(snapshot: Snapshot, applied: Applied) -> State:
    look = snapshot.look
    if not snapshot.bmc_ip:
        return conditions.false(Reason.FAILURE, _no_address(snapshot))
    prepared = applied.step(bmcplan.CERTIFICATES)
    if look is None:
        return conditions.false(*((Reason.ERROR, prepared.errors[0]) if prepared.errors else _pending()))
    off = bmcplan.clock_off(snapshot)
    if look.access is not None and off is not None:
        return conditions.false(ConditionReason.BMC_MANAGER_DATE_TIME_UNSYNCHRONIZED, off)
    if look.access is Access.CERTIFICATE and _error(snapshot) is None:
        return conditions.true()
    if applied.step(bmcplan.CONTACT).errors and look.silence is not None:
        return conditions.false(Reason.ERROR, look.silence.why)
    failed = next((applied.step(name).errors[0] for name in _TOLD if applied.step(name).errors), None)
    return conditions.false(*((Reason.ERROR, failed) if failed is not None else _pending()))


def _pending() -> tuple[str, str]:
    return Reason.PENDING, _SETTING_UP


def _credentials(snapshot: Snapshot, applied: Applied) -> Iterator[tuple[str, State]]:
    given, look, type_ = snapshot.credentials, snapshot.look, ConditionType.BMC_CREDENTIALS_READY
    if given is not None and given.problem is not None:
        yield type_, conditions.false(given.problem.reason, given.problem.message)
        return
    settled = applied.step(bmcplan.PASSWORD)
    refusal = next((o.answer.why for o in settled.outcomes if isinstance(o.answer, Refusal)), None)
    if look is not None and look.password is Password.REFUSED:
        refusal = look.password_why
    if refusal is not None:
        yield type_, conditions.false(ConditionReason.BMC_AUTHENTICATION_FAILED, refusal)
    elif _is_accepted(look) or _has_settled(applied):
        yield type_, conditions.true(ConditionReason.CREDENTIALS_VALID)
    elif settled.errors:
        yield type_, conditions.false(Reason.ERROR, settled.errors[0])


def _certificate(snapshot: Snapshot, applied: Applied) -> Iterator[tuple[str, State]]:
    look, type_ = snapshot.look, ConditionType.BMC_SERVER_CERTIFICATE_READY
    result, proof = applied.step(bmcplan.CERTIFICATE), applied.step(bmcplan.PROOF)
    if result.errors:
        reason = ConditionReason.BMC_SERVER_CERTIFICATE_ROTATION_FAILED
        yield type_, conditions.false(reason, result.errors[0])
    elif look is not None and look.access is Access.CERTIFICATE:
        yield type_, conditions.true()
    elif proof.errors and look is not None and look.doubt is not None and look.doubt.cause is Cause.REJECTED:
        yield type_, conditions.false(ConditionReason.REDFISH_CLIENT_CERT_STALE, proof.errors[0])
    elif result.succeeded:
        message = "The BMC has a new certificate"
        yield type_, conditions.false(ConditionReason.BMC_SERVER_CERTIFICATE_ROTATING, message)
    elif look is not None and look.doubt is not None and look.doubt.cause is Cause.UNTRUSTED and _was_ours(snapshot):
        yield type_, conditions.false(ConditionReason.BMC_SERVER_CERTIFICATE_UNTRUSTED, look.doubt.why)


def _trust(snapshot: Snapshot, applied: Applied) -> Iterator[tuple[str, State]]:
    look, type_ = snapshot.look, ConditionType.CA_TRUST_BUNDLE_READY
    result, prepared = applied.step(bmcplan.TRUST), applied.step(bmcplan.CERTIFICATES)
    if prepared.errors:
        yield type_, conditions.false(ConditionReason.CA_TRUST_BUNDLE_UNAVAILABLE, prepared.errors[0])
    elif result.errors:
        yield type_, conditions.false(ConditionReason.CA_TRUST_BUNDLE_SYNC_FAILED, result.errors[0])
    elif result.succeeded or (look is not None and look.is_trusting and not bmcplan.is_bundle_new(snapshot)):
        yield type_, conditions.true(ConditionReason.CA_TRUST_BUNDLE_SYNCED)


def _error(snapshot: Snapshot) -> str | None:
    """What only a person can mend."""
    look = snapshot.look
    if look is None or look.access is None:
        return None
    return bmcplan.mismatch(snapshot) or bmcplan.unsupported(snapshot)


def _facts(snapshot: Snapshot, look: Look) -> dict[str, Any]:
    """What was not told stays as it is."""
    sight, spec = look.sight, snapshot.device.spec
    if sight is None:
        return {}
    facts: dict[str, Any] = {
        "serialNumber": sight.serial, "psid": sight.psid, "opn": sight.opn, "pf0Mac": sight.pf0_mac,
        "dpuMode": sight.mode, "bmcIp": snapshot.bmc_ip, "bmcPort": spec.bmcPort if spec is not None else None,
    }
    if sight.type is not None and sight.type is not DPUType.UNKNOWN:
        facts["dpuType"] = sight.type
    elif sight.mode is DPUMode.NIC:
        facts["dpuType"] = DPUType.UNKNOWN
    if sight.secure_boot is not None and sight.secure_boot.current is not None:
        facts["secureBoot"] = provisioning.SecureBootStatus(enabled=sight.secure_boot.current)
    return {name: value for name, value in facts.items() if value is not None}


def _certificate_fields(snapshot: Snapshot, applied: Applied, now: datetime) -> Mapping[str, Any]:
    look, recorded = snapshot.look, snapshot.device.status.bmcServerCertificate
    installed = next(_answers(applied.step(bmcplan.CERTIFICATE), Installed), None)
    if isinstance(installed, Installed):
        return {"bmcServerCertificate": _set({
            "notAfter": _rfc3339(installed.not_after), "lastRotationTime": _rfc3339(now),
            "observedManualTrigger": snapshot.manual_trigger,
        })}
    if look is None or look.access is not Access.CERTIFICATE or look.not_after is None:
        return {}
    return {"bmcServerCertificate": _set({
        "notAfter": _rfc3339(look.not_after),
        "lastRotationTime": recorded.lastRotationTime if recorded is not None else None,
        "observedManualTrigger": recorded.observedManualTrigger if recorded is not None else None,
    })}


def _trust_fields(snapshot: Snapshot, applied: Applied, now: datetime) -> Mapping[str, Any]:
    if not applied.step(bmcplan.TRUST).succeeded or snapshot.reach is None:
        return {}
    return {"caTrustBundle": {
        "observedBundleHash": bundle.digest(snapshot.reach.bundle), "lastUpdateTime": _rfc3339(now),
    }}


def _answers(result: StepResult, kind: type[object]) -> Iterator[object]:
    return (outcome.answer for outcome in result.outcomes if isinstance(outcome.answer, kind))


def _is_accepted(look: Look | None) -> bool:
    return look is not None and look.password is Password.ACCEPTED


def _has_settled(applied: Applied) -> bool:
    result = applied.step(bmcplan.PASSWORD)
    return bool(result.outcomes) and all(o.error is None and o.answer is None for o in result.outcomes)


def _was_ours(snapshot: Snapshot) -> bool:
    return snapshot.device.status.bmcServerCertificate is not None


def _no_address(snapshot: Snapshot) -> str:
    return f"DPUDevice {snapshot.key} has no address of its BMC; set spec.bmcIp"


def _set(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
