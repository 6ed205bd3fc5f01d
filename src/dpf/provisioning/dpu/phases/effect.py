"""Node Effect and Node Effect Removal: the host goes out of service for the installation, and back. Pure.

Both only ask: the DPUNodeMaintenance that the DPUs of a host share does the work. Source: behaviour-provisioning.md
5.3, 5.14 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dpf.api.dpu import DPU, ConditionType, Phase, RebootPhase
from dpf.api.dpunodemaintenance import ConditionType as MaintenanceCondition
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import object_key
from dpf.api.provisioning import NodeEffect, RebootMethod
from dpf.provisioning.dpu import nodesync
from dpf.provisioning.dpu.decision import AT_ONCE_S, Decision, Update, do, fail, move, wait
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.provisioning.maintenance import naming, request
from dpf.provisioning.maintenance import snapshot as maintenances
from dpf.provisioning.maintenance.naming import Effect
from dpf.runtime import conditions
from dpf.runtime.plan import Patch

NODE_EFFECT_IN_PROGRESS = "NodeEffectInProgress"
REMOVAL_IN_PROGRESS = "NodeEffectRemovalInProgress"
REMOVAL_TIMEOUT = "NodeEffectRemovalTimeout"
REBOOT_IN_PROGRESS = "RebootInProgress"
REBOOT_CHECK_S = 5.0
"""How often it is looked whether the reboot of the host is over (BP section 1)."""


def node_effect(snapshot: Snapshot, now: datetime) -> Decision:  # noqa: ARG001 - the contract
    """Until the effect is on the host."""
    about, dpunode = ConditionType.NODE_EFFECT_READY, snapshot.dpunode
    if dpunode is None:
        return wait(about, *snapshot.lost)
    wanted, in_kubernetes = effect(snapshot), bool(dpunode.status.kubeNodeRef)
    named = naming.effect_of(wanted, in_kubernetes=in_kubernetes)
    refused = naming.refusal(named, in_kubernetes=in_kubernetes)
    if refused is not None:
        return wait(about, "InvalidNodeEffect", refused, is_invalid=True)
    if named is Effect.NO_EFFECT:
        return _on(snapshot, "the host stays in service")
    existing = maintenance(snapshot)
    asked = request.ask(existing, dpunode, wanted, requestors(snapshot))
    key = request.maintenance_key(dpunode, wanted)
    if asked is not None:
        return do(wait(about, NODE_EFFECT_IN_PROGRESS, f"DPUNodeMaintenance {key} is asked for the effect"), asked)
    if existing is None or existing.metadata.deletionTimestamp is not None:
        return wait(about, NODE_EFFECT_IN_PROGRESS, f"DPUNodeMaintenance {key} of an earlier installation is going")
    if not maintenances.is_applied(existing):
        return wait(about, NODE_EFFECT_IN_PROGRESS, _progress(existing))
    return _on(snapshot, f"DPUNodeMaintenance {key} has put the effect on the host")


def node_effect_removal(snapshot: Snapshot, now: datetime) -> Decision:
    """Until the host is back in service; the DPUs of one host let it go together."""
    about = ConditionType.NODE_EFFECT_REMOVED
    if nodesync.is_drifted(snapshot):
        update = Update(phase=Phase.DPU_CLUSTER_CONFIG, dropped=frozenset({ConditionType.NODE_EFFECT_REMOVED}))
        because = "labels of the Node have changed meanwhile"
        return Decision(about=about, update=update, wake_after_s=AT_ONCE_S, because=because)
    if not snapshot.maintenances:
        return move(about, Phase.READY, "no effect of this DPU is left on the host")
    limit_s = snapshot.settings.removal_timeout_s
    if limit_s and snapshot.condition(about) is not None and snapshot.overdue(about, limit_s, now):
        why = f"The effect is still on the host after {limit_s:.0f} s: {_holders(snapshot)}"
        return fail(about, REMOVAL_TIMEOUT, why)
    found = wait(about, REMOVAL_IN_PROGRESS, _holders(snapshot), wake_after_s=_left(snapshot, limit_s, now))
    return do(found, *leaving(snapshot))


def leaving(snapshot: Snapshot) -> tuple[Patch, ...]:
    """Patches that say that this DPU needs no effect (any more)."""
    patches = (request.leave(one, snapshot.dpu.metadata.name) for one in snapshot.maintenances)
    return tuple(patch for patch in patches if patch is not None)


def effect(snapshot: Snapshot) -> NodeEffect | None:
    """What the DPU wants to happen to its host."""
    return snapshot.dpu.spec.nodeEffect if snapshot.dpu.spec is not None else None


def requestors(snapshot: Snapshot) -> Sequence[str]:
    """Who asks: the additional ones first, then the DPU."""
    wanted = effect(snapshot)
    more = (wanted.nodeMaintenanceAdditionalRequestors if wanted is not None else None) or ()
    return [*more, snapshot.dpu.metadata.name]


def maintenance(snapshot: Snapshot) -> DPUNodeMaintenance | None:
    """The one for the effect that the DPU wants now."""
    if snapshot.dpunode is None:
        return None
    key = request.maintenance_key(snapshot.dpunode, effect(snapshot))
    return next((one for one in snapshot.maintenances if object_key(one) == key), None)


def _on(snapshot: Snapshot, because: str) -> Decision:
    """The effect is on the host: install, or change labels only. A host that may go down any time is waited for."""
    if not snapshot.dpu.status.postProvisioningNodeEffect:
        rebooting = [sibling.metadata.name for sibling in snapshot.siblings if _awaits_reboot(sibling)]
        if rebooting:
            why = (
                f"The host is about to be rebooted for DPU {', '.join(rebooting)}; the installation begins afterwards"
            )
            return wait(ConditionType.NODE_EFFECT_READY, REBOOT_IN_PROGRESS, why, wake_after_s=REBOOT_CHECK_S)
        return move(ConditionType.NODE_EFFECT_READY, Phase.INITIALIZE_INTERFACE, because)
    return move(ConditionType.NODE_EFFECT_READY, Phase.DPU_CLUSTER_CONFIG, because, postProvisioningNodeEffect=None)


def _awaits_reboot(sibling: DPU) -> bool:
    """Whether somebody was asked to reboot the host for it. While it only wants one, it waits for us."""
    told = sibling.status.rebootStatus
    return sibling.status.phase == Phase.REBOOTING and told is not None and (
        told.phase in (RebootPhase.PENDING, RebootPhase.FAILED) and told.method != RebootMethod.HOSTLESS_DPU_REBOOT
    )


def _progress(existing: DPUNodeMaintenance) -> str:
    told = conditions.find(existing.status.conditions, MaintenanceCondition.NODE_EFFECT_APPLIED)
    detail = f": {told.message}" if told is not None and told.message else ""
    return f"DPUNodeMaintenance {object_key(existing)} has not put the effect on the host yet{detail}"


def _holders(snapshot: Snapshot) -> str:
    mine = snapshot.dpu.metadata.name
    others = sorted({
        who for one in snapshot.maintenances for who in maintenances.requestors(one) if who != mine
    })
    named = ", ".join(str(object_key(one)) for one in snapshot.maintenances)
    return f"DPUNodeMaintenance {named} " + (f"is still needed by {', '.join(others)}" if others else "is being undone")


def _left(snapshot: Snapshot, limit_s: float, now: datetime) -> float | None:
    if not limit_s:
        return None
    since = snapshot.since(ConditionType.NODE_EFFECT_REMOVED)
    return limit_s if since is None else max(1.0, limit_s - (now - since).total_seconds() + 1.0)
