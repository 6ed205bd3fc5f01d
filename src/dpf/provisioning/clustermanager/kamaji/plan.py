"""What one pass of the Kamaji cluster manager decides. Pure.

Steps: what the DPUCluster says can be done; Kamaji is there; the Service has a node port; the TenantControlPlane is as
wanted; keepalived carries the virtual address; the version is as wanted; the control plane is Ready and its kubeconfig
exists; spec.kubeconfig names it. Keepalived stands before Ready, because Kamaji itself reaches the API server through
the virtual address; neither it nor an upgrade holds up what comes after.
"""

from __future__ import annotations

from typing import Final

from dpf.api import core
from dpf.api.dpucluster import DPUCluster, Keepalived
from dpf.api.kamaji import TenantControlPlane
from dpf.api.meta import Object, object_key
from dpf.provisioning.clustermanager.kamaji import build, drift, keepalived, versions
from dpf.provisioning.clustermanager.kamaji.snapshot import Snapshot, is_ours
from dpf.provisioning.dpucluster import kubeconfig
from dpf.runtime.plan import Action, Apply, Delete, Finding, Patch, Plan, Severity, Step

INPUT: Final = "Input"
KAMAJI: Final = "Kamaji"
ENDPOINT: Final = "Endpoint"
CONTROL_PLANE: Final = "ControlPlane"
KEEPALIVED: Final = "Keepalived"
UPGRADE: Final = "Upgrade"
READINESS: Final = "Readiness"
KUBECONFIG: Final = "Kubeconfig"

CHECK_SETTLED_EVERY_S: Final = 600.0
"""Only in case; all that was made is watched."""
CHECK_UNSETTLED_EVERY_S: Final = 5.0
CHECK_MISSING_EVERY_S: Final = 15.0
CHECK_REMOVED_EVERY_S: Final = 2.0


def plan(snapshot: Snapshot, *, image: str = keepalived.IMAGE) -> Plan:
    """Everything that is missing, in order. `image` is keepalived's."""
    invalid = _input(snapshot)
    if invalid:
        return Plan(steps=(_told(INPUT, Severity.INVALID, *invalid),))
    if not snapshot.installed:
        return Plan(
            steps=(_told(KAMAJI, Severity.BLOCKED, _not_installed()),), wake_after_s=CHECK_MISSING_EVERY_S,
        )
    node_port = build.told_node_port(snapshot.control_plane) or build.node_port_of(snapshot.service)
    steps = [_endpoint(snapshot, node_port)]
    if node_port is not None:
        steps += [
            _control_plane(snapshot, node_port), _keepalived(snapshot, node_port, image),
            _upgrade(snapshot, node_port), _readiness(snapshot), _hand_over(snapshot),
        ]
    settled = node_port is not None and not any(step.findings or step.actions for step in steps)
    return Plan(steps=tuple(steps), wake_after_s=CHECK_SETTLED_EVERY_S if settled else CHECK_UNSETTLED_EVERY_S)


def teardown(snapshot: Snapshot) -> Plan:
    """Remove what is ours, the Service last; the finalizer goes on a pass that finds nothing of ours."""
    ours = [obj for obj in _made(snapshot) if is_ours(obj, snapshot)]
    if not ours:
        return Plan(release=True)
    steps = [
        _removal(KEEPALIVED, [obj for obj in ours if isinstance(obj, core.DaemonSet | core.ConfigMap)]),
        _removal(CONTROL_PLANE, [obj for obj in ours if isinstance(obj, TenantControlPlane)]),
        _removal(ENDPOINT, [obj for obj in ours if isinstance(obj, core.Service)]),
    ]
    return Plan(steps=tuple(step for step in steps if step.findings), wake_after_s=CHECK_REMOVED_EVERY_S)


def wanted_version(snapshot: Snapshot) -> str:
    """The version for a DPUCluster whose input is valid."""
    return versions.wanted(snapshot.cluster.spec.version) or versions.DEFAULT


def _input(snapshot: Snapshot) -> list[str]:
    """What only a change of the DPUCluster can mend."""
    cluster, asked = snapshot.cluster, snapshot.keepalived
    found = list(keepalived.problems(asked)) if asked is not None else []
    if versions.wanted(cluster.spec.version) is None:
        found.append(
            f"spec.version {cluster.spec.version!r} is not a version like {versions.DEFAULT}. "
            "Next step: correct it, or leave it out"
        )
    named, ours = cluster.spec.kubeconfig, kubeconfig.secret_name(object_key(cluster))
    if named and named != ours:
        found.append(
            f"spec.kubeconfig names {named!r}, but Kamaji hands over {ours!r} and the field cannot be changed. "
            "Next step: delete the DPUCluster and create it again without spec.kubeconfig"
        )
    return found


def _not_installed() -> str:
    return (
        f"Kamaji is not installed: the host cluster does not serve {TenantControlPlane.resource.qualified_name}. "
        "Next step: install Kamaji with its CRDs; it is found by itself then"
    )


def _endpoint(snapshot: Snapshot, node_port: int | None) -> Step:
    """The Service. That it has no node port yet ends the pass; the watch on it starts the next one."""
    found = snapshot.service
    if found is not None and not is_ours(found, snapshot):
        return _told(ENDPOINT, Severity.BLOCKED, _in_the_way(found))
    wanted = build.service(snapshot.cluster, actual=found, node_port=node_port)
    because = "the API server of the DPU cluster needs a node port"
    findings = () if node_port is not None else (
        Finding(severity=Severity.WAITING, message=f"service {object_key(wanted)} has no node port yet"),
    )
    return Step(name=ENDPOINT, actions=_apply(found, wanted, because), findings=findings)


def _control_plane(snapshot: Snapshot, node_port: int) -> Step:
    """The TenantControlPlane, but for the version of one that is in use: that is the business of the upgrade."""
    found = snapshot.control_plane
    if found is None:
        wanted = _wanted_control_plane(snapshot, node_port, wanted_version(snapshot))
        return Step(name=CONTROL_PLANE, actions=_apply(None, wanted, "the DPUCluster asks for a control plane"))
    if not is_ours(found, snapshot):
        return _told(CONTROL_PLANE, Severity.BLOCKED, _in_the_way(found))
    if found.metadata.deletionTimestamp is not None:
        return _told(CONTROL_PLANE, Severity.WAITING, f"{_being_removed(found)}; it is made again after that")
    version = (found.spec.kubernetes.version if snapshot.handed_over else None) or wanted_version(snapshot)
    wanted = _wanted_control_plane(snapshot, node_port, version)
    addressed = found.spec.networkProfile.address == wanted.spec.networkProfile.address
    actions = _apply(found if addressed else None, wanted, "the control plane is not as the DPUCluster asks for it")
    return Step(name=CONTROL_PLANE, actions=actions)


def _keepalived(snapshot: Snapshot, node_port: int, image: str) -> Step:
    asked, found = snapshot.keepalived, (snapshot.config, snapshot.daemonset)
    if asked is None:
        gone = tuple(
            _delete(obj, "the DPUCluster asks for no virtual address any more")
            for obj in found if obj is not None and is_ours(obj, snapshot) and not obj.metadata.deletionTimestamp
        )
        return Step(name=KEEPALIVED, actions=gone, blocks=False)
    foreign = [_in_the_way(obj) for obj in found if obj is not None and not is_ours(obj, snapshot)]
    if foreign:
        return _told(KEEPALIVED, Severity.BLOCKED, *foreign, blocks=False)
    return Step(name=KEEPALIVED, actions=_carrying(snapshot, asked, node_port, image), blocks=False)


def _carrying(snapshot: Snapshot, asked: Keepalived, node_port: int, image: str) -> tuple[Action, ...]:
    cluster = snapshot.cluster
    config = keepalived.config(cluster, asked, node_port)
    daemonset = keepalived.daemonset(cluster, asked, config, image)
    because = f"{asked.vip} has to lead to the API server of the DPU cluster"
    return (*_apply(snapshot.config, config, because), *_apply(snapshot.daemonset, daemonset, because))


def _upgrade(snapshot: Snapshot, node_port: int) -> Step:
    """In place, once the control plane is in use; before that its version is just written."""
    found, target = snapshot.control_plane, wanted_version(snapshot)
    current = (found.spec.kubernetes.version if found is not None else None) or ""
    if not snapshot.handed_over or not current or current == target:
        return Step(name=UPGRADE, blocks=False)
    obstacle = versions.obstacle(current, target)
    if obstacle is not None:
        return _told(UPGRADE, Severity.INVALID, obstacle, blocks=False)
    wanted = _wanted_control_plane(snapshot, node_port, target)
    return Step(name=UPGRADE, actions=_apply(None, wanted, f"upgrade from {current} to {target}"), blocks=False)


def _readiness(snapshot: Snapshot) -> Step:
    key = build.name_of(snapshot.cluster)
    if not snapshot.serves:
        word = snapshot.word or "not taken up by Kamaji yet"
        hint = "" if snapshot.keepalived is not None else (
            "Kamaji needs an address for it: set spec.clusterEndpoint.keepalived, or see "
        )
        advice = f"`kubectl describe tenantcontrolplane -n {key.namespace} {key.name}` and the log of Kamaji"
        message = f"TenantControlPlane {key} is {word}. If this stays: {hint or 'see '}{advice}"
        return _told(READINESS, Severity.WAITING, message)
    name = kubeconfig.secret_name(key)
    if snapshot.secret is None:
        return _told(READINESS, Severity.WAITING, f"secret {key.namespace}/{name}, which Kamaji makes, does not exist")
    if _is_controlled_by_others(snapshot):
        return _told(READINESS, Severity.BLOCKED, (
            f"secret {key.namespace}/{name} exists and is not Kamaji's. "
            "Next step: rename or delete it, its place is needed for the administrator's kubeconfig"
        ))
    return Step(name=READINESS)


def _hand_over(snapshot: Snapshot) -> Step:
    if snapshot.handed_over:
        return Step(name=KUBECONFIG)
    key = object_key(snapshot.cluster)
    patch = {"spec": {"kubeconfig": kubeconfig.secret_name(key)}}
    return Step(name=KUBECONFIG, actions=(
        Patch(kind=DPUCluster, key=key, patch=patch, because="its kubeconfig is ready"),
    ))


def _wanted_control_plane(snapshot: Snapshot, node_port: int, version: str) -> TenantControlPlane:
    asked = snapshot.keepalived
    vip = asked.vip if asked is not None else None
    return build.control_plane(snapshot.cluster, version=version, node_port=node_port, vip=vip)


def _is_controlled_by_others(snapshot: Snapshot) -> bool:
    secret, control_plane = snapshot.secret, snapshot.control_plane
    uid = control_plane.metadata.uid if control_plane is not None else None
    owners = (secret.ownerReferences if secret is not None else None) or ()
    return any(owner.controller and owner.uid != uid for owner in owners)


def _made(snapshot: Snapshot) -> list[Object]:
    candidates = (snapshot.daemonset, snapshot.config, snapshot.control_plane, snapshot.service)
    return [obj for obj in candidates if obj is not None]


def _removal(name: str, objects: list[Object]) -> Step:
    """Delete what is not on its way out yet, and wait for all of it."""
    actions = tuple(
        _delete(obj, "its DPUCluster is deleted") for obj in objects if obj.metadata.deletionTimestamp is None
    )
    findings = tuple(Finding(severity=Severity.WAITING, message=_being_removed(obj)) for obj in objects)
    return Step(name=name, actions=actions, findings=findings)


def _being_removed(obj: Object) -> str:
    what = f"{_describe(obj)} is being removed"
    held = ", ".join(obj.metadata.finalizers or ())
    who = "Kamaji lets it go" if isinstance(obj, TenantControlPlane) else "whoever set them lets it go"
    return f"{what}; {who} (finalizers: {held})" if held else what


def _in_the_way(obj: Object) -> str:
    owners = (owner for owner in obj.metadata.ownerReferences or () if owner.kind == DPUCluster.resource.kind)
    owner = next(owners, None)
    whose = f"belongs to an earlier or another DPUCluster ({owner.name}, uid {owner.uid})" if owner is not None else (
        "does not belong to this DPUCluster"
    )
    return f"{_describe(obj)} exists and {whose}. Next step: rename or delete it, its place is needed"


def _describe(obj: Object) -> str:
    return f"{obj.resource.kind} {object_key(obj)}"


def _apply(found: Object | None, wanted: Object, because: str) -> tuple[Action, ...]:
    """Nothing when `found` is as wanted."""
    if found is not None and drift.holds(found, wanted):
        return ()
    return (Apply(object=wanted, because=because),)


def _delete(obj: Object, because: str) -> Delete:
    return Delete(kind=type(obj), key=object_key(obj), uid=obj.metadata.uid, because=because)


def _told(name: str, severity: Severity, *messages: str, blocks: bool = True) -> Step:
    findings = tuple(Finding(severity=severity, message=message) for message in messages)
    return Step(name=name, findings=findings, blocks=blocks)
