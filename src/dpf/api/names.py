"""Labels, annotations, finalizers and field owners: the words that objects of different kinds agree on.

Sources: api-svc.md section 0, api-provisioning.md section 12, behaviour-service.md sections 1.2 and 3.
"""

from __future__ import annotations

from typing import Final

DPF_NAMESPACE: Final = "dpf-operator-system"

# Labels on what a DPUService owns elsewhere (the "match labels" of behaviour-service.md section 2).
DPUSERVICE_NAME_LABEL: Final = "dpu.nvidia.com/dpuservice-name"
DPUSERVICE_NAMESPACE_LABEL: Final = "dpu.nvidia.com/dpuservice-namespace"

CLUSTER_LABEL: Final = "dpu.nvidia.com/cluster"
CLUSTER_NAMESPACE_LABEL: Final = "dpu.nvidia.com/cluster-namespace"
COMPONENT_LABEL: Final = "dpu.nvidia.com/component"
IMAGE_PULL_SECRET_LABEL: Final = "dpu.nvidia.com/image-pull-secret"  # noqa: S105 - a label key
EXPOSED_PORT_LABEL: Final = "dpu.nvidia.com/exposed-port-for-dpucluster"
CONSUMED_BY_ANNOTATION: Final = "dpu.nvidia.com/consumed-by"

SERVICE_LABEL: Final = "svc.dpu.nvidia.com/service"
INTERFACE_LABEL: Final = "svc.dpu.nvidia.com/interface"
PREREQ_NAMESPACE_LABEL: Final = "svc.dpu.nvidia.com/dpuservice-namespace"
PREREQ_LABEL: Final = "svc.dpu.nvidia.com/dpuservice-prereq"
OWNED_BY_DPUDEPLOYMENT_LABEL: Final = "svc.dpu.nvidia.com/owned-by-dpudeployment"

DPU_NODE_LABEL: Final = "provisioning.dpu.nvidia.com/dpu-node"
DPUNODE_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/dpunode-name"

DPUSERVICE_FINALIZER: Final = "dpu.nvidia.com/dpuservice"
DPFOPERATORCONFIG_FINALIZER: Final = "dpu.nvidia.com/dpfoperatorconfig"
DPUCLUSTER_FINALIZER: Final = "provisioning.dpu.nvidia.com/cluster-manager-internal-clean-up"
CLUSTER_MANAGER_FINALIZER: Final = "provisioning.dpu.nvidia.com/cluster-manager-clean-up"
