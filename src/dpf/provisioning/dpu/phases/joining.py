"""DPU Cluster Config and Service Readiness: the DPU is a Node of its cluster, with all that was promised. Pure.

Source: behaviour-provisioning.md 5.12 and 5.13; resolutions.md row 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from dpf.api import core
from dpf.api.bfb import BFBVersions
from dpf.api.dpu import ConditionType, OperationalConditionType, Phase
from dpf.api.meta import Key
from dpf.provisioning.dpu import nodesync
from dpf.provisioning.dpu.decision import Decision, do, move, wait
from dpf.provisioning.dpu.intents import KeepToken, Revoke
from dpf.provisioning.dpu.snapshot import Snapshot, Unknown
from dpf.provisioning.flavor import firmware
from dpf.provisioning.install.port import Component, Sight, Silence
from dpf.provisioning.join import build
from dpf.runtime import conditions
from dpf.runtime.plan import Drive, Patch

LOOK_AGAIN_S: Final = 5.0
KEEP_EVERY_S: Final = 1200.0
LONGEST_WAIT: Final = timedelta(hours=24)
"""So long after its configuration was written a DPU may join: a token that leaks ages out."""
_INSTALLED: Final = frozenset({Phase.READY, Phase.NODE_EFFECT, Phase.NODE_EFFECT_REMOVAL})
"""Who comes from there was installed before, and has other labels now: what its firmware is has been told then."""
_CHECKED: Final = ((Component.UEFI, "uefi"), (Component.BSP, "bsp"))


def dpu_cluster_config(snapshot: Snapshot, now: datetime) -> Decision:
    """Until its Node is Ready and has its labels; then the token that let it in is taken back."""
    about, cluster = ConditionType.DPU_CLUSTER_READY, snapshot.cluster_key
    unchanged = _unchanged_firmware(snapshot)
    if unchanged is not None:
        return unchanged
    if cluster is None or snapshot.cluster is None:
        return wait(about, "DPUClusterNotFound", f"DPUCluster {cluster or ''} does not exist")
    if isinstance(snapshot.node, Unknown):
        return wait(about, "DPUClusterClientGetError", f"DPUCluster {cluster}: {snapshot.node.why}")
    name = snapshot.key.name
    if snapshot.node is None:
        why = f"Node {name} has not joined DPUCluster {cluster} yet{_hint(snapshot, now)}"
        return keeping_token(wait(about, "NodeNotFound", why), snapshot, now)
    if not is_ready(snapshot.node):
        why = f"Node {name} in DPUCluster {cluster} is not ready{_complaint(snapshot.node)}"
        return wait(about, "NodeNotReady", why)
    found = move(about, Phase.SERVICE_READINESS, f"Node {name} is ready in DPUCluster {cluster}")
    patch = nodesync.patch(snapshot, snapshot.node)
    if patch is not None:
        because = f"labels and annotations of DPU {name}"
        found = do(found, Patch(cluster=cluster, kind=core.Node, key=_node_key(name), patch=patch, because=because))
    revoke = Revoke(dpu=snapshot.dpu, cluster=cluster, for_good=False)
    return do(found, Drive(intent=revoke, because="it has joined: its tokens are needed no more"))


def service_readiness(snapshot: Snapshot, now: datetime) -> Decision:  # noqa: ARG001 - the contract
    """Until what the flavor waits for works; most flavors wait for nothing."""
    about, flavor = ConditionType.SERVICE_READINESS, snapshot.flavor
    readiness = flavor.spec.serviceReadiness if flavor is not None and flavor.spec is not None else None
    gate = readiness.gate if readiness is not None else None
    if gate is not None and not conditions.is_true(snapshot.dpu.status.operationalConditions, gate):
        why = f"The flavor waits for operational condition {gate}{_gate(snapshot, gate)}"
        return wait(about, "AwaitingServices", why)
    if flavor is not None and snapshot.is_redfish and firmware.delays_host(flavor) and not _host_released(snapshot):
        return wait(about, "AwaitingAgent", "The agent on the DPU has not let the system of the host start yet")
    return move(about, Phase.NODE_EFFECT_REMOVAL, "nothing else is waited for")


def keeping_token(found: Decision, snapshot: Snapshot, now: datetime) -> Decision:
    """`found`, and the token in the DPU's configuration lasts on: a person may take long to reboot a host."""
    since, cluster = snapshot.since(ConditionType.BFB_PREPARED), snapshot.cluster_key
    if since is None or cluster is None or snapshot.cluster is None or now - since > LONGEST_WAIT:
        return found
    left_s = (since + build.ENOUGH - now).total_seconds()
    if left_s > 0:
        return replace(found, wake_after_s=min(found.wake_after_s or left_s, left_s))
    keep = Drive(intent=KeepToken(dpu=snapshot.dpu, cluster=cluster), because="the DPU has still to join")
    return do(replace(found, wake_after_s=min(found.wake_after_s or KEEP_EVERY_S, KEEP_EVERY_S)), keep)


def is_ready(node: core.Node) -> bool:
    """Whether the Node says that it is ready."""
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions or ())


def _unchanged_firmware(snapshot: Snapshot) -> Decision | None:
    """A card that runs the bundle's system over older firmware is not what was asked for; None when it may go on."""
    about, wanted = ConditionType.DPU_CLUSTER_READY, snapshot.bfb.status.versions if snapshot.bfb is not None else None
    if not snapshot.is_redfish or snapshot.skips_hardware or wanted is None or snapshot.holds(about):
        return None
    if snapshot.dpu.status.previousPhase in _INSTALLED:
        return None
    if isinstance(snapshot.sight, Silence):
        return wait(about, "CheckFwVersionError", snapshot.sight.why, wake_after_s=LOOK_AGAIN_S)
    if not isinstance(snapshot.sight, Sight) or snapshot.sight.firmware is None:
        why = "The BMC does not tell its firmware versions"
        return wait(about, "CheckFwVersionError", why, wake_after_s=LOOK_AGAIN_S)
    wrong = list(_not_updated(snapshot.sight, wanted))
    return wait(about, "CheckFwVersionError", "; ".join(wrong), wake_after_s=LOOK_AGAIN_S) if wrong else None


def _not_updated(sight: Sight, wanted: BFBVersions) -> Iterator[str]:
    for component, field in _CHECKED:
        actual, expected = (sight.firmware or {}).get(component), getattr(wanted, field)
        if actual and expected and actual != expected:
            yield f"DPU {component} version {actual} was not updated, expected {expected}"


def _node_key(name: str) -> Key:
    return Key("", name)


def _hint(snapshot: Snapshot, now: datetime) -> str:
    """Where to look, and from when on it is no use any more: nobody joins by a token that has ended (BP section 12)."""
    if snapshot.overdue(ConditionType.BFB_PREPARED, LONGEST_WAIT.total_seconds(), now):
        return (
            f", and its token has ended after {LONGEST_WAIT.total_seconds() / 3600:.0f} h. Next step: delete the DPU; "
            "it is made and installed again by its DPUSet"
        )
    device = snapshot.device
    return f"; see the system's own log on DPUDevice {device.metadata.name}" if device is not None else ""


def _complaint(node: core.Node) -> str:
    found = next((c for c in node.status.conditions or () if c.type == "Ready"), None)
    return f": {found.message or found.reason}" if found is not None else ""


def _gate(snapshot: Snapshot, gate: str) -> str:
    found = conditions.find(snapshot.dpu.status.operationalConditions, gate)
    if found is None:
        known = ", ".join(OperationalConditionType)
        return ", which nobody has reported yet" if gate in known else f"; there are: {known}"
    return f": {found.message or found.reason}"


def _host_released(snapshot: Snapshot) -> bool:
    agent = snapshot.dpu.status.agentStatus
    init = agent.hostOSInit if agent is not None else None
    return init is not None and (init.skipped is not None or init.succeeded is not None)
