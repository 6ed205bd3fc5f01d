"""Builders for DPUClusters and their kubeconfig Secrets."""

from __future__ import annotations

import base64
from typing import Any

import yaml

from dpf.api import names
from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster, DPUClusterSpec, DPUClusterStatus
from dpf.api.meta import Condition, ObjectMeta

NAMESPACE = names.DPF_NAMESPACE
NAME = "tenant1"
SERVER = "https://192.0.2.1:6443"
LONG_AGO = "2026-01-01T00:00:00Z"


def a_dpucluster(
    type_: str = "dpf/local", *, phase: str = "Pending", kubeconfig: str | None = None, uid: str = "uid-1",
    deleting: bool = False, finalizers: tuple[str, ...] = (), conditions: tuple[Condition, ...] = (), name: str = NAME,
) -> DPUCluster:
    """A DPUCluster as the API server would return it."""
    return DPUCluster(
        metadata=ObjectMeta(
            name=name, namespace=NAMESPACE, uid=uid, generation=1, finalizers=list(finalizers) or None,
            deletionTimestamp="2026-01-02T00:00:00Z" if deleting else None,
        ),
        spec=DPUClusterSpec(type=type_, kubeconfig=kubeconfig),
        status=DPUClusterStatus(phase=phase, conditions=list(conditions) or None),
    )


def a_condition(type_: str, status: str = "True", *, message: str = "", since: str = LONG_AGO) -> Condition:
    """A condition that has been so since `since`."""
    return Condition(type=type_, status=status, reason="Test", message=message, lastTransitionTime=since)


def a_kubeconfig(
    server: str = SERVER, *, users: int = 1, clusters: int = 1, user: dict[str, Any] | None = None,
) -> bytes:
    """An administrator's kubeconfig, with as many users and clusters as asked for."""
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "c0",
        "clusters": [
            {"name": f"c{n}", "cluster": {"server": server, "insecure-skip-tls-verify": True}} for n in range(clusters)
        ],
        "users": [{"name": f"u{n}", "user": user or {"token": "not-for-eyes"}} for n in range(users)],
        "contexts": [{"name": "c0", "context": {"cluster": "c0", "user": "u0"}}],
    }).encode()


def a_secret(name: str = "admin", content: bytes | None = None, *, key: str = "super-admin.conf") -> Secret:
    """A kubeconfig Secret."""
    data = {key: base64.b64encode(a_kubeconfig() if content is None else content).decode()}
    return Secret(metadata=ObjectMeta(name=name, namespace=NAMESPACE), data=data)
