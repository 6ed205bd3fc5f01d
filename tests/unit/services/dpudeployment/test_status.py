"""Conditions of a DPUDeployment: reasons, texts, what keeps its value (behaviour-service.md 6.1 and 6.12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from tests.support import dpudeployments as some

from dpf.api.dpudeployment import ConditionType
from dpf.api.dpuservice import DPUService, DPUServiceSpec, DPUServiceStatus, HelmChart, HelmChartSource
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import DPUSet, DPUSetSpec
from dpf.api.meta import Key, Object
from dpf.runtime.conditions import State, false, true
from dpf.runtime.plan import Applied, Apply, Finding, Outcome, Patch, Severity, StepResult
from dpf.services.dpudeployment import status
from dpf.services.dpudeployment.steps import StepName

CHECKS = (StepName.DEPENDENCIES, StepName.VERSIONS, StepName.RESOURCES)
CHILDREN = (StepName.SERVICES, StepName.INTERFACES, StepName.CHAINS, StepName.DPUSETS)
EVERY_STEP = (*CHECKS, *CHILDREN)
READY_TYPES = {
    ConditionType.DPU_SERVICES_READY, ConditionType.DPU_SERVICE_INTERFACES_READY,
    ConditionType.DPU_SERVICE_CHAINS_READY, ConditionType.DPU_SETS_READY,
}


def a_service(name: str = "dd-a", *, ready: bool | None = True, observed: int | None = 1, paused: bool = False,
              generation: int = 1, version: str = "1") -> DPUService:
    source = HelmChartSource(repoURL="https://charts.example.com", version=version)
    conditions = None if ready is None else [some.a_ready_condition(ready=ready, generation=observed)]
    return DPUService(
        metadata=msgspec.structs.replace(some.metadata(name), generation=generation),
        spec=DPUServiceSpec(helmChart=HelmChart(source=source), paused=paused),
        status=DPUServiceStatus(conditions=conditions),
    )


def applied(*names: StepName, failed: StepName | None = None, findings: Sequence[str] = (),
            errors: Sequence[str] = (), written: Sequence[Object] = ()) -> Applied:
    """The steps `names` ran; `failed` says `findings` and has actions with `errors`, and it stops the later ones."""
    results = []
    ran = True
    for name in names:
        bad = name is failed
        made = written if name is StepName.SERVICES and ran else ()
        outcomes = [Outcome(action=Apply(object=obj, because="")) for obj in made]
        patch = Patch(kind=DPUService, key=Key("ns", "x"), patch={}, because="")
        outcomes += [Outcome(action=patch, error=text) for text in errors if bad]
        found = tuple(Finding(severity=Severity.BLOCKED, message=text) for text in findings if bad)
        results.append(StepResult(
            name=name, ran=ran, outcomes=tuple(outcomes) if ran else (), findings=found if ran else ()
        ))
        ran = ran and not bad
    return Applied(results=tuple(results), by_name={result.name: result for result in results})


def states(done: Applied, *children: Object, deleting: bool = False) -> dict[str, State]:
    return status.compute(some.a_snapshot(some.a_deployment(deleting=deleting), *children), done).states


def test_all_is_well() -> None:
    found = states(applied(*EVERY_STEP), a_service())
    assert found == {type_: true() for type_ in ConditionType if type_ is not ConditionType.READY}


@pytest.mark.parametrize(("step", "type_", "reason", "prefix"), [
    (StepName.DEPENDENCIES, ConditionType.PREREQUISITES_READY, "Pending",
     "error while getting the DPUDeployment dependencies: "),
    (StepName.VERSIONS, ConditionType.VERSION_MATCHING_READY, "Error", ""),
    (StepName.RESOURCES, ConditionType.RESOURCE_FITTING_READY, "Failure", ""),
    (StepName.SERVICES, ConditionType.DPU_SERVICES_RECONCILED, "Error", ""),
    (StepName.INTERFACES, ConditionType.DPU_SERVICE_INTERFACES_RECONCILED, "Error", ""),
    (StepName.CHAINS, ConditionType.DPU_SERVICE_CHAINS_RECONCILED, "Error", ""),
    (StepName.DPUSETS, ConditionType.DPU_SETS_RECONCILED, "Error", ""),
])
@pytest.mark.parametrize(("findings", "told"), [(["a"], "a"), (["a", "b"], "[a, b]"), (["a", "a"], "a")])
def test_a_step_that_fails_is_told_by_its_condition(
    step: StepName, type_: ConditionType, reason: str, prefix: str, findings: list[str], told: str
) -> None:
    found = states(applied(*EVERY_STEP, failed=step, findings=findings))
    assert found[type_] == false(reason, f"Error occurred: {prefix}{told}")


def test_what_did_not_run_keeps_its_value() -> None:
    found = states(applied(*EVERY_STEP, failed=StepName.VERSIONS, findings=["no"]))
    assert set(found) - READY_TYPES == {ConditionType.PREREQUISITES_READY, ConditionType.VERSION_MATCHING_READY}
    assert all(found[type_] == true() for type_ in READY_TYPES), "no children at all: nothing is unready"


def test_a_write_that_failed_is_told_beside_the_findings() -> None:
    done = applied(*EVERY_STEP, failed=StepName.DEPENDENCIES, findings=["a", "b"], errors=["patch x: conflict"])
    found = states(done)
    assert found[ConditionType.PREREQUISITES_READY].message == (
        "Error occurred: [error while getting the DPUDeployment dependencies: [a, b], patch x: conflict]"
    )
    found = states(applied(*EVERY_STEP, failed=StepName.SERVICES, errors=["apply y: forbidden"]))
    assert found[ConditionType.DPU_SERVICES_RECONCILED].message == "Error occurred: apply y: forbidden"


def test_a_pass_that_ends_early_says_nothing_about_what_comes_next() -> None:
    """New DPUServices are made first; nothing may be called ready that has not been made yet."""
    service = a_service(ready=None)
    found = states(applied(*CHECKS, StepName.SERVICES, written=[service]))
    assert set(found) == {
        ConditionType.PREREQUISITES_READY, ConditionType.VERSION_MATCHING_READY, ConditionType.RESOURCE_FITTING_READY,
        ConditionType.DPU_SERVICES_RECONCILED, ConditionType.DPU_SERVICES_READY,
    }
    assert found[ConditionType.DPU_SERVICES_READY] == false("Pending", "Objects are not ready:\n* tenant/dd-a")


def test_waking_old_revisions_is_told_only_when_it_fails() -> None:
    found = states(applied(StepName.UNPAUSE, *EVERY_STEP, failed=StepName.DEPENDENCIES, findings=["no"]))
    assert ConditionType.DPU_SERVICES_RECONCILED not in found
    found = states(applied(StepName.UNPAUSE, *EVERY_STEP))
    assert found[ConditionType.DPU_SERVICES_RECONCILED] == true()
    found = states(applied(StepName.UNPAUSE, failed=StepName.UNPAUSE, errors=["patch x: forbidden"]))
    assert found[ConditionType.DPU_SERVICES_RECONCILED] == false("Error", "Error occurred: patch x: forbidden")
    assert ConditionType.DPU_SETS_READY not in found


@pytest.mark.parametrize(("service", "ready"), [
    (a_service(), True),
    (a_service(observed=None), True),
    (a_service(ready=False), False),
    (a_service(ready=None), False),
    (a_service(generation=2), False),
    (a_service(generation=2, paused=True), True),
    (a_service(ready=False, paused=True), False),
], ids=["ready", "no generation", "unready", "says nothing", "of an older generation", "paused", "paused, unready"])
def test_readiness_of_a_child(service: DPUService, ready: bool) -> None:
    found = states(applied(*EVERY_STEP), service)[ConditionType.DPU_SERVICES_READY]
    assert found == (true() if ready else false("Pending", "Objects are not ready:\n* tenant/dd-a"))


def test_unready_children_are_listed_in_order_and_for_their_kind_alone() -> None:
    children = [a_service("dd-b", ready=False), a_service("dd-a", ready=None), a_service("dd-c")]
    found = states(applied(*EVERY_STEP), *children)
    assert found[ConditionType.DPU_SERVICES_READY].message == "Objects are not ready:\n* tenant/dd-a\n* tenant/dd-b"
    assert found[ConditionType.DPU_SETS_READY] == true()


@pytest.mark.parametrize(("written", "ready"), [
    (a_service(version="2"), False), (a_service(), True), (a_service("dd-new"), False),
], ids=["changed", "only marked again", "new"])
def test_what_was_just_written_is_not_ready_yet(written: DPUService, ready: bool) -> None:
    found = states(applied(*EVERY_STEP, written=[written]), a_service())
    assert (found[ConditionType.DPU_SERVICES_READY] == true()) is ready


@pytest.mark.parametrize(("patch", "paused", "ready"), [
    (({"op": "replace", "path": "/spec", "value": {}},), False, False),
    ({"spec": {"paused": False}}, True, False),
    ({"spec": {"paused": True}}, False, True),
], ids=["replaced", "woken", "paused"])
def test_what_was_just_patched_is_not_ready_yet(patch: Any, paused: bool, ready: bool) -> None:
    action = Patch(kind=DPUService, key=Key(some.TENANT, "dd-a"), patch=patch, because="")
    results = {name: StepResult(
        name=name, ran=True, outcomes=(Outcome(action=action),) if name is StepName.SERVICES else (),
    ) for name in EVERY_STEP}
    found = states(Applied(results=tuple(results.values()), by_name=results), a_service(paused=paused))
    assert (found[ConditionType.DPU_SERVICES_READY] == true()) is ready


def children(**numbers: int) -> list[Object]:
    kinds: dict[str, type[Any]] = {
        "services": DPUService, "interfaces": DPUServiceInterface, "chains": DPUServiceChain, "dpusets": DPUSet,
    }
    return [
        kinds[name](metadata=some.metadata(f"dd-{n}"), **({"spec": DPUSetSpec()} if name == "dpusets" else {}))
        for name, number in numbers.items() for n in range(number)
    ]


def test_a_deletion_counts_what_is_left_and_leaves_dpusets_alone() -> None:
    left = children(services=2, chains=1, dpusets=3)
    found = states(applied(StepName.SERVICES, StepName.INTERFACES, StepName.CHAINS), *left, deleting=True)
    assert {type_: (s.reason, s.message) for type_, s in found.items() if type_ not in READY_TYPES} == {
        ConditionType.DPU_SERVICES_RECONCILED:
            ("AwaitingDeletion", "There are still 2 DPUServices that are not completely deleted"),
        ConditionType.DPU_SERVICE_INTERFACES_RECONCILED:
            ("AwaitingDeletion", "All DPUServiceInterfaces are deleted"),
        ConditionType.DPU_SERVICE_CHAINS_RECONCILED:
            ("AwaitingDeletion", "There are still 1 DPUServiceChains that are not completely deleted"),
    }
    assert found[ConditionType.DPU_SERVICES_READY].status == "False"


def test_dpusets_are_told_about_when_their_turn_has_come() -> None:
    done = applied(*CHILDREN, failed=StepName.DPUSETS, findings=["waiting"])
    found = states(done, *children(dpusets=2), deleting=True)
    assert found[ConditionType.DPU_SETS_RECONCILED] == false(
        "AwaitingDeletion", "There are still 2 DPUSets that are not completely deleted"
    )
    assert found[ConditionType.DPU_SERVICE_CHAINS_RECONCILED].message == "All DPUServiceChains are deleted"


def test_errors_of_a_deletion_are_told() -> None:
    done = applied(StepName.CHAINS, failed=StepName.CHAINS, errors=["delete z: forbidden"])
    found = states(done, *children(chains=1), deleting=True)
    assert found[ConditionType.DPU_SERVICE_CHAINS_RECONCILED] == false(
        "AwaitingDeletion", "Error occurred: delete z: forbidden"
    )
    done = applied(*CHILDREN, StepName.RELEASE, failed=StepName.RELEASE, errors=["patch BFB: conflict"])
    found = states(done, deleting=True)
    assert found[ConditionType.PREREQUISITES_READY] == false("Pending", "Error occurred: patch BFB: conflict")
