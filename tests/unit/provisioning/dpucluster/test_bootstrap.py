"""What a joining DPU finds: shapes that kubeadm and the API server's token signer expect."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from dpf.api import core
from dpf.api.meta import Object
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.dpucluster import bootstrap, token

ENDPOINT = "https://192.0.2.1:6443"
OBJECTS = bootstrap.joining_objects(endpoint=ENDPOINT, ca_pem=b"CA PEM", version="v1.36.3")
JOINERS = "system:bootstrappers:kubeadm:default-node-token"
EXPIRES = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def named(kind: type[Object], name: str) -> Object:
    (found,) = [o for o in OBJECTS if isinstance(o, kind) and o.metadata.name == name]
    return found


def config(name: str, key: str) -> dict[str, object]:
    found = named(core.ConfigMap, name)
    assert isinstance(found, core.ConfigMap)
    loaded = yaml.safe_load((found.data or {})[key])
    assert isinstance(loaded, dict)
    return loaded


def test_cluster_info_names_the_server_and_its_authority_and_no_user() -> None:
    info = config("cluster-info", "kubeconfig")
    assert info["clusters"] == [{"name": "", "cluster": {
        "server": ENDPOINT, "certificate-authority-data": base64.b64encode(b"CA PEM").decode(),
    }}]
    assert info["users"] is None


def test_the_configurations_name_their_kinds() -> None:
    assert config("kubelet-config", "kubelet")["kind"] == "KubeletConfiguration"
    cluster = config("kubeadm-config", "ClusterConfiguration")
    assert (cluster["kubernetesVersion"], cluster["controlPlaneEndpoint"]) == ("v1.36.3", "192.0.2.1:6443")


@pytest.mark.parametrize(("namespace", "role", "config_map", "subjects"), [
    ("kube-public", "kubeadm:bootstrap-signer-clusterinfo", "cluster-info", {"system:anonymous"}),
    ("kube-system", "kubeadm:kubelet-config", "kubelet-config", {"system:nodes", JOINERS}),
    ("kube-system", "kubeadm:nodes-kubeadm-config", "kubeadm-config", {"system:nodes", JOINERS}),
])
def test_each_configuration_can_be_read_by_whom_it_is_for(
    namespace: str, role: str, config_map: str, subjects: set[str],
) -> None:
    rules, binding = named(core.Role, role), named(core.RoleBinding, role)
    assert isinstance(rules, core.Role)
    assert isinstance(binding, core.RoleBinding)
    assert {o.metadata.namespace for o in (rules, binding, named(core.ConfigMap, config_map))} == {namespace}
    assert [(r.verbs, r.resources, r.resourceNames) for r in rules.rules or ()] == [
        (["get"], ["configmaps"], [config_map])
    ]
    assert binding.roleRef.name == role
    assert {s.name for s in binding.subjects or ()} == subjects


@pytest.mark.parametrize(("binding", "role", "group"), [
    ("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", JOINERS),
    ("kubeadm:node-autoapprove-bootstrap",
     "system:certificates.k8s.io:certificatesigningrequests:nodeclient", JOINERS),
    ("kubeadm:node-autoapprove-certificate-rotation",
     "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", "system:nodes"),
    ("kubeadm:get-nodes", "kubeadm:get-nodes", JOINERS),
])
def test_what_joiners_may_do(binding: str, role: str, group: str) -> None:
    found = named(core.ClusterRoleBinding, binding)
    assert isinstance(found, core.ClusterRoleBinding)
    assert (found.roleRef.name, [(s.kind, s.name) for s in found.subjects or ()]) == (role, [("Group", group)])


def test_everything_fits_into_a_cluster_twice() -> None:
    assert len({(type(o), o.metadata.namespace, o.metadata.name) for o in OBJECTS}) == len(OBJECTS)


def test_a_token_is_a_secret_of_the_documented_form() -> None:
    secret = bootstrap.build_bootstrap_token("abc123", "0123456789abcdef", EXPIRES, "for dpu-1")
    assert (secret.metadata.namespace, secret.metadata.name) == ("kube-system", "bootstrap-token-abc123")
    assert secret.type == "bootstrap.kubernetes.io/token"
    assert secret.stringData == {
        "description": "for dpu-1", "token-id": "abc123", "token-secret": "0123456789abcdef",
        "expiration": "2026-03-01T12:00:00Z", "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true", "auth-extra-groups": JOINERS,
    }


def test_the_join_command() -> None:
    assert bootstrap.join_command(ENDPOINT, "abc123.0123456789abcdef", "sha256:00ff") == (
        "kubeadm join 192.0.2.1:6443 --token abc123.0123456789abcdef --v=5 --discovery-token-ca-cert-hash sha256:00ff"
    )


async def test_a_minted_token_is_known_to_the_cluster() -> None:
    cluster = MemoryCluster()
    minted = await token.mint_token(cluster, 600, now=EXPIRES)
    (secret,) = cluster.objects(core.Secret)
    data = {key: base64.b64decode(value).decode() for key, value in (secret.data or {}).items()}
    assert minted.bearer == f"{data['token-id']}.{data['token-secret']}"
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", minted.bearer)
    assert data["expiration"] == "2026-03-01T12:10:00Z"
    assert minted.expires == EXPIRES + timedelta(seconds=600)


async def test_two_tokens_differ_and_hide_their_secret() -> None:
    one, other = [await token.mint_token(MemoryCluster()) for _ in range(2)]
    assert one.bearer != other.bearer
    assert one.secret not in repr(one)
