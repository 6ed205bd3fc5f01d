"""Ready and Error: what goes on with a DPU that is installed, or cannot be. Pure.

Source: behaviour-provisioning.md 5.15 and 5.16. A DPU that is Ready stays so, whatever its Node says: reinstalling is
a person's decision.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from dpf.api import core, names
from dpf.api.dpu import Address, ConditionReason, ConditionType, Phase
from dpf.provisioning.dpu import nodesync
from dpf.provisioning.dpu.decision import AT_ONCE_S, Decision, Update, do
from dpf.provisioning.dpu.phases import effect, joining, preparing, restarting
from dpf.provisioning.dpu.snapshot import Snapshot, Unknown
from dpf.provisioning.hostpods.state import PodPhase, PodState
from dpf.runtime import conditions
from dpf.runtime.conditions import State


def ready(snapshot: Snapshot, now: datetime) -> Decision:  # noqa: ARG001 - the contract
    """Tells how its Node is, and goes back when its labels have changed."""
    about = ConditionType.READY
    if snapshot.device_labels.get(names.SKIP_DPU_PROVISIONING_LABEL) == "true":
        return Decision(about=about, update=Update(states={about: preparing.SKIPPED}))
    if nodesync.is_drifted(snapshot):
        return _rerun(snapshot)
    update = Update(states={about: node_state(snapshot)}, fields=node_facts(snapshot))
    return _pods(snapshot, Decision(about=about, update=update))


def error(snapshot: Snapshot, now: datetime) -> Decision:  # noqa: ARG001 - the contract
    """Lets the host go back into service; nothing else until somebody deletes the DPU."""
    about = ConditionType.ERROR
    found = snapshot.condition(about)
    why = found.message if found is not None and found.status == "True" else "The installation has failed"
    reason = found.reason if found is not None and found.status == "True" else "Error"
    told = f"{why}. Next step: mend that, then delete the DPU: it is made and installed again by its DPUSet"
    update = Update(states={ConditionType.READY: conditions.false(reason, told)})
    return do(Decision(about=about, update=update, why=why, is_invalid=True), *effect.leaving(snapshot))


def _rerun(snapshot: Snapshot) -> Decision:
    """Labels of the Node are put right; with the effect on the host, if that is wanted for them."""
    about, wanted = ConditionType.READY, effect.effect(snapshot)
    with_effect = wanted is not None and wanted.applyOnLabelChange and nodesync.is_users_change(snapshot)
    again = {
        ConditionType.DPU_CLUSTER_READY, ConditionType.SERVICE_READINESS, ConditionType.NODE_EFFECT_REMOVED,
        *((ConditionType.NODE_EFFECT_READY,) if with_effect else ()),
    }
    because = "labels or annotations of the Node have changed"
    reason = "RerunNodeEffect" if with_effect else "RerunClusterConfig"
    update = Update(
        phase=Phase.NODE_EFFECT if with_effect else Phase.DPU_CLUSTER_CONFIG, dropped=frozenset(again),
        states={about: conditions.false(reason, because)},
        fields={"postProvisioningNodeEffect": True} if with_effect else {},
    )
    return Decision(about=about, update=update, wake_after_s=AT_ONCE_S, because=because)


def node_state(snapshot: Snapshot) -> State:
    """`Ready` of a DPU that is installed: how its Node is."""
    cluster, name = snapshot.cluster_key, snapshot.key.name
    match snapshot.node:
        case Unknown(why=why):
            return conditions.false("GetNodeFromDPUClusterError", f"DPUCluster {cluster}: {why}")
        case None:
            why = f"Node {name} is not in DPUCluster {cluster} any more"
            return conditions.false("GetNodeFromDPUClusterError", why)
        case node if not joining.is_ready(node):
            return conditions.false("NodeNotReady", f"Node {name} in DPUCluster {cluster} is not ready")
        case _:
            return conditions.true(ConditionReason.DPU_READY)


def node_facts(snapshot: Snapshot) -> dict[str, object]:
    """What the Node tells: its addresses."""
    if not isinstance(snapshot.node, core.Node):
        return {}
    addresses = [Address(type=one.type, address=one.address) for one in snapshot.node.status.addresses or ()]
    return {"addresses": msgspec.to_builtins(addresses)} if addresses else {}


def _pods(snapshot: Snapshot, found: Decision) -> Decision:
    """The host's side stays set up: a pod that has gone, or was told another MTU, is made again (BP 5.15, 11)."""
    dpunode, pod = snapshot.dpunode, snapshot.host_network
    if snapshot.is_redfish or snapshot.interface is None or dpunode is None or dpunode.status.kubeNodeRef is None:
        return found
    if pod is None or not (pod.phase is PodPhase.NOT_THERE or _has_other_mtu(pod, snapshot)):
        return found
    return do(found, restarting.host_network(snapshot, dpunode, dpunode.status.kubeNodeRef))


def _has_other_mtu(pod: PodState, snapshot: Snapshot) -> bool:
    return pod.mtu is not None and pod.mtu != snapshot.settings.high_speed_mtu


