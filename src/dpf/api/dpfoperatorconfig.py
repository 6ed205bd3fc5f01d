"""operator.dpu.nvidia.com/v1alpha1 DPFOperatorConfig: what is installed, and how (api-provisioning.md section 13).

There is one per installation, `NAME` in `names.DPF_NAMESPACE`, by convention. `deploymentMode` and
`provisioningController` are optional, so that objects of every release load (section 14); code takes an absent mode as
host-trusted. The components are in `operatorcomponents`, their neighbours in `operatorprovisioning`,
`operatormonitoring` and `operatorsecurity`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from dpf.api import operatorcomponents as components
from dpf.api.meta import Condition, Model, Object, Resource
from dpf.api.operatormonitoring import Monitoring
from dpf.api.operatorprovisioning import ProvisioningController
from dpf.api.operatorsecurity import Security
from dpf.api.schema import CRD, READY_PHASE_AGE, Rule, Schema

NAME: Final = "dpfoperatorconfig"
"""Name of the one object."""

DEFAULT_OOB_BRIDGE: Final = "br-dpu"


class DeploymentMode(StrEnum):
    """Who is trusted with the DPUs."""

    ZERO_TRUST = "zero-trust"
    """The host is not: DPUs are installed through their BMC."""
    HOST_TRUSTED = "host-trusted"
    """The host is: DPUs are installed by an agent on it."""


class ConditionType(StrEnum):
    """Conditions of a DPFOperatorConfig, in the order in which they are written."""

    READY = "Ready"
    """All of the others hold, except DeprecatedFieldsNotInUse."""
    IMAGE_PULL_SECRETS_RECONCILED = "ImagePullSecretsReconciled"
    """The pull secrets exist and are marked for the clusters."""
    SYSTEM_COMPONENTS_RECONCILED = "SystemComponentsReconciled"
    """Every component is installed as configured, and none that is disabled."""
    SYSTEM_COMPONENTS_READY = "SystemComponentsReady"
    """Every installed component works."""
    PRE_UPGRADE_VALIDATION_READY = "PreUpgradeValidationReady"
    """Nothing stands in the way of the upgrade to the target version."""
    CA_TRUST_BUNDLE_READY = "CATrustBundleReady"
    """The ConfigMap with the trusted CAs is up to date."""
    DPU_AGENT_IDENTITY_TEMPLATES_VALID = "DPUAgentIdentityTemplatesValid"
    """The templates of SPIFFE IDs can be filled in."""
    CERT_MANAGEMENT_READY = "CertManagementReady"
    """The issuers exist and their CA is rolled out."""
    DEPRECATED_FIELDS_NOT_IN_USE = "DeprecatedFieldsNotInUse"
    """No object uses a field that a later version drops; advice only, not a part of Ready."""


class ConditionReason(StrEnum):
    """Reasons beside those that all kinds share."""

    ISSUER_NOT_FOUND = "IssuerNotFound"
    """The configured issuer does not exist."""
    CA_ROTATION_REQUIRED = "CARotationRequired"
    """The issuer's CA is another one than the CA that is rolled out."""
    DEPRECATED_FIELDS_IN_USE = "DeprecatedFieldsInUse"
    """Some object uses a deprecated field; the message names it."""
    INSPECTION_FAILED = "InspectionFailed"
    """The objects could not be read, so nothing is known about deprecated fields."""


class Overrides(Model):
    """Settings for installations that differ from the usual; absent means the usual."""

    paused: Annotated[bool | None, Schema(description="Do not reconcile while true.")] = None
    argoCDNamespace: Annotated[
        str | None,
        Schema(min_length=1, max_length=63, description="Namespace of Argo CD; absent means the object's own."),
    ] = None
    dpuCNIBinPath: Annotated[str | None, Schema(description="CNI plugins on the DPU; usually /opt/cni/bin.")] = None
    dpuCNIPath: Annotated[
        str | None, Schema(description="CNI configuration on the DPU; usually /etc/cni/net.d/.")
    ] = None
    dpuOpenvSwitchRunPath: Annotated[
        str | None, Schema(description="Sockets of Open vSwitch on the DPU; usually /var/run/openvswitch/.")
    ] = None
    dpuOpenvSwitchBinPath: Annotated[
        str | None, Schema(description="Programs of Open vSwitch on the DPU; usually /usr/bin/.")
    ] = None
    dpuOpenvSwitchSystemSharedPath: Annotated[
        str | None, Schema(description="Libraries of Open vSwitch on the DPU; usually /lib.")
    ] = None
    dpuOpenvSwitchSystemSharedLib64Path: Annotated[
        str | None, Schema(min_length=1, description="Further libraries of Open vSwitch on the DPU.")
    ] = None
    dpuLinkerCachePath: Annotated[
        str | None, Schema(min_length=1, description="Cache of the dynamic linker on the DPU.")
    ] = None
    dpuOptLibraryPath: Annotated[
        str | None, Schema(min_length=1, description="Libraries below /opt on the DPU.")
    ] = None
    provisioningIssuerCASecretName: Annotated[
        str | None, Schema(min_length=1, description="Secret with the CA of the provisioning issuer.")
    ] = None
    flannelSkipCNIConfigInstallation: Annotated[
        bool | None, Schema(description="Flannel leaves the CNI configuration alone; absent means true.")
    ] = None
    kubernetesAPIServerVIP: Annotated[
        str | None, Schema(description="Address under which components reach the API server directly.")
    ] = None
    kubernetesAPIServerPort: Annotated[int | None, Schema(description="Port that belongs to the address.")] = None


class Networking(Model):
    """Networks that DPUs use."""

    controlPlaneMTU: Annotated[
        int, Schema(minimum=1280, maximum=9216, default=1500, description="MTU of the management network.")
    ] = 1500
    highSpeedMTU: Annotated[
        int,
        Schema(minimum=1280, maximum=9216, default=1500,
               description="MTU of the fabric; no service chain may ask for more."),
    ] = 1500
    dpuNodeOOBBridgeName: Annotated[
        str,
        Schema(min_length=1, max_length=15, pattern="^[a-z][a-z0-9-]*$", default=DEFAULT_OOB_BRIDGE,
               description="Bridge on the host that reaches the out-of-band ports."),
    ] = DEFAULT_OOB_BRIDGE


_REDFISH: Final = "self.?provisioningController.?installInterface.?installViaRedfish.hasValue()"
_MODE: Final = "self.?deploymentMode.orValue('')"

SPEC_RULES: Final = (
    Rule(
        rule=f"{_MODE} != 'zero-trust' || {_REDFISH}",
        message="deploymentMode zero-trust requires provisioningController.installInterface.installViaRedfish",
    ),
    Rule(
        rule=f"{_MODE} != 'host-trusted' || !{_REDFISH}",
        message="deploymentMode host-trusted does not support provisioningController.installInterface."
                "installViaRedfish",
    ),
    Rule(
        rule=f"{_MODE} in ['', 'host-trusted'] || "
             f"self.?networking.?dpuNodeOOBBridgeName.orValue('{DEFAULT_OOB_BRIDGE}') == '{DEFAULT_OOB_BRIDGE}'",
        message="dpuNodeOOBBridgeName is only configurable in host-trusted mode",
    ),
    Rule(
        rule=f"{_MODE} != 'zero-trust' || self.?networking.?controlPlaneMTU.orValue(1500) <= 1500",
        message="controlPlaneMTU must not exceed 1500 in zero-trust mode because DPU OOB interfaces do not support "
                "jumbo frames",
    ),
    Rule(
        rule=f"!self.?security.?spiffe.hasValue() || {_MODE} == 'zero-trust'",
        message="spiffe configuration requires deploymentMode=zero-trust",
    ),
    Rule(
        rule="self.?kamajiClusterManager.?etcdEncryptionAtRest.?provider.orValue('') != 'vaultKMS' || "
             "(self.?security.?vaultKMS.hasValue() && !self.?security.?vaultKMS.?disable.orValue(false))",
        message="kamajiClusterManager.etcdEncryptionAtRest.provider vaultKMS requires spec.security.vaultKMS to be "
                "enabled",
    ),
)
"""Rules on the spec (section 13.1). Those about the mode are not applied while it is absent."""

ONCE_SET_RULES: Final = (
    Rule(
        rule="oldSelf.?spec.?deploymentMode.orValue('') in ['', self.?spec.?deploymentMode.orValue('')]",
        message="deploymentMode is immutable after creation: it cannot be changed once set, install anew to change it",
        field_path=".spec.deploymentMode",
    ),
    Rule(
        rule="!oldSelf.?spec.?security.?spiffe.hasValue() || self.?spec.?security.?spiffe.hasValue()",
        message="spec.security.spiffe cannot be removed once set; DPUs that were installed with it depend on it",
        field_path=".spec.security",
    ),
)
"""Rules that compare with the old object. They stand at the root: further down, removing the parent would skip them."""


class DPFOperatorConfigSpec(Model):
    """What is installed, and how. A component whose key is absent follows its own default; `{}` turns it on."""

    deploymentMode: Annotated[
        str | None,
        Schema(enum=tuple(DeploymentMode), description="Trust in the host; absent means host-trusted."),
    ] = None
    overrides: Overrides | None = None
    networking: Annotated[Networking, Schema(default={"controlPlaneMTU": 1500})] = Networking()
    imagePullSecrets: Annotated[
        list[str] | None, Schema(description="Secrets of the same namespace for pulling images; they must exist.")
    ] = None
    provisioningController: Annotated[ProvisioningController, Schema(default={})] = ProvisioningController()
    dpuServiceController: components.DPUServiceController | None = None
    serviceSetController: components.ServiceSetController | None = None
    dpuDetector: components.DPUDetector | None = None
    flannel: components.Flannel | None = None
    multus: components.Multus | None = None
    nvipam: components.NVIPAM | None = None
    sriovDevicePlugin: components.SRIOVDevicePlugin | None = None
    ovsCNI: components.OVSCNI | None = None
    ovsHelper: components.OVSHelper | None = None
    cniInstaller: components.CNIInstaller | None = None
    sfcController: components.SFCController | None = None
    kamajiClusterManager: components.KamajiClusterManager | None = None
    staticClusterManager: components.StaticClusterManager | None = None
    k0smotronClusterManager: components.K0smotronClusterManager | None = None
    nodeSRIOVDevicePluginController: components.NodeSRIOVDevicePluginController | None = None
    coreDNS: components.CoreDNS | None = None
    monitoring: Monitoring | None = None
    security: Security | None = None


class TrustAnchor(Model):
    """The issuer whose CA is rolled out."""

    name: Annotated[str | None, Schema(min_length=1, max_length=253, description="Name of the issuer.")] = None
    kind: Annotated[
        str | None, Schema(enum=("Issuer", "ClusterIssuer"), description="Kind of the issuer.")
    ] = None
    group: Annotated[str | None, Schema(min_length=1, max_length=253, description="API group of the issuer.")] = None


class CertManagementStatus(Model):
    """State of certificate management."""

    anchor: TrustAnchor | None = None


class SecurityStatus(Model):
    """State of the security settings."""

    certManagement: CertManagementStatus | None = None


class DPFOperatorConfigStatus(Model):
    """What was observed."""

    conditions: list[Condition] | None = None
    observedGeneration: Annotated[
        int | None, Schema(format="int64", description="Generation that the conditions are about.")
    ] = None
    version: Annotated[str | None, Schema(description="Version that is installed.")] = None
    targetVersion: Annotated[
        str | None, Schema(description="Version being installed; differs from `version` during an upgrade.")
    ] = None
    security: SecurityStatus | None = None


class DPFOperatorConfig(Object):
    """The one object that says which parts of the platform are installed, and how."""

    resource: ClassVar[Resource] = Resource(
        "operator.dpu.nvidia.com", "v1alpha1", "DPFOperatorConfig", "dpfoperatorconfigs"
    )
    crd: ClassVar[CRD] = CRD(columns=READY_PHASE_AGE, rules=ONCE_SET_RULES)
    spec: Annotated[DPFOperatorConfigSpec | None, Schema(rules=SPEC_RULES)] = None
    status: DPFOperatorConfigStatus = DPFOperatorConfigStatus()
