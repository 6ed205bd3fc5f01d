"""Which changes concern which DPUServices (behaviour-service.md, table 3.1)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpuservices as some

from dpf.api import core, names
from dpf.api.argocd import AppProject, AppProjectSpec
from dpf.api.dpfoperatorconfig import DPFOperatorConfig, DPFOperatorConfigSpec, Overrides
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicenad import DPUServiceNAD
from dpf.api.meta import Key, Object, ObjectMeta
from dpf.runtime.reconciler import Watch
from dpf.services.argocd import build
from dpf.services.dpuservice import watches

EVERY = {Key("tenant", "a"), Key("tenant", "b"), Key("other", "a")}
WITH_PORTS = {Key("tenant", "b")}
LISTING = {Key("tenant", "a"), Key("tenant", "b")}
KUBECONFIG = Key(some.CLUSTERS, "dpu-1-admin-kubeconfig")


def lookup(kind: type[Object], index: str, value: str) -> list[Key]:
    if kind is DPUCluster:
        return [Key(some.CLUSTERS, "dpu-1")] if value == str(KUBECONFIG) else []
    if index == watches.BY_INTERFACE:
        return sorted(LISTING) if value == "tenant/app" else []
    return sorted({watches.BY_CONFIG_PORTS: WITH_PORTS, watches.WITH_INTERFACES: LISTING}.get(index, ()))


def watch_of(kind: type[Object], *, everywhere: bool = False) -> Watch:
    found = watches.build(lambda: EVERY, lookup)
    return next(w for w in found if w.kind is kind and w.everywhere is everywhere)


def concerns(kind: type[Object], old: Object | None, new: Object | None, *, everywhere: bool = False) -> set[Key]:
    return set(watch_of(kind, everywhere=everywhere).maps(old, new))


def changed(obj: Any, **metadata: Any) -> Any:
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, **metadata))


CLUSTER = some.a_cluster()


@pytest.mark.parametrize(("old", "new", "concerned"), [
    (None, CLUSTER, EVERY),
    (CLUSTER, None, EVERY),
    (CLUSTER, changed(CLUSTER, labels={"zone": "b"}), EVERY),
    (CLUSTER, changed(CLUSTER, deletionTimestamp="2026-01-01T00:00:00Z"), EVERY),
    (CLUSTER, some.a_cluster(phase="NotReady"), EVERY),
    (CLUSTER, changed(CLUSTER, resourceVersion="2", annotations={"a": "b"}), set()),
], ids=["new", "gone", "labels", "deleting", "phase", "heartbeat"])
def test_dpucluster(old: DPUCluster | None, new: DPUCluster | None, concerned: set[Key]) -> None:
    assert concerns(DPUCluster, old, new) == concerned


PULL = some.a_pull_secret(namespace="tenant")
IN_ARGOCD = core.Secret(
    metadata=ObjectMeta(name="c", namespace=some.DPF, labels={"argocd.argoproj.io/secret-type": "cluster"})
)
ADMIN = some.a_kubeconfig_secret(Key(some.CLUSTERS, "dpu-1"))
PLAIN = core.Secret(metadata=ObjectMeta(name="x", namespace="tenant"), data={"a": "Yg=="})
OF_TENANT = {key for key in EVERY if key.namespace == "tenant"}


@pytest.mark.parametrize(("old", "new", "concerned"), [
    (None, PULL, OF_TENANT),
    (PULL, None, OF_TENANT),
    (PULL, changed(PULL, labels=None), OF_TENANT),
    (PULL, changed(PULL, resourceVersion="2"), set()),
    (None, IN_ARGOCD, set()),
    (IN_ARGOCD, None, EVERY),
    (IN_ARGOCD, msgspec.structs.replace(IN_ARGOCD, data={"name": "eA=="}), EVERY),
    (None, ADMIN, EVERY),
    (None, PLAIN, set()),
    (PLAIN, None, set()),
], ids=["pull-new", "pull-gone", "pull-unlabelled", "pull-touched", "cluster-ours", "cluster-gone", "cluster-changed",
        "kubeconfig", "plain-new", "plain-gone"])
def test_host_secret(old: core.Secret | None, new: core.Secret | None, concerned: set[Key]) -> None:
    assert concerns(core.Secret, old, new) == concerned


def test_objects_of_a_service() -> None:
    service = core.Service(metadata=ObjectMeta(name="web", labels=build.match_labels(Key("tenant", "a"))))
    assert concerns(core.Service, None, service) == {Key("tenant", "a")}
    moved = changed(service, labels=build.match_labels(Key("other", "a")))
    assert concerns(core.Service, service, moved, everywhere=True) == {Key("tenant", "a"), Key("other", "a")}
    assert concerns(core.Service, None, changed(service, labels=None)) == set()


NODE = core.Node(
    metadata=ObjectMeta(name="dpu-a", labels={names.DPUNODE_NAME_LABEL: "host"}),
    status=core.NodeStatus(addresses=[core.NodeAddress(type="InternalIP", address="10.0.0.1")]),
)


@pytest.mark.parametrize(("old", "new", "concerned"), [
    (None, NODE, WITH_PORTS),
    (NODE, None, WITH_PORTS),
    (NODE, changed(NODE, labels={"bfb": "dk"}), WITH_PORTS),
    (NODE, msgspec.structs.replace(NODE, status=core.NodeStatus()), WITH_PORTS),
    (NODE, msgspec.structs.replace(NODE, status=core.NodeStatus(
        addresses=NODE.status.addresses, conditions=[core.NodeCondition(type="Ready", status="True")],
    )), set()),
], ids=["new", "gone", "labels", "address", "heartbeat"])
def test_node(old: core.Node | None, new: core.Node | None, concerned: set[Key]) -> None:
    assert concerns(core.Node, old, new, everywhere=True) == concerned


def a_config(argocd: str | None) -> DPFOperatorConfig:
    return DPFOperatorConfig(
        metadata=ObjectMeta(name="dpfoperatorconfig", namespace=some.DPF),
        spec=DPFOperatorConfigSpec(overrides=Overrides(argoCDNamespace=argocd)),
    )


def test_operator_config_and_project() -> None:
    assert concerns(DPFOperatorConfig, a_config(None), a_config("argocd")) == EVERY
    assert concerns(DPFOperatorConfig, a_config(None), a_config(None)) == set()
    project = AppProject(metadata=ObjectMeta(name="p"))
    assert concerns(AppProject, None, project) == set()
    assert concerns(AppProject, project, None) == EVERY
    edited = msgspec.structs.replace(project, spec=AppProjectSpec(description="x"))
    assert concerns(AppProject, project, edited) == EVERY


@pytest.mark.parametrize("everywhere", [False, True])
def test_namespace(everywhere: bool) -> None:
    namespace = core.Namespace(metadata=ObjectMeta(name="tenant"))
    assert concerns(core.Namespace, namespace, None, everywhere=everywhere) == OF_TENANT


APP = changed(some.an_interface(), uid="1")


@pytest.mark.parametrize(("old", "new", "concerned"), [
    (None, APP, LISTING),
    (APP, None, LISTING),
    (APP, changed(some.an_interface(service_id="other"), uid="1"), LISTING),
    (APP, changed(some.an_interface(network="other"), uid="1"), LISTING),
    (APP, changed(APP, uid="2"), LISTING),
    (APP, changed(APP, labels={"a": "b"}, resourceVersion="2"), set()),
    (APP, changed(some.an_interface(consumer="a"), uid="1"), {Key("tenant", "b")}),
    (changed(some.an_interface(consumer="a"), uid="1"), APP, LISTING),
    (some.an_interface(consumer="a"), some.an_interface(consumer="b"), {Key("tenant", "a")}),
    (some.an_interface(consumer="a"), some.an_interface(consumer="foreign"), LISTING),
    (None, some.an_interface("unlisted"), set()),
], ids=["new", "gone", "service-id", "network", "made-anew", "touched", "claimed", "released", "taken-over",
        "taken-by-hand", "unlisted"])
def test_interface(old: Object | None, new: Object | None, concerned: set[Key]) -> None:
    """Table 3.1, and beyond it: one that appears after its service, and one that changes hands."""
    assert concerns(DPUServiceInterface, old, new) == concerned


LISTS = some.a_service("a", "tenant", serviceID="hbn", interfaces=["app", "other"])


@pytest.mark.parametrize(("old", "new", "concerned"), [
    (None, LISTS, set()),
    (LISTS, LISTS, set()),
    (LISTS, None, LISTING),
    (LISTS, some.a_service("a", "tenant", serviceID="hbn", interfaces=["app"]), set()),
    (LISTS, some.a_service("a", "tenant", serviceID="hbn", interfaces=["other"]), LISTING),
    (LISTS, some.a_service("a", "tenant"), LISTING),
], ids=["new", "same", "gone", "keeps", "drops", "drops-all"])
def test_rival(old: DPUService | None, new: DPUService | None, concerned: set[Key]) -> None:
    assert concerns(DPUService, old, new) == concerned


NAD = some.a_nad()


@pytest.mark.parametrize(("old", "new", "concerned"), [
    (None, NAD, LISTING),
    (NAD, None, LISTING),
    (NAD, some.a_nad(resource_type="vf"), LISTING),
    (NAD, some.a_nad(trusted=True), LISTING),
    (NAD, changed(NAD, labels={"a": "b"}), set()),
    (None, some.a_nad(resource_type="veth"), set()),
], ids=["new", "gone", "type", "trusted", "touched", "no-device"])
def test_nad(old: DPUServiceNAD | None, new: DPUServiceNAD | None, concerned: set[Key]) -> None:
    assert concerns(DPUServiceNAD, old, new) == concerned
