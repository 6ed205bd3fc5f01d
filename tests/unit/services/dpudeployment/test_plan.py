"""Passes over a DPUDeployment as stories: rollout, updates, mending, deletion (behaviour-service.md 6)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import dpudeployments as some
from tests.support import rollouts
from tests.support.rollouts import World

from dpf.api.bfb import BFB
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Object
from dpf.runtime.plan import Apply, Plan
from dpf.services.dpudeployment import plan as planner

NS = some.TENANT
KEY = "svc.dpu.nvidia.com/dpuservice-producer-version"
CHAIN = [{"ports": [{"service": {"name": "producer", "interface": "eth0"}}]}]


def world(*, disruptive: bool = True, **spec: Any) -> World:
    """A settled deployment of one service."""
    found = World(
        some.a_deployment(**spec), some.a_configuration(interfaces=("eth0",), nodeEffect=disruptive), finalizers=True,
    )
    found.converge()
    found.log.clear()
    return found


def edit(found: World, value: object, **spec: Any) -> None:
    """Gives the service another revision."""
    values = {"serviceConfiguration": {"helmChart": {"values": {"revision": value}}}}
    found.edit(DPUServiceConfiguration, "producer", {"spec": {**values, **spec}})


def steps(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def test_first_rollout() -> None:
    """Scenario 22."""
    found = World(some.a_deployment(serviceChains=CHAIN), some.a_configuration(interfaces=("eth0",), nodeEffect=True))
    found.step()
    assert steps(found.plan) == ["dependencies", "versions", "resources", "services"]
    found.step()
    assert steps(found.plan)[3:] == ["services", "interfaces", "chains", "dpusets"]
    assert found.step() == []

    assert found.log == [
        "create DPUService dd-producer", "create DPUServiceInterface dd-producer-eth0", "create DPUServiceChain dd",
        "create DPUSet dd-workers",
    ]
    assert rollouts.follows_labels(found) == {False}
    assert found.plan.wake_after_s is None


def test_nothing_happens_before_the_dependencies_are_there() -> None:
    """Scenario 23."""
    found = World(some.a_deployment())
    found.edit(BFB, "bfb", {"status": {"phase": "Downloading"}})
    found.settle()

    assert steps(found.plan) == ["dependencies"]
    assert found.findings() == ["BFB is not ready yet"]
    assert found.log == []


def test_without_a_spec() -> None:
    deployment = DPUDeployment(metadata=some.metadata("dd"))
    plan = planner.plan(some.a_snapshot(deployment), rollouts.NOW)

    assert [finding.message for step in plan.steps for finding in step.findings] == [
        "the DPUDeployment has no spec; say in spec which DPUs and services it is about"
    ]


def test_update_in_place() -> None:
    """Scenario 30."""
    found = world(disruptive=False)
    before = found.get(DPUService, "dd-producer")
    edit(found, 2)
    found.step()
    assert found.plan.wake_after_s == 30.0
    found.converge()
    after = found.get(DPUService, "dd-producer")

    assert found.log == ["apply DPUService dd-producer", "apply DPUServiceInterface dd-producer-eth0"]
    assert after.metadata.uid == before.metadata.uid
    assert after.metadata.annotations != before.metadata.annotations
    assert after.spec.serviceID == before.spec.serviceID
    assert after.spec.helmChart.values == {"revision": 2}
    assert found.plan.wake_after_s is None


def test_disruptive_update() -> None:
    """Scenario 31."""
    found = world()
    edit(found, 2)
    found.settle()
    (new,) = rollouts.service_names(found, paused=False)

    assert rollouts.service_names(found, paused=True) == ["dd-producer"]
    assert found.log[:2] == ["pause DPUService dd-producer", f"create DPUService {new}"]
    assert rollouts.node_labels(found)[KEY] == new
    effect = found.get(DPUSet, "dd-workers").spec.dpuTemplate.spec.nodeEffect
    assert effect.applyOnLabelChange is True
    assert effect.nodeMaintenanceAdditionalRequestors == [f"{NS}_dd_{new}"]
    assert found.plan.wake_after_s == 30.0
    service = found.get(DPUService, new)
    digest = service.metadata.annotations["svc.dpu.nvidia.com/dpuservice-version"]
    assert service.spec.serviceID == f"dpudeployment_dd_producer_{digest}"

    found.report()
    found.log.clear()
    found.step()
    assert found.log[:2] == ["delete DPUService dd-producer", "unpause DPUService dd-producer"]
    assert rollouts.follows_labels(found) == {True}
    found.step()
    assert rollouts.follows_labels(found) == {False}
    found.converge()
    assert found.names(DPUService) == [new]
    assert found.plan.wake_after_s is None


@pytest.mark.parametrize("late", [DPUService, DPUSet])
def test_the_old_revision_stays_until_service_and_nodes_are_there(late: type[Object]) -> None:
    """Scenario 32: a DPUSet that was ready before it had the label does not count."""
    found = world()
    edit(found, 2)
    found.settle()
    found.report(DPUSet if late is DPUService else DPUService)
    found.settle()
    assert rollouts.service_names(found, paused=True) == ["dd-producer"]
    found.report(late)
    found.settle()

    assert len(rollouts.service_names(found, paused=False)) == 2, "the old one is being deleted, unpaused"


def test_the_old_revision_stays_while_a_dpuset_lacks_the_label() -> None:
    """Race 8."""
    found = world()
    edit(found, 2)
    found.step()
    found.report()
    found.step()

    assert rollouts.service_names(found, paused=True) == ["dd-producer"]


@pytest.mark.parametrize(("limit", "left"), [(1, 1), (2, 2), (3, 3), (10, 4)])
def test_revisions_up_to_the_limit(limit: int, left: int) -> None:
    """Scenario 33."""
    found = world(revisionHistoryLimit=limit)
    for revision in (2, 3, 4):
        edit(found, revision)
        found.settle()
        found.collect()

    assert len(found.names(DPUService)) == left
    assert len(found.names(DPUServiceInterface)) == left
    assert len(rollouts.service_names(found, paused=False)) == 1
    found.converge()
    assert len(found.names(DPUService)) == len(found.names(DPUServiceInterface)) == 1


def test_nodes_follow_until_they_are_there_also_when_no_old_revision_is_left() -> None:
    found = world(revisionHistoryLimit=1)
    edit(found, 2)
    found.settle()
    found.collect()
    found.settle()
    assert len(found.names(DPUService)) == 1
    assert rollouts.follows_labels(found) == {True}
    found.report()
    found.settle()

    assert rollouts.follows_labels(found) == {False}


def test_a_dpuset_that_is_being_added_counts_for_the_old_revision() -> None:
    found = world(dpus={"dpuSets": [{"nameSuffix": "one"}]})
    edit(found, 2)
    found.settle()
    found.report()
    found.edit(DPUDeployment, "dd", {"spec": {"dpus": {"dpuSets": [{"nameSuffix": "one"}, {"nameSuffix": "two"}]}}})
    found.log.clear()
    found.settle()
    assert "delete DPUService dd-producer" not in found.log
    found.converge()

    assert len(found.names(DPUService)) == 1


def test_a_dpuset_on_its_way_out_counts_for_the_old_revision() -> None:
    """Its DPUs still run it."""
    found = world(dpus={"dpuSets": [{"nameSuffix": "one"}, {"nameSuffix": "two"}]})
    edit(found, 2)
    found.edit(DPUDeployment, "dd", {"spec": {"dpus": {"dpuSets": [{"nameSuffix": "one"}]}}})
    found.settle()
    found.report()
    found.settle()
    assert found.get(DPUSet, "dd-two").metadata.deletionTimestamp is not None
    assert "delete DPUService dd-producer" not in found.log
    found.collect()
    found.settle()

    assert "delete DPUService dd-producer" in found.log


def test_a_dpuset_that_is_being_deleted_is_not_ready() -> None:
    found = world()
    edit(found, 2)
    found.settle()
    found.report()
    found.remove(DPUSet, "dd-workers")
    found.settle()

    assert "delete DPUService dd-producer" not in found.log


def test_a_revision_that_cannot_be_written_costs_the_old_one_nothing() -> None:
    """Race 14: with limit 1 the old one goes only when the new one is known to be there."""
    found = world(revisionHistoryLimit=1)
    edit(found, 2)
    actions = found.step()

    assert [type(action).__name__ for action in actions] == ["Apply"]
    found.remove(DPUService, rollouts.service_names(found, paused=False)[-1])
    assert found.get(DPUService, "dd-producer").metadata.deletionTimestamp is None


def test_only_the_policy_is_edited() -> None:
    """Scenario 34."""
    found = world()
    found.edit(DPUServiceConfiguration, "producer", {"spec": {"nodeEffect": False}})

    assert found.settle() == 0


def test_revert_in_the_middle() -> None:
    found = world()
    edit(found, 2)
    found.settle()
    (second,) = rollouts.service_names(found, paused=False)
    found.edit(DPUServiceConfiguration, "producer", {"spec": {"serviceConfiguration": None}})
    found.settle()

    assert rollouts.service_names(found, paused=False) == ["dd-producer"]
    assert rollouts.service_names(found, paused=True) == [second]
    assert rollouts.node_labels(found)[KEY] == "dd-producer"
    found.converge()
    assert found.names(DPUService) == ["dd-producer"]
    assert found.names(DPUServiceInterface) == ["dd-producer-eth0"]


def test_the_flag_is_taken_back_in_the_middle() -> None:
    found = world()
    edit(found, 2)
    found.settle()
    (second,) = rollouts.service_names(found, paused=False)
    edit(found, 3, nodeEffect=False)
    found.settle()

    assert rollouts.service_names(found, paused=False) == [second]
    assert found.get(DPUService, second).spec.helmChart.values == {"revision": 3}
    assert rollouts.service_names(found, paused=True) == ["dd-producer"]
    found.converge()
    assert found.names(DPUService) == [second]


def test_a_template_edit_counts_when_its_controller_has_read_it() -> None:
    """Race 8."""
    found = world(disruptive=False)
    found.edit(DPUServiceTemplate, "producer", {"spec": {"helmChart": {"source": {"version": "2.0.0"}}}})
    found.edit(DPUServiceTemplate, "producer", lambda tree: {
        **tree, "status": {**tree["status"], "conditions": [{"type": "Ready", "status": "False"}]},
    })
    found.settle()
    assert found.log == []
    found.edit(DPUServiceTemplate, "producer", lambda tree: {
        **tree, "status": {**tree["status"], "conditions": [{"type": "Ready", "status": "True"}]},
    })
    found.settle()

    assert found.get(DPUService, "dd-producer").spec.helmChart.source.version == "2.0.0"


def test_a_service_is_dropped() -> None:
    """Scenario 36."""
    found = World(some.a_deployment(services=("consumer", "producer")), finalizers=True)
    found.converge()
    found.edit(DPUDeployment, "dd", {"spec": {"services": {"consumer": None}}})
    found.converge()

    assert found.names(DPUService) == ["dd-producer"]
    assert found.names(DPUServiceInterface) == ["dd-producer-eth0"]
    assert [key for key in rollouts.node_labels(found) if "consumer" in key] == []


def test_after_a_problem_nothing_is_deleted() -> None:
    """Race of 6.7: one service is dropped, another cannot be made."""
    found = World(some.a_deployment(services=("a", "b", "c")))
    found.converge()
    found.log.clear()
    found.edit(DPUDeployment, "dd", {"spec": {"services": {"c": None, "a": {"dependsOn": [{"name": "a"}]}}}})
    found.settle()
    assert found.findings() == ["service a cannot depend on itself"]
    assert found.log == []
    found.edit(DPUDeployment, "dd", {"spec": {"services": {"a": {"dependsOn": None}}}})
    found.converge()

    assert found.names(DPUService) == ["dd-a", "dd-b"]


def test_a_write_and_a_removal_never_share_a_step() -> None:
    found = World(some.a_deployment(services=("a", "b")))
    found.converge()
    found.log.clear()
    found.edit(DPUDeployment, "dd", {"spec": {"services": {"b": None, "c": {
        "serviceTemplate": "c", "serviceConfiguration": "c",
    }}}})
    found.add(some.a_template("c"))
    found.add(some.a_configuration("c"))
    found.step()
    assert found.log == ["create DPUService dd-c"]
    found.settle()

    assert "delete DPUService dd-b" in found.log


@pytest.mark.parametrize("change", [
    {"metadata": {"labels": {"svc.dpu.nvidia.com/owned-by-dpudeployment": None}}},
    {"metadata": {"labels": {"svc.dpu.nvidia.com/dpudeployment-service": None}}},
    {"metadata": {"labels": {"svc.dpu.nvidia.com/dpudeployment-service": "other"}}},
    {"metadata": {"annotations": {"svc.dpu.nvidia.com/dpuservice-version": None}}},
    {"metadata": {"ownerReferences": None}},
    {"spec": {"helmChart": {"values": {"mine": 1}}}},
    {"spec": {"helmChart": {"source": {"version": "9"}}}},
    {"spec": {"serviceDaemonSet": {"nodeSelector": None}}},
    {"spec": {"serviceDaemonSet": {"resources": {"cpu": 1}}}},
    {"spec": {"interfaces": ["mine"]}},
    {"spec": {"interfaces": None}},
    {"spec": {"configPorts": {"serviceType": "NodePort", "ports": []}}},
    {"spec": {"paused": True}},
    {"spec": {"security": {"privileged": False}}},
], ids=str)
@pytest.mark.parametrize("disruptive", [False, True])
def test_what_is_changed_by_hand_is_put_right(change: dict[str, Any], disruptive: bool) -> None:
    found = world(disruptive=disruptive)
    before = found.get(DPUService, "dd-producer")
    found.edit(DPUService, "dd-producer", change)
    passes = found.settle()
    after = found.get(DPUService, "dd-producer")

    assert passes <= 2
    assert after.spec == before.spec
    assert after.metadata.labels == before.metadata.labels
    assert after.metadata.annotations == before.metadata.annotations
    assert after.metadata.ownerReferences == before.metadata.ownerReferences
    assert found.names(DPUService) == ["dd-producer"]


def test_marks_of_others_are_left_alone() -> None:
    found = world()
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}
    found.edit(DPUService, "dd-producer", lambda tree: {**tree, "metadata": {
        **tree["metadata"], "labels": {**tree["metadata"]["labels"], "mine": "x"},
        "annotations": {**tree["metadata"]["annotations"], "mine": "x"},
        "ownerReferences": [*tree["metadata"]["ownerReferences"], other],
    }})

    assert found.settle() == 0


def test_paused_and_being_deleted_is_woken_whatever_else_is_wrong() -> None:
    """Race 15: a pass that ended between deletion and waking."""
    found = world()
    edit(found, 2)
    found.settle()
    found.remove(DPUService, "dd-producer")
    found.edit(BFB, "bfb", {"status": {"phase": "Error"}})
    found.log.clear()
    found.step()

    assert steps(found.plan) == ["unpause", "dependencies"]
    assert found.log == ["unpause DPUService dd-producer"]


def test_deletion_goes_in_order() -> None:
    """Scenario 41."""
    found = world(serviceChains=CHAIN)
    found.delete()
    found.step()
    assert found.findings() == [
        "There are still 1 DPUServiceChains that are not completely deleted",
        "There are still 1 DPUServiceInterfaces that are not completely deleted",
        "There are still 1 DPUServices that are not completely deleted",
    ]
    assert steps(found.plan) == ["chains", "interfaces", "services"]
    assert found.plan.wake_after_s == 30.0
    assert found.step() == [], "what is being deleted is not deleted again"
    assert "delete DPUSet dd-workers" not in found.log
    found.collect()
    found.step()
    assert found.findings() == ["There are still 1 DPUSets that are not completely deleted"]
    assert not found.plan.release
    found.collect()
    found.step()

    assert found.findings() == []
    assert found.plan.release
    assert steps(found.plan) == ["chains", "interfaces", "services", "dpusets", "release"]
    assert some.marks(found.get(BFB, "bfb")) == (False, [])


def test_deletion_in_the_middle_of_an_update_wakes_the_old_revision() -> None:
    """Race 15."""
    found = world()
    edit(found, 2)
    found.settle()
    found.delete()
    found.log.clear()
    found.step()

    assert found.log.index("delete DPUService dd-producer") + 1 == found.log.index("unpause DPUService dd-producer")
    assert rollouts.service_names(found, paused=True) == []


def test_deletion_does_not_need_a_spec_or_dependencies() -> None:
    deployment = DPUDeployment(metadata=some.metadata("dd", deleting=True))
    plan = planner.plan_teardown(some.a_snapshot(deployment), rollouts.NOW)

    assert plan.release
    assert plan.wake_after_s is None


def test_a_pass_that_is_repeated_says_the_same() -> None:
    found = world()
    edit(found, 2)
    snapshot = found.snapshot()

    assert planner.plan(snapshot, rollouts.NOW) == planner.plan(snapshot, rollouts.NOW)
    found.step()
    again = planner.plan(snapshot, rollouts.NOW)
    assert [action.object.metadata.name for step in again.steps for action in step.actions
            if isinstance(action, Apply)] == rollouts.service_names(found, paused=False)
