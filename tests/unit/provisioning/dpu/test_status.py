"""Phase, Ready and facts of a DPU after a pass: Ready always says why not, from the first pass on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.provisioning.dpu import snapshots as given
from tests.unit.provisioning.dpu.snapshots import a_condition, a_dpu, a_snapshot, ago

from dpf.api import names
from dpf.api.dpu import Phase
from dpf.provisioning.dpu import plan as planner
from dpf.provisioning.dpu import status
from dpf.provisioning.dpu.intents import Refused
from dpf.provisioning.dpu.phases import table
from dpf.provisioning.dpu.snapshot import Snapshot, Unknown
from dpf.provisioning.hostpods.state import PodPhase, PodState
from dpf.provisioning.install.port import Activation, Sight, Task, TaskState
from dpf.runtime.plan import Applied, Outcome, StepResult
from dpf.runtime.reconciler import Verdict

WAITING = {
    Phase.INITIALIZING: a_snapshot(Phase.INITIALIZING, dpunode=None),
    Phase.PENDING: a_snapshot(Phase.PENDING, bfb=None),
    Phase.NODE_EFFECT: a_snapshot(Phase.NODE_EFFECT, maintenances=(given.a_maintenance(applied="False"),)),
    Phase.INITIALIZE_INTERFACE: a_snapshot(Phase.INITIALIZE_INTERFACE, device=None),
    Phase.PERFORM_ARM_FORCE_RESTART: a_snapshot(Phase.PERFORM_ARM_FORCE_RESTART, sight=None),
    Phase.CONFIG_FW_PARAMETERS: a_snapshot(Phase.CONFIG_FW_PARAMETERS, card=None, sight=None),
    Phase.PREPARE_BFB: a_snapshot(Phase.PREPARE_BFB, cluster=None),
    Phase.OS_INSTALLING: a_snapshot(
        a_dpu(Phase.OS_INSTALLING, redfishTaskId="7"),
        sight=Sight(task=Task(id="7", state=TaskState.RUNNING, percent=40)),
    ),
    Phase.DPU_CONFIG: a_snapshot(Phase.DPU_CONFIG),
    Phase.REBOOTING: a_snapshot(a_dpu(Phase.REBOOTING, rebootStatus={"method": "PowerCycle"})),
    Phase.HOST_NETWORK_CONFIGURATION: a_snapshot(
        given.by_host(Phase.HOST_NETWORK_CONFIGURATION), host_network=PodState(
            phase=PodPhase.STARTING, reason="Initializing", why="Pod x is not ready",
        ),
    ),
    Phase.DPU_CLUSTER_CONFIG: a_snapshot(given.by_host(Phase.DPU_CLUSTER_CONFIG), node=None),
    Phase.SERVICE_READINESS: a_snapshot(
        Phase.SERVICE_READINESS, flavor=given.a_flavor(serviceReadiness={"gate": "OperationalReady"})
    ),
    Phase.NODE_EFFECT_REMOVAL: a_snapshot(Phase.NODE_EFFECT_REMOVAL, maintenances=(given.a_maintenance("other"),)),
}


def after(
    snapshot: Snapshot, *answers: Any, error: str | None = None, steps: dict[str, StepResult] | None = None,
) -> Verdict:
    """The verdict of a pass whose actions had these answers, or failed."""
    actions = () if steps is not None else given.decided(snapshot).actions
    padded = (*answers, *(None,) * len(actions))
    outcomes = tuple(Outcome(action=a, answer=r, error=error) for a, r in zip(actions, padded, strict=False))
    phase = {planner.PHASE: StepResult(name=planner.PHASE, ran=True, outcomes=outcomes)}
    return status.compute(snapshot, Applied(by_name=phase if steps is None else steps), given.NOW)


def ready(verdict: Verdict) -> tuple[str, str, str]:
    state = verdict.states["Ready"]
    return str(state.status), str(state.reason), state.message


def test_every_phase_of_an_installation_is_here() -> None:
    assert set(WAITING) == set(table.ROWS) - {Phase.READY, Phase.ERROR}


@pytest.mark.parametrize("phase", WAITING)
def test_ready_says_what_the_phase_waits_for(phase: Phase) -> None:
    snapshot = WAITING[phase]
    reason, message = given.reason(snapshot)
    verdict = after(snapshot)
    assert ready(verdict) == ("False", reason, f"{phase}: {message}")
    assert "phase" not in verdict.fields


def test_a_move_is_written_with_the_phase_before() -> None:
    fields = after(a_snapshot(Phase.SERVICE_READINESS)).fields
    assert fields == {"phase": "Node Effect Removal", "previousPhase": "Service Readiness"}


def test_the_next_phase_says_what_it_is_about_to_do() -> None:
    assert ready(after(a_snapshot(Phase.PENDING))) == (
        "False", "Pending", "Node Effect: takes the host out of service, by a DPUNodeMaintenance",
    )


@pytest.mark.parametrize(("node", "told"), [
    ("True", ("True", "DPUReady", "")),
    ("False", ("False", "NodeNotReady", f"Node {given.NAME} in DPUCluster {given.NAMESPACE}/tenant1 is not ready")),
])
def test_a_dpu_that_is_through_says_at_once_how_its_node_is(node: str, told: tuple[str, str, str]) -> None:
    addresses = [{"type": "InternalIP", "address": "10.9.0.1"}]
    status = given.a_node(ready=node, addresses=addresses).status
    seen = msgspec.structs.replace(given.settled_node(), status=status)
    verdict = after(a_snapshot(Phase.NODE_EFFECT_REMOVAL, node=seen))
    assert (verdict.fields["phase"], verdict.fields["addresses"], ready(verdict)) == (Phase.READY, addresses, told)


def test_a_failure_is_told_in_ready_too() -> None:
    verdict = after(a_snapshot(given.by_host(Phase.DPU_CLUSTER_CONFIG)), error="Secret x cannot be deleted")
    assert ready(verdict) == ("False", "Error", "DPU Cluster Config: Secret x cannot be deleted")


def test_a_refusal_is_told_in_ready_whatever_the_phase_works_towards() -> None:
    sight = Sight(installed=("bfb.bfb", f"{given.NAME}-{given.UID}.cfg"), activation=Activation(is_active=False))
    snapshot = a_snapshot(given.by_host(Phase.OS_INSTALLING, bfbFile="bfb.bfb"), sight=sight)
    verdict = after(snapshot, Refused(why="the DMS is at work", busy=True))
    assert ready(verdict) == ("False", "AnotherUpdateInProgress", "OS Installing: the DMS is at work")


def test_a_pass_without_news_keeps_what_ready_says() -> None:
    kept = a_condition("Ready", "False", "TaskProgress", "OS Installing: install task 40% complete")
    snapshot = a_snapshot(
        a_dpu(Phase.OS_INSTALLING, kept, redfishTaskId="7"),
        sight=Sight(task=Task(id="7", state=TaskState.COMPLETED)),
    )
    assert ready(after(snapshot))[1:] == ("TaskProgress", "OS Installing: install task 40% complete")


def test_an_error_is_told_whole() -> None:
    snapshot = a_snapshot(a_dpu(Phase.OS_INSTALLING, a_condition("BFBPrepared", hours=2)), sight=Sight(tasks=()))
    verdict = after(snapshot)
    assert ready(verdict) == (
        "False", "InstallationTimeout", "Not installed within 3600 s; last boot progress: unknown",
    )
    assert verdict.fields["phase"] == Phase.ERROR


def test_a_settled_dpu_is_told_by_its_node_alone() -> None:
    assert ready(after(a_snapshot(Phase.READY)))[:2] == ("True", "DPUReady")


def test_the_moment_of_a_reboot_is_stamped() -> None:
    note = {names.INSTALL_TRACKER_ANNOTATION: f'{{"reboots": 1, "boot": "{ago(minutes=1)}"}}'}
    agent = {"lastStartupTime": ago(minutes=1), "rebootMethod": "PowerCycle"}
    verdict = after(a_snapshot(a_dpu(Phase.DPU_CONFIG, agentStatus=agent, annotations=note)))
    assert verdict.fields["rebootStatus"]["lastTransitionTime"] == ago()


@pytest.mark.parametrize("told", ["DMS Deployment", "Checking Host Reboot Required"])
def test_a_phase_of_an_older_release_is_replaced(told: str) -> None:
    fields = after(a_snapshot(told, dpunode=None)).fields
    assert fields["phase"] == Phase.INITIALIZING


class TestDeletion:
    """What keeps a DPU from going."""

    def going(self, phase: str, **changes: Any) -> Snapshot:
        return a_snapshot(a_dpu(phase, deleted=ago(minutes=1), redfishTaskId="7"), **changes)

    def test_an_installation_ends_first(self) -> None:
        running = Sight(task=Task(id="7", state=TaskState.RUNNING, percent=40))
        verdict = after(self.going(Phase.OS_INSTALLING, sight=running))
        deleting = verdict.states["Deleting"]
        assert (deleting.status, deleting.reason, deleting.message) == (
            "False", "CannotDeleteWhileInstalling",
            "The DPU is being installed; it is deleted as soon as that has ended",
        )
        assert ready(verdict)[1:] == ("TaskProgress", "OS Installing: install task 40% complete")

    @pytest.mark.parametrize("phase", [phase for phase in table.ROWS if phase is not Phase.OS_INSTALLING])
    def test_every_other_phase_is_left_at_once(self, phase: Phase) -> None:
        verdict = after(self.going(phase), steps={})
        assert verdict.fields == {"phase": "Deleting", "previousPhase": phase, "redfishTaskId": None}
        assert ready(verdict) == ("False", "AwaitingDeletion", "The DPU is being deleted")

    def test_what_is_left_is_named(self) -> None:
        left = StepResult(name=planner.REMOVAL, ran=True, findings=planner.plan_teardown(
            self.going(Phase.DELETING), given.NOW).steps[1].findings)
        verdict = after(self.going(Phase.DELETING), steps={planner.REMOVAL: left})
        assert verdict.states["Deleting"].message == (
            f"Still there: Node {given.NAME} in DPUCluster {given.NAMESPACE}/tenant1"
        )

    def test_nothing_is_left(self) -> None:
        verdict = after(self.going(Phase.DELETING, node=None), steps={})
        assert verdict.states["Deleting"].message == "Nothing is left of it"

    def test_a_cluster_that_was_silent_for_long(self) -> None:
        dpu = a_dpu(Phase.DELETING, deleted=ago(minutes=11))
        verdict = after(a_snapshot(dpu, node=Unknown(why="no answer")), steps={})
        assert verdict.states["Deleting"].message == (
            f"DPUCluster {given.NAMESPACE}/tenant1 is silent. Next step: remove Node {given.NAME} there"
        )
