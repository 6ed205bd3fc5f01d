"""What a pass decides, from plain values (behaviour-service.md 3.2 to 3.8)."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.support import dpuservices as some

from dpf.api import core, names
from dpf.api.argocd import SKIP_RECONCILE_ANNOTATION, Application, ApplicationSpec
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import ConditionType, DPUService, DPUServiceSpec
from dpf.api.meta import Key, ObjectMeta
from dpf.runtime import plan as plans
from dpf.runtime.plan import Applied, Apply, Delete, Outcome, Patch, Plan, StepResult
from dpf.services.argocd import build
from dpf.services.dpuservice import plan, status
from dpf.services.dpuservice.fleet import Fleet, Member, Unusable
from dpf.services.dpuservice.plan import StepName
from dpf.services.dpuservice.snapshot import ClusterView, Connecting, Remote, Snapshot

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
TENANT = core.Namespace(metadata=ObjectMeta(name=some.TENANT, labels={
    names.PREREQ_LABEL: "true", names.PREREQ_NAMESPACE_LABEL: some.TENANT,
}))
READY = Remote(namespace=TENANT)
DEAD = Unusable(why="dpu cluster is not connected: refused")


def a_view(
    name: str = "dpu-1", *, remote: Remote | Connecting | Unusable = READY, cluster: DPUCluster | None = None
) -> ClusterView:
    credentials = build.Credentials(server=f"https://{name}", token="t")
    member = Member(cluster=cluster or some.a_cluster(name), credentials=credentials)
    return ClusterView(member=member, remote=remote)


def a_snapshot(*views: ClusterView, service: DPUService | None = None, **facts: Any) -> Snapshot:
    clusters = views or (a_view(),)
    fleet = Fleet(dpf_namespace=some.DPF, argocd_namespace=some.DPF, members=tuple(view.member for view in clusters))
    return Snapshot(service=service or some.a_service(), fleet=fleet, clusters=clusters, **facts)


def with_fleet(snapshot: Snapshot, **facts: Any) -> Snapshot:
    return dataclasses.replace(snapshot, fleet=dataclasses.replace(snapshot.fleet, **facts))


def after(snapshot: Snapshot) -> Snapshot:
    """The snapshot of the next pass, when everything that this one planned in the host cluster was done."""
    for action in actions(plan.plan(snapshot, NOW)):
        match action:
            case Apply(object=Application() as app):
                snapshot = dataclasses.replace(snapshot, applications=(*snapshot.applications, app))
            case Apply(object=core.Secret() as secret):
                snapshot = with_fleet(snapshot, secrets=(*snapshot.fleet.secrets, secret))
            case Apply(object=obj) if obj.metadata.name in {build.DPU_PROJECT, build.HOST_PROJECT}:
                snapshot = with_fleet(snapshot, projects={**snapshot.fleet.projects, obj.metadata.name: obj})
            case _:
                raise AssertionError(action)
    return snapshot


def actions(found: Plan, step: StepName | None = None) -> list[plans.Action]:
    return [action for s in found.steps if step in (None, s.name) for action in s.actions]


def an_installed(*views: ClusterView, service: DPUService | None = None, **facts: Any) -> Snapshot:
    return after(a_snapshot(*views, service=service, **facts))


def carried_out(found: Plan, *, failing: type | None = None) -> Applied:
    """What the executor makes of a plan in which every action on kind `failing` is refused."""
    results: list[StepResult] = []
    stopped = False
    for step in found.steps:
        outcomes = tuple(Outcome(action=a, error="refused" if _kind(a) is failing else None) for a in step.actions)
        result = StepResult(
            name=step.name, ran=not stopped, outcomes=() if stopped else outcomes,
            findings=() if stopped else step.findings,
        )
        stopped = stopped or (step.blocks and not result.succeeded)
        results.append(result)
    return Applied(results=tuple(results), by_name={r.name: r for r in results})


def _kind(action: plans.Action) -> type | None:
    match action:
        case Apply(object=obj):
            return type(obj)
        case Patch(kind=kind) | Delete(kind=kind):
            return kind
        case _:
            return None


def states(snapshot: Snapshot, *, failing: type | None = None) -> dict[str, str]:
    """Status of each condition that a pass speaks about."""
    verdict = status.compute(snapshot, carried_out(plan.plan(snapshot, NOW), failing=failing), NOW)
    return {type_: state.status for type_, state in verdict.states.items()}


def with_annotation(app: Application, value: str) -> Application:
    annotated = msgspec.structs.replace(app.metadata, annotations={SKIP_RECONCILE_ANNOTATION: value})
    return msgspec.structs.replace(app, metadata=annotated)


def test_the_order_of_steps() -> None:
    assert [step.name for step in plan.plan(a_snapshot(), NOW).steps] == [
        "interfaces", "argocd", "prereqs", "applications", "config-ports",
    ]


def test_a_settled_service_needs_nothing() -> None:
    assert actions(plan.plan(an_installed(), NOW)) == []


@pytest.mark.parametrize("change", [
    {"helmChart": {"source": {"repoURL": "https://charts.example", "version": "2", "chart": "web"}}},
    {"serviceDaemonSet": {"labels": {"a": "b"}}},
    {"serviceID": "new"},
], ids=["chart", "daemonset", "service-id"])
def test_a_change_of_the_spec_is_one_write(change: dict[str, Any]) -> None:
    changed = dataclasses.replace(an_installed(), service=some.a_service(**change))
    (action,) = actions(plan.plan(changed, NOW))
    assert isinstance(action, Patch)
    assert (action.kind, [operation["path"] for operation in action.patch]) == (Application, ["/spec"])


@pytest.mark.parametrize("foreign", [
    {"ignoreDifferences": [{"kind": "DaemonSet", "jsonPointers": ["/spec"]}]}, {"revisionHistoryLimit": 3},
    {"info": [{"name": "a", "value": "b"}]}, {"source": {"helm": {"parameters": [{"name": "a", "value": "b"}]}}},
    {"source": {"helm": {"valuesObject": {"foreign": None}}}}, {"syncPolicy": {"automated": {"allowEmpty": True}}},
], ids=["ignore", "history", "info", "parameters", "null", "allow-empty"])
def test_what_somebody_added_to_the_spec_is_replaced(foreign: dict[str, Any]) -> None:
    snapshot = an_installed()
    (app,) = snapshot.applications
    spec = _over(msgspec.to_builtins(app.spec), foreign)
    edited = msgspec.structs.replace(app, spec=msgspec.convert(spec, ApplicationSpec))
    (action,) = actions(plan.plan(dataclasses.replace(snapshot, applications=(edited,)), NOW))
    assert isinstance(action, Patch)
    assert list(action.patch) == [{"op": "replace", "path": "/spec", "value": msgspec.to_builtins(app.spec)}]


def _over(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: _over(below.get(key), value) for key, value in above.items()}}


@pytest.mark.parametrize("spec", [None, some.a_service(dpuClusterSelector={
    "matchExpressions": [{"key": "zone", "operator": "Near", "values": ["a"]}],
}).spec], ids=["no-spec", "selector"])
def test_where_nothing_says_where_to_install_nothing_is_ready(spec: DPUServiceSpec | None) -> None:
    service = msgspec.structs.replace(some.a_service(), spec=spec)
    assert ConditionType.APPLICATIONS_READY not in states(a_snapshot(service=service))


def test_a_number_is_no_flag() -> None:
    source = {"repoURL": "https://charts.example", "version": "1", "chart": "web"}
    flag = an_installed(service=some.a_service(helmChart={"source": source, "values": {"debug": True}}))
    number = some.a_service(helmChart={"source": source, "values": {"debug": 1}})
    assert len(actions(plan.plan(dataclasses.replace(flag, service=number), NOW))) == 1


def test_of_two_applications_at_one_place_the_older_stays() -> None:
    snapshot = an_installed()
    (app,) = snapshot.applications
    older, younger = (
        msgspec.structs.replace(app, metadata=msgspec.structs.replace(app.metadata, name=n, creationTimestamp=created))
        for n, created in (("older", "2025-01-01T00:00:00Z"), ("younger", "2025-01-02T00:00:00Z"))
    )
    for order in ((older, younger), (younger, older)):
        (action,) = actions(plan.plan(dataclasses.replace(snapshot, applications=order), NOW), StepName.APPLICATIONS)
        assert isinstance(action, Delete)
        assert action.key.name == "younger"


@pytest.mark.parametrize("lost", ["labels", "finalizers"])
def test_what_a_person_took_from_the_application_comes_back(lost: str) -> None:
    snapshot = an_installed()
    (app,) = snapshot.applications
    labels = {k: v for k, v in (app.metadata.labels or {}).items() if k != names.COMPONENT_LABEL}
    poorer = msgspec.structs.replace(app.metadata, **{lost: labels if lost == "labels" else None})
    snapshot = dataclasses.replace(snapshot, applications=(msgspec.structs.replace(app, metadata=poorer),))
    assert len(actions(plan.plan(snapshot, NOW))) == 1


def test_a_dead_cluster_does_not_concern_the_others() -> None:
    found = plan.plan(a_snapshot(a_view("dpu-1"), a_view("dpu-2", remote=DEAD)), NOW)
    apps = [a.object.metadata.name for a in actions(found, StepName.APPLICATIONS) if isinstance(a, Apply)]
    assert apps == ["dpu-1-blueman"]
    (finding,) = next(s for s in found.steps if s.name == StepName.PREREQS).findings
    assert finding.message == f"cluster namespaces: DPUCluster dpf-clusters/dpu-2: {DEAD.why}"


def test_a_dead_cluster_that_is_not_selected_is_no_finding() -> None:
    zone = some.a_cluster("dpu-2", labels={"zone": "b"})
    service = some.a_service(dpuClusterSelector={"matchLabels": {"zone": "a"}})
    here = a_view("dpu-1", cluster=some.a_cluster("dpu-1", labels={"zone": "a"}))
    found = plan.plan(a_snapshot(here, a_view("dpu-2", cluster=zone, remote=DEAD), service=service), NOW)
    assert [f for step in found.steps for f in step.findings] == []


def test_no_application_before_its_namespace() -> None:
    snapshot = a_snapshot(a_view(remote=Remote()))
    found = plan.plan(snapshot, NOW)
    assert actions(found, StepName.APPLICATIONS) == []
    assert [type(a.object) for a in actions(found, StepName.PREREQS) if isinstance(a, Apply)] == [core.Namespace]
    assert found.wake_after_s is not None
    assert ConditionType.APPLICATIONS_RECONCILED not in states(snapshot)


def test_nothing_is_concluded_while_connecting() -> None:
    """A restart must not make anything unready: conditions keep what they say."""
    snapshot = dataclasses.replace(an_installed(), clusters=(a_view(remote=Connecting()),))
    found = plan.plan(snapshot, NOW)
    assert actions(found) == []
    assert found.wake_after_s is not None
    assert set(states(snapshot)) == {
        ConditionType.APPLICATIONS_READY, ConditionType.DPU_SERVICE_INTERFACE_RECONCILED,
        ConditionType.SPIFFE_ENTRIES_READY,
    }


@pytest.mark.parametrize(("failing", "told", "silent"), [
    (core.Secret, {ConditionType.APPLICATION_PREREQS_RECONCILED}, {ConditionType.APPLICATIONS_RECONCILED}),
    (Application, {ConditionType.APPLICATIONS_RECONCILED}, {ConditionType.CONFIG_PORTS_RECONCILED}),
], ids=["prereqs", "applications"])
def test_later_conditions_keep_their_value(failing: type, told: set[str], silent: set[str]) -> None:
    found = states(a_snapshot(), failing=failing)
    assert all(found[type_] == "False" for type_ in told)
    assert not silent & found.keys()
    assert ConditionType.APPLICATIONS_READY in found


def test_the_failure_of_a_cluster_that_is_not_selected_is_not_told() -> None:
    other = a_view("dpu-2", cluster=some.a_cluster("dpu-2"), remote=Remote())
    service = some.a_service(dpuClusterSelector={"matchLabels": {"zone": "a"}})
    here = a_view("dpu-1", cluster=some.a_cluster("dpu-1", labels={"zone": "a"}))
    found = states(a_snapshot(here, other, service=service), failing=core.Namespace)
    assert found[ConditionType.APPLICATION_PREREQS_RECONCILED] == "True"


def test_quantities_are_checked_before_anything_is_installed() -> None:
    service = some.a_service(serviceDaemonSet={"resources": {"memory": "lots"}})
    found = plan.plan(a_snapshot(service=service), NOW)
    (finding,) = next(s for s in found.steps if s.name == StepName.APPLICATIONS).findings
    assert finding.severity is plans.Severity.INVALID
    assert actions(found, StepName.APPLICATIONS) == []


def test_pause_marks_each_application_once() -> None:
    paused = dataclasses.replace(an_installed(), service=some.a_service(paused=True))
    found = plan.plan(paused, NOW)
    assert found.paused
    (patch,) = actions(found)
    assert isinstance(patch, Patch)
    assert patch.patch == {"metadata": {"annotations": {SKIP_RECONCILE_ANNOTATION: "true"}}}
    marked = tuple(with_annotation(app, "true") for app in paused.applications)
    assert actions(plan.plan(dataclasses.replace(paused, applications=marked), NOW)) == []


def test_resume_takes_the_mark_away() -> None:
    snapshot = an_installed()
    marked = tuple(with_annotation(app, "true") for app in snapshot.applications)
    (patch,) = actions(plan.plan(dataclasses.replace(snapshot, applications=marked), NOW))
    assert isinstance(patch, Patch)
    assert patch.patch == {"metadata": {"annotations": {SKIP_RECONCILE_ANNOTATION: None}}}


def test_a_stale_paused_application_is_woken_before_it_is_deleted() -> None:
    installed = an_installed()
    marked = tuple(with_annotation(app, "true") for app in installed.applications)
    elsewhere = some.a_service(dpuClusterSelector={"matchLabels": {"zone": "none"}})
    found = plan.plan(dataclasses.replace(installed, service=elsewhere, applications=marked), NOW)
    assert [type(a) for a in actions(found, StepName.APPLICATIONS)] == [Patch, Delete]


def test_a_deleting_cluster_is_no_target_and_gets_nothing() -> None:
    for remote in (READY, Remote()):
        found = plan.plan(a_snapshot(a_view(cluster=some.a_cluster(deleting=True), remote=remote)), NOW)
        assert actions(found, StepName.PREREQS) == []
        assert actions(found, StepName.APPLICATIONS) == []


def test_teardown_waits_for_applications() -> None:
    deleting = dataclasses.replace(an_installed(), service=some.a_service(deleting=True))
    found = plan.plan_teardown(deleting, NOW)
    assert [type(a) for a in actions(found)] == [Delete]
    assert not found.release
    assert found.wake_after_s == 30


def test_teardown_tells_argo_cd_that_a_cluster_is_gone() -> None:
    """Else Argo CD waits for the cluster, and the service for Argo CD."""
    installed = an_installed()
    lost = dataclasses.replace(with_fleet(installed, members=()), clusters=(), service=some.a_service(deleting=True))
    assert [a.kind for a in actions(plan.plan_teardown(lost, NOW)) if isinstance(a, Delete)] == [
        core.Secret, Application,
    ]


@pytest.mark.parametrize(("siblings", "removed"), [
    ((), 1),
    ((some.a_service("dts", deleting=True),), 1),
    ((some.a_service("dts"),), 0),
    ((some.a_service("dts", deleting=True), some.a_service("hbn")), 0),
], ids=["alone", "all-deleting", "one-stays", "one-of-two-stays"])
def test_pull_secrets_go_with_the_last_service(siblings: tuple[DPUService, ...], removed: int) -> None:
    remote = Remote(namespace=TENANT, pull_secrets=(some.a_pull_secret(),))
    found = plan.plan_teardown(
        a_snapshot(a_view(remote=remote), service=some.a_service(deleting=True), siblings=siblings), NOW
    )
    assert len(actions(found, StepName.PULL_SECRETS)) == removed
    assert found.release


def test_teardown_passes_a_dead_cluster_but_waits_for_one_that_may_answer() -> None:
    service = some.a_service(deleting=True)
    assert plan.plan_teardown(a_snapshot(a_view(remote=DEAD), service=service), NOW).release
    waiting = plan.plan_teardown(a_snapshot(a_view(remote=Connecting()), service=service), NOW)
    assert (waiting.release, waiting.wake_after_s is not None) == (False, True)


def test_an_unreadable_cluster_loses_nothing() -> None:
    installed = an_installed(a_view("dpu-1"), a_view("dpu-2"))
    fleet = {"members": installed.fleet.members[:1], "unreadable": frozenset({Key(some.CLUSTERS, "dpu-2")})}
    blind = dataclasses.replace(with_fleet(installed, **fleet), clusters=installed.clusters[:1])
    assert actions(plan.plan(blind, NOW)) == []


def test_status_fields_are_always_told() -> None:
    snapshot = a_snapshot(service=some.a_service(serviceID="hbn", interfaces=["p0"]))
    verdict = status.compute(snapshot, carried_out(plan.plan(snapshot, NOW)), NOW)
    assert verdict.fields == {"serviceID": "hbn", "configPorts": None}


def test_a_new_service_of_a_deployment_says_nothing_of_interfaces_that_are_about_to_be_made() -> None:
    service = some.a_service(
        created="2026-01-01T11:59:58Z", labels={names.OWNED_BY_DPUDEPLOYMENT_LABEL: "x"}, interfaces=["app"]
    )
    assert plan.plan(a_snapshot(service=service), NOW) == Plan(paused=True, wake_after_s=10.0)
    later = plan.plan(a_snapshot(service=service), NOW.replace(second=9))
    assert [finding.message for finding in later.steps[0].findings] == [
        'dpuserviceinterfaces.svc.dpu.nvidia.com "app" not found'
    ]


def test_what_is_said_of_an_application_is_the_same_before_and_after_the_cache_has_it() -> None:
    views = (a_view("dpu-1"), a_view("dpu-2"))
    before, later = a_snapshot(*views), an_installed(*views)
    made = with_fleet(before, secrets=later.fleet.secrets, projects=later.fleet.projects)
    first = status.compute(made, carried_out(plan.plan(made, NOW)), NOW)
    assert first == status.compute(later, carried_out(plan.plan(later, NOW)), NOW)
    assert f"* {some.DPF}/dpu-2-blueman: " in first.states[ConditionType.APPLICATIONS_READY].message
    refused = status.compute(made, carried_out(plan.plan(made, NOW), failing=Application), NOW)
    assert "* dpu-2: " in refused.states[ConditionType.APPLICATIONS_READY].message
