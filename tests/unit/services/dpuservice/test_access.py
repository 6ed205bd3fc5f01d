"""The kubeconfig of a DPUCluster, as Argo CD gets it or as the user is told about it."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from tests.support import dpuservices as some
from tests.support import world as worlds

from dpf.api import core
from dpf.api.dpucluster import DPUCluster, DPUClusterSpec
from dpf.api.meta import Key, ObjectMeta
from dpf.runtime import kubeconfigsecret
from dpf.services.argocd.build import Credentials
from dpf.services.dpuservice import access
from dpf.services.dpuservice.fleet import Unusable

KEY = Key(some.CLUSTERS, "dpu-1")
TOKEN = "not-a-real-token"


def a_config(**changes: Any) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(worlds.a_kubeconfig(KEY)), **changes})


def a_user(**user: Any) -> list[dict[str, Any]]:
    return [{"name": "u", "user": user}]


def told(secret: core.Secret | None) -> Credentials | Unusable:
    return access.credentials(some.a_cluster(), secret)


def test_credentials() -> None:
    assert told(some.a_kubeconfig_secret(KEY)) == Credentials(
        server="https://dpu-1.dpf-clusters.example:6443", token=TOKEN, insecure=True
    )


@pytest.mark.parametrize("keys", [("super-admin.conf",), ("admin.conf",), ("admin.conf", "super-admin.conf")])
def test_either_key_serves_and_the_super_admin_wins(keys: tuple[str, ...]) -> None:
    contents = {"super-admin.conf": a_config(), "admin.conf": a_config(users=a_user(token="plain-admin"))}
    secret = core.Secret(
        metadata=ObjectMeta(name="s", namespace=some.CLUSTERS),
        data={key: base64.b64encode(contents[key]).decode() for key in keys},
    )
    found = told(secret)
    assert isinstance(found, Credentials)
    assert found.token == (TOKEN if "super-admin.conf" in keys else "plain-admin")


@pytest.mark.parametrize(("content", "why"), [
    (a_config(users=[]), "auth info list should have one member"),
    (a_config(users=[*a_user(token="x"), {"name": "v", "user": {}}]), "auth info list should have one member"),
    (a_config(clusters=[]), "cluster list should have one member"),
    (a_config(users=a_user()), "neither a client certificate with its key nor a token"),
    (a_config(users=a_user(exec={"command": "/bin/true", "apiVersion": "client.authentication.k8s.io/v1"})), "exec"),
    (a_config(users=a_user(**{"client-certificate-data": "%", "client-key-data": "%"})), "not base64"),
    (b"{", "not valid YAML"),
], ids=["no-user", "two-users", "no-cluster", "no-credential", "program", "garbage", "not-yaml"])
def test_what_is_wrong_is_told_and_nothing_of_it_shown(content: bytes, why: str) -> None:
    found = told(some.a_kubeconfig_secret(KEY, content))
    assert isinstance(found, Unusable)
    assert why in found.why
    assert TOKEN not in found.why


def test_a_secret_without_the_key() -> None:
    secret = core.Secret(metadata=ObjectMeta(name="dpu-1-admin-kubeconfig", namespace=some.CLUSTERS), data={})
    found = told(secret)
    assert isinstance(found, Unusable)
    assert found.why.startswith(
        "secret dpf-clusters/dpu-1-admin-kubeconfig not in the expected format: data.super-admin.conf not found; put a"
    )


def test_a_secret_that_is_not_there_yet() -> None:
    found = told(None)
    assert isinstance(found, Unusable)
    assert found.why.startswith(
        "secret dpf-clusters/dpu-1-admin-kubeconfig, which spec.kubeconfig names, does not exist (phase Ready)"
    )
    assert "create it" in found.why


@pytest.mark.parametrize("kubeconfig", [None, "k"])
def test_only_a_cluster_with_a_manager_is_waited_for(kubeconfig: str | None) -> None:
    for type_, waits in (("static", False), ("kamaji", True), ("vendor/x", True)):
        cluster = DPUCluster(
            metadata=ObjectMeta(name="dpu-1", namespace="n"), spec=DPUClusterSpec(type=type_, kubeconfig=kubeconfig)
        )
        found = access.credentials(cluster, None)
        assert isinstance(found, Unusable)
        assert (f"wait for its cluster manager ({type_})" in found.why) is waits


def test_a_cluster_that_has_not_named_its_secret() -> None:
    young = DPUCluster(metadata=ObjectMeta(name="dpu-1", namespace="n"), spec=DPUClusterSpec(type="static"))
    assert kubeconfigsecret.secret_key(young) is None
    found = access.credentials(young, None)
    assert isinstance(found, Unusable)
    assert "phase Pending" in found.why


def test_a_changed_secret_is_read_again() -> None:
    told(some.a_kubeconfig_secret(KEY))
    found = told(some.a_kubeconfig_secret(KEY, a_config(users=a_user(token="renewed"))))
    assert isinstance(found, Credentials)
    assert found.token == "renewed"
