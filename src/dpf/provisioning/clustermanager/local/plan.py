"""What one pass of the local cluster manager decides. Pure.

Steps, each stopping the later ones: the control plane runs and serves; a joining DPU finds what it needs in it; the
host cluster knows its kubeconfig (the Secret, then spec.kubeconfig, then the condition Created in `status`); what runs
is up to date.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, Object, object_key
from dpf.provisioning.clustermanager.local.driver import Access, ControlPlaneState, Identity, Stage
from dpf.provisioning.dpucluster import bootstrap, kubeconfig
from dpf.runtime import diff
from dpf.runtime.plan import Action, Apply, Drive, Finding, Patch, Plan, Severity, Step

CONTROL_PLANE: Final = "ControlPlane"
JOINING: Final = "Joining"
KUBECONFIG: Final = "Kubeconfig"
RENEWAL: Final = "Renewal"

CHECK_RUNNING_EVERY_S: Final = 10.0
"""Nothing tells us that a process has ended."""
CHECK_STARTING_EVERY_S: Final = 0.2
"""Looking waits for the server by itself; this is only the pause between two looks."""
CHECK_LATE_EVERY_S: Final = 5.0
CHECK_AT_ONCE_S: Final = 0.0

JOINING_ANNOTATION: Final = "provisioning.dpu.nvidia.com/joining-objects"
"""On the kubeconfig Secret: digest of the joining objects that were installed before it was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureControlPlane:
    """Intent: start what does not run."""

    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveControlPlane:
    """Intent: stop it and delete its data."""

    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallJoiningObjects:
    """Intent: apply `objects` in the cluster behind `access`."""

    access: Access
    objects: tuple[Object, ...]


Intent = EnsureControlPlane | RemoveControlPlane | InstallJoiningObjects


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`secret` is the kubeconfig Secret by its documented name, None when it does not exist."""

    cluster: DPUCluster
    control_plane: ControlPlaneState
    secret: Secret | None = None


def identity_of(cluster: DPUCluster) -> Identity:
    """Whose control plane `cluster` asks for."""
    return Identity(key=object_key(cluster), uid=cluster.metadata.uid or "")


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """Everything that is missing, in order."""
    conflict = _conflict(snapshot)
    if conflict is not None:
        finding = Finding(severity=Severity.INVALID, message=conflict)
        return Plan(steps=(Step(name=CONTROL_PLANE, findings=(finding,)),))
    access = snapshot.control_plane.access
    steps = [_control_plane(snapshot, now)]
    if access is not None:
        objects = bootstrap.joining_objects(endpoint=access.endpoint, ca_pem=access.ca_pem, version=access.version)
        steps += [_joining(snapshot, access, objects), _hand_over(snapshot, access, objects), _renewal(snapshot)]
    return Plan(steps=tuple(steps), wake_after_s=_wake_after_s(snapshot.control_plane, now))


def teardown(snapshot: Snapshot) -> Plan:
    """Remove the control plane; the finalizer goes on a pass that finds nothing. The Secret goes with its owner."""
    if snapshot.control_plane.stage is Stage.ABSENT:
        return Plan(release=True)
    intent = RemoveControlPlane(identity=identity_of(snapshot.cluster))
    remove = Drive(intent=intent, because="its DPUCluster is deleted")
    return Plan(steps=(Step(name=CONTROL_PLANE, actions=(remove,)),), wake_after_s=CHECK_AT_ONCE_S)


def digest_of(objects: tuple[Object, ...]) -> str:
    """Short identity of what a joining DPU finds."""
    return hashlib.sha256(msgspec.json.encode(objects, order="deterministic")).hexdigest()[:16]


def _conflict(snapshot: Snapshot) -> str | None:
    """What only a person can resolve: a kubeconfig that is not ours stands where ours has to be."""
    key = object_key(snapshot.cluster)
    ours, named = kubeconfig.secret_name(key), snapshot.cluster.spec.kubeconfig
    if named and named != ours:
        return (
            f"spec.kubeconfig names {named!r}, but this manager hands over {ours!r} and the field cannot be changed. "
            "Next step: delete the DPUCluster and create it again without spec.kubeconfig"
        )
    if snapshot.secret is not None and not _belongs(snapshot.secret, key):
        return (
            f"secret {key.namespace}/{ours} exists and does not belong to this DPUCluster. "
            "Next step: rename or delete it, its place is needed for the administrator's kubeconfig"
        )
    return None


def _belongs(secret: Secret, cluster: Key) -> bool:
    owners = secret.metadata.ownerReferences or []
    return any(o.kind == DPUCluster.resource.kind and o.name == cluster.name for o in owners)


def _control_plane(snapshot: Snapshot, now: datetime) -> Step:
    found = snapshot.control_plane
    if found.stage is Stage.RUNNING:
        return Step(name=CONTROL_PLANE)
    finding = Finding(severity=Severity.WAITING, message=found.why or "the control plane is being made")
    if found.stage is Stage.STARTING or _held_back(found, now):
        return Step(name=CONTROL_PLANE, findings=(finding,))
    because = found.why or "the DPUCluster asks for a control plane"
    return Step(name=CONTROL_PLANE, actions=(_ensure(snapshot, because),), findings=(finding,))


def _joining(snapshot: Snapshot, access: Access, objects: tuple[Object, ...]) -> Step:
    installed = (snapshot.secret.metadata.annotations or {}).get(JOINING_ANNOTATION) if snapshot.secret else None
    if installed == digest_of(objects):
        return Step(name=JOINING)
    install = Drive(intent=InstallJoiningObjects(access=access, objects=objects), because="DPUs need them to join")
    return Step(name=JOINING, actions=(install,))


def _hand_over(snapshot: Snapshot, access: Access, objects: tuple[Object, ...]) -> Step:
    """The Secret first: spec.kubeconfig must not name one that does not exist."""
    cluster = snapshot.cluster
    wanted = kubeconfig.build_secret(cluster, access.kubeconfig, {JOINING_ANNOTATION: digest_of(objects)})
    actions: list[Action] = []
    if snapshot.secret is None or not diff.covers(snapshot.secret, wanted):
        actions.append(Apply(object=wanted, because="the control plane serves"))
    if not cluster.spec.kubeconfig:
        patch = {"spec": {"kubeconfig": wanted.metadata.name}}
        actions.append(Patch(kind=DPUCluster, key=object_key(cluster), patch=patch, because="its kubeconfig is ready"))
    return Step(name=KUBECONFIG, actions=tuple(actions))


def _renewal(snapshot: Snapshot) -> Step:
    """Last, and no part of Created: what serves goes on serving when a renewal fails."""
    due = _ensure(snapshot, "its programs or certificates are due for renewal")
    return Step(name=RENEWAL, actions=(due,) if snapshot.control_plane.outdated else ())


def _ensure(snapshot: Snapshot, because: str) -> Drive:
    return Drive(intent=EnsureControlPlane(identity=identity_of(snapshot.cluster)), because=because)


def _held_back(found: ControlPlaneState, now: datetime) -> bool:
    return found.not_before is not None and now < found.not_before


def _wake_after_s(found: ControlPlaneState, now: datetime) -> float:
    if found.stage is Stage.RUNNING:
        return CHECK_RUNNING_EVERY_S
    if found.stage is Stage.STARTING:
        return CHECK_LATE_EVERY_S if found.late else CHECK_STARTING_EVERY_S
    if found.not_before is not None and now < found.not_before:
        return (found.not_before - now).total_seconds()
    return CHECK_AT_ONCE_S
