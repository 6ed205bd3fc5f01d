"""Prepare BFB and OS Installing: exactly one installation for each intent, found again after any crash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.unit.provisioning.dpu import snapshots as given
from tests.unit.provisioning.dpu.snapshots import a_condition, a_dpu, a_snapshot

from dpf.api import names
from dpf.api.dpu import Phase
from dpf.api.meta import Key
from dpf.provisioning.dpu.intents import Command, Prepare, Prepared, Refused, Unprepared
from dpf.provisioning.dpu.phases import installing
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.provisioning.install.port import (
    Activate,
    Activation,
    Boot,
    Cause,
    Install,
    Outcome,
    Sight,
    Silence,
    Task,
    TaskState,
    Transfer,
)
from dpf.runtime.plan import Drive, Patch

CFG = f"{given.NAMESPACE}_{given.NAME}_{given.UID}"
IMAGE = f"registry.example:8443/bfb/??bfb.bfb,bfcfg/{CFG}?/bfb-to-install"
VERSION = f"bfb.bfb;{given.NAME}-{given.UID}.cfg"
SILENT = Silence(cause=Cause.UNREACHABLE, why="BMC 192.0.2.5:443 does not answer within 10 s")
PREPARED = a_condition("BFBPrepared", minutes=10)
TRANSFERRED = a_condition("BFBTransferred")


def a_task(id_: str = "7", state: TaskState = TaskState.RUNNING, image: str = IMAGE, **more: Any) -> Task:
    return Task(id=id_, state=state, image=image, **more)


def tracked(failed: int, last: str) -> dict[str, str]:
    return {names.INSTALL_TRACKER_ANNOTATION: f'{{"failed":{failed},"last":"{last}"}}'}


def by_bmc(
    *conditions: dict[str, Any], sight: Sight | Silence | None = None, annotations: dict[str, str] | None = None,
    attempts: int = 2, **status: Any,
) -> Snapshot:
    """A DPU whose BMC says `sight`; without one, that it has no tasks."""
    dpu = a_dpu(
        Phase.OS_INSTALLING, PREPARED, *conditions, annotations=annotations, bfbFile="bfb.bfb",
        **{"bfCFGFile": f"bfcfg/{CFG}", **status},
    )
    settings = replace(given.SETTINGS, install_attempts=attempts)
    return a_snapshot(dpu, sight=sight if sight is not None else Sight(tasks=()), settings=settings)


def by_host(
    *conditions: dict[str, Any], annotations: dict[str, str] | None = None, file: str = f"bfcfg/{CFG}", **sight: Any,
) -> Snapshot:
    """A DPU whose management service has nothing, unless `sight` says otherwise."""
    dpu = given.by_host(
        Phase.OS_INSTALLING, PREPARED, *conditions, annotations=annotations, bfbFile="bfb.bfb",
        bfCFGFile=file,
    )
    return a_snapshot(dpu, sight=Sight(**{"installed": (), "activation": Activation(is_active=False), **sight}))


def orders(snapshot: Snapshot) -> list[Any]:
    intents = (a.intent for a in given.decided(snapshot).actions if isinstance(a, Drive))
    return [intent.order for intent in intents if isinstance(intent, Command)]


def notes(snapshot: Snapshot) -> list[str]:
    """What is written down about attempts."""
    patches = (a for a in given.decided(snapshot).actions if isinstance(a, Patch))
    return [patch.patch["metadata"]["annotations"][names.INSTALL_TRACKER_ANNOTATION] for patch in patches]


class TestPrepare:
    """The configuration is made once; what keeps it from being made is told."""

    def test_what_is_asked_for(self) -> None:
        (drive,) = given.decided(a_snapshot(Phase.PREPARE_BFB)).actions
        assert isinstance(drive, Drive)
        intent = drive.intent
        assert isinstance(intent, Prepare)
        assert (intent.cluster, intent.host_name, intent.with_agent, intent.doca_version) == (
            Key(given.NAMESPACE, "tenant1"), "worker1", True, "2.9.1",
        )

    def test_there_is_no_agent_on_a_card_that_is_installed_through_its_host(self) -> None:
        (drive,) = given.decided(a_snapshot(given.by_host(Phase.PREPARE_BFB))).actions
        assert isinstance(drive, Drive)
        assert drive.intent.with_agent is False

    def test_the_file_is_written_down_before_anything_is_installed(self) -> None:
        update = given.written(a_snapshot(Phase.PREPARE_BFB), Prepared(file="bfcfg/x"))
        assert (update.phase, update.fields) == (Phase.OS_INSTALLING, {"bfCFGFile": "bfcfg/x"})

    def test_what_may_pass_is_tried_again_now_and_then(self) -> None:
        refused = Unprepared(reason="FailedToGenerateJoinCommand", why="DPUCluster x does not answer")
        first = a_snapshot(Phase.PREPARE_BFB)
        assert given.reason(first, refused) == ("FailedToGenerateJoinCommand", "DPUCluster x does not answer")
        again = a_snapshot(a_dpu(Phase.PREPARE_BFB, a_condition("BFBPrepared", "False")))
        assert (given.decided(first).wake_after_s, given.decided(again).wake_after_s) == (0.0, 5.0)

    @pytest.mark.parametrize(("changes", "reason", "message"), [
        ({"flavor": None}, "DPUFlavorNotFound", "DPUFlavor dpf-operator-system/flavor does not exist any more"),
        ({"bfb": None}, "BFBNotFound", "BFB dpf-operator-system/bfb does not exist any more"),
        ({"cluster": None}, "DPUClusterNotFound", f"DPUCluster {given.NAMESPACE}/tenant1 does not exist"),
    ])
    def test_what_is_gone(self, changes: dict[str, Any], reason: str, message: str) -> None:
        assert given.reason(a_snapshot(Phase.PREPARE_BFB, **changes)) == (reason, message)


class TestByBMC:
    """Redfish: the task is found by its id, or by its image; the agent has the last word."""

    def test_the_first_order(self) -> None:
        snapshot = by_bmc()
        assert orders(snapshot) == [Install(image=IMAGE)]
        assert given.written(snapshot, "12").fields == {"redfishTaskId": "12"}
        assert given.reason(snapshot, "12") == ("TaskProgress", "install task 0% complete")

    def test_an_order_whose_id_was_lost_is_found_by_its_image_and_not_given_again(self) -> None:
        snapshot = by_bmc(sight=Sight(tasks=(a_task("3", image="another"), a_task("7", percent=40))))
        assert orders(snapshot) == []
        assert given.written(snapshot).fields == {"redfishTaskId": "7"}
        assert given.reason(snapshot) == ("TaskProgress", "install task 40% complete")

    @pytest.mark.parametrize(("sight", "reason", "message"), [
        (Sight(tasks=(a_task("3", image="another"),)), "AnotherUpdateInProgress",
         "The BMC is at work on task 3, which is not ours"),
        (Sight(tasks=None, troubles=("the list of tasks is broken",)), "FailToCheckProgress",
         "The BMC does not tell its tasks: the list of tasks is broken"),
        (SILENT, "FailToCheckProgress", SILENT.why),
    ], ids=["busy", "tasks are not told", "silent"])
    def test_nothing_is_ordered_in_doubt(self, sight: Sight | Silence, reason: str, message: str) -> None:
        snapshot = by_bmc(sight=sight)
        assert (orders(snapshot), given.reason(snapshot)) == ([], (reason, message))

    def test_an_order_is_known_again_although_the_registry_has_another_address_now(self) -> None:
        snapshot = by_bmc(sight=Sight(tasks=(a_task("7", percent=40),)))
        moved = replace(snapshot, settings=replace(given.SETTINGS, registry="10.0.0.1:9443"))
        assert (orders(moved), given.written(moved).fields) == ([], {"redfishTaskId": "7"})

    def test_an_order_is_known_again_although_its_number_is_that_of_a_failure_of_before(self) -> None:
        """A BMC that restarts counts from the beginning again."""
        for state in (TaskState.RUNNING, TaskState.COMPLETED):
            snapshot = by_bmc(sight=Sight(tasks=(a_task("7", state),)), annotations=tracked(1, "7"))
            assert (orders(snapshot), given.written(snapshot).fields) == ([], {"redfishTaskId": "7"})

    @pytest.mark.parametrize("state", [TaskState.COMPLETED, TaskState.FAILED, TaskState.RUNNING])
    def test_a_task_of_that_number_for_another_image_is_not_ours(self, state: TaskState) -> None:
        """The BMC was restarted, or another one is behind the address."""
        snapshot = by_bmc(sight=Sight(task=a_task(state=state, image="another")), redfishTaskId="7")
        assert (orders(snapshot), notes(snapshot), given.reason(snapshot)[0]) == ([], [], "TaskLost")

    @pytest.mark.parametrize("file", ["", "../../etc/passwd", "a.bfb,bfcfg/b", "a.bfb?x"])
    def test_a_name_that_is_none_of_a_bundle_is_never_ordered(self, file: str) -> None:
        """The agent on the DPU may write its whole status."""
        for snapshot in (by_bmc(), by_host(a_condition("BFBTransferred", "False"))):
            lying = msgspec.structs.replace(snapshot.dpu.status, bfbFile=file)
            wrong = replace(snapshot, dpu=msgspec.structs.replace(snapshot.dpu, status=lying))
            assert orders(wrong) == []
            assert given.told(wrong, "Error")[:2] == ("True", "BFBFileUnknown")

    def test_the_configuration_is_that_of_the_dpu_whatever_its_status_says(self) -> None:
        lie = "bfcfg/other_dpu_uid"
        assert orders(by_bmc(bfCFGFile=lie)) == [Install(image=IMAGE)]
        (_, cfg) = orders(by_host(a_condition("BFBTransferred", "False"), file=lie))
        assert cfg.path == f"/bfb/bfcfg/{CFG}"

    def test_a_task_that_is_not_told_about_is_not_ordered_again(self) -> None:
        assert orders(by_bmc(sight=Sight(), redfishTaskId="7")) == []

    @pytest.mark.parametrize(("task", "reason", "message"), [
        (a_task(percent=40), "TaskProgress", "install task 40% complete"),
        (a_task(), "TaskProgress", "install task 0% complete"),
        (a_task(state=TaskState.LOST), "TaskLost",
         "The BMC does not know task 7 any more; waiting for the DPU itself. last boot progress: OSBootStarted"),
    ], ids=["runs", "begins", "lost"])
    def test_a_task(self, task: Task, reason: str, message: str) -> None:
        snapshot = by_bmc(sight=Sight(task=task, boot_text="OSBootStarted"), redfishTaskId="7")
        assert (orders(snapshot), given.reason(snapshot)) == ([], (reason, message))

    def test_a_complete_task(self) -> None:
        snapshot = by_bmc(sight=Sight(task=a_task(state=TaskState.COMPLETED)), redfishTaskId="7")
        assert given.told(snapshot, "BFBTransferred")[0] == "True"
        assert given.written(snapshot).phase is None

    def test_the_system_starts(self) -> None:
        snapshot = by_bmc(TRANSFERRED, sight=Sight(boot=Boot.UEFI), redfishTaskId="7")
        assert given.reason(snapshot) == ("OSNotRunning", "The system of the DPU does not run yet: UEFI")

    def test_the_agent_wins_even_if_the_task_is_lost(self) -> None:
        snapshot = by_bmc(sight=SILENT, redfishTaskId="7", agentStatus={"lastStartupTime": given.ago(minutes=1)})
        update = given.written(snapshot)
        assert (update.phase, update.fields) == (Phase.DPU_CONFIG, {"redfishTaskId": None})
        assert given.told(snapshot, "BFBTransferred")[0] == given.told(snapshot, "OSInstalled")[0] == "True"

    def test_the_time_is_over(self) -> None:
        snapshot = by_bmc(sight=Sight(tasks=(), boot_text="OSBootStarted"))
        late = replace(snapshot, settings=replace(given.SETTINGS, install_timeout_s=599.0))
        assert given.told(late, "Error") == (
            "True", "InstallationTimeout", "Not installed within 599 s; last boot progress: OSBootStarted",
        )


class TestAttempts:
    """What failed at its end counts, once; two of them are an error."""

    FAILED = a_task(state=TaskState.FAILED, state_text="Exception", messages=("image is corrupt",))

    def failing(self, **more: Any) -> Snapshot:
        return by_bmc(sight=Sight(task=self.FAILED), redfishTaskId="7", **more)

    def test_the_first_is_written_down_and_another_follows(self) -> None:
        snapshot = self.failing()
        assert notes(snapshot) == ['{"failed":1,"last":"7"}']
        assert given.written(snapshot).fields == {"redfishTaskId": None}
        assert given.reason(snapshot) == (
            "FailToInstall", "task 7 ended with Exception: image is corrupt. Attempt 1 of 2; it is tried again",
        )

    def test_a_crash_after_it_was_written_down_does_not_count_it_again(self) -> None:
        snapshot = self.failing(annotations=tracked(1, "7"))
        update = given.written(snapshot)
        assert (update.phase, update.fields, notes(snapshot)) == (None, {"redfishTaskId": None}, [])

    def test_then_it_is_ordered_again(self) -> None:
        snapshot = by_bmc(sight=Sight(tasks=(self.FAILED,)), annotations=tracked(1, "7"))
        assert orders(snapshot) == [Install(image=IMAGE)]

    def test_the_second_is_an_error(self) -> None:
        snapshot = self.failing(annotations=tracked(1, "6"))
        assert given.told(snapshot, "Error") == (
            "True", "FailToInstall", "task 7 ended with Exception: image is corrupt. Tried 2 times",
        )
        assert given.written(snapshot).fields == {"redfishTaskId": None}

    def test_an_older_failure_is_not_counted_again(self) -> None:
        tasks = (self.FAILED, a_task("8", TaskState.FAILED))
        snapshot = by_bmc(sight=Sight(tasks=tasks), annotations=tracked(2, "8"), attempts=3)
        assert (notes(snapshot), orders(snapshot)) == ([], [Install(image=IMAGE)])

    def test_a_failure_whose_id_was_lost_is_counted(self) -> None:
        snapshot = by_bmc(sight=Sight(tasks=(self.FAILED,)))
        assert (notes(snapshot), orders(snapshot)) == (['{"failed":1,"last":"7"}'], [])

    @pytest.mark.parametrize(("refused", "reason", "message"), [
        (Refused(why="busy", busy=True), "AnotherUpdateInProgress", "busy"),
        (Refused(why="cut off", doubtful=True), "FailToCheckProgress", "cut off"),
        (Refused(why="no answer", silent=True), "FailToCheckProgress", "no answer"),
        (Refused(why="bad request"), "InstallRefused", "Attempt 1: bad request"),
    ], ids=["busy", "doubtful", "silent", "refused"])
    def test_an_order_that_is_not_taken(self, refused: Refused, reason: str, message: str) -> None:
        assert given.reason(by_bmc(), refused) == (reason, message)

    def test_a_refusal_counts_once(self) -> None:
        refused = a_condition("BFBTransferred", "False", "InstallRefused", "Attempt 1: bad request")
        counting = by_bmc(refused)
        assert (notes(counting), orders(counting)) == (['{"failed":1}'], [])
        assert given.reason(counting)[1] == "bad request. Attempt 1 of 2; it is tried again"
        crashed = by_bmc(refused, annotations=tracked(1, ""))
        assert (notes(crashed), orders(crashed)) == ([], [Install(image=IMAGE)])

    def test_the_second_refusal_is_an_error(self) -> None:
        refused = a_condition("BFBTransferred", "False", "InstallRefused", "Attempt 2: bad request")
        assert given.told(by_bmc(refused, annotations=tracked(1, "")), "Error") == (
            "True", "FailToInstall", "bad request. Tried 2 times",
        )

    def test_silence_is_no_attempt(self) -> None:
        assert notes(by_bmc(sight=SILENT, redfishTaskId="7")) == []


class TestByHost:
    """gNOI: bundle and configuration are given, then activated; names hold the DPU's uid."""

    def test_both_are_given_first(self) -> None:
        known = a_condition("BFBTransferred", "False")
        assert orders(by_host(known)) == [
            Transfer(version="bfb.bfb", path="/bfb/bfb.bfb"),
            Transfer(version=f"{given.NAME}-{given.UID}.cfg", path=f"/bfb/bfcfg/{CFG}"),
        ]

    def test_what_is_there_is_not_given_again(self) -> None:
        known = a_condition("BFBTransferred", "False")
        assert [order.version for order in orders(by_host(known, installed=("bfb.bfb",)))] == [
            f"{given.NAME}-{given.UID}.cfg",
        ]

    def test_that_it_begins_is_said_before(self) -> None:
        snapshot = by_host()
        assert (orders(snapshot), given.decided(snapshot).wake_after_s) == ([], 0.0)
        assert given.reason(snapshot) == (
            "TaskProgress", f"bfb.bfb, {given.NAME}-{given.UID}.cfg is given to the management service",
        )

    def test_both_are_activated(self) -> None:
        assert orders(by_host(installed=tuple(VERSION.split(";")))) == [Activate(version=VERSION)]

    def activated(self, *, annotations: dict[str, str] | None = None, **activation: Any) -> Snapshot:
        return by_host(
            running=VERSION, installed=tuple(VERSION.split(";")), activation=Activation(**activation),
            annotations=annotations,
        )

    @pytest.mark.parametrize(("activation", "reason", "message"), [
        ({"is_active": True}, "InstallationInProgress", "The card installs and restarts"),
        ({"is_active": False, "outcome": Outcome.UNKNOWN}, "OSNotRunning",
         "The management service does not tell how the restart of the card ended"),
        ({"is_active": False, "outcome": Outcome.FAILURE, "reason": "no boot", "count": 1}, "FailToInstall",
         "FAILURE: no boot. Attempt 1 of 2; it is tried again"),
    ], ids=["active", "unknown", "failed"])
    def test_an_activation(self, activation: dict[str, Any], reason: str, message: str) -> None:
        snapshot = self.activated(**activation)
        assert (orders(snapshot), given.reason(snapshot)) == ([], (reason, message))

    def test_success(self) -> None:
        assert given.written(self.activated(is_active=False, outcome=Outcome.SUCCESS)).phase is Phase.DPU_CONFIG

    def test_after_a_failure_that_was_counted_it_is_activated_again(self) -> None:
        failed = {"is_active": False, "outcome": Outcome.FAILURE, "count": 1}
        assert orders(self.activated(annotations=tracked(1, "1"), **failed)) == [Activate(version=VERSION)]

    def test_somebody_elses_activation_is_waited_for(self) -> None:
        snapshot = by_host(running="other", activation=Activation(is_active=True))
        assert given.reason(snapshot) == ("AnotherUpdateInProgress", "The card is at work on other")

    def test_an_activation_that_the_service_has_forgotten_is_not_ordered_again(self) -> None:
        snapshot = by_host(TRANSFERRED, installed=tuple(VERSION.split(";")), running="")
        assert orders(snapshot) == []
        assert given.reason(snapshot) == (
            "TaskLost",
            (f"The management service does not know any more that it activated {VERSION}; waiting for the DPU itself "
             f"to join DPUCluster {given.NAMESPACE}/tenant1"),
        )

    @pytest.mark.parametrize(("made", "phase"), [
        (given.ago(minutes=5), Phase.DPU_CONFIG), (given.ago(minutes=15), None), (None, None),
    ], ids=["its own Node", "a Node of before", "a Node without a date"])
    def test_its_node_tells_what_the_service_has_forgotten(self, made: str | None, phase: Phase | None) -> None:
        node = given.settled_node()
        node = msgspec.structs.replace(
            node, metadata=msgspec.structs.replace(node.metadata, creationTimestamp=made)
        )
        snapshot = replace(by_host(TRANSFERRED, running=""), node=node)
        assert given.written(snapshot).phase is phase

    @pytest.mark.parametrize("untold", [{"installed": None}, {"activation": None}], ids=str)
    def test_a_service_that_does_not_tell_what_it_has(self, untold: dict[str, Any]) -> None:
        snapshot = by_host(**untold, troubles=("Unavailable",))
        assert given.reason(snapshot) == (
            "FailToCheckProgress", "The management service does not tell what it has: Unavailable",
        )


@pytest.mark.parametrize(("age_s", "wake_s"), [(0, 0.2), (10, 1.0), (600, 5.0)])
def test_how_soon_it_is_looked_again(age_s: int, wake_s: float) -> None:
    dpu = a_dpu(Phase.OS_INSTALLING, a_condition("BFBPrepared", seconds=age_s), redfishTaskId="7")
    assert given.decided(a_snapshot(dpu, sight=Sight(task=a_task()))).wake_after_s == wake_s


def test_version_and_image_hold_the_uid() -> None:
    assert given.UID in installing.image(by_bmc())
    assert installing.version(by_host()) == VERSION
