"""Which steps a pass has, for what it sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from tests.support import dpusets as some
from tests.support.world import NAMESPACE

from dpf.api.dpu import DPU
from dpf.api.meta import Condition
from dpf.provisioning.dpuset import build, nodemetadata, plan, settings
from dpf.provisioning.dpuset.nodemetadata import Clash
from dpf.provisioning.dpuset.plan import Create, Mark, StepName
from dpf.provisioning.dpuset.snapshot import Platform, Snapshot
from dpf.runtime.plan import Delete, Drive, Patch, Plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stamped(snapshot: Snapshot) -> Snapshot:
    """With the digest that the pass before has written."""
    metadata = snapshot.dpuset.metadata
    labels = {**(metadata.labels or {}), some.HASH_LABEL: snapshot.hash}
    dpuset = msgspec.structs.replace(snapshot.dpuset, metadata=msgspec.structs.replace(metadata, labels=labels))
    return replace(snapshot, dpuset=dpuset)


def installed(snapshot: Snapshot, **changes: Any) -> tuple[DPU, ...]:
    """The DPUs that this DPUSet makes, Ready."""
    dpus: list[DPU] = []
    for candidate in snapshot.candidates:
        node = nodemetadata.merge(snapshot.template.spec.cluster, candidate, some.VERSION)
        assert not isinstance(node, Clash)
        made = build.dpu(snapshot, candidate, node)
        ready = some.a_dpu().status
        dpus.append(msgspec.structs.replace(
            made, metadata=msgspec.structs.replace(made.metadata, generation=1, uid=f"uid-{made.metadata.name}"),
            spec=msgspec.structs.replace(made.spec, **changes), status=ready,
        ))
    return tuple(dpus)


def seen(count: int = 3, *, strategy: dict[str, Any] | None = None, dpus: Any = (), **fields: Any) -> Snapshot:
    dpuset = some.a_dpuset(**({"strategy": strategy} if strategy else {}))
    found = stamped(some.a_snapshot(dpuset, *some.pairs(count), **fields))
    return replace(found, dpus=dpus(found) if callable(dpus) else dpus)


def carried_out(found: Plan) -> dict[str, list[str]]:
    """Names of the DPUs that each step is about."""
    return {step.name: [_about(action) for action in step.actions] for step in found.steps if step.actions}


def _about(action: Any) -> str:
    match action:
        case Drive(intent=Create(dpu=dpu)):
            return dpu.metadata.name
        case Drive(intent=Mark(key=key)) | Delete(key=key) | Patch(key=key):
            return key.name
    raise AssertionError(action)


def test_missing_ones_are_made() -> None:
    assert carried_out(plan.plan(seen(2), NOW)) == {StepName.CREATE: ["worker01-dev01", "worker02-dev02"]}


def test_nothing_is_done_for_a_settled_set() -> None:
    found = plan.plan(seen(dpus=installed), NOW)
    assert carried_out(found) == {}
    assert not any(step.findings for step in found.steps)


def test_the_digest_is_written_first_and_alone() -> None:
    found = plan.plan(some.a_snapshot(some.a_dpuset(), *some.pairs(2)), NOW)
    assert carried_out(found) == {StepName.TEMPLATE_HASH: [some.SET]}
    assert found.paused


def test_the_digest_that_was_written_stays_until_the_object_changes() -> None:
    """Another release may compute it differently."""
    dpuset = some.a_dpuset(labels={some.HASH_LABEL: "0123456789"})
    as_seen = msgspec.structs.replace(dpuset.status, observedGeneration=1)
    assert some.a_snapshot(msgspec.structs.replace(dpuset, status=as_seen)).hash == "0123456789"
    older = msgspec.structs.replace(dpuset.status, observedGeneration=0)
    assert some.a_snapshot(msgspec.structs.replace(dpuset, status=older)).hash != "0123456789"


def test_a_set_that_has_changed_meanwhile_is_looked_at_again() -> None:
    found = plan.plan(seen(2, is_behind=True), NOW)
    assert (found.steps, found.paused, found.wake_after_s) == ((), True, 1.0)


def test_one_that_is_replaced_is_neither_marked_nor_changed() -> None:
    def dpus(snapshot: Snapshot) -> tuple[DPU, ...]:
        return installed(snapshot, bfb="older")

    found = carried_out(plan.plan(seen(strategy=some.rolling(1), dpus=dpus), NOW))
    assert found[StepName.REPLACE] == ["worker01-dev01"]
    assert found[StepName.MARK] == ["worker02-dev02", "worker03-dev03"]


def test_unselected_ones_go_but_not_those_that_are_retained() -> None:
    lost = (some.a_dpu("x-d8", device="d8"), some.a_dpu("x-d9", device="d9"))
    snapshot = seen(1, dpus=lambda s: (*installed(s), *lost), retained=frozenset({"x-d9"}))
    assert carried_out(plan.plan(snapshot, NOW)) == {StepName.REMOVE: ["x-d8"]}
    assert [dpu.metadata.name for dpu in plan.victims(snapshot)] == ["x-d8"]


def test_a_dpu_with_another_serial_number_is_for_another_card() -> None:
    snapshot = seen(1, dpus=lambda s: installed(s, serialNumber="another"))
    assert carried_out(plan.plan(snapshot, NOW)) == {StepName.REMOVE: ["worker01-dev01"]}


def test_a_clash_leaves_the_dpu_as_it_is() -> None:
    node, device = some.a_node(), some.a_device("dev1", cluster={"nodeLabels": {"a": "2"}})
    dpuset = some.a_dpuset(
        template=some.a_template(cluster={"nodeLabels": {"a": "1"}}, bfb={"name": "b"}), strategy=some.rolling(1)
    )
    snapshot = stamped(some.a_snapshot(dpuset, (node, device), dpus=(some.a_dpu(),)))
    found = plan.plan(snapshot, NOW)
    assert carried_out(found) == {}
    (finding,) = [finding for step in found.steps for finding in step.findings]
    assert finding.event == "ClusterMetadataConflict"
    ready = Condition(type="Ready", status="False", reason="ClusterMetadataConflict", message=finding.message)
    told = msgspec.structs.replace(snapshot.dpuset.status, conditions=[ready])
    again = replace(snapshot, dpuset=msgspec.structs.replace(snapshot.dpuset, status=told))
    assert [f.event for step in plan.plan(again, NOW).steps for f in step.findings] == [None]


def test_rivals_are_marked_and_told_apart_from_those_of_before() -> None:
    label = "provisioning.dpu.nvidia.com/collision-dpuset-dpuset-dk"
    before = some.a_dpu("x-d9", device="d9", owner="first", labels={label: "true"})
    known = some.a_dpu("worker02-dev02", device="dev02", owner="first", labels={label: "true"})
    new = some.a_dpu("worker01-dev01", device="dev01", owner="first")
    going = some.a_dpu("worker03-dev03", device="dev03", owner="first", deleting=True)
    snapshot = seen(rivals={"dev01": new, "dev02": known, "dev03": going}, marked=(known, before))
    found = plan.plan(snapshot, NOW)
    assert carried_out(found) == {StepName.MARK: ["worker01-dev01", "x-d9"]}
    patches = [action.patch for step in found.steps for action in step.actions if isinstance(action, Patch)]
    assert patches == [{"metadata": {"labels": {label: "true"}}}, {"metadata": {"labels": {label: None}}}]


def test_teardown_waits_for_all_and_asks_each_once() -> None:
    dpus = (some.a_dpu("a-d"), some.a_dpu("b-d", deleting=True, phase=""))
    found = plan.plan_teardown(some.a_snapshot(some.a_dpuset(), dpus=dpus))
    assert carried_out(found) == {StepName.DELETE: ["a-d"]}
    assert found.release
    assert [f.message for step in found.steps for f in step.findings] == [
        "not all DPUs are deleted: a-d (Ready), b-d (Initializing)"
    ]
    assert plan.plan_teardown(some.a_snapshot(some.a_dpuset())).steps[-1].findings == ()


def test_a_set_that_rests_does_not_go() -> None:
    """It has not looked: that it sees no DPUs does not mean that there are none."""
    found = plan.plan_teardown(some.a_snapshot(some.a_dpuset(), rests_s=1.5))
    assert (found.release, found.paused, found.wake_after_s, found.steps) == (False, True, 1.5, ())


def test_problems_come_together() -> None:
    dpuset = some.a_dpuset(template={"nodeEffect": {"drain": True}}, strategy=some.rolling("0%"))
    platform = Platform(version=some.VERSION, redfish=True)
    assert len(settings.problems(some.a_snapshot(dpuset, platform=platform))) == 4


def test_an_action_names_its_object_and_why() -> None:
    snapshot = seen(1)
    (action,) = [action for step in plan.plan(snapshot, NOW).steps for action in step.actions]
    assert action.because == "DPU worker01-dev01: DPUDevice dev01 of DPUNode worker01 is selected"
    assert action.reasons == ("SuccessfulCreate", "FailedCreate")
    assert isinstance(action, Drive)
    assert action.intent.dpu.metadata.namespace == NAMESPACE
