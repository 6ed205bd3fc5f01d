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
    """The BMC was wiped."""
    FACTORY_RESET_SKIPPED = "FactoryResetSkipped"
    """The policy asks for no reset."""
    FACTORY_RESET_IN_PROGRESS = "FactoryResetInProgress"
    """The BMC is wiping itself."""
    FACTORY_RESET_FAILED = "FactoryResetFailed"
    """The BMC did not wipe itself."""
    BMC_MANAGER_DATE_TIME_UNSYNCHRONIZED = "BMCManagerDateTimeUnsynchronized"
    """The BMC's clock and ours differ by more than a minute."""
    CREDENTIALS_VALID = "CredentialsValid"
    """The BMC accepted the password."""
    CREDENTIALS_SECRET_NOT_FOUND = "CredentialsSecretNotFound"  # noqa: S105 - a reason
    """The Secret with the password does not exist."""
    CREDENTIALS_SECRET_INVALID = "CredentialsSecretInvalid"  # noqa: S105 - a reason
    """The Secret holds no password."""
    BMC_AUTHENTICATION_FAILED = "BMCAuthenticationFailed"
    """The BMC refused the password."""
    MODE_SWITCH_NOT_ALLOWED = "ModeSwitchNotAllowed"
    """The change between a Secret of its own and the shared one is not allowed now."""
    BMC_SERVER_CERTIFICATE_ROTATING = "BMCServerCertificateRotating"
    """The BMC is getting a new certificate."""
    BMC_SERVER_CERTIFICATE_ROTATION_FAILED = "BMCServerCertificateRotationFailed"
    """The BMC did not take the new certificate."""
    BMC_SERVER_CERTIFICATE_UNTRUSTED = "BMCServerCertificateUntrusted"
    """The BMC's certificate was not issued by our CA."""
    REDFISH_CLIENT_CERT_STALE = "RedfishClientCertStale"
    """Our own certificate for the BMC is out of date."""
    CA_TRUST_BUNDLE_SYNCED = "CATrustBundleSynced"
    """The BMC trusts our present CAs."""
    CA_TRUST_BUNDLE_SYNCING = "CATrustBundleSyncing"
    """The BMC is getting our present CAs."""
    CA_TRUST_BUNDLE_SYNC_FAILED = "CATrustBundleSyncFailed"
    """The BMC did not take our CAs."""
    CA_TRUST_BUNDLE_UNAVAILABLE = "CATrustBundleUnavailable"
    """The ConfigMap with our CAs is missing or empty."""


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
