"""What a pass of the Kamaji cluster manager plans, and what it then says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import kamajis as some
from tests.support.dpuclusters import NAME, NAMESPACE

from dpf.api import core
from dpf.api.dpucluster import DPUCluster, Keepalived
from dpf.api.kamaji import KubernetesResources, KubernetesVersion, TenantControlPlane, TenantControlPlaneStatus
from dpf.api.meta import ObjectMeta, OwnerReference
from dpf.provisioning.clustermanager.kamaji import build, keepalived, status
from dpf.provisioning.clustermanager.kamaji import plan as planner
from dpf.provisioning.clustermanager.kamaji.snapshot import Snapshot
from dpf.runtime.conditions import State
from dpf.runtime.plan import Applied, Apply, Delete, Outcome, Patch, Plan, StepResult

FRESH = some.a_kamaji_cluster(phase="Creating")
DONE = some.a_kamaji_cluster(phase="Ready", kubeconfig=some.SECRET)
ADDRESSED = some.a_kamaji_cluster(phase="Ready", kubeconfig=some.SECRET, keepalived=some.KEEPALIVED)


def a_service(cluster: DPUCluster, node_port: int | None = some.NODE_PORT) -> core.Service:
    return build.service(cluster, actual=None, node_port=node_port)


def a_control_plane(
    cluster: DPUCluster, word: str | None = "Ready", *, version: str = "v1.35.6", runs: str | None = None,
    finalizers: list[str] | None = None, deleting: bool = False,
) -> TenantControlPlane:
    asked = Snapshot(cluster=cluster).keepalived
    vip = asked.vip if asked is not None else None
    made = build.control_plane(cluster, version=version, node_port=some.NODE_PORT, vip=vip)
    meta = msgspec.structs.replace(
        made.metadata, uid="tcp-uid", finalizers=finalizers,
        deletionTimestamp="2026-01-02T00:00:00Z" if deleting else None,
    )
    reported = KubernetesVersion(version=runs or version, status=word)
    return msgspec.structs.replace(made, metadata=meta, status=TenantControlPlaneStatus(
        kubernetesResources=KubernetesResources(version=reported), controlPlaneEndpoint="10.33.33.33:31234",
    ))


def a_settled(cluster: DPUCluster = DONE, **given: Any) -> Snapshot:
    """Everything as it is in the end."""
    asked = Snapshot(cluster=cluster).keepalived
    config = keepalived.config(cluster, asked, some.NODE_PORT) if asked else None
    facts: dict[str, Any] = {
        "cluster": cluster, "service": a_service(cluster), "control_plane": a_control_plane(cluster),
        "secret": ObjectMeta(name=some.SECRET), "config": config,
        "daemonset": keepalived.daemonset(cluster, asked, config) if asked and config else None,
    }
    return Snapshot(**{**facts, **given})


def kinds(plan: Plan) -> list[str]:
    actions: list[Any] = [action for step in plan.steps for action in step.actions]
    return [
        f"{type(a).__name__} {(type(a.object) if isinstance(a, Apply) else a.kind).__name__}" for a in actions
    ]


def all_done(plan: Plan, *, failing: str = "", error: str = "") -> Applied:
    """`plan` carried out as the executor does; every action of the step `failing` fails."""
    results: list[StepResult] = []
    stopped = False
    for step in plan.steps:
        outcomes = tuple(Outcome(action=a, error=error if step.name == failing else None) for a in step.actions)
        result = StepResult(name=step.name, ran=False)
        if not stopped:
            result = StepResult(name=step.name, ran=True, outcomes=outcomes, findings=step.findings)
            stopped = step.blocks and not result.succeeded
        results.append(result)
    return Applied(results=tuple(results), by_name={r.name: r for r in results})


def states(snapshot: Snapshot, **failure: str) -> dict[str, State]:
    deleting = snapshot.cluster.metadata.deletionTimestamp is not None
    plan = planner.teardown(snapshot) if deleting else planner.plan(snapshot)
    verdict = status.compute(snapshot, all_done(plan, **failure))
    assert verdict.fields == {}
    return verdict.states


def a_stranger(obj: Any, *owners: OwnerReference) -> Any:
    """`obj` as somebody else's."""
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(
        obj.metadata, ownerReferences=list(owners) or None,
    ))


# Making.


@pytest.mark.parametrize(("snapshot", "expected"), [
    pytest.param(Snapshot(cluster=FRESH), ["Apply Service"], id="nothing there"),
    pytest.param(Snapshot(cluster=FRESH, service=a_service(FRESH, None)), [], id="no node port yet"),
    pytest.param(
        Snapshot(cluster=FRESH, service=a_service(FRESH)), ["Apply TenantControlPlane", "Patch DPUCluster"],
        id="node port chosen",
    ),
    pytest.param(
        Snapshot(cluster=ADDRESSED, service=a_service(ADDRESSED)),
        ["Apply TenantControlPlane", "Apply ConfigMap", "Apply DaemonSet"], id="with a virtual address",
    ),
    pytest.param(a_settled(FRESH), ["Patch DPUCluster"], id="Ready, not handed over"),
    pytest.param(a_settled(), [], id="settled"),
    pytest.param(a_settled(ADDRESSED), [], id="settled with a virtual address"),
])
def test_what_is_made(snapshot: Snapshot, expected: list[str]) -> None:
    assert kinds(planner.plan(snapshot)) == expected


@pytest.mark.parametrize(("snapshot", "wake_after_s"), [
    pytest.param(Snapshot(cluster=FRESH), 5.0, id="new"),
    pytest.param(Snapshot(cluster=FRESH, installed=False), 15.0, id="Kamaji missing"),
    pytest.param(a_settled(), 600.0, id="settled"),
    pytest.param(a_settled(some.a_kamaji_cluster(version="one")), None, id="only a change can help"),
])
def test_when_it_is_looked_at_again(snapshot: Snapshot, wake_after_s: float | None) -> None:
    assert planner.plan(snapshot).wake_after_s == wake_after_s


def test_the_kubeconfig_is_not_named_before_the_control_plane_is_ready_and_its_secret_exists() -> None:
    for snapshot in (
        a_settled(FRESH, control_plane=a_control_plane(FRESH, "Provisioning")), a_settled(FRESH, secret=None),
        a_settled(FRESH, control_plane=a_control_plane(FRESH, "Upgrading")),
    ):
        plan = planner.plan(snapshot)
        assert not all_done(plan).step(planner.KUBECONFIG).ran
        assert states(snapshot)["Created"].status == "False"


def test_naming_the_kubeconfig_says_nothing_in_the_same_pass() -> None:
    snapshot = a_settled(FRESH)
    (patch,) = [a for step in planner.plan(snapshot).steps for a in step.actions]
    assert isinstance(patch, Patch)
    assert patch.patch == {"spec": {"kubeconfig": some.SECRET}}
    assert states(snapshot) == {}


@pytest.mark.parametrize(("hint", "version"), [(None, "v1.35.6"), ("", "v1.35.6"), ("1.30.2", "v1.30.2"),
                                               ("v1.30.2", "v1.30.2")])
def test_version_of_a_new_control_plane(hint: str | None, version: str) -> None:
    cluster = some.a_kamaji_cluster(version=hint)
    plan = planner.plan(Snapshot(cluster=cluster, service=a_service(cluster)))
    (made,) = [a.object for s in plan.steps for a in s.actions if isinstance(a, Apply)]
    assert isinstance(made, TenantControlPlane)
    assert made.spec.kubernetes.version == version


# What Kamaji makes of the Service.


def test_ports_and_owners_that_kamaji_sets_are_no_drift() -> None:
    service, control_plane = a_service(DONE), a_control_plane(DONE)
    ports = [core.ServicePort(name="kube-apiserver", protocol="TCP", port=some.NODE_PORT, targetPort=some.NODE_PORT,
                              nodePort=some.NODE_PORT)]
    kamaji = OwnerReference(apiVersion="kamaji.clastix.io/v1alpha1", kind="TenantControlPlane", name=NAME,
                            uid="tcp-uid", controller=True)
    taken = msgspec.structs.replace(
        service, spec=msgspec.structs.replace(service.spec, ports=ports),
        metadata=msgspec.structs.replace(
            service.metadata, ownerReferences=[kamaji, *(service.metadata.ownerReferences or ())],
        ),
    )
    assert kinds(planner.plan(a_settled(service=taken, control_plane=control_plane))) == []
    anew = a_stranger(taken, kamaji)
    plan = planner.plan(a_settled(service=anew, control_plane=control_plane))
    assert kinds(plan) == ["Apply Service"], "one that Kamaji made anew becomes ours again"
    (step,) = [s for s in plan.steps if s.actions]
    assert step.actions[0].object.spec.ports == ports  # type: ignore[union-attr]


def test_our_owner_reference_leaves_the_control_of_the_service_to_kamaji() -> None:
    (owner,) = a_service(DONE).metadata.ownerReferences or ()
    assert owner.controller is None


@pytest.mark.parametrize("service", [
    pytest.param(None, id="deleted"),
    pytest.param(a_service(DONE, 30001), id="edited"),
    pytest.param(msgspec.structs.replace(a_service(DONE), spec=core.ServiceSpec(type="ClusterIP")), id="emptied"),
])
def test_the_node_port_that_dpus_were_told_does_not_move(service: core.Service | None) -> None:
    plan = planner.plan(a_settled(service=service))
    (made,) = [a.object for s in plan.steps for a in s.actions if isinstance(a, Apply)]
    assert isinstance(made, core.Service)
    assert (made.spec.type, build.node_port_of(made)) == ("NodePort", some.NODE_PORT)


# Drift and change.


def edited(obj: Any, path: str, value: Any) -> Any:
    tree = msgspec.to_builtins(obj)
    *parents, last = path.split(".")
    node = tree
    for name in parents:
        node = node[int(name)] if isinstance(node, list) else node[name]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return msgspec.convert(tree, type=type(obj))


@pytest.mark.parametrize(("path", "value"), [
    ("spec.controlPlane.deployment.replicas", 1), ("spec.networkProfile.port", 6443),
    ("spec.networkProfile.address", "192.0.2.9"), ("spec.networkProfile.address", None),
    ("spec.addons.coreDNS", None), ("spec.kubernetes.kubelet.cgroupfs", "cgroupfs"),
    ("spec.controlPlane.service.serviceType", "LoadBalancer"), ("metadata.labels", {}),
    ("spec.controlPlane.deployment.tolerations", []),
])
def test_a_control_plane_that_was_edited_is_put_back(path: str, value: Any) -> None:
    control_plane = edited(a_control_plane(ADDRESSED), path, value)
    plan = planner.plan(a_settled(ADDRESSED, control_plane=control_plane))
    assert kinds(plan) == ["Apply TenantControlPlane"]


@pytest.mark.parametrize(("path", "value"), [
    ("spec.controlPlane.deployment.serviceAccountName", "default"), ("spec.networkProfile.clusterDomain", "a.b"),
])
def test_defaults_of_kamaji_are_no_drift(path: str, value: Any) -> None:
    control_plane = edited(a_control_plane(DONE), path, value)
    assert kinds(planner.plan(a_settled(control_plane=control_plane))) == []


@pytest.mark.parametrize(("what", "path", "value", "expected"), [
    ("config", "data", {}, "Apply ConfigMap"),
    ("daemonset", "spec.template.spec.hostNetwork", False, "Apply DaemonSet"),
    ("daemonset", "spec.template.spec.nodeSelector", {}, "Apply DaemonSet"),
    ("daemonset", "spec.template.spec.containers.0.image", "other", "Apply DaemonSet"),
])
def test_keepalived_that_was_edited_is_put_back(what: str, path: str, value: Any, expected: str) -> None:
    settled = a_settled(ADDRESSED)
    broken = a_settled(ADDRESSED, **{what: edited(getattr(settled, what), path, value)})
    assert kinds(planner.plan(broken)) == [expected]


def test_defaults_inside_the_pods_are_no_drift() -> None:
    daemonset = a_settled(ADDRESSED).daemonset
    daemonset = edited(daemonset, "spec.template.spec.containers.0.terminationMessagePath", "/dev/termination-log")
    daemonset = edited(daemonset, "spec.template.spec.restartPolicy", "Always")
    assert kinds(planner.plan(a_settled(ADDRESSED, daemonset=daemonset))) == []


def test_a_node_selector_that_lost_a_key_is_noticed() -> None:
    wide = msgspec.structs.replace(some.KEEPALIVED, nodeSelector={})
    cluster = some.a_kamaji_cluster(phase="Ready", kubeconfig=some.SECRET, keepalived=wide)
    old = a_settled(ADDRESSED)
    assert kinds(planner.plan(a_settled(cluster, daemonset=old.daemonset))) == ["Apply DaemonSet"]


def test_a_virtual_address_that_is_not_wanted_any_more_goes() -> None:
    old = a_settled(ADDRESSED)
    snapshot = a_settled(DONE, config=old.config, daemonset=old.daemonset, control_plane=old.control_plane)
    assert kinds(planner.plan(snapshot)) == [
        "Apply TenantControlPlane", "Delete ConfigMap", "Delete DaemonSet",
    ]
    strangers = a_settled(DONE, config=a_stranger(old.config), daemonset=a_stranger(old.daemonset))
    assert kinds(planner.plan(strangers)) == []


# What stands in the way.


@pytest.mark.parametrize(("what", "step"), [("service", "Service"), ("control_plane", "TenantControlPlane")])
def test_what_belongs_to_others_is_not_taken_over(what: str, step: str) -> None:
    settled = a_settled(FRESH)
    snapshot = a_settled(FRESH, **{what: a_stranger(getattr(settled, what))})
    created = states(snapshot)["Created"]
    assert (created.status, created.reason) == ("False", "ClusterNotReady")
    assert created.message == (
        f"{step} {NAMESPACE}/{NAME} exists and does not belong to this DPUCluster. "
        "Next step: rename or delete it, its place is needed"
    )
    assert not [k for k in kinds(planner.plan(snapshot)) if k.endswith(step)]


def test_what_an_earlier_dpucluster_left_is_not_taken_over() -> None:
    earlier = build.owner(some.a_kamaji_cluster(uid="uid-0"))
    snapshot = a_settled(FRESH, control_plane=a_stranger(a_control_plane(FRESH), earlier))
    assert "belongs to an earlier or another DPUCluster (tenant1, uid uid-0)" in states(snapshot)["Created"].message


def test_a_foreign_keepalived_does_not_hold_up_the_control_plane() -> None:
    snapshot = a_settled(ADDRESSED, config=a_stranger(core.ConfigMap(metadata=ObjectMeta(
        name=f"{NAME}-keepalived", namespace=NAMESPACE,
    ))))
    found = states(snapshot)
    assert found["Created"].status == "True"
    assert (found["KeepalivedReady"].status, found["KeepalivedReady"].reason) == ("False", "Error")
    assert found["KeepalivedReady"].message.startswith(f"ConfigMap {NAMESPACE}/{NAME}-keepalived exists")
    assert kinds(planner.plan(snapshot)) == []


@pytest.mark.parametrize(("controller", "status_"), [(True, "False"), (None, "True")])
def test_a_secret_that_somebody_else_controls_is_not_handed_over(controller: bool | None, status_: str) -> None:
    other = OwnerReference(apiVersion="v1", kind="ConfigMap", name="x", uid="x", controller=controller)
    secret = ObjectMeta(name=some.SECRET, ownerReferences=[other])
    assert states(a_settled(secret=secret))["Created"].status == status_


@pytest.mark.parametrize(("cluster", "words"), [
    (some.a_kamaji_cluster(version="1.35"), "spec.version '1.35' is not a version like v1.35.6"),
    (some.a_kamaji_cluster(kubeconfig="mine"), "spec.kubeconfig names 'mine'"),
    (some.a_kamaji_cluster(keepalived=Keepalived(vip="host", virtualRouterID=1, interface="e")),
     "vip 'host' is not an IP address"),
    (some.a_kamaji_cluster(keepalived=Keepalived(vip="fe80::1%e", virtualRouterID=1, interface="e")),
     "is not an IP address"),
    (some.a_kamaji_cluster(keepalived=Keepalived(vip=some.VIP, virtualRouterID=1, interface="e\n}")),
     "is not a name of a network interface"),
    (some.a_kamaji_cluster(keepalived=Keepalived(vip=some.VIP, virtualRouterID=1, interface="e" * 16)),
     "is not a name of a network interface"),
])
def test_bad_input_is_told_and_nothing_is_made(cluster: DPUCluster, words: str) -> None:
    snapshot = Snapshot(cluster=cluster)
    assert kinds(planner.plan(snapshot)) == []
    created = states(snapshot)["Created"]
    assert created.reason == "ClusterNotReady"
    assert words in created.message
    assert "Next step: " in created.message


def test_missing_kamaji_is_told_and_nothing_is_made() -> None:
    snapshot = Snapshot(cluster=FRESH, installed=False)
    assert kinds(planner.plan(snapshot)) == []
    assert states(snapshot)["Created"] == State(status="False", reason="ClusterNotReady", message=(  # type: ignore[arg-type]
        "Kamaji is not installed: the host cluster does not serve tenantcontrolplanes.kamaji.clastix.io. "
        "Next step: install Kamaji with its CRDs; it is found by itself then"
    ))


def test_an_empty_address_asks_for_nothing() -> None:
    asked = Keepalived(vip="", virtualRouterID=1, interface="e")
    cluster = some.a_kamaji_cluster(keepalived=asked)
    snapshot = Snapshot(cluster=cluster, service=a_service(cluster))
    assert "Apply DaemonSet" not in kinds(planner.plan(snapshot))


# Conditions.


@pytest.mark.parametrize(("word", "handed_over", "status_"), [
    ("Ready", True, "True"), ("Upgrading", True, "True"), ("Migrating", True, "True"), ("NotReady", True, "False"),
    ("Sleeping", True, "False"), ("Provisioning", True, "False"), ("Unheard", True, "False"), (None, True, "False"),
    ("Upgrading", False, "False"),
])
def test_created_follows_kamaji(word: str | None, handed_over: bool, status_: str) -> None:
    cluster = DONE if handed_over else FRESH
    created = states(a_settled(cluster, control_plane=a_control_plane(cluster, word)))["Created"]
    assert created.status == status_
    if status_ == "True":
        assert created.reason == "Created"
        assert created.message == "Kamaji runs the control plane at 10.33.33.33:31234"
    else:
        assert created.reason == "ClusterNotReady"
        assert f"is {word or 'not taken up by Kamaji yet'}. If this stays: " in created.message


def test_a_refused_write_is_told() -> None:
    snapshot = Snapshot(cluster=FRESH, service=a_service(FRESH))
    created = states(snapshot, failing=planner.CONTROL_PLANE, error="the data store does not exist")["Created"]
    assert (created.status, created.message) == ("False", "the data store does not exist")


@pytest.mark.parametrize(("observed", "desired", "ready", "expected"), [
    pytest.param(0, 0, 0, ("True", "Deployed"), id="nobody has looked yet"),
    pytest.param(1, 0, 0, ("False", "Pending"), id="no node"),
    pytest.param(1, 3, 0, ("False", "Pending"), id="none runs"),
    pytest.param(1, 3, 1, ("True", "Deployed"), id="one runs"),
])
def test_keepalived_is_as_its_pods(observed: int, desired: int, ready: int, expected: tuple[str, str]) -> None:
    daemonset = a_settled(ADDRESSED).daemonset
    assert daemonset is not None
    daemonset = msgspec.structs.replace(daemonset, status=core.DaemonSetStatus(
        observedGeneration=observed, desiredNumberScheduled=desired, numberReady=ready,
    ))
    state = states(a_settled(ADDRESSED, daemonset=daemonset))["KeepalivedReady"]
    assert (state.status, state.reason) == expected


def test_a_cluster_without_a_virtual_address_does_not_wait_for_one() -> None:
    assert states(a_settled())["KeepalivedReady"].status == "True"


# Upgrades.


@pytest.mark.parametrize(("hint", "runs", "expected", "words"), [
    pytest.param("v1.35.6", "v1.35.6", [], "runs Kubernetes v1.35.6", id="as wanted"),
    pytest.param("v1.36.1", "v1.35.6", ["Apply TenantControlPlane"], "from v1.35.6 to v1.36.1", id="next minor"),
    pytest.param("v1.35.9", "v1.35.6", ["Apply TenantControlPlane"], "from v1.35.6 to v1.35.9", id="patch"),
    pytest.param("v1.34.9", "v1.35.6", [], "cannot go back from v1.35.6 to v1.34.9", id="back"),
    pytest.param("v1.37.0", "v1.35.6", [], "set spec.version to a version v1.36.x first", id="two minors"),
    pytest.param("v2.0.0", "v1.35.6", [], "only by one minor version", id="major"),
    pytest.param("v1.35.6", "v1.34.1", [], "from v1.34.1 to v1.35.6", id="under way"),
])
def test_an_upgrade_in_place(hint: str, runs: str, expected: list[str], words: str) -> None:
    cluster = some.a_kamaji_cluster(phase="Ready", kubeconfig=some.SECRET, version=hint)
    snapshot = a_settled(cluster, control_plane=a_control_plane(cluster, version="v1.35.6", runs=runs))
    assert kinds(planner.plan(snapshot)) == expected
    found = states(snapshot)
    assert words in found["Upgraded"].message
    assert (found["Upgraded"].status == "True") == words.startswith("runs")
    assert found["Created"].status == "True", "what serves goes on serving"


def test_a_refused_upgrade_leaves_the_cluster_created() -> None:
    cluster = some.a_kamaji_cluster(phase="Ready", kubeconfig=some.SECRET, version="v1.36.0")
    snapshot = a_settled(cluster, control_plane=a_control_plane(cluster))
    found = states(snapshot, failing=planner.UPGRADE, error="Kamaji supports v1.35 at most")
    assert found["Created"].status == "True"
    assert (found["Upgraded"].status, found["Upgraded"].message) == ("False", "Kamaji supports v1.35 at most")


def test_a_version_that_never_ran_can_be_corrected_in_any_direction() -> None:
    cluster = some.a_kamaji_cluster(phase="Creating", version="v1.33.1")
    stuck = a_control_plane(cluster, "Provisioning", version="v1.35.99")
    assert kinds(planner.plan(a_settled(cluster, control_plane=stuck, secret=None))) == [
        "Apply TenantControlPlane", "Patch DPUCluster",
    ]


# Deletion.

GOING = some.a_kamaji_cluster(
    phase="Ready", kubeconfig=some.SECRET, keepalived=some.KEEPALIVED, deleting=True,
)


def test_what_was_made_goes_the_service_last() -> None:
    plan = planner.teardown(a_settled(GOING))
    assert kinds(plan) == ["Delete DaemonSet", "Delete ConfigMap", "Delete TenantControlPlane", "Delete Service"]
    assert not plan.release
    assert "tcp-uid" in [a.uid for step in plan.steps for a in step.actions if isinstance(a, Delete)]
    assert [result.ran for result in all_done(plan).results] == [True, False, False], "one after the other"


def test_it_says_what_it_waits_for_and_deletes_it_once() -> None:
    control_plane = a_control_plane(GOING, finalizers=[some.KAMAJI_FINALIZER], deleting=True)
    snapshot = Snapshot(cluster=GOING, control_plane=control_plane, service=a_service(GOING))
    assert kinds(planner.teardown(snapshot)) == ["Delete Service"]
    state = states(snapshot)["Created"]
    assert (state.status, state.reason) == ("False", "AwaitingDeletion")
    assert state.message == (
        f"TenantControlPlane {NAMESPACE}/{NAME} is being removed; Kamaji lets it go "
        f"(finalizers: {some.KAMAJI_FINALIZER})"
    )


def test_what_belongs_to_others_stays() -> None:
    ours = a_settled(GOING)
    snapshot = Snapshot(
        cluster=GOING, service=a_stranger(ours.service), control_plane=a_stranger(ours.control_plane),
        config=a_stranger(ours.config), daemonset=a_stranger(ours.daemonset),
    )
    plan = planner.teardown(snapshot)
    assert (plan.steps, plan.release) == ((), True)


def test_it_lets_go_without_kamaji() -> None:
    assert planner.teardown(Snapshot(cluster=GOING, installed=False)).release
