"""What a DPU needs to find in its cluster in order to join: the objects that `kubeadm init` leaves behind.

Pure builders. The local cluster manager installs `joining_objects` once the API server answers; `token` adds a
bootstrap token per joining DPU. Kamaji and an administrator's kubeadm install the same objects by themselves.

Sources: Kubernetes, "Authenticating with bootstrap tokens" and "TLS bootstrapping"; behaviour-provisioning.md section
12 (group, key names and command line of a join).
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

import yaml

from dpf.api import core
from dpf.api.meta import Object, ObjectMeta

JOINERS_GROUP: Final = "system:bootstrappers:kubeadm:default-node-token"
TOKEN_NAMESPACE: Final = "kube-system"  # noqa: S105 - a namespace
TOKEN_SECRET_PREFIX: Final = "bootstrap-token-"  # noqa: S105 - a prefix of names
_TOKEN_TYPE: Final = "bootstrap.kubernetes.io/token"  # noqa: S105 - a Secret type
_PUBLIC: Final = "kube-public"
_RBAC: Final = "rbac.authorization.k8s.io"
_NODES_GROUP: Final = "system:nodes"
_CSR_ROLE: Final = "system:certificates.k8s.io:certificatesigningrequests"


def joining_objects(*, endpoint: str, ca_pem: bytes, version: str) -> tuple[Object, ...]:
    """Everything a joining node reads or is allowed by, in an order in which the API server accepts it.

    `endpoint` is the API server's URL as nodes reach it, `version` a Kubernetes version such as `v1.36.3`.
    """
    return (
        _cluster_info(endpoint, ca_pem),
        *_readable(_PUBLIC, "kubeadm:bootstrap-signer-clusterinfo", "cluster-info", _user("system:anonymous")),
        _config_map(TOKEN_NAMESPACE, "kubelet-config", "kubelet", {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "cgroupDriver": "systemd",
            "rotateCertificates": True,
        }),
        *_readable(TOKEN_NAMESPACE, "kubeadm:kubelet-config", "kubelet-config", *_nodes_and_joiners()),
        _config_map(TOKEN_NAMESPACE, "kubeadm-config", "ClusterConfiguration", {
            "apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "kubernetesVersion": version,
            "controlPlaneEndpoint": host_port(endpoint),
        }),
        *_readable(TOKEN_NAMESPACE, "kubeadm:nodes-kubeadm-config", "kubeadm-config", *_nodes_and_joiners()),
        _bound("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", _group(JOINERS_GROUP)),
        _bound("kubeadm:node-autoapprove-bootstrap", f"{_CSR_ROLE}:nodeclient", _group(JOINERS_GROUP)),
        _bound("kubeadm:node-autoapprove-certificate-rotation", f"{_CSR_ROLE}:selfnodeclient", _group(_NODES_GROUP)),
        core.ClusterRole(
            metadata=ObjectMeta(name="kubeadm:get-nodes"),
            rules=[core.PolicyRule(verbs=["get"], apiGroups=[""], resources=["nodes"])],
        ),
        _bound("kubeadm:get-nodes", "kubeadm:get-nodes", _group(JOINERS_GROUP)),
    )


def build_bootstrap_token(token_id: str, secret: str, expires: datetime, description: str) -> core.Secret:
    """The Secret that makes `<token_id>.<secret>` a bootstrap token until `expires` (aware, UTC)."""
    return core.Secret(
        metadata=ObjectMeta(name=TOKEN_SECRET_PREFIX + token_id, namespace=TOKEN_NAMESPACE),
        type=_TOKEN_TYPE,
        stringData={
            "description": description,
            "token-id": token_id,
            "token-secret": secret,
            "expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "auth-extra-groups": JOINERS_GROUP,
        },
    )


def join_command(endpoint: str, token: str, pin: str) -> str:
    """The line a DPU runs to join. `token` is `<id>.<secret>`, `pin` is `sha256:<hex>` over the CA's public key."""
    return f"kubeadm join {host_port(endpoint)} --token {token} --v=5 --discovery-token-ca-cert-hash {pin}"


def host_port(endpoint: str) -> str:
    """`host:port` of an API server's URL."""
    return endpoint.removeprefix("https://").rstrip("/")


def _cluster_info(endpoint: str, ca_pem: bytes) -> core.ConfigMap:
    """The kubeconfig without a user that the token signer signs for every token."""
    authority = base64.b64encode(ca_pem).decode()
    return _config_map(_PUBLIC, "cluster-info", "kubeconfig", {
        "apiVersion": "v1", "kind": "Config", "current-context": "", "contexts": None, "users": None, "preferences": {},
        "clusters": [{"name": "", "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
    })


def _config_map(namespace: str, name: str, key: str, content: dict[str, object]) -> core.ConfigMap:
    text = yaml.safe_dump(content, sort_keys=True, width=10_000)
    return core.ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace), data={key: text})


def _readable(
    namespace: str, name: str, config_map: str, *subjects: core.Subject,
) -> tuple[core.Role, core.RoleBinding]:
    """Role and binding `name` that let `subjects` read one ConfigMap."""
    meta = ObjectMeta(name=name, namespace=namespace)
    rule = core.PolicyRule(verbs=["get"], apiGroups=[""], resources=["configmaps"], resourceNames=[config_map])
    reference = core.RoleRef(apiGroup=_RBAC, kind="Role", name=name)
    return (
        core.Role(metadata=meta, rules=[rule]),
        core.RoleBinding(metadata=meta, roleRef=reference, subjects=list(subjects)),
    )


def _bound(name: str, role: str, *subjects: core.Subject) -> core.ClusterRoleBinding:
    return core.ClusterRoleBinding(
        metadata=ObjectMeta(name=name),
        roleRef=core.RoleRef(apiGroup=_RBAC, kind="ClusterRole", name=role),
        subjects=list(subjects),
    )


def _nodes_and_joiners() -> tuple[core.Subject, core.Subject]:
    return _group(_NODES_GROUP), _group(JOINERS_GROUP)


def _group(name: str) -> core.Subject:
    return core.Subject(kind="Group", name=name, apiGroup=_RBAC)


def _user(name: str) -> core.Subject:
    return core.Subject(kind="User", name=name, apiGroup=_RBAC)
