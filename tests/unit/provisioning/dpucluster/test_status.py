"""Phase, version and Ready of a DPUCluster; when to look again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.support.dpuclusters import LONG_AGO, SERVER, a_condition, a_dpucluster

from dpf.api.dpucluster import DPUCluster
from dpf.provisioning.dpucluster import plan, status
from dpf.provisioning.dpucluster.plan import Snapshot
from dpf.provisioning.dpucluster.prober import Health, Healthy, Unhealthy
from dpf.runtime.conditions import State

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CREATED = a_condition("Created")
HEALTHY = Healthy(version="v1.36.3")
DOWN = Unhealthy(why="connection refused")


def ready_of(cluster: DPUCluster, health: Health | None = None, server: str = SERVER) -> State:
    verdict = status.compute(Snapshot(cluster=cluster, health=health, server=server), NOW)
    assert list(verdict.states) == ["Ready"], "Created has another writer"
    return verdict.states["Ready"]


def test_a_healthy_cluster_is_ready_and_tells_its_version() -> None:
    verdict = status.compute(
        Snapshot(cluster=a_dpucluster(phase="Creating", conditions=(CREATED,)), health=HEALTHY, server=SERVER), NOW
    )
    assert verdict.fields == {"phase": "Ready", "version": "v1.36.3", "nodesCount": 0}
    assert verdict.states["Ready"] == State(
        status="True", reason="HealthCheckPassed", message=f"The API server at {SERVER} answers (v1.36.3)"
    )


def test_a_version_once_seen_is_kept_while_the_server_is_away() -> None:
    cluster = a_dpucluster(phase="Ready", conditions=(CREATED,))
    found = status.compute(Snapshot(cluster=cluster, health=DOWN, nodes_count=3), NOW)
    assert found.fields == {"phase": "NotReady", "nodesCount": 3}


def test_a_failed_health_check_says_where_why_since_when_and_what_next() -> None:
    cluster = a_dpucluster("static", phase="Ready", conditions=(CREATED, a_condition("Ready")))
    assert ready_of(cluster, DOWN) == State(status="False", reason="HealthCheckFailed", message=(
        f"The API server at {SERVER} cannot be used: connection refused. Not ready since 2026-03-01T12:00:00Z. "
        "Next step: check that this API server runs and can be reached from where the provisioning controller runs"
    ))


def test_the_message_stays_the_same_while_the_outage_lasts() -> None:
    lasting = a_dpucluster(phase="NotReady", conditions=(CREATED, a_condition("Ready", "False")))
    assert f"Not ready since {LONG_AGO}." in ready_of(lasting, DOWN).message


@pytest.mark.parametrize(("type_", "words"), [
    ("dpf/local", "dpfctl local status"),
    ("kamaji", f"TenantControlPlane {a_dpucluster().metadata.name}"),
    ("k0smotron.io/k0smotron", "tools of its vendor"),
])
def test_the_next_step_fits_the_type(type_: str, words: str) -> None:
    assert words in ready_of(a_dpucluster(type_, phase="Ready", conditions=(CREATED,)), DOWN).message


def test_the_probers_own_advice_comes_first() -> None:
    health = Unhealthy(why="401", advice="replace the credentials")
    message = ready_of(a_dpucluster(phase="Ready", conditions=(CREATED,)), health).message
    assert message.endswith("Next step: replace the credentials")


def test_without_a_usable_kubeconfig_there_is_no_address_to_name() -> None:
    message = ready_of(a_dpucluster(phase="Ready", conditions=(CREATED,)), DOWN, server="").message
    assert message.startswith("The API server cannot be used: connection refused.")


def test_what_the_manager_says_is_repeated() -> None:
    created = a_condition("Created", "False", message="kube-apiserver does not run")
    assert ready_of(a_dpucluster(phase="Creating", conditions=(created,))) == State(
        status="False", reason="ClusterNotReady", message="kube-apiserver does not run"
    )


@pytest.mark.parametrize("phase", ["Ready", "NotReady"])
@pytest.mark.parametrize(("health", "message"), [
    (HEALTHY, "etcd does not run."), (None, "etcd does not run."),
    (DOWN, f"etcd does not run. The API server at {SERVER} cannot be used: connection refused. Not ready since "),
], ids=["answers still", "nothing to ask", "silent"])
def test_created_taken_back_fails_the_health_check_and_names_what_the_manager_says(
    phase: str, health: Health | None, message: str
) -> None:
    created = a_condition("Created", "False", message="etcd does not run.")
    cluster = a_dpucluster(phase=phase, conditions=(created,))
    assert status.compute(Snapshot(cluster=cluster, health=health), NOW).fields["phase"] == "NotReady"
    state = ready_of(cluster, health)
    assert (state.status, state.reason) == ("False", "HealthCheckFailed")
    assert state.message.startswith(message)


@pytest.mark.parametrize(("type_", "words"), [
    ("kamaji", "dpf run cluster-manager kamaji"), ("static", "dpf run cluster-manager static"),
    ("dpf/local", "dpfctl local up"), ("acme.io/planes", "this vendor is installed"),
])
def test_a_silent_manager_is_named(type_: str, words: str) -> None:
    state = ready_of(a_dpucluster(type_, phase="Creating"))
    assert state.reason == "ClusterNotReady"
    assert repr(type_) in state.message
    assert words in state.message


@pytest.mark.parametrize("type_", ["mykamaji", "/x", "x/", "a b/c", "KAMAJI", ""])
def test_a_type_without_a_manager_fails_and_names_the_managers(type_: str) -> None:
    verdict = status.compute(Snapshot(cluster=a_dpucluster(type_)), NOW)
    assert verdict.fields == {"phase": "Failed", "nodesCount": 0}
    assert verdict.states["Ready"].reason == "Failure"
    assert verdict.states["Ready"].message.endswith("one of: dpf/local, kamaji, static or <vendor>/<name>")


def test_a_type_that_cannot_be_changed_any_more_asks_for_a_new_object() -> None:
    message = ready_of(a_dpucluster("mykamaji", phase="Failed", kubeconfig="admin")).message
    assert "Make the DPUCluster again with one of: " in message


def test_while_deleting_the_phase_stays() -> None:
    verdict = status.compute(Snapshot(cluster=a_dpucluster(phase="Ready", deleting=True, conditions=(CREATED,))), NOW)
    assert verdict.fields == {}
    assert verdict.states["Ready"].reason == "AwaitingDeletion"


@pytest.mark.parametrize(("phase", "health", "expected"), [
    pytest.param("Ready", HEALTHY, 30.0, id="well"),
    pytest.param("NotReady", HEALTHY, 30.0, id="recovered"),
    pytest.param("Ready", DOWN, 5.0, id="just lost"),
    pytest.param("NotReady", DOWN, 5.0, id="still lost"),
    pytest.param("Creating", None, None, id="nothing to ask: a watch tells"),
])
def test_when_to_look_again(phase: str, health: Health | None, expected: float | None) -> None:
    conditions = (CREATED,) if health is not None else ()
    snapshot = Snapshot(cluster=a_dpucluster(phase=phase, conditions=conditions), health=health)
    assert plan.plan(snapshot).wake_after_s == expected
