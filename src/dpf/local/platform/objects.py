"""What `up` puts into the host cluster: namespace, CRDs, RBAC, a DPFOperatorConfig and the DPUCluster.

A user of a real installation makes the same objects by hand or by the operator's chart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from dpf.api import core, dpfoperatorconfig, dpucluster, names
from dpf.api import operatorprovisioning as provisioning
from dpf.api.meta import Object, ObjectMeta
from dpf.local import resources
from dpf.local.platform import manifests
from dpf.local.platform.settings import InstallInterface

CONTROLLERS_USER: Final = "dpf-controllers"
DPU_CLUSTER: Final = "dpu-cplane-tenant1"
CLUSTER_TYPE: Final = "dpf/local"
BMC_PASSWORD: Final = "bmc-shared-password"  # noqa: S105 - the name of a Secret
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


def operator_config(interface: InstallInterface) -> dpfoperatorconfig.DPFOperatorConfig:
    """The one DPFOperatorConfig, which says how DPUs are installed."""
    return dpfoperatorconfig.DPFOperatorConfig(
        metadata=ObjectMeta(name=dpfoperatorconfig.NAME, namespace=names.DPF_NAMESPACE), spec=_SPECS[interface](),
    )


def bmc_password(password: str) -> core.Secret:
    """What the BMCs' factory password is changed to."""
    return core.Secret(
        metadata=ObjectMeta(name=BMC_PASSWORD, namespace=names.DPF_NAMESPACE), stringData={"password": password},
    )


def _host_trusted() -> dpfoperatorconfig.DPFOperatorConfigSpec:
    return dpfoperatorconfig.DPFOperatorConfigSpec(
        deploymentMode=dpfoperatorconfig.DeploymentMode.HOST_TRUSTED,
        provisioningController=provisioning.ProvisioningController(
            installInterface=provisioning.InstallInterface(installViaGNOI={}),
        ),
    )


def _zero_trust() -> dpfoperatorconfig.DPFOperatorConfigSpec:
    """A scan makes DPUNodes, too: nobody else does, where hosts are no Nodes."""
    return dpfoperatorconfig.DPFOperatorConfigSpec(
        deploymentMode=dpfoperatorconfig.DeploymentMode.ZERO_TRUST,
        provisioningController=provisioning.ProvisioningController(
            installInterface=provisioning.InstallInterface(
                installViaRedfish=provisioning.InstallViaRedfish(skipDPUNodeDiscovery=False),
            ),
        ),
    )


def dpu_cluster() -> dpucluster.DPUCluster:
    """The DPUCluster for whose sake the local cluster manager makes a control plane."""
    return dpucluster.DPUCluster(
        metadata=ObjectMeta(name=DPU_CLUSTER, namespace=names.DPF_NAMESPACE),
        spec=dpucluster.DPUClusterSpec(type=CLUSTER_TYPE),
    )


_SPECS: Final[Mapping[InstallInterface, Callable[[], dpfoperatorconfig.DPFOperatorConfigSpec]]] = {
    "gnoi": _host_trusted, "redfish": _zero_trust, "none": dpfoperatorconfig.DPFOperatorConfigSpec,
}
