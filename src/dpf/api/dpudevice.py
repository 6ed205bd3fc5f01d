"""provisioning.dpu.nvidia.com/v1alpha1 DPUDevice: one piece of hardware (api-provisioning.md section 9)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api import provisioning
from dpf.api.meta import FreeForm, Model, Object, Resource
from dpf.api.schema import CRD, READY_STATUS, Column, Schema, name_length_rule


class ConditionType(StrEnum):
    """Conditions of a DPUDevice, in the order in which they are written."""

    DISCOVERED = "Discovered"
    """Its facts are known."""
    NODE_ATTACHED = "NodeAttached"
    """It is listed by a DPUNode."""
    INITIALIZED = "Initialized"
    """Its BMC is set up."""
    ERROR = "Error"
    """It cannot be used; the message says why."""
    READY = "Ready"
    """It can be installed."""
    BMC_FACTORY_RESET_READY = "BMCFactoryResetReady"
    """Its BMC was wiped, or need not be."""
    BMC_CREDENTIALS_READY = "BMCCredentialsReady"
    """Its BMC accepts the password."""
    SPIFFE_ENTRY_READY = "SPIFFEEntryReady"
    """Its SPIFFE identity is registered."""
    BMC_SERVER_CERTIFICATE_READY = "BMCServerCertificateReady"
    """Its BMC has a certificate of ours that is valid."""
    CA_TRUST_BUNDLE_READY = "CATrustBundleReady"
    """Its BMC trusts our CAs."""


class ConditionReason(StrEnum):
    """Reasons beside those that all kinds share."""

    FACTORY_RESET_COMPLETED = "FactoryResetCompleted"
    FACTORY_RESET_SKIPPED = "FactoryResetSkipped"
    FACTORY_RESET_IN_PROGRESS = "FactoryResetInProgress"
    FACTORY_RESET_FAILED = "FactoryResetFailed"
    CREDENTIALS_VALID = "CredentialsValid"
    CREDENTIALS_SECRET_NOT_FOUND = "CredentialsSecretNotFound"  # noqa: S105 - a reason
    CREDENTIALS_SECRET_INVALID = "CredentialsSecretInvalid"  # noqa: S105 - a reason
    BMC_AUTHENTICATION_FAILED = "BMCAuthenticationFailed"
    MODE_SWITCH_NOT_ALLOWED = "ModeSwitchNotAllowed"
    BMC_SERVER_CERTIFICATE_ROTATING = "BMCServerCertificateRotating"
    BMC_SERVER_CERTIFICATE_ROTATION_FAILED = "BMCServerCertificateRotationFailed"
    BMC_SERVER_CERTIFICATE_UNTRUSTED = "BMCServerCertificateUntrusted"
    REDFISH_CLIENT_CERT_STALE = "RedfishClientCertStale"
    CA_TRUST_BUNDLE_SYNCED = "CATrustBundleSynced"
    CA_TRUST_BUNDLE_SYNCING = "CATrustBundleSyncing"
    CA_TRUST_BUNDLE_SYNC_FAILED = "CATrustBundleSyncFailed"
    CA_TRUST_BUNDLE_UNAVAILABLE = "CATrustBundleUnavailable"


class DPUDeviceSpec(Model):
    """What is known about the device beforehand, and settings for it alone."""

    serialNumber: Annotated[
        str, Schema(required=True, min_length=1, description="Serial number; unique in the host cluster.")
    ] = ""
    psid: Annotated[str | None, Schema(description="Deprecated: firmware parameter set.")] = None
    opn: Annotated[str | None, Schema(description="Deprecated: ordering number.")] = None
    bmcIp: Annotated[str | None, Schema(format="ipv4", description="Address of the BMC.")] = None
    bmcPort: Annotated[
        int, Schema(minimum=1, default=443, required=False, description="Port of the BMC.")
    ] = 443
    numberOfPFs: Annotated[
        int, Schema(minimum=1, default=1, required=False, description="How many physical functions it has.")
    ] = 1
    pf0Name: Annotated[
        str | None, Schema(description="Deprecated: name of the first physical function on the host.")
    ] = None
    nicDeviceCount: Annotated[
        int | None, Schema(minimum=1, maximum=8, description="How many east-west cards it serves; absent means 8.")
    ] = None
    bmcCredentialSecretName: Annotated[
        str | None, Schema(description="Secret with the BMC's password; absent means the one that all share.")
    ] = None
    bmcFactoryResetPolicy: Annotated[
        str,
        Schema(enum=tuple(provisioning.BMCFactoryResetPolicy),
               default=provisioning.BMCFactoryResetPolicy.ON_INITIALIZATION, required=False,
               description="Whether the BMC is wiped before its first use."),
    ] = provisioning.BMCFactoryResetPolicy.ON_INITIALIZATION
    cluster: Annotated[
        provisioning.NodeMetadata | None, Schema(description="Labels and annotations of its Node.")
    ] = None
    values: Annotated[
        FreeForm | None, Schema(preserve_unknown=True, description="What a DPUFlavorTemplate is filled with.")
    ] = None


class BMCServerCertificate(Model):
    """The certificate of the BMC."""

    notAfter: Annotated[str | None, Schema(format="date-time", description="When it ends.")] = None
    lastRotationTime: Annotated[str | None, Schema(format="date-time", description="When it was renewed last.")] = None
    observedManualTrigger: Annotated[
        str | None, Schema(description="The last request for a renewal that was carried out.")
    ] = None


class CATrustBundle(Model):
    """The CAs that the BMC trusts."""

    observedBundleHash: Annotated[str | None, Schema(description="Their digest.")] = None
    lastUpdateTime: Annotated[str | None, Schema(format="date-time", description="When they changed last.")] = None


class DPUDeviceStatus(Model):
    """What was observed."""

    conditions: provisioning.Conditions = None
    serialNumber: Annotated[str | None, Schema(description="Serial number.")] = None
    psid: Annotated[str | None, Schema(description="Firmware parameter set.")] = None
    opn: Annotated[str | None, Schema(description="Ordering number.")] = None
    bmcIp: Annotated[str | None, Schema(format="ipv4", description="Address of the BMC.")] = None
    bmcPort: Annotated[int, Schema(minimum=1, default=443, required=False, description="Port of the BMC.")] = 443
    pciAddress: Annotated[str | None, Schema(description="PCI address.")] = None
    pf0Name: Annotated[str | None, Schema(description="Name of the first physical function on the host.")] = None
    pf0Mac: Annotated[
        str | None,
        Schema(pattern="^([0-9A-Fa-f]{2}[:-]){5}([0-9A-Fa-f]{2})$",
               description="MAC address of the first physical function."),
    ] = None
    dpuType: Annotated[
        str,
        Schema(enum=tuple(provisioning.DPUType), default=provisioning.DPUType.UNKNOWN, required=False,
               description="Hardware."),
    ] = provisioning.DPUType.UNKNOWN
    dpuMode: Annotated[
        str,
        Schema(enum=(provisioning.DPUMode.DPU, provisioning.DPUMode.NIC), default=provisioning.DPUMode.DPU,
               required=False, description="What it does for its host."),
    ] = provisioning.DPUMode.DPU
    secureBoot: Annotated[provisioning.SecureBootStatus | None, Schema(description="UEFI Secure Boot.")] = None
    bmcCredentialSecretName: Annotated[
        str | None, Schema(description="Secret whose password the BMC accepted last.")
    ] = None
    bmcFactoryResetRequestTime: Annotated[
        str | None, Schema(format="date-time", description="When the BMC was asked to wipe itself.")
    ] = None
    bmcServerCertificate: Annotated[
        BMCServerCertificate | None, Schema(description="Certificate of the BMC.")
    ] = None
    caTrustBundle: Annotated[CATrustBundle | None, Schema(description="CAs that the BMC trusts.")] = None


IMMUTABLE_RULES = (
    provisioning.once_set(".spec.serialNumber", "Serial Number is immutable"),
    provisioning.once_set(".spec.psid", "PSID is immutable"),
    provisioning.once_set(".spec.opn", "OPN is immutable"),
    provisioning.once_set(".spec.bmcPort", "BMCPort is immutable"),
    provisioning.once_set(".spec.numberOfPFs", "Number of PFs is immutable"),
    provisioning.once_set(".spec.pf0Name", "PF0 Name is immutable"),
    provisioning.once_set(".spec.nicDeviceCount", "NICDeviceCount is immutable"),
)


class DPUDevice(Object):
    """One piece of DPU hardware, found in a host or by its BMC."""

    resource: ClassVar[Resource] = Resource(provisioning.GROUP, provisioning.VERSION, "DPUDevice", "dpudevices")
    crd: ClassVar[CRD] = CRD(
        columns=(Column(name="Ready", path=READY_STATUS),), rules=(name_length_rule(63), *IMMUTABLE_RULES)
    )
    spec: DPUDeviceSpec | None = None
    status: DPUDeviceStatus = DPUDeviceStatus()
