"""What `Joiner` does in the clusters: its caller, the DPU controller, declares this among its own permissions.

Pure. Whoever grants a right has to have it: that is why signing requests, the DPU and its status are here.
"""

from __future__ import annotations

from typing import Final

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster
from dpf.provisioning.dpucluster.bootstrap import TOKEN_NAMESPACE
from dpf.provisioning.join.endpoint import PUBLIC_NAMESPACE
from dpf.runtime.reconciler import Permission

_KEPT: Final = ("get", "create", "patch", "delete")

PERMISSIONS: Final = (
    Permission(kind=core.Secret, verbs=("list", "create", "delete"), namespace=TOKEN_NAMESPACE),
    Permission(kind=core.Secret, verbs=_KEPT),
    Permission(kind=core.Role, verbs=_KEPT),
    Permission(kind=core.RoleBinding, verbs=_KEPT),
    Permission(kind=core.ClusterRoleBinding, verbs=_KEPT),
    Permission(kind=core.ConfigMap, verbs=("get",), namespace=PUBLIC_NAMESPACE),
    Permission(kind=core.CertificateSigningRequest, verbs=("get", "list", "watch", "create")),
    Permission(kind=DPU, verbs=("get", "patch"), subresources=("status",)),
    Permission(kind=DPUCluster, verbs=("get",)),
    Permission(kind=core.Secret, verbs=("list", "create", "delete"), namespace=TOKEN_NAMESPACE, everywhere=True),
    Permission(kind=core.ConfigMap, verbs=("get",), namespace=PUBLIC_NAMESPACE, everywhere=True),
)
