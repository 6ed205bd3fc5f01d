"""What `up` puts into the host cluster: namespace, CRDs, RBAC, a DPFOperatorConfig and the DPUCluster.

A user of a real installation makes the same objects by hand or by the operator's chart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dpf.api import core, dpfoperatorconfig, dpucluster, names
from dpf.api.meta import Object, ObjectMeta
from dpf.local import resources
from dpf.local.platform import manifests

CONTROLLERS_USER: Final = "dpf-controllers"
DPU_CLUSTER: Final = "dpu-cplane-tenant1"
CLUSTER_TYPE: Final = "dpf/local"
_RBAC: Final = "rbac.authorization.k8s.io"


def crds(argocd_crds: Path) -> list[core.CustomResourceDefinition]:
    """Our CRDs, and Argo CD's from the folder `argocd_crds`."""
    files = [*sorted(resources.folder("crds").glob("*.yaml")), *sorted(argocd_crds.glob("*.yaml"))]
    return [obj for path in files for obj in manifests.read(path) if isinstance(obj, core.CustomResourceDefinition)]


def namespace() -> core.Namespace:
    """Where DPF's own objects and Argo CD's live."""
    return core.Namespace(metadata=ObjectMeta(name=names.DPF_NAMESPACE))


def controllers_rbac() -> list[Object]:
    """The generated roles, and their binding to the user that our controllers are on this machine."""
    found = [obj for path in sorted(resources.folder("rbac").glob("*.yaml")) for obj in manifests.read(path)]
    subjects = [core.Subject(kind="User", name=CONTROLLERS_USER, apiGroup=_RBAC)]
    bindings: list[Object] = []
    for role in found:
        meta = ObjectMeta(name=f"{role.metadata.name}-local", namespace=role.metadata.namespace)
        reference = core.RoleRef(apiGroup=_RBAC, kind=role.resource.kind, name=role.metadata.name)
        if isinstance(role, core.ClusterRole):
            bindings.append(core.ClusterRoleBinding(metadata=meta, roleRef=reference, subjects=subjects))
        elif isinstance(role, core.Role):
            bindings.append(core.RoleBinding(metadata=meta, roleRef=reference, subjects=subjects))
    return [*found, *bindings]


def operator_config() -> dpfoperatorconfig.DPFOperatorConfig:
    """The one DPFOperatorConfig."""
    return dpfoperatorconfig.DPFOperatorConfig(
        metadata=ObjectMeta(name="dpfoperatorconfig", namespace=names.DPF_NAMESPACE),
        spec=dpfoperatorconfig.DPFOperatorConfigSpec(),
    )


def dpu_cluster() -> dpucluster.DPUCluster:
    """The DPUCluster for whose sake the local cluster manager makes a control plane."""
    return dpucluster.DPUCluster(
        metadata=ObjectMeta(name=DPU_CLUSTER, namespace=names.DPF_NAMESPACE),
        spec=dpucluster.DPUClusterSpec(type=CLUSTER_TYPE),
    )
