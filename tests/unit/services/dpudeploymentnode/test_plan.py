"""Labels of host nodes for in-cluster services: the four rules (behaviour-service.md 6.11; scenario 40, race 10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from tests.support import dpudeploymentnodes as nodes

from dpf.api import core
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.runtime.plan import Patch
from dpf.services.dpudeploymentnode import claims, plan
from dpf.services.dpudeploymentnode.snapshot import Deployment, Snapshot

KEY = nodes.key("dd", "agent")
NEW, OLD = "dd-agent-rr45f", "dd-agent"
REQUESTOR = f"tenant_dd_{NEW}"


def a_deployment(
    *services: Any, object: DPUDeployment | None = None, dpusets: Sequence[Any] = ()
) -> Deployment:
    found = nodes.a_deployment() if object is None else object
    claimed = tuple(sorted(claim for service in services for claim in claims.of_service(service)))
    return Deployment(object=found, claims=claimed, dpusets=tuple(dpusets))


def a_snapshot(*deployments: Deployment, labels: dict[str, str] | None = None, **fields: Any) -> Snapshot:
    fields = {"dpunodes": (nodes.a_dpunode(),), **fields}
    return Snapshot(node=nodes.a_node(labels=labels), deployments=deployments, **fields)


def labels(snapshot: Snapshot) -> dict[str, str | None]:
    """Every label that the plan changes."""
    patches = [a for step in plan.plan(snapshot).steps for a in step.actions if isinstance(a, Patch)]
    found = [patch.patch for patch in patches if patch.kind is core.Node]
    assert len(found) <= 1
    return found[0]["metadata"]["labels"] if found else {}  # type: ignore[call-overload]


def requestors(snapshot: Snapshot) -> dict[str, list[str]]:
    """What the plan leaves of requestors, by name of the maintenance."""
    patches = [a for step in plan.plan(snapshot).steps for a in step.actions if isinstance(a, Patch)]
    return {
        patch.key.name: patch.patch["spec"]["requestor"]  # type: ignore[call-overload]
        for patch in patches if patch.kind is DPUNodeMaintenance
    }


def test_a_matching_node_gets_the_label_at_first_rollout() -> None:
    assert labels(a_snapshot(a_deployment(nodes.an_agent(OLD)))) == {KEY: OLD}


@pytest.mark.parametrize("deployment", [
    nodes.a_deployment(reconciled=False),
    nodes.a_deployment(reconciled=True, observed=0),
    nodes.a_deployment(selector={"rack": "elsewhere"}),
    nodes.a_deployment(sets=False),
    nodes.a_deployment(expressions=[{"key": "rack", "operator": "Near", "values": ["a"]}]),
    nodes.a_deployment(expressions=[{"key": "rack", "operator": "DoesNotExist"}]),
], ids=["services are not reconciled", "reconciled for an older generation", "does not match", "no DPUSets",
        "a selector that means nothing", "an expression that excludes it"])
def test_others_do_not_get_it(deployment: DPUDeployment) -> None:
    assert labels(a_snapshot(a_deployment(nodes.an_agent(OLD), object=deployment))) == {}


@pytest.mark.parametrize("deployment", [
    nodes.a_deployment(selector={"rack": "a"}), nodes.a_deployment(selector=None),
    nodes.a_deployment(selector={"rack": "a"}, field="nodeSelector"),
    nodes.a_deployment(expressions=[{"key": "rack", "operator": "In", "values": ["a", "b"]}]),
], ids=["labels", "every node", "by the older name", "expressions"])
def test_dpusets_select_dpunodes(deployment: DPUDeployment) -> None:
    assert labels(a_snapshot(a_deployment(nodes.an_agent(OLD), object=deployment))) == {KEY: OLD}


def test_a_dpunode_of_another_namespace_does_not_match() -> None:
    foreign = nodes.a_dpunode(namespace="elsewhere")
    assert labels(a_snapshot(a_deployment(nodes.an_agent(OLD)), dpunodes=(foreign,))) == {}


def test_a_service_outside_the_cluster_claims_nothing() -> None:
    assert claims.of_service(nodes.an_agent(OLD, in_cluster=False)) == ()
    assert claims.of_service(nodes.an_agent(OLD, selector=False)) == ()


def test_a_label_that_is_there_is_left_to_the_node_effect() -> None:
    """Scenario 40: a disruptive update does not start before the node is free for it."""
    both = a_deployment(nodes.an_agent(OLD, paused=True), nodes.an_agent(NEW, created="2026-01-02T00:00:00Z"))
    assert labels(a_snapshot(both, labels={KEY: OLD})) == {}
    pending = nodes.a_maintenance(REQUESTOR, applied=False)
    waiting = a_snapshot(both, labels={KEY: OLD}, maintenances=(pending,))
    assert (labels(waiting), requestors(waiting)) == ({}, {})


def test_when_the_effect_is_applied_the_label_moves_and_then_the_requestor_goes() -> None:
    both = a_deployment(nodes.an_agent(OLD, paused=True), nodes.an_agent(NEW, created="2026-01-02T00:00:00Z"))
    maintenance = nodes.a_maintenance("dpu-1", REQUESTOR, "tenant_dd_other-cluster-service")
    snapshot = a_snapshot(both, labels={KEY: OLD}, maintenances=(maintenance,))
    assert labels(snapshot) == {KEY: NEW}
    assert requestors(snapshot) == {"worker-1-hold": ["dpu-1", "tenant_dd_other-cluster-service"]}
    assert [step.name for step in plan.plan(snapshot).steps if step.actions] == ["labels", "maintenances"]
    (patch,) = plan.plan(snapshot).steps[1].actions
    assert isinstance(patch, Patch)
    assert isinstance(patch.patch, dict)
    assert patch.patch["metadata"] == {"resourceVersion": "7"}, "somebody else may add a requestor meanwhile"


def test_after_a_crash_between_label_and_requestor_the_requestor_still_goes() -> None:
    done = a_deployment(nodes.an_agent(NEW))
    snapshot = a_snapshot(done, labels={KEY: NEW}, maintenances=(nodes.a_maintenance(REQUESTOR),))
    assert (labels(snapshot), requestors(snapshot)) == ({}, {"worker-1-hold": []})


def test_an_old_request_does_not_bring_the_old_revision_back() -> None:
    both = a_deployment(nodes.an_agent(OLD, paused=True), nodes.an_agent(NEW, created="2026-01-02T00:00:00Z"))
    late = nodes.a_maintenance(f"tenant_dd_{OLD}")
    assert labels(a_snapshot(both, labels={KEY: NEW}, maintenances=(late,))) == {}
    assert requestors(a_snapshot(both, labels={KEY: NEW}, maintenances=(late,))) == {"worker-1-hold": []}


def test_a_node_that_joins_during_an_update_starts_with_the_current_revision() -> None:
    both = a_deployment(nodes.an_agent(OLD, paused=True, created="2026-01-03T00:00:00Z"), nodes.an_agent(NEW))
    assert labels(a_snapshot(both)) == {KEY: NEW}


@pytest.mark.parametrize("old", [nodes.an_agent(OLD, paused=True), nodes.an_agent(OLD, deleting=True)])
def test_an_old_revision_is_not_started_anywhere(old: Any) -> None:
    only_old = a_deployment(old)
    assert labels(a_snapshot(only_old)) == {}
    asked = a_snapshot(only_old, maintenances=(nodes.a_maintenance(f"tenant_dd_{OLD}"),))
    assert (labels(asked), requestors(asked)) == ({}, {"worker-1-hold": []})


def test_a_revision_on_its_way_out_does_not_answer_for_its_successor() -> None:
    both = a_deployment(nodes.an_agent(OLD, deleting=True, created="2026-01-03T00:00:00Z"), nodes.an_agent(NEW))
    assert labels(a_snapshot(both)) == {KEY: NEW}
    assert labels(a_snapshot(both, labels={KEY: OLD})) == {}, "its pods are still there"


def test_of_two_working_revisions_the_youngest_counts() -> None:
    both = a_deployment(nodes.an_agent("a", created="2026-01-02T00:00:00Z"), nodes.an_agent("b"))
    assert labels(a_snapshot(both)) == {KEY: "a"}


def test_a_deployment_that_is_deleted_takes_its_labels_along() -> None:
    """Its requestors go as well, or the host would stay out of service."""
    leaving = a_deployment(nodes.an_agent(OLD), object=nodes.a_deployment(deleting=True))
    other = nodes.key("other", "agent")
    snapshot = a_snapshot(
        leaving, labels={KEY: OLD, other: "x"}, maintenances=(nodes.a_maintenance(f"tenant_dd_{OLD}"),)
    )
    assert labels(snapshot) == {KEY: None}
    assert requestors(snapshot) == {"worker-1-hold": []}


def test_labels_that_nobody_claims_are_taken_off() -> None:
    assert labels(a_snapshot(labels={KEY: OLD, "rack": "a"}, unused=frozenset({KEY}))) == {KEY: None}


def test_services_of_one_deployment_do_not_answer_for_another() -> None:
    """Race 10: the same service name in two DPUDeployments is two labels."""
    mine = a_deployment(nodes.an_agent(OLD))
    theirs = a_deployment(nodes.an_agent("other-agent", owner="other"), object=nodes.a_deployment("other", selector={
        "rack": "elsewhere",
    }))
    assert labels(a_snapshot(mine, theirs)) == {KEY: OLD}
    maintenance = nodes.a_maintenance("tenant_other_other-agent")
    assert labels(a_snapshot(mine, labels={KEY: OLD}, maintenances=(maintenance,))) == {}


@pytest.mark.parametrize(("dpusets", "moved"), [
    ([nodes.a_dpuset(REQUESTOR)], True),
    ([nodes.a_dpuset(REQUESTOR, on_label_change=True)], False),
    ([nodes.a_dpuset(f"tenant_dd_{OLD}")], False),
    ([nodes.a_dpuset(REQUESTOR), nodes.a_dpuset(f"tenant_dd_{OLD}")], False),
    ([], False),
], ids=["no effect is asked for", "an effect is asked for", "not told yet", "one is not told yet", "no DPUSets"])
def test_a_label_of_a_service_that_is_gone_moves_only_when_no_effect_is_coming(dpusets: list[Any], moved: bool) -> None:
    only_new = a_deployment(nodes.an_agent(NEW), dpusets=dpusets)
    assert labels(a_snapshot(only_new, labels={KEY: OLD})) == ({KEY: NEW} if moved else {})


def test_a_settled_node_is_left_alone() -> None:
    snapshot = a_snapshot(
        a_deployment(nodes.an_agent(OLD)), labels={KEY: OLD, "rack": "a"},
        maintenances=(nodes.a_maintenance("dpu-1"), msgspec.structs.replace(nodes.a_maintenance(), spec=None)),
    )
    assert all(not step.actions for step in plan.plan(snapshot).steps)
