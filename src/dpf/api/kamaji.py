"""kamaji.clastix.io/v1alpha1 TenantControlPlane: a Kubernetes control plane that Kamaji runs as pods.

Only the fields that this project writes or reads; Kamaji owns the CRD and fills in the rest. Source of the names: the
API reference of Kamaji (kamaji.clastix.io/reference/api).
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from dpf.api.core import ResourceRequirements
from dpf.api.meta import FreeForm, Model, Object, Resource


class VersionStatus(StrEnum):
    """What status.kubernetesResources.version.status says about the control plane."""

    PROVISIONING = "Provisioning"
    READY = "Ready"
    NOT_READY = "NotReady"
    UPGRADING = "Upgrading"
    MIGRATING = "Migrating"
    """Its data moves to another data store; the API server answers."""
    CA_ROTATING = "CertificateAuthorityRotating"
    WRITE_LIMITED = "WriteLimited"
    SLEEPING = "Sleeping"
    """Scaled to zero."""
    UNKNOWN = "Unknown"


class ComponentResources(Model):
    """Resources of each component of the control plane."""

    apiServer: ResourceRequirements | None = None
    controllerManager: ResourceRequirements | None = None
    scheduler: ResourceRequirements | None = None


class DeploymentSpec(Model):
    """The Deployment that runs the control plane."""

    replicas: int | None = None
    affinity: FreeForm | None = None
    tolerations: list[FreeForm] | None = None
    resources: ComponentResources | None = None


class ServiceSpec(Model):
    """The Service in front of the API server; it has the name of the TenantControlPlane."""

    serviceType: str | None = None


class ControlPlane(Model):
    """How the control plane runs in the host cluster."""

    deployment: DeploymentSpec | None = None
    service: ServiceSpec | None = None


class KubeletSpec(Model):
    """Configuration of kubelets that join."""

    cgroupfs: str | None = None


class KubernetesSpec(Model):
    """`version` with a leading v."""

    version: str | None = None
    kubelet: KubeletSpec | None = None


class NetworkProfile(Model):
    """Where the API server is reached; for a NodePort Service `port` is the node port as well."""

    address: str | None = None
    port: int | None = None
    podCidr: str | None = None


class AddonSpec(Model):
    """An addon with the defaults of Kamaji: to be there is to be enabled."""


class Addons(Model):
    """Addons that Kamaji installs inside the tenant cluster."""

    coreDNS: AddonSpec | None = None
    kubeProxy: AddonSpec | None = None


class TenantControlPlaneSpec(Model):
    """What is wanted."""

    dataStore: str | None = None
    controlPlane: ControlPlane | None = None
    kubernetes: KubernetesSpec = KubernetesSpec()
    networkProfile: NetworkProfile = NetworkProfile()
    addons: Addons | None = None


class KubernetesVersion(Model):
    """The version that runs, and how it is (`VersionStatus`, or a word of a newer Kamaji)."""

    version: str | None = None
    status: str | None = None


class KubernetesResources(Model):
    """What Kamaji has made in the host cluster."""

    version: KubernetesVersion = KubernetesVersion()


class TenantControlPlaneStatus(Model):
    """What was observed. `controlPlaneEndpoint` is host:port."""

    kubernetesResources: KubernetesResources = KubernetesResources()
    controlPlaneEndpoint: str | None = None


class TenantControlPlane(Object):
    """kamaji.clastix.io/v1alpha1 TenantControlPlane."""

    resource: ClassVar[Resource] = Resource(
        "kamaji.clastix.io", "v1alpha1", "TenantControlPlane", "tenantcontrolplanes"
    )
    spec: TenantControlPlaneSpec = TenantControlPlaneSpec()
    status: TenantControlPlaneStatus = TenantControlPlaneStatus()
