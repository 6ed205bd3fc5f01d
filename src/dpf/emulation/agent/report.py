"""What the agent says about its DPU: at its start, when it knows what has to restart, and what is asked of it.

Pure. Called by `agent`. Sources: behaviour-provisioning.md 7 (methods), 10 (boot-id mode) and 14 (booted DPU);
api-provisioning.md section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from dpf.api.dpu import DPU, OperationalConditionType, RebootPhase
from dpf.api.dpuagent import (
    AgentStatus,
    ConditionType,
    HostOSInit,
    HostOSInitSkipped,
    HostOSInitSucceeded,
)
from dpf.api.meta import Condition
from dpf.api.provisioning import RebootMethod
from dpf.emulation.agent.config import Setup
from dpf.emulation.agent.record import Boot

GATE: Final = OperationalConditionType.DPU_SERVICE_CRITICAL_PODS_READY
"""What a host that is kept waiting waits for (resolutions.md row 7)."""

_APPLIED, _DISCOVERED, _READY = (
    ConditionType.NV_CONFIG_APPLIED, ConditionType.REBOOT_METHOD_DISCOVERY, ConditionType.READY_FOR_REBOOT,
)


def method(setup: Setup, boot: Boot) -> RebootMethod:
    """What has to restart now: the whole system for the firmware, the Arm cores for the kernel, or nothing.

    After the first restart of whatever kind everything is in effect.
    """
    if not boot.is_first:
        return RebootMethod.NO_ACTION
    if setup.has_firmware_settings:
        return RebootMethod.SYSTEM_LEVEL_RESET
    return RebootMethod.DPU_WARM_REBOOT if setup.needs_reboot else RebootMethod.NO_ACTION


def at_start(boot: Boot, before: AgentStatus | None, *, kubelet_version: str, now: str) -> AgentStatus:
    """The first report of a boot: it runs, and does not know yet what has to restart."""
    return _report(boot, before, RebootMethod.UNKNOWN, kubelet_version, now, (
        (_APPLIED, "Unknown", "Applying", "The firmware settings are being written."),
        (_DISCOVERED, "Unknown", "Discovering", "It is being found out what has to restart."),
        (_READY, "False", "Working", "The DPU is being set up."),
    ))


def when_decided(
    setup: Setup, boot: Boot, dpu: DPU, *, kubelet_version: str, now: str,
) -> AgentStatus:
    """The report of a DPU that is set up, as far as it can be before a restart."""
    decided, before = method(setup, boot), dpu.status.agentStatus
    settings = "The firmware settings are written." if setup.has_firmware_settings else "There are none to write."
    made = _report(boot, before, decided, kubelet_version, now, (
        (_APPLIED, "True", _APPLIED, settings),
        (_DISCOVERED, "True", _DISCOVERED, f"The method is {decided}."),
        (_READY, "True", _READY, "Nothing speaks against a reboot."),
    ))
    return msgspec.structs.replace(made, hostOSInit=_host_release(setup, dpu))


def must_restart(setup: Setup, boot: Boot) -> bool:
    """Whether the DPU restarts by itself: nobody else has to take part in that."""
    return method(setup, boot) is RebootMethod.DPU_WARM_REBOOT


def must_shut_down(setup: Setup, boot: Boot, dpu: DPU) -> bool:
    """Whether the host waits for this DPU to be off, so that it can reset both (behaviour-provisioning.md 7)."""
    status = dpu.status.rebootStatus
    waiting = status is not None and status.phase == RebootPhase.WAIT_FOR_SHUTDOWN
    return waiting and method(setup, boot) is RebootMethod.SYSTEM_LEVEL_RESET


def is_settled(setup: Setup, boot: Boot, dpu: DPU) -> bool:
    """Whether nothing more is expected of the agent in this boot."""
    return method(setup, boot) is RebootMethod.NO_ACTION and _host_release(setup, dpu) is not None


def patch(status: AgentStatus) -> dict[str, Any]:
    """The merge patch of the DPU's status. Only the agent writes this field, so the list of conditions is whole."""
    fields: dict[str, Any] = msgspec.to_builtins(status)
    release = fields.get("hostOSInit")
    # A merge patch leaves what it does not name, and exactly one of the two may be there.
    fields["hostOSInit"] = {"skipped": None, "succeeded": None, **release} if release else None
    return {"status": {"agentStatus": fields}}


def _report(
    boot: Boot, before: AgentStatus | None, decided: RebootMethod, kubelet_version: str, now: str,
    states: Iterable[tuple[str, str, str, str]],
) -> AgentStatus:
    """Over what stands there `before`: fields that the agent knows nothing about stay as they are."""
    base = before or AgentStatus()
    return msgspec.structs.replace(
        base, lastStartupTime=boot.started, initialBootID=boot.initial, rebootMethod=str(decided),
        rebootSequenceCount=boot.reboots, kubeletVersion=kubelet_version,
        conditions=_conditions(base.conditions or (), states, now),
    )


def _conditions(
    before: Sequence[Condition], states: Iterable[tuple[str, str, str, str]], now: str,
) -> list[Condition]:
    """The time of a condition moves when its status does."""
    old = {condition.type: condition for condition in before}
    made = []
    for type_, status, reason, message in states:
        known = old.pop(str(type_), None)
        since = known.lastTransitionTime if known is not None and known.status == status else now
        made.append(Condition(
            type=str(type_), status=status, reason=str(reason), message=message, lastTransitionTime=since
        ))
    return [*made, *old.values()]


def _host_release(setup: Setup, dpu: DPU) -> HostOSInit | None:
    """How the host was allowed to start; None while it is kept waiting."""
    if not setup.delays_host:
        return HostOSInit(skipped=HostOSInitSkipped(
            reason="NotDelayed", message="The DPUFlavor does not set DELAY_HOST_OS_INIT.",
        ))
    before = dpu.status.agentStatus
    if before is not None and before.hostOSInit is not None and before.hostOSInit.succeeded is not None:
        return before.hostOSInit
    found = dpu.status.operationalConditions or ()
    if any(condition.type == GATE and condition.status == "True" for condition in found):
        return HostOSInit(succeeded=HostOSInitSucceeded(gate=str(GATE)))
    return None
