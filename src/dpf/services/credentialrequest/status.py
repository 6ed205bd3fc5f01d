"""Computes the status of a DPUServiceCredentialRequest: what was made, and two conditions (behaviour-service.md 7).

Pure: what was seen, planned and done in; states and fields out. A condition about which the pass says nothing keeps its
value: a token that is good stays so while its cluster is being connected. `Ready` is the summary, which the runtime
adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dpf.api.dpuservicecredentialrequest import ConditionType
from dpf.runtime.conditions import Reason, State, false, true
from dpf.runtime.plan import HOST, Applied, StepResult
from dpf.runtime.reconciler import Verdict
from dpf.services.credentialrequest import credential, wanted
from dpf.services.credentialrequest.credential import Times
from dpf.services.credentialrequest.plan import StepName
from dpf.services.credentialrequest.snapshot import Connecting, Snapshot
from dpf.services.credentialrequest.wanted import Wanted

_PREFIX: Final = "Error occurred: "
_TEARDOWN: Final = {
    ConditionType.SERVICE_ACCOUNT_RECONCILED: StepName.ACCOUNT, ConditionType.SECRET_RECONCILED: StepName.SECRET,
}


def compute(snapshot: Snapshot, applied: Applied) -> Verdict:
    """Everything the pass says about the request."""
    if snapshot.request.metadata.deletionTimestamp is not None:
        return Verdict(states=_teardown(applied))
    asked = wanted.read(snapshot.request)
    if isinstance(asked, Wanted) and applied.step(StepName.MOVE).succeeded:
        return _recorded(snapshot, asked)
    if any(isinstance(place.account, Connecting) for place in (snapshot.target, snapshot.recorded) if place):
        return Verdict(states={})
    return Verdict(states=_states(applied), fields=_fields(snapshot, asked, applied))


def _recorded(snapshot: Snapshot, asked: Wanted) -> Verdict:
    """What is about to be made, and that there is no token yet."""
    target = snapshot.target
    fields: dict[str, Any] = {
        "serviceAccount": str(asked.account), "targetCluster": str(asked.target) if asked.target else None,
        "targetClusterUID": (target.uid or None) if target else None, "expirationTimestamp": None, "issuedAt": None,
    }
    if snapshot.request.status.serviceAccount is None or target is None:
        return Verdict(states={}, fields=fields)
    moving = false(Reason.PENDING, f"ServiceAccount {asked.account} in {target.where} is about to be made")
    types = (ConditionType.SERVICE_ACCOUNT_RECONCILED, ConditionType.SECRET_RECONCILED)
    return Verdict(states=dict.fromkeys(types, moving), fields=fields)


def _states(applied: Applied) -> dict[str, State]:
    """States of the steps, up to and including the first that did not succeed."""
    move, account = applied.step(StepName.MOVE), applied.step(StepName.ACCOUNT)
    secret, leftovers = applied.step(StepName.SECRET), applied.step(StepName.LEFTOVERS)
    states: dict[str, State] = {}
    if problems := (*move.errors, *account.errors):
        return {ConditionType.SERVICE_ACCOUNT_RECONCILED: _error(problems)}
    if account.ran:
        states[ConditionType.SERVICE_ACCOUNT_RECONCILED] = true()
    if problems := (*secret.errors, *leftovers.errors):
        states[ConditionType.SECRET_RECONCILED] = _error(problems)
    elif leftovers.ran:
        states[ConditionType.SECRET_RECONCILED] = true()
    return states


def _fields(snapshot: Snapshot, asked: Wanted | wanted.Invalid, applied: Applied) -> dict[str, Any]:
    """Names and times of the credential, once the Secret holds it."""
    secret = applied.step(StepName.SECRET)
    if isinstance(asked, wanted.Invalid) or not applied.step(StepName.LEFTOVERS).ran:
        return {}
    times = _times(snapshot, asked, secret)
    uid = snapshot.target.uid if snapshot.target and snapshot.target.cluster != HOST else ""
    fields: dict[str, Any] = {"secret": str(asked.secret), "targetClusterUID": uid or None}
    return {**fields, "expirationTimestamp": times.expires, "issuedAt": times.issued} if times else fields


def _times(snapshot: Snapshot, asked: Wanted, secret: StepResult) -> Times | None:
    """Those of the token that was issued now, else of the one that is there."""
    for outcome in secret.outcomes:
        if isinstance(outcome.answer, Times):
            return outcome.answer
    held = credential.held(snapshot, asked)
    mark = credential.read_mark(held) if held else None
    return Times(issued=mark.issued, expires=mark.expires) if mark else None


def _teardown(applied: Applied) -> dict[str, State]:
    """What still holds the object, or nothing."""
    states: dict[str, State] = {}
    for type_, name in _TEARDOWN.items():
        step = applied.step(name)
        failed = [_PREFIX + outcome.error for outcome in step.outcomes if outcome.error is not None]
        if problems := [*(finding.message for finding in step.findings), *failed]:
            states[type_] = false(Reason.AWAITING_DELETION, "; ".join(problems))
    return states


def _error(problems: Sequence[str]) -> State:
    return false(Reason.ERROR, _PREFIX + "; ".join(problems))
