"""The roles of one controller, as objects and as manifests. Called by `__main__` and by tests. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from dpf.api import core, names
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Object, ObjectMeta
from dpf.runtime.reconciler import Permission
from tools.rbacgen import rules

RUNTIME_NEEDS: Final = (
    # Leader election; Lease names are the processes' own, so the namespace is the limit.
    Permission(kind=core.Lease, verbs=("get", "create", "patch"), namespace=names.DPF_NAMESPACE),
    # An Event lives in the namespace of the object that it is about.
    Permission(kind=core.Event, verbs=("get", "create", "patch")),
    # Every process follows the DPUClusters and the kubeconfigs that they name.
    Permission(kind=DPUCluster, verbs=("get", "list", "watch")),
    Permission(kind=core.Secret, verbs=("get", "list", "watch")),
)
"""What `dpf.runtime` itself does in the host cluster, in every process."""


def host_roles(name: str, permissions: Sequence[Permission]) -> list[Object]:
    """What `name` may do in the host cluster: a ClusterRole, and a Role for each namespace it is limited to."""
    return _roles(f"dpf-{name}", [p for p in permissions if not p.everywhere])


def dpu_cluster_roles(name: str, permissions: Sequence[Permission]) -> list[Object]:
    """What `name` may do in each DPU cluster; empty when it does nothing there."""
    return _roles(f"dpf-{name}-dpu-cluster", [p for p in permissions if p.everywhere])


def manifest(role: Object) -> dict[str, Any]:
    """`role` as it is applied; `apiVersion` and `kind` come first."""
    resource = role.resource
    fields: dict[str, Any] = msgspec.to_builtins(role)
    return {"apiVersion": resource.api_version, "kind": resource.kind, **fields}


def _roles(name: str, permissions: Sequence[Permission]) -> list[Object]:
    namespaces = sorted({p.namespace for p in permissions if p.namespace})
    return [
        *_role(core.ClusterRole, ObjectMeta(name=name), [p for p in permissions if not p.namespace]),
        *(
            role
            for namespace in namespaces
            for role in _role(core.Role, ObjectMeta(name=name, namespace=namespace),
                              [p for p in permissions if p.namespace == namespace])
        ),
    ]


def _role(
    kind: type[core.ClusterRole] | type[core.Role], metadata: ObjectMeta, permissions: Sequence[Permission]
) -> list[Object]:
    return [kind(metadata=metadata, rules=rules.build_rules(permissions))] if permissions else []
