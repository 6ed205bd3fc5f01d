"""Initialize Interface, Perform ARM Force Restart, Config FW Parameters: the card is reached and made ready. Pure.

Source: behaviour-provisioning.md 5.4 to 5.6. A card that says nothing is waited for: nothing follows from silence.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import msgspec

from dpf.api.dpu import ConditionType, Phase
from dpf.api.dpudevice import ConditionType as DeviceCondition
from dpf.api.provisioning import DPUMode, DPUType, RebootMethod
from dpf.provisioning.dpu import tracker
from dpf.provisioning.dpu.decision import AT_ONCE_S, Decision, Update, do, fail, move, wait
from dpf.provisioning.dpu.intents import Command, EnsureDMS
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.provisioning.flavor import preflight
from dpf.provisioning.flavor.problem import blocking
from dpf.provisioning.hostpods.state import PodPhase
from dpf.provisioning.install.port import (
    Boot,
    Component,
    Order,
    PrepareRShim,
    Restart,
    SetMode,
    SetSecureBoot,
    Sight,
    Silence,
)
from dpf.runtime import clock, conditions
from dpf.runtime.plan import Drive

LOOK_AGAIN_S: Final = 2.0
SILENT_AGAIN_S: Final = 5.0
LISTENS_SOON_S: Final = 1.0
"""A management service that has just been started listens a moment after its pod runs."""
BETWEEN_RESTARTS: Final = timedelta(minutes=1)
BOOT_LIMIT: Final = timedelta(minutes=5)
VERIFY_LIMIT_S: Final = 120.0
SECURE_BOOT_FAILED: Final = "SecureBootConfigurationFailed"
MODE_UPDATE: Final = "ModeUpdateRequiresPowerCycle"
_STILL_NIC: Final = (
    "The card is still in NIC mode after the reboot of its host. Next step: set its mode to DPU and power-cycle its "
    "host by hand, or delete the DPU"
)
"""No host is restarted again and again for a card that does not listen, or whose BMC has not seen it yet."""
_MEMORY: Final = re.compile(r"\b([0-9]{1,4})\s?GB\b")
_CPUS: Final = {DPUType.BLUEFIELD_2: 8, DPUType.BLUEFIELD_3: 16}
_FIRMWARE: Final = (("bmc", Component.BMC), ("nic", Component.NIC), ("uefi", Component.UEFI))
_GIB: Final = 1 << 30


def initialize_interface(snapshot: Snapshot, now: datetime) -> Decision:
    """Until the installation reaches the card, and the card is one that can be installed."""
    if snapshot.is_redfish:
        return _redfish(snapshot, now)
    return _left_alone(Phase.CONFIG_FW_PARAMETERS) if snapshot.skips_hardware else _dms(snapshot)


def perform_arm_force_restart(snapshot: Snapshot, now: datetime) -> Decision:
    """Restart the Arm cores until Secure Boot counts: so many times, with a pause, and each followed by a boot."""
    about, done = ConditionType.ARM_FORCE_RESTARTED, tracker.restarts(snapshot.dpu)
    if isinstance(snapshot.sight, Silence) or snapshot.sight is None:
        return _silent(about, snapshot)
    last = clock.parse_rfc3339(done.last) if done.last else None
    if done.attempt and snapshot.sight.boot is not Boot.OS_RUNNING:
        if last is not None and now - last > BOOT_LIMIT:
            return fail(about, "OSBootTimeout", f"The system has not booted within 5 min: {_booted(snapshot.sight)}")
        return wait(about, "OSNotRunning", _booted(snapshot.sight), wake_after_s=LOOK_AGAIN_S)
    if done.attempt >= min(done.max, tracker.MOST_RESTARTS):
        return move(about, Phase.INITIALIZE_INTERFACE, f"restarted {done.attempt} times")
    left_s = _pause_s(last, now)
    if left_s > 0:
        why = f"Restarted {done.attempt} of {done.max} times; the next restart is a minute after the last one"
        return wait(about, "WaitingForRestart", why, wake_after_s=left_s)
    again = msgspec.structs.replace(done, attempt=done.attempt + 1, last=clock.rfc3339(now))
    why = f"Restart {again.attempt} of {again.max} of the Arm cores"
    note = tracker.remember(snapshot.dpu, again, why)
    found = do(wait(about, "WaitingForRestart", why, wake_after_s=LOOK_AGAIN_S), note)
    return _order(found, snapshot, Restart(), why)


def _pause_s(last: datetime | None, now: datetime) -> float:
    """How long to wait before the next restart. A last one in the future is nonsense: the clock was set back."""
    passed = now - last if last is not None else BETWEEN_RESTARTS
    return (BETWEEN_RESTARTS - passed).total_seconds() if passed > -BETWEEN_RESTARTS else 0.0


def config_fw_parameters(snapshot: Snapshot, now: datetime) -> Decision:  # noqa: ARG001 - the contract
    """Give the BMC the way into the card, or say to the card through its host that it is a DPU."""
    about = ConditionType.FW_CONFIGURED
    if snapshot.skips_hardware:
        return _left_alone(Phase.PREPARE_BFB, about)
    order: Order = PrepareRShim() if snapshot.is_redfish else SetMode(mode=DPUMode.DPU)
    because = "the BMC installs through RShim" if snapshot.is_redfish else "the card is to work as a DPU"
    return _order(move(about, Phase.PREPARE_BFB, because), snapshot, order, because)


def _left_alone(to: Phase, about: ConditionType = ConditionType.INTERFACE_INITIALIZED) -> Decision:
    return move(about, to, "the card is left alone, as its label says")


def _redfish(snapshot: Snapshot, now: datetime) -> Decision:
    about, device = ConditionType.INTERFACE_INITIALIZED, snapshot.device
    if device is None:
        return wait(about, *snapshot.lost)
    if not conditions.is_true(device.status.conditions, DeviceCondition.READY):
        return wait(about, "DPUDeviceNotReady", f"DPUDevice {device.metadata.name} is not ready{_of_device(snapshot)}")
    if snapshot.skips_hardware:
        return _left_alone(Phase.CONFIG_FW_PARAMETERS)
    if isinstance(snapshot.sight, Silence) or snapshot.sight is None:
        return _silent(about, snapshot)
    expected = snapshot.card.serial if snapshot.card is not None else None
    if expected and snapshot.sight.serial and snapshot.sight.serial.lower() != expected.lower():
        why = f"serial number mismatch, expected: {expected}, actual: {snapshot.sight.serial}"
        return wait(about, "SerialNumberMismatch", why, wake_after_s=SILENT_AGAIN_S)
    if snapshot.sight.mode is DPUMode.NIC:
        again = snapshot.dpu.status.previousPhase == Phase.REBOOTING
        return wait(about, MODE_UPDATE, _STILL_NIC, wake_after_s=SILENT_AGAIN_S) if again else _leave_nic_mode(snapshot)
    secured = _secure_boot(snapshot, snapshot.sight, now)
    return secured if secured is not None else _capable(snapshot, snapshot.sight)


def _leave_nic_mode(snapshot: Snapshot) -> Decision:
    """It becomes a DPU with the next power cycle of its host."""
    about = ConditionType.INTERFACE_INITIALIZED
    why = "The card is in NIC mode; it becomes a DPU when its host is power-cycled"
    reboot = {"method": str(RebootMethod.POWER_CYCLE), "reason": MODE_UPDATE, "message": why}
    update = Update(
        phase=Phase.REBOOTING, fields={"rebootStatus": reboot, "dpuMode": str(DPUMode.NIC)},
        states={about: conditions.false(MODE_UPDATE, why)}, dropped=frozenset({ConditionType.REBOOTED}),
    )
    found = Decision(about=about, update=update, wake_after_s=AT_ONCE_S, because=why)
    return _order(found, snapshot, SetMode(mode=DPUMode.DPU), why)


def _secure_boot(snapshot: Snapshot, sight: Sight, now: datetime) -> Decision | None:
    """None when UEFI Secure Boot is as it is wanted, or nobody wants anything."""
    about = ConditionType.INTERFACE_INITIALIZED
    wanted = snapshot.dpu.spec.secureBoot if snapshot.dpu.spec is not None else None
    seen = sight.secure_boot
    if wanted is None or seen is None or seen.current in (None, wanted):
        return None
    done = tracker.restarts(snapshot.dpu)
    if done.attempt >= done.max and (seen.wanted == wanted or done.attempt >= tracker.MOST_RESTARTS):
        why = f"Secure Boot is {_on_off(seen.current)} after {done.attempt} restarts and should be {_on_off(wanted)}"
        last = clock.parse_rfc3339(done.last) if done.last else now
        if (now - last).total_seconds() > VERIFY_LIMIT_S:
            return fail(about, SECURE_BOOT_FAILED, f"{why}: the BMC does not take it over")
        return wait(about, "VerifyingSecureBoot", why, wake_after_s=LOOK_AGAIN_S)
    because = f"Secure Boot is to be turned {_on_off(wanted)}"
    update = Update(
        phase=Phase.PERFORM_ARM_FORCE_RESTART, states={about: conditions.false("SecureBootChanges", because)},
        dropped=frozenset({ConditionType.ARM_FORCE_RESTARTED}),
    )
    found = Decision(about=about, update=update, wake_after_s=AT_ONCE_S, because=because)
    if done.attempt >= done.max:
        # What was lost on its way is staged again, with more restarts; all of them together have a limit.
        more = msgspec.structs.replace(done, max=min(done.max + 2, tracker.MOST_RESTARTS))
        found = do(found, tracker.remember(snapshot.dpu, more, because))
    return _order(found, snapshot, SetSecureBoot(enabled=wanted), because)


def _capable(snapshot: Snapshot, sight: Sight) -> Decision:
    """Does the card have what the flavor needs? What cannot be told holds nothing up."""
    about = ConditionType.INTERFACE_INITIALIZED
    if snapshot.flavor is None or snapshot.bfb is None or snapshot.device is None:
        return wait(about, *snapshot.lost)
    memory = _MEMORY.search(sight.description or "")
    type_ = sight.type or DPUType(snapshot.device.status.dpuType)
    card = preflight.Card(
        name=snapshot.device.metadata.name, type=type_, cpus=_CPUS.get(type_),
        memory_bytes=int(memory[1]) * _GIB if memory is not None else None,
        pf_count=snapshot.device.spec.numberOfPFs if snapshot.device.spec is not None else None,
    )
    problems = blocking(preflight.preflight(snapshot.flavor, card, snapshot.bfb))
    if problems:
        return fail(about, "FailedToCheckResources", "; ".join(problem.message for problem in problems))
    state = None
    if memory is None:
        state = conditions.true("UnableToCheckResources", "The card does not tell how much memory it has")
    facts = {
        "firmware": {
            name: version for name, component in _FIRMWARE if (version := sight.firmware.get(component)) is not None
        }
    } if sight.firmware else {}
    return move(
        about, Phase.CONFIG_FW_PARAMETERS, "the BMC answers, and the card fits", state=state,
        dpuMode=str(DPUMode.DPU), dpuType=str(type_), **facts,
    )


def _dms(snapshot: Snapshot) -> Decision:
    """The management service runs on the host and can be talked to."""
    about, dpunode = ConditionType.INTERFACE_INITIALIZED, snapshot.dpunode
    if dpunode is None:
        return wait(about, *snapshot.lost)
    if snapshot.dpu.spec is not None and snapshot.dpu.spec.secureBoot and snapshot.device is not None:
        seen = snapshot.device.status.secureBoot
        if seen is not None and seen.enabled is False:
            return fail(about, SECURE_BOOT_FAILED, "Secure Boot cannot be turned on through the host")
    if dpunode.spec is None or dpunode.spec.nodeDMSAddress is None:
        host = dpunode.status.kubeNodeRef
        if host is None:
            return wait(about, "DMSPodNotPossible", f"DPUNode {dpunode.metadata.name} is no Node of this cluster, and "
                        "has no spec.nodeDMSAddress: there is nobody to install the DPU", is_invalid=True)
        intent = EnsureDMS(dpu=snapshot.dpu, dpunode=dpunode, host_name=host)
        # In every pass, also when it runs: its certificate has to outlast the installation.
        because = f"{snapshot.key.name} is installed through its host"
        return _through_pod(snapshot, Drive(intent=intent, because=because))
    return _answering(snapshot)


def _answering(snapshot: Snapshot) -> Decision:
    """Whether the management service can be talked to."""
    about = ConditionType.INTERFACE_INITIALIZED
    if isinstance(snapshot.sight, Silence) or snapshot.sight is None:
        return _silent(about, snapshot)
    return move(about, Phase.CONFIG_FW_PARAMETERS, "the management service on the host answers")


def _through_pod(snapshot: Snapshot, ensure: Drive) -> Decision:
    """The same where we run it, in a pod on the host."""
    about, state = ConditionType.INTERFACE_INITIALIZED, snapshot.dms
    if state is None or state.phase is PodPhase.RUNNING:
        return do(_answering(snapshot), ensure)
    if state.phase is PodPhase.FAILED:
        return fail(about, state.reason, state.why)
    return do(wait(about, state.reason, state.why, wake_after_s=LOOK_AGAIN_S), ensure)


def _of_device(snapshot: Snapshot) -> str:
    """What the device itself says about it."""
    device = snapshot.device
    bad = [c for c in (device.status.conditions if device is not None else None) or () if c.status != "True" and
           c.type != DeviceCondition.READY and c.message]
    return f": {bad[0].message}" if bad else ""


def _silent(about: ConditionType, snapshot: Snapshot) -> Decision:
    """Nobody answers: say who, and look again."""
    if isinstance(snapshot.sight, Silence):
        again_s = SILENT_AGAIN_S if snapshot.is_redfish else LISTENS_SOON_S
        return wait(about, "CardUnreachable", snapshot.sight.why, wake_after_s=again_s)
    return wait(about, "CardUnreachable", "There is no address at which the card can be asked", is_invalid=True)


def _order(found: Decision, snapshot: Snapshot, order: Order, because: str) -> Decision:
    """`found` once the card has taken the order; what it refuses is told, and tried again with growing pauses."""
    if snapshot.card is None:
        return _silent(found.about, snapshot)
    return do(found, Drive(intent=Command(card=snapshot.card, order=order), because=because))


def _booted(sight: Sight) -> str:
    return f"The system of the card does not run yet: {sight.boot_text or sight.boot or 'nothing is told'}"


def _on_off(value: bool | None) -> str:
    return "unknown" if value is None else "on" if value else "off"


