"""Initialize Interface, Perform ARM Force Restart, Config FW Parameters: what is ordered, and what is waited for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.provisioning.dpu import snapshots as given
from tests.unit.provisioning.dpu.snapshots import a_condition, a_dpu, a_snapshot, ago

from dpf.api import names
from dpf.api.dpu import Phase
from dpf.api.dpunode import DPUNodeSpec, NodeDMSAddress
from dpf.api.provisioning import DPUMode, DPUType
from dpf.provisioning.dpu.intents import Command, EnsureDMS
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.provisioning.hostpods.state import PodPhase, PodState
from dpf.provisioning.install.port import (
    Boot,
    Cause,
    Component,
    PrepareRShim,
    Restart,
    SecureBoot,
    SetMode,
    SetSecureBoot,
    Sight,
    Silence,
)
from dpf.runtime.plan import Drive, Patch

SILENT = Silence(cause=Cause.UNREACHABLE, why="BMC 192.0.2.5:443 does not answer within 10 s")
LABEL = names.SKIP_HW_PROVISIONING_LABEL


def reaching(*, spec: dict[str, Any] | None = None, **changes: Any) -> Snapshot:
    return a_snapshot(a_dpu(Phase.INITIALIZE_INTERFACE, spec=spec, generation=1), **changes)


def by_host(*, spec: dict[str, Any] | None = None, **changes: Any) -> Snapshot:
    return a_snapshot(given.by_host(Phase.INITIALIZE_INTERFACE, spec=spec), **changes)


def restarting(attempt: int, last: str = "", *, sight: Sight | Silence | None = None, **tracker: Any) -> Snapshot:
    """A DPU with so many restarts behind it."""
    note = {"generation": 1, "attempt": attempt, "max": 2, "last": last, **tracker}
    text = str(note).replace("'", '"')
    dpu = a_dpu(Phase.PERFORM_ARM_FORCE_RESTART, annotations={names.ARM_RESTART_TRACKER_ANNOTATION: text})
    return a_snapshot(dpu, sight=sight or Sight(boot=Boot.OS_RUNNING))


def verifying(last: str, *, current: bool | None = False, wanted: bool = True, attempt: int = 2) -> Snapshot:
    """Secure Boot after so many restarts."""
    text = f'{{"generation":1,"attempt":{attempt},"max":{attempt},"last":"{last}"}}'
    dpu = a_dpu(Phase.INITIALIZE_INTERFACE, spec={"secureBoot": True},
                annotations={names.ARM_RESTART_TRACKER_ANNOTATION: text})
    return a_snapshot(dpu, sight=Sight(secure_boot=SecureBoot(current=current, wanted=wanted)))


def orders(snapshot: Snapshot) -> list[Any]:
    """What the card is told."""
    intents = (a.intent for a in given.decided(snapshot).actions if isinstance(a, Drive))
    return [intent.order for intent in intents if isinstance(intent, Command)]


def pod(phase: PodPhase) -> PodState:
    return PodState(phase=phase, reason="DMSPodPending", why="Pod x is Pending")


GUARDS = {
    "device is gone": (reaching(device=None), "DPUDeviceNotFound",
                       "DPUDevice dpf-operator-system/mt1 does not exist any more"),
    "device is not ready": (
        reaching(device=given.a_device(status={"conditions": [
            a_condition("Ready", "False", message="The following conditions are not ready: Initialized"),
            a_condition("Initialized", "False", message="wrong password"),
        ]})), "DPUDeviceNotReady", "DPUDevice mt1 is not ready: wrong password",
    ),
    "silent": (reaching(sight=SILENT), "CardUnreachable", SILENT.why),
    "no address": (reaching(sight=None), "CardUnreachable", "There is no address at which the card can be asked"),
    "secure boot counts soon": (
        verifying(ago(seconds=60)), "VerifyingSecureBoot",
        "Secure Boot is off after 2 restarts and should be on",
    ),
    "host is gone": (by_host(dpunode=None), "DPUNodeNotFound",
                     "DPUNode dpf-operator-system/worker1 does not exist any more"),
    "no host of the cluster": (
        by_host(dpunode=given.a_dpunode(node=None)), "DMSPodNotPossible",
        ("DPUNode worker1 is no Node of this cluster, and has no spec.nodeDMSAddress: there is nobody to install the "
         "DPU"),
    ),
    "pod starts": (by_host(dms=pod(PodPhase.STARTING)), "DMSPodPending", "Pod x is Pending"),
    "pod is made": (by_host(dms=pod(PodPhase.NOT_THERE)), "DMSPodPending", "Pod x is Pending"),
    "service is silent": (by_host(sight=SILENT), "CardUnreachable", SILENT.why),
    "restarts: silent": (restarting(1, ago(minutes=1), sight=SILENT), "CardUnreachable", SILENT.why),
    "restarts: boots": (
        restarting(1, ago(minutes=1), sight=Sight(boot=Boot.UEFI, boot_text="OSBootStarted")), "OSNotRunning",
        "The system of the card does not run yet: OSBootStarted",
    ),
    "restarts: pause": (
        restarting(1, ago(seconds=20)), "WaitingForRestart",
        "Restarted 1 of 2 times; the next restart is a minute after the last one",
    ),
    "restarts: clock set back": (
        restarting(1, ago(days=-2)), "WaitingForRestart", "Restart 2 of 2 of the Arm cores",
    ),
    "restarts: a time without a moment": (
        restarting(1, "9999-12-31T23:59:59Z"), "WaitingForRestart", "Restart 2 of 2 of the Arm cores",
    ),
    "restarts": (restarting(1, ago(seconds=60)), "WaitingForRestart", "Restart 2 of 2 of the Arm cores"),
}


@pytest.mark.parametrize(("snapshot", "reason", "message"), GUARDS.values(), ids=GUARDS)
def test_waits_for(snapshot: Snapshot, reason: str, message: str) -> None:
    assert given.reason(snapshot) == (reason, message)


ERRORS = {
    "secure boot stays off": (
        verifying(ago(seconds=121)), "SecureBootConfigurationFailed",
        "Secure Boot is off after 2 restarts and should be on: the BMC does not take it over",
    ),
    "secure boot is not even staged": (
        verifying(ago(seconds=121), wanted=False, attempt=10), "SecureBootConfigurationFailed",
        "Secure Boot is off after 10 restarts and should be on: the BMC does not take it over",
    ),
    "secure boot through the host": (
        by_host(spec={"secureBoot": True}, device=given.a_device(status={"secureBoot": {"enabled": False}})),
        "SecureBootConfigurationFailed", "Secure Boot cannot be turned on through the host",
    ),
    "pod failed": (by_host(dms=pod(PodPhase.FAILED)), "DMSPodPending", "Pod x is Pending"),
    "too little memory": (
        reaching(sight=Sight(description="BlueField-3 DPU, 16GB on-board DDR"),
                 flavor=given.a_flavor(dpuResources={"memory": "32Gi"})),
        "FailedToCheckResources",
        (f"DPUFlavor {given.NAMESPACE}/flavor on DPUDevice mt1: spec.dpuResources.memory: the flavor needs 32Gi, "
         "the card has 16384Mi, 16384Mi less; use a larger card or a smaller flavor"),
    ),
    "boot takes too long": (
        restarting(1, ago(seconds=301), sight=Sight(boot=Boot.UEFI)), "OSBootTimeout",
        "The system has not booted within 5 min: The system of the card does not run yet: UEFI",
    ),
}


@pytest.mark.parametrize(("snapshot", "reason", "message"), ERRORS.values(), ids=ERRORS)
def test_ends_in_error(snapshot: Snapshot, reason: str, message: str) -> None:
    assert given.written(snapshot).phase is Phase.ERROR
    assert given.told(snapshot, "Error") == ("True", reason, message)


def test_nothing_is_concluded_from_silence_however_long() -> None:
    assert given.written(restarting(1, ago(days=3), sight=SILENT)).phase is None


def test_a_card_in_nic_mode_becomes_a_dpu_by_a_power_cycle() -> None:
    snapshot = reaching(sight=Sight(mode=DPUMode.NIC))
    update = given.written(snapshot)
    assert orders(snapshot) == [SetMode(mode=DPUMode.DPU)]
    assert (update.fields["rebootStatus"]["method"], update.fields["dpuMode"]) == ("PowerCycle", "nic")
    assert given.written(snapshot, error="the BMC is busy").phase is None


def test_a_card_that_stays_in_nic_mode_has_its_host_restarted_once() -> None:
    """The BMC may need a moment to see it, or never do: nobody power-cycles a host again and again for that."""
    dpu = a_dpu(Phase.INITIALIZE_INTERFACE, previousPhase=Phase.REBOOTING)
    snapshot = a_snapshot(dpu, sight=Sight(mode=DPUMode.NIC))
    assert orders(snapshot) == []
    assert given.reason(snapshot) == (
        "ModeUpdateRequiresPowerCycle",
        ("The card is still in NIC mode after the reboot of its host. Next step: set its mode to DPU and power-cycle "
         "its host by hand, or delete the DPU"),
    )
    assert given.written(a_snapshot(dpu, sight=Sight(mode=DPUMode.DPU))).phase is Phase.CONFIG_FW_PARAMETERS


def test_secure_boot_is_staged_before_the_restarts() -> None:
    snapshot = reaching(spec={"secureBoot": True}, sight=Sight(secure_boot=SecureBoot(current=False, wanted=False)))
    assert orders(snapshot) == [SetSecureBoot(enabled=True)]
    assert given.written(snapshot).phase is Phase.PERFORM_ARM_FORCE_RESTART


@pytest.mark.parametrize(("wanted", "seen"), [
    (None, SecureBoot(current=False)), (True, None), (True, SecureBoot(current=None, wanted=True)),
    (True, SecureBoot(current=True)), (False, SecureBoot(current=False)),
], ids=str)
def test_secure_boot_is_left_alone(wanted: bool | None, seen: SecureBoot | None) -> None:
    snapshot = reaching(spec={"secureBoot": wanted}, sight=Sight(secure_boot=seen))
    assert (orders(snapshot), given.written(snapshot).phase) == ([], Phase.CONFIG_FW_PARAMETERS)


def test_secure_boot_that_was_staged_in_vain_is_staged_again_with_more_restarts() -> None:
    snapshot = verifying(ago(seconds=300), wanted=False)
    patch, _ = given.decided(snapshot).actions
    assert isinstance(patch, Patch)
    assert '"attempt":2,"max":4' in patch.patch["metadata"]["annotations"][names.ARM_RESTART_TRACKER_ANNOTATION]


def test_a_restart_is_written_down_before_it_is_ordered() -> None:
    patch, drive = given.decided(restarting(0)).actions
    assert isinstance(patch, Patch)
    assert isinstance(drive, Drive)
    assert drive.intent.order == Restart()
    note = patch.patch["metadata"]["annotations"][names.ARM_RESTART_TRACKER_ANNOTATION]
    assert note == f'{{"generation":1,"attempt":1,"max":2,"last":"{ago()}"}}'


@pytest.mark.parametrize(("age_s", "left_s"), [(20, 40.0), (59, 1.0)])
def test_the_pause_between_restarts(age_s: int, left_s: float) -> None:
    snapshot = restarting(1, ago(seconds=age_s))
    assert (orders(snapshot), given.decided(snapshot).wake_after_s) == ([], left_s)


@pytest.mark.parametrize(("most", "attempt", "goes_on"), [(2, 1, False), (2, 2, True), (99, 9, False), (99, 10, True),
                                                          (-1, 0, False), (-1, 1, True)])
def test_there_are_at_most_ten_restarts_and_at_least_one(most: int, attempt: int, *, goes_on: bool) -> None:
    snapshot = restarting(attempt, ago(minutes=2) if attempt else "", max=most)
    assert (given.written(snapshot).phase is Phase.INITIALIZE_INTERFACE) is goes_on


def test_restarts_of_an_older_generation_do_not_count() -> None:
    assert orders(restarting(2, ago(minutes=2), generation=7)) == [Restart()]


def test_what_the_card_tells_is_written_down() -> None:
    sight = Sight(type=DPUType.BLUEFIELD_3, description="BlueField-3, 32GB", firmware={
        Component.BMC: "24.10", Component.NIC: "32.43", Component.OS: "5.15",
    })
    update = given.written(reaching(sight=sight))
    assert update.fields == {
        "dpuMode": "dpu", "dpuType": "BlueField3", "firmware": {"bmc": "24.10", "nic": "32.43"},
    }


def test_unknown_memory_holds_nothing_up() -> None:
    flavor = given.a_flavor(dpuResources={"memory": "640Gi"})
    assert given.told(reaching(sight=Sight(description="a card"), flavor=flavor), "InterfaceInitialized") == (
        "True", "UnableToCheckResources", "The card does not tell how much memory it has",
    )


def test_a_card_that_is_left_alone_is_not_asked() -> None:
    device = given.a_device(labels={LABEL: "true"})
    assert given.written(reaching(device=device, sight=None)).phase is Phase.CONFIG_FW_PARAMETERS


@pytest.mark.parametrize("state", [PodPhase.STARTING, PodPhase.NOT_THERE])
def test_the_pod_of_the_management_service_is_ensured(state: PodPhase) -> None:
    (drive,) = given.decided(by_host(dms=pod(state))).actions
    assert isinstance(drive, Drive)
    assert isinstance(drive.intent, EnsureDMS)
    assert drive.intent.host_name == "worker1"


def test_a_service_somewhere_else_needs_no_pod() -> None:
    spec = DPUNodeSpec(nodeDMSAddress=NodeDMSAddress(ip="192.0.2.9", port=9339))
    dpunode = msgspec.structs.replace(given.a_dpunode(node=None), spec=spec)
    snapshot = by_host(dpunode=dpunode, dms=None)
    assert (given.decided(snapshot).actions, given.written(snapshot).phase) == ((), Phase.CONFIG_FW_PARAMETERS)


@pytest.mark.parametrize(("interface", "order"), [
    ("redfish", PrepareRShim()), ("gNOI", SetMode(mode=DPUMode.DPU)),
])
def test_firmware_is_set_up(interface: str, order: Any) -> None:
    snapshot = a_snapshot(a_dpu(Phase.CONFIG_FW_PARAMETERS, interface=interface))
    assert orders(snapshot) == [order]
    assert given.written(snapshot, error="the BMC says no").phase is None


def test_firmware_needs_an_address() -> None:
    assert given.reason(a_snapshot(Phase.CONFIG_FW_PARAMETERS, card=None, sight=None)) == (
        "CardUnreachable", "There is no address at which the card can be asked",
    )
