"""The phases of a DPU: one table, with what each does, where it leads, and its limits. Nothing else moves a DPU.

Pure. A move that is not in the table is a mistake in a handler, and refused. `tools/docsgen` draws docs/states/dpu.md
from it. Source: behaviour-provisioning.md section 5, resolutions.md row 20.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dpf.api.dpu import Phase
from dpf.provisioning.dpu.decision import Decision
from dpf.provisioning.dpu.phases import effect, installing, interface, joining, preparing, restarting, settled
from dpf.provisioning.dpu.snapshot import Snapshot

Handler = Callable[[Snapshot, datetime], Decision]


class MoveError(RuntimeError):
    """A handler wants a move that the table does not have: a bug."""


@dataclass(frozen=True, slots=True)
class Move:
    """To which phase, and when, for people."""

    to: Phase
    when: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One phase. `limit` says how long it may take, "" where it waits for people or for other objects."""

    handler: Handler
    does: str
    moves: tuple[Move, ...]
    limit: str = ""


_FAILS: Final = "it cannot work"

ROWS: Final[Mapping[Phase, Row]] = {
    Phase.INITIALIZING: Row(
        handler=preparing.initializing, does="finds host, device and DPU cluster",
        moves=(Move(Phase.PENDING, "all are known"), Move(Phase.READY, "the device's label says that it is not ours"),
               Move(Phase.ERROR, "the address of the BMC is none")),
    ),
    Phase.PENDING: Row(
        handler=preparing.pending, does="waits for BFB, DPUFlavor and a place among the installations",
        moves=(Move(Phase.NODE_EFFECT, "all are there, and fit the card"), Move(Phase.ERROR, _FAILS)),
    ),
    Phase.NODE_EFFECT: Row(
        handler=effect.node_effect, does="takes the host out of service, by a DPUNodeMaintenance",
        moves=(Move(Phase.INITIALIZE_INTERFACE, "the effect is on the host"),
               Move(Phase.DPU_CLUSTER_CONFIG, "it is for a change of labels only")),
    ),
    Phase.INITIALIZE_INTERFACE: Row(
        handler=interface.initialize_interface, does="reaches the card, through its BMC or through its host",
        moves=(Move(Phase.CONFIG_FW_PARAMETERS, "the card answers and fits"),
               Move(Phase.REBOOTING, "it is in NIC mode"),
               Move(Phase.PERFORM_ARM_FORCE_RESTART, "Secure Boot has to change"), Move(Phase.ERROR, _FAILS)),
        limit="DMS pod: 5 min",
    ),
    Phase.PERFORM_ARM_FORCE_RESTART: Row(
        handler=interface.perform_arm_force_restart, does="restarts the Arm cores twice, a minute apart",
        moves=(Move(Phase.INITIALIZE_INTERFACE, "restarted often enough"),
               Move(Phase.ERROR, "the system does not boot")),
        limit="each boot: 5 min",
    ),
    Phase.CONFIG_FW_PARAMETERS: Row(
        handler=interface.config_fw_parameters, does="gives the BMC the RShim, or says DPU mode to the card",
        moves=(Move(Phase.PREPARE_BFB, "the card has taken it"),),
    ),
    Phase.PREPARE_BFB: Row(
        handler=installing.prepare_bfb, does="makes tokens, and the configuration of this very DPU",
        moves=(Move(Phase.OS_INSTALLING, "the configuration is on the volume"), Move(Phase.ERROR, "it cannot be made")),
    ),
    Phase.OS_INSTALLING: Row(
        handler=installing.os_installing, does="has the card fetch and boot its system",
        moves=(Move(Phase.DPU_CONFIG, "the system runs"), Move(Phase.REBOOTING, "the card is left alone"),
               Move(Phase.ERROR, "two attempts failed, or the time is over")),
        limit="osInstallTimeout, 60 min",
    ),
    Phase.DPU_CONFIG: Row(
        handler=restarting.dpu_config, does="finds out what has to restart",
        moves=(Move(Phase.REBOOTING, "the host has to"), Move(Phase.DPU_CLUSTER_CONFIG, "nothing has to (redfish)"),
               Move(Phase.HOST_NETWORK_CONFIGURATION, "nothing has to (gNOI)"),
               Move(Phase.ERROR, "the agent asks for a sixth reboot in a row")),
    ),
    Phase.REBOOTING: Row(
        handler=restarting.rebooting, does="waits for the reboot of the host, which its DPUNode drives",
        moves=(Move(Phase.INITIALIZE_INTERFACE, "it was for the card's mode"),
               Move(Phase.DPU_CONFIG, "the agent tells whether more has to restart"),
               Move(Phase.DPU_CLUSTER_CONFIG, "rebooted (redfish)"),
               Move(Phase.HOST_NETWORK_CONFIGURATION, "rebooted (gNOI)")),
        limit="shutting down: 5 min",
    ),
    Phase.HOST_NETWORK_CONFIGURATION: Row(
        handler=restarting.host_network_configuration, does="sets up the host's side of the card, by a pod",
        moves=(Move(Phase.DPU_CLUSTER_CONFIG, "the pod is ready"), Move(Phase.ERROR, "it fails for the tenth time")),
    ),
    Phase.DPU_CLUSTER_CONFIG: Row(
        handler=joining.dpu_cluster_config, does="waits for the Node, gives it its labels, takes the tokens back",
        moves=(Move(Phase.SERVICE_READINESS, "the Node is ready and complete"),),
    ),
    Phase.SERVICE_READINESS: Row(
        handler=joining.service_readiness, does="waits for what the flavor names",
        moves=(Move(Phase.NODE_EFFECT_REMOVAL, "nothing else is waited for"),),
    ),
    Phase.NODE_EFFECT_REMOVAL: Row(
        handler=effect.node_effect_removal, does="lets the host back into service, when no DPU of it needs the effect",
        moves=(Move(Phase.READY, "the effect is off"), Move(Phase.DPU_CLUSTER_CONFIG, "labels have changed meanwhile"),
               Move(Phase.ERROR, "nodeEffectRemovalTimeout is over")),
        limit="nodeEffectRemovalTimeout, off",
    ),
    Phase.READY: Row(
        handler=settled.ready, does="tells how the Node is",
        moves=(Move(Phase.DPU_CLUSTER_CONFIG, "labels have changed"),
               Move(Phase.NODE_EFFECT, "labels have changed, and the effect is wanted for that")),
    ),
    Phase.ERROR: Row(handler=settled.error, does="lets the host back into service, and waits to be deleted", moves=()),
}


def decide(snapshot: Snapshot, now: datetime) -> Decision:
    """What the phase of the DPU decides. Raises MoveError for a bug; phases of older releases begin anew."""
    phase = phase_of(snapshot.phase)
    row = ROWS[phase]
    decision = row.handler(snapshot, now)
    wanted = decision.update.phase
    if wanted is not None and wanted not in {move.to for move in row.moves}:
        raise MoveError(f"{phase} does not lead to {wanted}")
    return decision


def phase_of(told: str) -> Phase:
    """The phase that a status names; Initializing for one that nobody here leads into."""
    return Phase(told) if told in {str(phase) for phase in ROWS} else Phase.INITIALIZING
