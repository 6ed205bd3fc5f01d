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
CONSUMED_BY_UID_ANNOTATION: Final = "dpu.nvidia.com/consumed-by-uid"

SERVICE_LABEL: Final = "svc.dpu.nvidia.com/service"
INTERFACE_LABEL: Final = "svc.dpu.nvidia.com/interface"
PREREQ_NAMESPACE_LABEL: Final = "svc.dpu.nvidia.com/dpuservice-namespace"
PREREQ_LABEL: Final = "svc.dpu.nvidia.com/dpuservice-prereq"
CUSTOM_FLOWS_LABEL: Final = "svc.dpu.nvidia.com/custom-flows"

# What a DPUDeployment writes on its children and on what it uses (behaviour-service.md sections 6.2 and 6.5).
OWNED_BY_DPUDEPLOYMENT_LABEL: Final = "svc.dpu.nvidia.com/owned-by-dpudeployment"
DPUDEPLOYMENT_SERVICE_LABEL: Final = "svc.dpu.nvidia.com/dpudeployment-service"
CONSUMED_BY_DPUDEPLOYMENT_LABEL_PREFIX: Final = "svc.dpu.nvidia.com/consumed-by-dpudeployment-"
CONSUMED_BY_DPUDEPLOYMENT_NAME_LABEL: Final = "dpu.nvidia.com/consumed-by-dpudeployment-name"
"""The 24.10 form of the label above: one deployment, by name."""
DPUSERVICE_VERSION_ANNOTATION: Final = "svc.dpu.nvidia.com/dpuservice-version"
DPUSERVICECHAIN_VERSION_ANNOTATION: Final = "svc.dpu.nvidia.com/dpuservicechain-version"
TEMPLATE_DELIMITER_ANNOTATION: Final = "svc.dpu.nvidia.com/template-delimiter"
SKIP_CHAIN_REQUESTOR_ANNOTATION: Final = "svc.dpu.nvidia.com/dpudeployment-skip-chain-requestor"

# Which revision a node runs. On DPU nodes by service (`DPUSERVICE_NODE_LABEL.format(service=...)`), on host nodes by
# digest.
DPUSERVICE_NODE_LABEL: Final = "svc.dpu.nvidia.com/dpuservice-{service}-version"
DPUSERVICECHAIN_NODE_LABEL: Final = "svc.dpu.nvidia.com/dpuservicechain-version"
IN_CLUSTER_NODE_LABEL_PREFIX: Final = "svc.dpu.nvidia.com/dpuservice-in-cluster-version-"

DOCA_VERSION_ANNOTATION: Final = "dpu.nvidia.com/doca-version"
"""In a Helm chart: the DOCA versions that it runs on."""

# What a DPUServiceCredentialRequest writes on the objects that it makes.
MANAGED_BY_CONTROLLER_LABEL: Final = "svc.dpu.nvidia.com/managed-by-controller"
CREDENTIAL_REQUEST_NAME_LABEL: Final = "svc.dpu.nvidia.com/credential-request-name"
CREDENTIAL_REQUEST_NAMESPACE_LABEL: Final = "svc.dpu.nvidia.com/credential-request-namespace"

# Network attachments of pods (behaviour-service.md section 3.3).
NETWORKS_ANNOTATION: Final = "k8s.v1.cni.cncf.io/networks"
NETWORK_RESOURCE_ANNOTATION: Final = "k8s.v1.cni.cncf.io/resourceName"
TRUSTED_SFS_ANNOTATION: Final = "dpuservicenad.svc.dpu.nvidia.com/use-trusted-sfs"

DPU_NODE_LABEL: Final = "provisioning.dpu.nvidia.com/dpu-node"
DPUNODE_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/dpunode-name"

DPUSERVICE_FINALIZER: Final = "dpu.nvidia.com/dpuservice"
DPUDEPLOYMENT_FINALIZER: Final = "dpu.nvidia.com/dpudeployment"
DPUSERVICETEMPLATE_FINALIZER: Final = "dpu.nvidia.com/dpuservicetemplate"
DPUSERVICECREDENTIALREQUEST_FINALIZER: Final = "dpu.nvidia.com/dpuservicecredentialrequest"
DPUSERVICECHAIN_FINALIZER: Final = "svc.dpu.nvidia.com/dpuservicechain"
DPUSERVICEINTERFACE_FINALIZER: Final = "svc.dpu.nvidia.com/dpuserviceinterface"
DPUSERVICENAD_FINALIZER: Final = "svc.dpu.nvidia.com/dpuservicenad"
DPFOPERATORCONFIG_FINALIZER: Final = "dpu.nvidia.com/dpfoperatorconfig"
DPUCLUSTER_FINALIZER: Final = "provisioning.dpu.nvidia.com/cluster-manager-internal-clean-up"
CLUSTER_MANAGER_FINALIZER: Final = "provisioning.dpu.nvidia.com/cluster-manager-clean-up"

# provisioning.dpu.nvidia.com: what is found, installed and joined (api-provisioning.md section 12).
DPUSET_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/dpuset-name"
DPUSET_NAMESPACE_LABEL: Final = "provisioning.dpu.nvidia.com/dpuset-namespace"
DPUSET_TEMPLATE_HASH_LABEL: Final = "provisioning.dpu.nvidia.com/dpuset-dpu-template-spec-hash"
COLLISION_DPUSET_LABEL_PREFIX: Final = "provisioning.dpu.nvidia.com/collision-dpuset-"
DPUNODE_NAMESPACE_LABEL: Final = "provisioning.dpu.nvidia.com/dpunode-namespace"
DPUDEVICE_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-name"
DPUDEVICE_PCI_ADDRESS_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-pciAddress"
DPUDEVICE_PSID_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-psid"
DPUDEVICE_OPN_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-opn"
DPUDEVICE_NUM_OF_PFS_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-num-of-pfs"
DPUDEVICE_PF0_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-pf0-name"
DPUDEVICE_BMC_IP_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-bmc-ip"
HOSTLESS_LABEL: Final = "provisioning.dpu.nvidia.com/hostless"
SKIP_HW_PROVISIONING_LABEL: Final = "provisioning.dpu.nvidia.com/skip-hw-provisioning"
SKIP_DPU_PROVISIONING_LABEL: Final = "provisioning.dpu.nvidia.com/skip-dpu-provisioning"
GENERATED_BY_LABEL: Final = "provisioning.dpu.nvidia.com/generated-by"
DPUFLAVORTEMPLATE_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/dpuflavortemplate-name"
DPUFLAVORTEMPLATE_HASH_LABEL: Final = "provisioning.dpu.nvidia.com/dpuflavortemplate-hash"
DPUDEVICE_VALUES_HASH_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-values-hash"
REBOOT_METHOD_LABEL: Final = "provisioning.dpu.nvidia.com/reboot-method"
SCRIPT_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/script-name"
DPU_REBOOT_AFTER_INSTALL_LABEL: Final = "provisioning.dpu.nvidia.com/dpu-reboot-after-install"
PROVISIONING_COMPONENT_LABEL: Final = "provisioning.dpu.nvidia.com/component"
DPU_PCI_ADDRESS_LABEL: Final = "provisioning.dpu.nvidia.com/dpu-pciAddress"
DPU_PF_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/dpu-pf-name"
DPU_HOST_IP_LABEL: Final = "provisioning.dpu.nvidia.com/dpu-host-ip"
HOST_LABEL: Final = "provisioning.dpu.nvidia.com/host"
DOCA_BFB_VERSION_LABEL: Final = "provisioning.dpu.nvidia.com/DOCA-BFB-version"
SCRIPTS_LABEL_PREFIX: Final = "scripts.dpu.nvidia.com/"
DPF_VERSION_LABEL: Final = "operator.dpu.nvidia.com/dpf-version"
DPU_ENABLED_LABEL: Final = "feature.node.kubernetes.io/dpu-enabled"
OOB_BRIDGE_CONFIGURED_LABEL: Final = "feature.node.kubernetes.io/dpu-oob-bridge-configured"

HOST_POWER_CYCLE_REQUIRED_ANNOTATION: Final = "provisioning.dpu.nvidia.com/host-power-cycle-required"
WAIT_FOR_EXTERNAL_NODE_EFFECT_ANNOTATION: Final = "provisioning.dpu.nvidia.com/wait-for-external-nodeeffect"
EXTERNAL_REBOOT_REQUIRED_ANNOTATION: Final = "provisioning.dpu.nvidia.com/dpunode-external-reboot-required"
SCRIPT_CONFIGMAP_VERSION_ANNOTATION: Final = "provisioning.dpu.nvidia.com/dpunode-script-configmap-version"
REBOOT_METHOD_AGGREGATED_ANNOTATION: Final = "provisioning.dpu.nvidia.com/reboot-method-aggregated"
REBOOT_METHODS_PER_DPU_ANNOTATION: Final = "provisioning.dpu.nvidia.com/reboot-methods-per-dpu"
POWERCYCLE_COMMAND_ANNOTATION: Final = "provisioning.dpu.nvidia.com/powercycle-command"
REBOOT_COMMAND_ANNOTATION: Final = "provisioning.dpu.nvidia.com/reboot-command"
ARM_RESTART_TRACKER_ANNOTATION: Final = "provisioning.dpu.nvidia.com/arm-restart-tracker"
INSTALL_TRACKER_ANNOTATION: Final = "provisioning.dpu.nvidia.com/install-tracker"
FORCE_FW_UPDATE_ANNOTATION: Final = "provisioning.dpu.nvidia.com/force-fw-update"
ALLOW_FIRMWARE_RESET_REBOOT_ANNOTATION: Final = "provisioning.dpu.nvidia.com/allow-firmware-reset-reboot"
LAST_APPLIED_LABELS_ANNOTATION: Final = "provisioning.dpu.nvidia.com/last-applied-labels-on-dpu"
LAST_APPLIED_ANNOTATIONS_ANNOTATION: Final = "provisioning.dpu.nvidia.com/last-applied-annotations-on-dpu"
RENDER_FAILED_REASON_ANNOTATION: Final = "provisioning.dpu.nvidia.com/render-failed-reason"
RENDER_FAILED_MESSAGE_ANNOTATION: Final = "provisioning.dpu.nvidia.com/render-failed-message"
ROTATE_BMC_SERVER_CERTIFICATE_ANNOTATION: Final = "provisioning.dpu.nvidia.com/rotate-bmc-server-certificate"
SKIP_BFCFG_SIZE_CHECK_ANNOTATION: Final = "provisioning.dpu.nvidia.com/skip-bfcfg-size-check"

BFB_FINALIZER: Final = "provisioning.dpu.nvidia.com/bfb-protection"
BLUEFIELDSOFTWARE_FINALIZER: Final = "provisioning.dpu.nvidia.com/bluefieldsoftware-protection"
BLUEFIELDSOFTWARE_DPUSET_FINALIZER_PREFIX: Final = "provisioning.dpu.nvidia.com/bfs-dpuset-"
GENERATED_DPUFLAVOR_FINALIZER: Final = "provisioning.dpu.nvidia.com/generated-dpuflavor-protection"
DPUSET_FINALIZER: Final = "provisioning.dpu.nvidia.com/dpuset-protection"
DPU_FINALIZER: Final = "provisioning.dpu.nvidia.com/dpu-protection"
DPUNODE_FINALIZER: Final = "provisioning.dpu.nvidia.com/dpunode-protection"
DPUDEVICE_FINALIZER: Final = "provisioning.dpu.nvidia.com/dpudevice-protection"
SPIFFE_FINALIZER: Final = "provisioning.dpu.nvidia.com/spiffe-deregistration"
BMC_CREDENTIAL_FINALIZER: Final = "provisioning.dpu.nvidia.com/bmc-credential"
DPUNODEMAINTENANCE_FINALIZER: Final = "provisioning.dpu.nvidia.com/dpunodemaintenance-protection"
