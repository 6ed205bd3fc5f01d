"""Decides what has to be done for one DPUServiceCredentialRequest (behaviour-service.md section 7).

Pure and total. A pass goes as far as what it has seen allows; each stage is a pass of its own, so that a process that
is killed at any point is followed by one that knows what there is:

    move      the status names another ServiceAccount than the spec: that one goes, the new name is recorded
    account   the ServiceAccount is made, which by now the status names
    secret    a token is asked for and the Secret written, or a Secret that has a good one is moved or relabelled
    leftovers Secrets by earlier names go, once the new one is there

No token is ever part of a plan: an intent says where it comes from and where it goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from dpf.api import core
from dpf.api.meta import Key, Object, object_key
from dpf.runtime import diff
from dpf.runtime.plan import HOST, Action, Apply, ClusterKey, Delete, Drive, Finding, Plan, Severity, Step
from dpf.services.credentialrequest import build, credential, wanted
from dpf.services.credentialrequest.snapshot import Connecting, Endpoint, Place, Snapshot, Unusable
from dpf.services.credentialrequest.wanted import Wanted

AT_ONCE_S: Final = 0.0
ASK_AGAIN_S: Final = 10.0
"""After an answer that failed while its cluster is connected."""
LOOK_AGAIN_S: Final = 60.0
"""When something of somebody else's is in the way: nobody tells us when it goes."""


class StepName(StrEnum):
    """The steps of a pass; see above."""

    MOVE = "move"
    ACCOUNT = "account"
    SECRET = "secret"  # noqa: S105 - the name of a step
    LEFTOVERS = "leftovers"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueCredential:
    """Intent: ask the cluster for a token and write the Secret. `requested` is our time, RFC 3339.

    `exists`: a Secret of that name is there and is ours.
    """

    request: Key
    wanted: Wanted
    cluster: ClusterKey
    endpoint: Endpoint
    inputs: str
    requested: str
    exists: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveCredential:
    """Intent: write the Secret with the data that another one, or it itself, holds. `exists` as above."""

    request: Key
    wanted: Wanted
    source: Key
    exists: bool


Intent = IssueCredential | MoveCredential


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """Everything that can be done now."""
    asked = wanted.read(snapshot.request)
    if isinstance(asked, wanted.Invalid) or snapshot.target is None:
        why = asked.why if isinstance(asked, wanted.Invalid) else "it has not been looked at"
        return _stopped(Severity.INVALID, why)
    target = snapshot.target
    if isinstance(target.account, Connecting):
        return _stopped(Severity.WAITING, f"{target.where} is being connected")
    if target.problem is not None:
        return _stopped(Severity.BLOCKED, target.problem, wake_after_s=_ask_again_s(target))
    unfit = build.problem(asked, _endpoint(target))
    if unfit is not None:
        return _stopped(Severity.INVALID, unfit)
    obstacle = _foreign_account(snapshot, target)
    if obstacle is not None:
        return _stopped(Severity.BLOCKED, obstacle, wake_after_s=LOOK_AGAIN_S)
    if needs_record(snapshot, asked):
        return _move(snapshot)
    return _make(snapshot, asked, target, now)


def plan_teardown(snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG001 - the contract
    """Remove what was made, the ServiceAccount first: it is what makes the token worth anything."""
    recorded = snapshot.recorded or (snapshot.target if _is_recorded(snapshot) else None)
    accounts = [_remove_account(snapshot, place) for place in (snapshot.recorded, snapshot.target) if place]
    findings = [_cannot_remove(recorded)] if recorded else []
    secrets = [s for s in (snapshot.secret, *snapshot.others) if s and credential.secret_belongs(s, snapshot.request)]
    return Plan(release=True, wake_after_s=_ask_again_s(recorded), steps=(
        Step(
            name=StepName.ACCOUNT, actions=tuple(a for a in accounts if a), findings=tuple(f for f in findings if f),
        ),
        Step(name=StepName.SECRET, actions=tuple(_delete_secret(s, "its request is deleted") for s in secrets)),
    ))


def needs_record(snapshot: Snapshot, asked: Wanted) -> bool:
    """Whether the status names another ServiceAccount, or one in another cluster, than is wanted (or none)."""
    status = snapshot.request.status
    target_uid = snapshot.target.uid if snapshot.target else ""
    same_cluster = status.targetClusterUID in {None, "", target_uid}
    target = str(asked.target) if asked.target else None
    return not (
        status.serviceAccount == str(asked.account) and (status.targetCluster or None) == target and same_cluster
    )


def _stopped(severity: Severity, why: str, *, wake_after_s: float | None = None) -> Plan:
    finding = Finding(severity=severity, message=why)
    return Plan(steps=(Step(name=StepName.ACCOUNT, findings=(finding,)),), wake_after_s=wake_after_s)


def _move(snapshot: Snapshot) -> Plan:
    """Nothing is made before the status names it. The next pass goes on at once."""
    former = snapshot.recorded
    if former is None:
        return Plan(steps=(Step(name=StepName.MOVE),), wake_after_s=AT_ONCE_S)
    remove, finding = _remove_account(snapshot, former), _cannot_remove(former)
    return Plan(
        steps=(Step(
            name=StepName.MOVE, actions=(remove,) if remove else (), findings=(finding,) if finding else (),
        ),),
        wake_after_s=_ask_again_s(former) if finding else AT_ONCE_S,
    )


def _ask_again_s(place: Place | None) -> float | None:
    failed = isinstance(place.account, Unusable) and place.account.passing if place else False
    return ASK_AGAIN_S if failed else None


def _make(snapshot: Snapshot, asked: Wanted, target: Place, now: datetime) -> Plan:
    account = _account_action(snapshot, asked, target)
    first = Step(name=StepName.ACCOUNT, actions=(account,) if account else ())
    if not isinstance(target.account, core.ServiceAccount):
        # A token belongs to one ServiceAccount by uid, and this one has none yet.
        return Plan(steps=(first,), wake_after_s=AT_ONCE_S)
    obstacle = _foreign_secret(snapshot, asked)
    if obstacle is not None:
        step = Step(name=StepName.SECRET, findings=(Finding(severity=Severity.BLOCKED, message=obstacle),))
        return Plan(steps=(first, step), wake_after_s=LOOK_AGAIN_S)
    action = _secret_action(snapshot, asked, target, now)
    pause_s = credential.pause_s(snapshot.secret, snapshot.request, now) if action is not None else 0.0
    if pause_s:
        finding = Finding(severity=Severity.WAITING, message=_changed(asked))
        return Plan(steps=(first, Step(name=StepName.SECRET, findings=(finding,))), wake_after_s=pause_s)
    if action is not None and snapshot.secret is not None and snapshot.secret.immutable:
        replace = _delete_secret(snapshot.secret, "it was made immutable and cannot be renewed")
        return Plan(steps=(first, Step(name=StepName.SECRET, actions=(replace,))), wake_after_s=AT_ONCE_S)
    leftovers = tuple(_delete_secret(s, "the Secret has another name now") for s in snapshot.others)
    return Plan(
        steps=(
            first,
            Step(name=StepName.SECRET, actions=(action,) if action else ()),
            Step(name=StepName.LEFTOVERS, actions=leftovers),
        ),
        wake_after_s=_wake_after_s(snapshot, asked, now) if action is None else AT_ONCE_S,
    )


def _account_action(snapshot: Snapshot, asked: Wanted, target: Place) -> Action | None:
    if _is_shared(snapshot, target):
        return None
    desired = build.service_account(snapshot.key, asked)
    if isinstance(target.account, core.ServiceAccount) and diff.covers(target.account, desired):
        return None
    because = "the credential needs it" if target.account is None else "it was changed by somebody else"
    return Apply(cluster=target.cluster, object=desired, because=because)


def _secret_action(snapshot: Snapshot, asked: Wanted, target: Place, now: datetime) -> Drive | None:
    """What the Secret needs, if anything; a token that is good is kept."""
    held = credential.held(snapshot, asked)
    mark = credential.read_mark(held) if held else None
    exists = snapshot.secret is not None
    if held is None or mark is None or not _wait_s(mark, snapshot, now):
        intent = IssueCredential(
            request=snapshot.key, wanted=asked, cluster=target.cluster, endpoint=_endpoint(target), exists=exists,
            inputs=credential.current_inputs(target, asked) or "", requested=_rfc3339(now),
        )
        because = "the token is due for renewal" if held else "there is no token that fits"
        return Drive(intent=intent, because=f"Secret {asked.secret}: {because}")
    if object_key(held) == asked.secret and _is_labelled(held, snapshot, asked, mark):
        return None
    intent_to_move = MoveCredential(request=snapshot.key, wanted=asked, source=object_key(held), exists=exists)
    return Drive(intent=intent_to_move, because=f"Secret {asked.secret}: its name or metadata have changed")


def _is_labelled(held: core.Secret, snapshot: Snapshot, asked: Wanted, mark: credential.Mark) -> bool:
    desired = core.Secret(metadata=build.secret_metadata(snapshot.key, asked))
    return mark.metadata == credential.metadata_digest(asked) and diff.covers(held, desired)


def _endpoint(target: Place) -> Endpoint:
    if not isinstance(target.endpoint, Endpoint):
        raise TypeError("a plan is made only for a cluster that can be used")
    return target.endpoint


def _wake_after_s(snapshot: Snapshot, asked: Wanted, now: datetime) -> float | None:
    held = credential.held(snapshot, asked)
    mark = credential.read_mark(held) if held else None
    return _wait_s(mark, snapshot, now) if mark else None


def _wait_s(mark: credential.Mark, snapshot: Snapshot, now: datetime) -> float:
    return credential.wait_s(mark, snapshot.request.metadata.uid or "", now)


def _is_recorded(snapshot: Snapshot) -> bool:
    asked = wanted.read(snapshot.request)
    return isinstance(asked, Wanted) and not needs_record(snapshot, asked)


def _remove_account(snapshot: Snapshot, place: Place) -> Delete | None:
    """The deletion of the ServiceAccount, if it is there and is the request's own."""
    account = place.account
    if not isinstance(account, core.ServiceAccount) or not _account_belongs(snapshot, place, account):
        return None
    return Delete(
        cluster=place.cluster, kind=core.ServiceAccount, key=place.name, uid=account.metadata.uid,
        because="nobody asks for it any more",
    )


def _cannot_remove(place: Place) -> Finding | None:
    """Why it cannot be told whether the ServiceAccount is gone."""
    match place.account:
        case Connecting():
            return Finding(severity=Severity.WAITING, message=f"{place.where} is being connected")
        case Unusable(why=why):
            advice = "" if place.cluster == HOST else (
                f". If that cluster is gone for good, delete DPUCluster {place.cluster}"
            )
            return Finding(severity=Severity.WAITING, message=(
                f"{place.trouble(why)}; waiting for it, to delete ServiceAccount {place.name} there{advice}"
            ))
    return None


def _delete_secret(secret: core.Secret, because: str) -> Delete:
    return Delete(kind=core.Secret, key=object_key(secret), uid=secret.metadata.uid, because=because)


def _account_belongs(snapshot: Snapshot, place: Place, account: core.ServiceAccount) -> bool:
    status = snapshot.request.status
    here = (status.targetCluster or str(HOST)) == str(place.cluster)
    return credential.belongs(account, snapshot.request, status.serviceAccount if here else None)


def _foreign_account(snapshot: Snapshot, target: Place) -> str | None:
    """A ServiceAccount of somebody else's is left alone: its token would give away rights that are not ours to give."""
    account = target.account
    if not isinstance(account, core.ServiceAccount) or _account_belongs(snapshot, target, account):
        return None
    if _is_shared(snapshot, target):
        return None
    return _in_the_way(account, f"ServiceAccount {target.name} in {target.where}", "serviceAccount", snapshot.key)


def _is_shared(snapshot: Snapshot, target: Place) -> bool:
    """Whether another request of the same namespace has made the ServiceAccount.

    Whoever may make requests there gets its token anyway. It goes with the request that made it; one that is left then
    makes its own.
    """
    account = target.account
    if not isinstance(account, core.ServiceAccount) or _account_belongs(snapshot, target, account):
        return False
    owner = credential.owner_of(account)
    return owner is not None and owner.namespace == snapshot.key.namespace


def _foreign_secret(snapshot: Snapshot, asked: Wanted) -> str | None:
    if snapshot.secret is None or credential.secret_belongs(snapshot.secret, snapshot.request):
        return None
    return _in_the_way(snapshot.secret, f"Secret {asked.secret}", "secret", snapshot.key)


def _changed(asked: Wanted) -> str:
    return (
        f"Secret {asked.secret} was changed by somebody else right after it was written; it is written again shortly. "
        "If that goes on, find out which admission plug-in or controller changes it, and exempt the Secret"
    )


def _in_the_way(obj: Object, what: str, field: str, request: Key) -> str:
    owner = credential.owner_of(obj)
    if owner is not None:
        return f"{what} belongs to DPUServiceCredentialRequest {owner}; choose another spec.{field}"
    labels = ", ".join(f"{name}={value}" for name, value in credential.owner_labels(request).items())
    return (
        f"{what} exists and was not made for this request, so it is left alone; choose another spec.{field}, "
        f"delete it, or hand it over with the labels {labels} (it is then deleted together with the request)"
    )


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")

