"""DPU Config, Rebooting, Host Network Configuration: what has to happen after the installation. Pure.

An agent on the DPU says what has to restart; without one it follows from the flavor. Who reboots the host, and how, is
the DPUNode's business. Source: behaviour-provisioning.md 5.9 to 5.11 and 7.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from dpf.api import names
from dpf.api.dpu import ConditionReason, ConditionType, Phase, RebootPhase, RebootStatus
from dpf.api.dpuagent import AgentStatus
from dpf.api.dpuagent import ConditionType as AgentCondition
from dpf.api.dpunode import DPUNode
from dpf.api.provisioning import RebootMethod
from dpf.provisioning.dpu import tracker
from dpf.provisioning.dpu.decision import AT_ONCE_S, Decision, Update, do, fail, move, wait
from dpf.provisioning.dpu.intents import Command, EnsureHostNetwork, Refused
from dpf.provisioning.dpu.phases import joining
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.provisioning.flavor import firmware
from dpf.provisioning.hostpods.state import PodPhase
from dpf.provisioning.install.port import Card, ForceReset, Power, Sight
from dpf.runtime import clock, conditions
from dpf.runtime.plan import Drive, StepResult

LOOK_AGAIN_S: Final = 2.0
MOST_REBOOTS: Final = 5
"""In a row, for one installation (BP section 13)."""
SHUTDOWN_LIMIT: Final = timedelta(minutes=5)
RESET_LIMIT: Final = timedelta(minutes=10)
"""How long after the reset of a card its agent may need to start before the card is reset again."""
ITSELF: Final = frozenset({RebootMethod.FIRMWARE_RESET, RebootMethod.DPU_WARM_REBOOT})
"""What the DPU does without its host."""


def dpu_config(snapshot: Snapshot, now: datetime) -> Decision:  # noqa: ARG001 - the contract
    """Until it is known what has to restart."""
    return _with_agent(snapshot) if snapshot.is_redfish else _without_agent(snapshot)


def rebooting(snapshot: Snapshot, now: datetime) -> Decision:
    """Until the host, and with it the DPU, has restarted; whoever was installed before keeps its token meanwhile."""
    return joining.keeping_token(_rebooting(snapshot, now), snapshot, now)


def _rebooting(snapshot: Snapshot, now: datetime) -> Decision:
    about, told = ConditionType.REBOOTED, snapshot.dpu.status.rebootStatus
    if told is None or told.phase == RebootPhase.SUCCEEDED or (told.method is None and snapshot.skips_hardware):
        return move(about, _after_reboot(snapshot), told.message if told is not None and told.message else "rebooted")
    if snapshot.hostless:
        return _reset_alone(snapshot, told, now)
    if told.phase == RebootPhase.WAIT_FOR_SHUTDOWN:
        return _shut_down(snapshot, told, now)
    if told.phase in (RebootPhase.PENDING, RebootPhase.FAILED):
        return wait(about, told.reason or str(told.phase), told.message or f"{told.method} of the host is {told.phase}")
    why = f"DPUNode {_host(snapshot)} is asked for a {told.method} of the host"
    return wait(about, ConditionReason.WAITING_FOR_MANUAL_POWER_CYCLE_OR_REBOOT, why)


def host_network_configuration(snapshot: Snapshot, now: datetime) -> Decision:  # noqa: ARG001 - the contract
    """Until the host's side of the card is set up."""
    about, state, dpunode = ConditionType.HOST_NETWORK_READY, snapshot.host_network, snapshot.dpunode
    if dpunode is None or dpunode.status.kubeNodeRef is None:
        return move(about, Phase.DPU_CLUSTER_CONFIG, "the host is no Node of this cluster: its network is not ours")
    ensure = host_network(snapshot, dpunode, dpunode.status.kubeNodeRef)
    if state is None or state.phase is PodPhase.RUNNING:
        return move(about, Phase.DPU_CLUSTER_CONFIG, "the host's side of the card is set up")
    if state.phase is PodPhase.FAILED:
        return fail(about, state.reason, state.why)
    return do(wait(about, state.reason, state.why, wake_after_s=LOOK_AGAIN_S), ensure)


def host_network(snapshot: Snapshot, dpunode: DPUNode, host_name: str) -> Drive:
    """Have the pod of the host's network run."""
    intent = EnsureHostNetwork(
        dpu=snapshot.dpu, dpunode=dpunode, host_name=host_name, mtu=snapshot.settings.high_speed_mtu,
        vf_count=firmware.vf_count(snapshot.flavor) if snapshot.flavor is not None else firmware.DEFAULT_VF_COUNT,
    )
    return Drive(intent=intent, because="the host reaches the DPU through its first virtual function")


def enter(snapshot: Snapshot, method: RebootMethod, about: ConditionType, because: str) -> Decision:
    """On to Rebooting, by `method`; a DPU whose host must not see it running is shut down first."""
    waits = snapshot.is_redfish and method is RebootMethod.SYSTEM_LEVEL_RESET and not snapshot.hostless
    reboot: dict[str, Any] = {"method": str(method), "message": because}
    if waits:
        reboot |= {"phase": str(RebootPhase.WAIT_FOR_SHUTDOWN), "reason": "WaitForShutdown"}
    agent = snapshot.dpu.status.agentStatus
    update = Update(
        phase=Phase.REBOOTING, states={about: conditions.true(str(about), because)},
        fields={"rebootStatus": reboot, "agentLastStartupTime": agent.lastStartupTime if agent is not None else None},
        dropped=frozenset({ConditionType.REBOOTED}),
    )
    return Decision(about=about, update=update, wake_after_s=AT_ONCE_S, because=because)


def _with_agent(snapshot: Snapshot) -> Decision:
    about, agent = ConditionType.DPU_CONFIG, snapshot.dpu.status.agentStatus
    if agent is None or agent.lastStartupTime is None:
        return wait(about, "WaitingForDPUAgent", "The agent on the DPU has not reported yet")
    consumed = snapshot.dpu.status.agentLastStartupTime
    if consumed is not None and not _is_newer(agent.lastStartupTime, consumed):
        why = f"The agent has not started again since {consumed}, when it was acted on"
        return wait(about, "WaitingForFreshRebootMethod", why)
    method = RebootMethod(agent.rebootMethod) if agent.rebootMethod in set(RebootMethod) else RebootMethod.UNKNOWN
    if method is RebootMethod.UNKNOWN:
        return wait(about, "WaitingForRebootMethod", f"The agent does not say yet what has to restart{_doing(agent)}")
    if method is RebootMethod.NO_ACTION:
        return move(about, Phase.DPU_CLUSTER_CONFIG, "nothing has to restart")
    if method in ITSELF:
        return wait(about, str(method), f"The DPU restarts by itself ({method}){_doing(agent)}")
    return _counted(snapshot, method, agent.lastStartupTime)


def _counted(snapshot: Snapshot, method: RebootMethod, boot: str) -> Decision:
    """A reboot that the agent asks for after its start at `boot`; so many in a row, for it may ask for ever."""
    about, before = ConditionType.DPU_CONFIG, snapshot.tracker
    if before.boot == boot:
        return enter(snapshot, method, about, f"the agent asks for {method}")
    if before.reboots >= MOST_REBOOTS:
        return fail(about, "TooManyReboots", f"The agent asks for a {method} after {MOST_REBOOTS} reboots in a row")
    note = tracker.remember(
        snapshot.dpu, msgspec.structs.replace(before, reboots=before.reboots + 1, boot=boot),
        f"reboot {before.reboots + 1} of at most {MOST_REBOOTS}",
    )
    return do(wait(about, "RebootRequired", f"The agent asks for {method}", wake_after_s=AT_ONCE_S), note)


def _without_agent(snapshot: Snapshot) -> Decision:
    """Firmware settings count after a reset of the card and its host; a power cycle is for whoever asks for it."""
    about = ConditionType.DPU_CONFIG
    annotations, flavor = snapshot.dpu.metadata.annotations or {}, snapshot.flavor
    if flavor is None:
        return wait(about, *snapshot.lost)
    entries = (flavor.spec.nvconfig if flavor.spec is not None else None) or ()
    asked = annotations.get(names.HOST_POWER_CYCLE_REQUIRED_ANNOTATION, "false").lower() in ("true", "1", "t")
    if asked:
        return enter(snapshot, RebootMethod.POWER_CYCLE, about, "a power cycle of the host is required")
    if any(entry.parameters for entry in entries):
        return enter(snapshot, RebootMethod.SYSTEM_LEVEL_RESET, about, "the flavor changes settings of the firmware")
    return move(about, Phase.HOST_NETWORK_CONFIGURATION, "nothing has to restart")


def _after_reboot(snapshot: Snapshot) -> Phase:
    """Where it came from, or what comes next (BP section 7)."""
    status = snapshot.dpu.status
    if status.previousPhase == Phase.INITIALIZE_INTERFACE:
        return Phase.INITIALIZE_INTERFACE
    if not snapshot.is_redfish:
        return Phase.HOST_NETWORK_CONFIGURATION
    agent = status.agentStatus
    discovers = agent is not None and conditions.is_true(agent.conditions, AgentCondition.REBOOT_METHOD_DISCOVERY)
    return Phase.DPU_CONFIG if discovers else Phase.DPU_CLUSTER_CONFIG


def _shut_down(snapshot: Snapshot, told: RebootStatus, now: datetime) -> Decision:
    """Until the DPU is off, or has had its time: then its host may be reset."""
    about, sight = ConditionType.REBOOTED, snapshot.sight
    # The condition is older than this restart where the DPU restarts for the second time.
    began = clock.parse_rfc3339(told.lastTransitionTime) if told.lastTransitionTime else None
    started = began or snapshot.since(ConditionType.DPU_CONFIG)
    off = isinstance(sight, Sight) and (sight.power in (Power.OFF, Power.PAUSED) or bool(sight.is_standby))
    late = started is not None and now - started > SHUTDOWN_LIMIT
    if not off and not late:
        why = "The DPU shuts down before its host is reset; it gets 5 min for that"
        return wait(about, "WaitForShutdown", why, wake_after_s=LOOK_AGAIN_S)
    because = "the DPU is off" if off else "the DPU has not shut down within 5 min"
    reboot = {"method": told.method, "message": because}
    update = Update(fields={"rebootStatus": reboot}, states={
        about: conditions.false(ConditionReason.WAITING_FOR_MANUAL_POWER_CYCLE_OR_REBOOT, because)
    })
    return Decision(about=about, update=update, because=because)


def _reset_alone(snapshot: Snapshot, told: RebootStatus, now: datetime) -> Decision:
    """A card without a host resets itself; a fresh start of its agent shows that it did.

    The time of the reboot status names the reset: it is noted on the object before the order is given, so that no crash
    and no lost answer resets the card twice. One that leads nowhere is ordered again after a while.
    """
    about, agent, status = ConditionType.REBOOTED, snapshot.dpu.status.agentStatus, snapshot.dpu.status
    consumed = status.agentLastStartupTime
    if told.phase is not None and agent is not None and agent.lastStartupTime is not None and (
        consumed is None or _is_newer(agent.lastStartupTime, consumed)
    ):
        return move(about, _after_reboot(snapshot), "the agent has started anew")
    since = clock.parse_rfc3339(told.lastTransitionTime or "")
    if told.phase is None or now - since > RESET_LIMIT:
        reboot = {"method": str(RebootMethod.HOSTLESS_DPU_REBOOT), "phase": str(RebootPhase.PENDING),
                  "reason": "ResettingDPU", "message": "the card resets itself"}
        return wait(
            about, "ResettingDPU", "The card resets itself", wake_after_s=LOOK_AGAIN_S, rebootStatus=reboot
        )
    found = wait(
        about, "ResettingDPU", "The card resets itself; its agent has not started again yet",
        wake_after_s=max(LOOK_AGAIN_S, (since + RESET_LIMIT - now).total_seconds() + 1.0),
    )
    if snapshot.card is None or tracker.restarts(snapshot.dpu).last == told.lastTransitionTime:
        return found
    return _reset(snapshot, snapshot.card, told, found)


def _reset(snapshot: Snapshot, card: Card, told: RebootStatus, found: Decision) -> Decision:
    """Note it, then order it; where the card has certainly not taken it, it begins anew."""
    note = tracker.Restarts(generation=snapshot.dpu.metadata.generation or 0, last=told.lastTransitionTime or "")

    def settle(result: StepResult) -> Update:
        refused = next((one.answer for one in result.outcomes if isinstance(one.answer, Refused)), None)
        if refused is None or refused.doubtful:
            return found.update
        again = {"method": told.method, "reason": "ResettingDPU", "message": refused.why}
        return Update(states={found.about: conditions.false("ResettingDPU", refused.why)}, fields={
            "rebootStatus": again,
        })

    order = Drive(intent=Command(card=card, order=ForceReset(), tells=True), because="it has no host")
    ordered = do(found, tracker.remember(snapshot.dpu, note, "the card is about to be reset"), order, settle=settle)
    return replace(ordered, wake_after_s=LOOK_AGAIN_S)


def _host(snapshot: Snapshot) -> str:
    return snapshot.dpunode.metadata.name if snapshot.dpunode is not None else "?"


def _is_newer(time: str, than: str) -> bool:
    return clock.parse_rfc3339(time) > clock.parse_rfc3339(than)


def _doing(agent: AgentStatus) -> str:
    """What the agent is at, or what it could not do."""
    bad = [c for c in agent.conditions or () if c.status != "True" and c.message]
    return f": {bad[0].message}" if bad else ""
