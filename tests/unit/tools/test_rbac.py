"""rbacgen: permissions to roles."""

from __future__ import annotations

from typing import Any

import pytest
from tools.rbacgen import roles, rules

from dpf.api import core
from dpf.api.argocd import Application
from dpf.api.dpuservice import DPUService
from dpf.runtime.reconciler import Permission

READ = ("get", "list", "watch")
PERMISSIONS = (
    Permission(kind=DPUService, verbs=(*READ, "patch"), subresources=("status", "finalizers")),
    Permission(kind=core.Secret, verbs=("create",), namespace="argocd"),
    Permission(kind=core.Node, verbs=READ, everywhere=True),
)


def rule(group: str, resources: list[str], *verbs: str) -> core.PolicyRule:
    return core.PolicyRule(apiGroups=[group], resources=resources, verbs=list(verbs))


TABLES: dict[str, tuple[list[Permission], list[core.PolicyRule]]] = {
    "nothing": ([], []),
    "subresources-get-their-own-verbs": (
        [Permission(kind=DPUService, verbs=(*READ, "patch"), subresources=("status", "finalizers"))],
        [rule("svc.dpu.nvidia.com", ["dpuservices"], "get", "list", "watch", "patch"),
         rule("svc.dpu.nvidia.com", ["dpuservices/finalizers"], "update"),
         rule("svc.dpu.nvidia.com", ["dpuservices/status"], "patch")]),
    "other-subresources-follow-the-object": (
        [Permission(kind=core.Pod, verbs=("create",), subresources=("eviction",))],
        [rule("", ["pods", "pods/eviction"], "create")]),
    "approval-is-patched-by-whoever-reads": (
        [Permission(kind=core.CertificateSigningRequest, verbs=READ, subresources=("approval",))],
        [rule("certificates.k8s.io", ["certificatesigningrequests"], *READ),
         rule("certificates.k8s.io", ["certificatesigningrequests/approval"], "patch")]),
    "names-make-a-rule-of-their-own": (
        [Permission(kind=core.Signer, verbs=("approve",), names=("example.com/signer",)),
         Permission(kind=core.Signer, verbs=("get",))],
        [rule("certificates.k8s.io", ["signers"], "get"),
         core.PolicyRule(
             apiGroups=["certificates.k8s.io"], resources=["signers"], verbs=["approve"],
             resourceNames=["example.com/signer"],
         )]),
    "permissions-on-one-kind-add-up": (
        [Permission(kind=core.Secret, verbs=("patch", "get")), Permission(kind=core.Secret, verbs=("list", "get"))],
        [rule("", ["secrets"], "get", "list", "patch")]),
    "equal-verbs-share-a-rule": (
        [Permission(kind=core.Secret, verbs=("get",)), Permission(kind=core.ConfigMap, verbs=("get",))],
        [rule("", ["configmaps", "secrets"], "get")]),
    "groups-do-not-mix": (
        [Permission(kind=core.Secret, verbs=("get",)), Permission(kind=Application, verbs=("get",))],
        [rule("", ["secrets"], "get"), rule("argoproj.io", ["applications"], "get")]),
}


@pytest.mark.parametrize(("permissions", "expected"), TABLES.values(), ids=TABLES.keys())
def test_rules(permissions: list[Permission], expected: list[core.PolicyRule]) -> None:
    assert rules.build_rules(permissions) == expected


def test_order_of_declaration_does_not_matter() -> None:
    forward = [p for p, _ in TABLES.values() for p in p]

    assert rules.build_rules(forward) == rules.build_rules(list(reversed(forward)))


@pytest.mark.parametrize("verb", ["*", "gte"])
def test_unknown_verb_is_refused(verb: str) -> None:
    with pytest.raises(ValueError, match="unknown verbs"):
        rules.build_rules([Permission(kind=core.Secret, verbs=(verb,))])


def granted(role: Any) -> set[tuple[str, str]]:
    return {(resource, verb) for rule in role.rules for resource in rule.resources for verb in rule.verbs}


def test_host_roles_hold_what_is_not_everywhere() -> None:
    cluster_role, *namespaced = roles.host_roles("services", PERMISSIONS)

    assert cluster_role.metadata.name == "dpf-services"
    assert ("dpuservices", "watch") in granted(cluster_role)
    assert "nodes" not in {resource for resource, _ in granted(cluster_role)}
    assert {role.metadata.namespace: granted(role) for role in namespaced} == {"argocd": {("secrets", "create")}}


def test_what_is_limited_to_a_namespace_is_not_granted_elsewhere() -> None:
    cluster_role = roles.host_roles("services", PERMISSIONS)[0]

    assert ("secrets", "create") not in granted(cluster_role)


def test_runtime_elects_in_its_namespace_and_writes_events_everywhere() -> None:
    everywhere, namespaced = roles.host_roles("runtime", roles.RUNTIME_NEEDS)

    assert {("events", "create"), ("events", "patch")} <= granted(everywhere)
    assert "leases" not in {resource for resource, _ in granted(everywhere)}
    assert namespaced.metadata.namespace == "dpf-operator-system"
    assert granted(namespaced) == {("leases", "get"), ("leases", "create"), ("leases", "patch")}


def test_dpu_cluster_roles_hold_what_is_everywhere_only() -> None:
    (role,) = roles.dpu_cluster_roles("services", PERMISSIONS)

    assert role.metadata.name == "dpf-services-dpu-cluster"
    assert granted(role) == {("nodes", verb) for verb in READ}


def test_no_role_without_permissions() -> None:
    assert roles.dpu_cluster_roles("services", ()) == []


def test_manifest_can_be_applied() -> None:
    (role,) = roles.dpu_cluster_roles("services", PERMISSIONS)

    assert roles.manifest(role) == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "dpf-services-dpu-cluster"},
        "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}],
    }
