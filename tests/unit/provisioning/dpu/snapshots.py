"""One DPU in a phase, with all around it as it should be: the tests of the phases change one thing each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from dpf.api import core
from dpf.api.bfb import BFB
from dpf.api.dpu import DPU, Phase
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key
from dpf.provisioning.dpu.decision import Decision, Update, outcome
from dpf.provisioning.dpu.phases import table
from dpf.provisioning.dpu.snapshot import Settings, Snapshot
from dpf.provisioning.hostpods.state import PodPhase, PodState
from dpf.provisioning.install.port import Card, Sight
from dpf.runtime.plan import Outcome, StepResult

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "dpf-operator-system"
NAME = "worker1-mt1"
UID = "uid-dpu"
CARD = Card(name="mt1", host="192.0.2.5", port=443, serial="MT1")
RUNNING = PodState(phase=PodPhase.RUNNING)
SETTINGS = Settings(version="26.4.0", registry="registry.example:8443")


def ago(**age: float) -> str:
    return (NOW - timedelta(**age)).strftime("%Y-%m-%dT%H:%M:%SZ")


def a_condition(type_: str, status: str = "True", reason: str = "", message: str = "", **age: float) -> dict[str, Any]:
    since = ago(**(age or {"minutes": 1}))
    return {
        "type": type_, "status": status, "reason": reason or type_, "message": message, "lastTransitionTime": since,
    }


def a_dpu(
    phase: str = Phase.INITIALIZING, *conditions: dict[str, Any], interface: str | None = "redfish",
    spec: Mapping[str, Any] | None = None, annotations: Mapping[str, str] | None = None, generation: int = 1,
    deleted: str | None = None, name: str = NAME, uid: str = UID, **status: Any,
) -> DPU:
    """A DPU whose spec names everything; `spec` and `status` say what differs."""
    return msgspec.convert({
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": uid, "generation": generation, "resourceVersion": "7",
            "annotations": dict(annotations or {}), "deletionTimestamp": deleted,
        },
        "spec": {
            "dpuNodeName": "worker1", "dpuDeviceName": "mt1", "serialNumber": "MT1", "bfb": "bfb",
            "dpuFlavor": "flavor", "pciAddress": "0000-2b-00",
            "cluster": {"name": "tenant1", "namespace": NAMESPACE}, **(spec or {}),
        },
        "status": {
            "phase": phase, "dpuInstallInterface": interface, "conditions": list(conditions), "bfbFile": "bfb.bfb",
            **status,
        },
    }, DPU)


def a_dpunode(*, node: str | None = "worker1", labels: Mapping[str, str] | None = None, **status: Any) -> DPUNode:
    return msgspec.convert({
        "metadata": {"name": "worker1", "namespace": NAMESPACE, "labels": dict(labels or {})}, "spec": {},
        "status": {
            "kubeNodeRef": node, "dpuInstallInterface": "redfish", "conditions": [a_condition("OOBBridgeConfigured")],
            **status,
        },
    }, DPUNode)


def a_device(*, labels: Mapping[str, str] | None = None, ready: bool = True, **more: Any) -> DPUDevice:
    status = {"dpuType": "BlueField3", "conditions": [a_condition("Ready", str(ready))], **more.pop("status", {})}
    spec = {"serialNumber": "MT1", "bmcIp": "192.0.2.5", **more}
    return msgspec.convert({
        "metadata": {"name": "mt1", "namespace": NAMESPACE, "labels": dict(labels or {})},
        "spec": spec, "status": status,
    }, DPUDevice)


def a_bfb(phase: str = "Ready", **status: Any) -> BFB:
    versions = {"bsp": "4.9.1", "doca": "2.9.1", "uefi": "4.9.1-11", "atf": "v2.2"}
    return msgspec.convert({
        "metadata": {"name": "bfb", "namespace": NAMESPACE},
        "spec": {"url": "https://example.com/b/bf-bundle-2.9.1.bfb"},
        "status": {"phase": phase, "fileName": "bfb.bfb", "versions": versions, **status},
    }, BFB)


def a_flavor(**spec: Any) -> DPUFlavor:
    return msgspec.convert({"metadata": {"name": "flavor", "namespace": NAMESPACE}, "spec": spec}, DPUFlavor)


def a_cluster(phase: str = "Ready", *, deleted: str | None = None) -> DPUCluster:
    return msgspec.convert({
        "metadata": {"name": "tenant1", "namespace": NAMESPACE, "deletionTimestamp": deleted},
        "spec": {"type": "kamaji"}, "status": {"phase": phase},
    }, DPUCluster)


def a_node(
    *, ready: str = "True", labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None,
    **status: Any,
) -> core.Node:
    """A Node of the DPU cluster."""
    told = {"type": "Ready", "status": ready, "reason": "KubeletNotReady", "message": "the network is not ready"}
    return msgspec.convert({
        "metadata": {"name": NAME, "labels": dict(labels or {}), "annotations": dict(annotations or {})},
        "status": {"conditions": [told], **status},
    }, core.Node)


def settled_node() -> core.Node:
    """A Node that has all that a DPU of these tests gives it."""
    label = "provisioning.dpu.nvidia.com/dpu-node"
    note = {"provisioning.dpu.nvidia.com/last-applied-labels-on-dpu": '{"provisioning.dpu.nvidia.com/dpu-node":"true"}'}
    return a_node(labels={label: "true"}, annotations=note)


def a_maintenance(
    *requestors: str, applied: str = "True", message: str = "", deleted: str | None = None,
) -> DPUNodeMaintenance:
    """The one for a drain of worker1."""
    return msgspec.convert({
        "metadata": {
            "name": "worker1-k8sdrain", "namespace": NAMESPACE, "resourceVersion": "3", "deletionTimestamp": deleted,
        },
        "spec": {"dpuNodeName": "worker1", "nodeEffect": {"drain": True}, "requestor": list(requestors or (NAME,))},
        "status": {"conditions": [a_condition("NodeEffectApplied", applied, message=message)]},
    }, DPUNodeMaintenance)


def a_snapshot(dpu: DPU | str, **changes: Any) -> Snapshot:
    """All is well around the DPU; a phase stands for a DPU in it that is installed by its BMC."""
    found = Snapshot(
        dpu=a_dpu(dpu) if isinstance(dpu, str) else dpu, settings=SETTINGS, dpunode=a_dpunode(), device=a_device(),
        bfb=a_bfb(), flavor=a_flavor(), cluster=a_cluster(), card=CARD, sight=Sight(), node=settled_node(),
        dms=RUNNING, host_network=RUNNING,
    )
    return replace(found, **changes)


def by_host(phase: str, *conditions: dict[str, Any], **more: Any) -> DPU:
    """A DPU that is installed through its host."""
    return a_dpu(phase, *conditions, interface="gNOI", **more)


def decided(snapshot: Snapshot) -> Decision:
    return table.decide(snapshot, NOW)


def written(snapshot: Snapshot, *answers: Any, error: str | None = None) -> Update:
    """What the pass writes when each action has one of `answers`, or fails with `error`."""
    decision = decided(snapshot)
    given = (*answers, *(None,) * len(decision.actions))
    pairs = zip(decision.actions, given, strict=False)
    outcomes = tuple(Outcome(action=action, answer=answer, error=error) for action, answer in pairs)
    return outcome(decision, StepResult(name="Phase", ran=True, outcomes=outcomes))


def told(snapshot: Snapshot, type_: str, *answers: Any) -> tuple[str, str, str]:
    """Status, reason and message of a condition that the pass writes."""
    state = {str(name): state for name, state in written(snapshot, *answers).states.items()}[type_]
    return str(state.status), str(state.reason), state.message


def reason(snapshot: Snapshot, *answers: Any) -> tuple[str, str]:
    """Reason and message of what is waited for; the phase stays."""
    update = written(snapshot, *answers)
    assert update.phase is None
    state = update.states[decided(snapshot).about]
    assert state.status == "False"
    return str(state.reason), state.message


def key(name: str = NAME) -> Key:
    return Key(NAMESPACE, name)
