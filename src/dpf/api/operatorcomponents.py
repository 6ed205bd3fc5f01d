"""Components that a DPFOperatorConfig switches and configures (api-provisioning.md section 13.2).

In every component `disable` decides; a component that is present without it is enabled. `image` beside the container
blocks is the older spelling: accepted, but not together with the newer one.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from dpf.api.meta import Model
from dpf.api.schema import Quantity, Rule, Schema

_HOST: Final = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_PATH: Final = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_ALGORITHM: Final = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*"
IMAGE_PATTERN: Final = (
    rf"^((?:(?:{_HOST}(?:\.{_HOST})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?/)?{_PATH}(?:/{_PATH})*)"
    rf"(?::([\w][\w.-]{{0,127}}))?(?:@({_ALGORITHM}[:][[:xdigit:]]{{32,}}))?$"
)
"""An image reference: optional registry, repository, optional tag, optional digest. RE2 syntax, as the API server's."""

DNS_SUBDOMAIN_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

Disable = Annotated[bool | None, Schema(description="Do not install the component.")]
Replicas = Annotated[int, Schema(format="int32", minimum=1, maximum=3, default=2, description="Number of pods.")]
HelmChart = Annotated[
    str | None, Schema(pattern="^(oci://|https://).+$", description="Chart to install in place of the built-in one.")
]
Image = Annotated[str | None, Schema(pattern=IMAGE_PATTERN, description="Image to run in place of the built-in one.")]
OldImage = Annotated[
    str | None, Schema(pattern=IMAGE_PATTERN, description="Deprecated: set the image in the block of the container.")
]


def either_image_rule(block: str) -> Rule:
    """The older `image` and the one inside `block` exclude each other."""
    return Rule(
        rule=f"!has(self.image) || !has(self.{block}) || !has(self.{block}.image)",
        message=f"only either 'image' (deprecated) or '{block}.image' can be set, but not both",
    )


class Amounts(Model):
    """Amounts of processor and memory."""

    cpu: Annotated[Quantity | None, Schema(description="Processor cores.")] = None
    memory: Annotated[Quantity | None, Schema(description="Memory in bytes.")] = None


class Resources(Model):
    """Resources of a container."""

    requests: Annotated[Amounts | None, Schema(description="What the scheduler sets aside.")] = None
    limits: Annotated[Amounts | None, Schema(description="What the container may not exceed.")] = None


class Container(Model):
    """Image and resources of a container."""

    image: Image = None
    resources: Resources | None = None


class ContainerImage(Model):
    """Image of a container."""

    image: Image = None


class DPUServiceController(Model):
    """Controller of services and deployments on DPUs; on by default."""

    schema: ClassVar[Schema] = Schema(rules=(either_image_rule("controller"),))

    disable: Disable = None
    replicas: Replicas = 2
    image: OldImage = None
    controller: Container | None = None
    disableDPUReadyTaints: Annotated[
        bool | None, Schema(description="Do not taint host nodes whose DPU is not ready.")
    ] = None
    disableHostNetworkReadyNoExecuteTaints: Annotated[
        bool | None,
        Schema(description="Do not evict pods from hosts whose DPU network is not ready; absent means true."),
    ] = None


class ServiceSetController(Model):
    """Controller that brings chains and interfaces to the nodes of a DPU cluster; on by default."""

    schema: ClassVar[Schema] = Schema(rules=(either_image_rule("controller"),))

    disable: Disable = None
    replicas: Replicas = 2
    helmChart: HelmChart = None
    image: OldImage = None
    controller: Container | None = None


class Collectors(Model):
    """What the detector collects."""

    psID: Annotated[bool | None, Schema(description="Collect the PSID of the card.")] = None


class DPUDetector(Model):
    """Finds DPUs in hosts; on by default."""

    schema: ClassVar[Schema] = Schema(rules=(either_image_rule("daemon"),))

    disable: Disable = None
    image: OldImage = None
    daemon: Container | None = None
    collectors: Collectors | None = None


class FlannelImages(Model):
    """Deprecated: set the images in the blocks of the containers."""

    flannelCNI: Annotated[str, Schema(min_length=1, description="Image with the CNI plugin.")]
    kubeFlannel: Annotated[str, Schema(min_length=1, description="Image of the daemon.")]


class Flannel(Model):
    """Pod network of a DPU cluster; on by default."""

    schema: ClassVar[Schema] = Schema(rules=(either_image_rule("cni"), either_image_rule("daemon")))

    disable: Disable = None
    helmChart: HelmChart = None
    image: FlannelImages | None = None
    cni: ContainerImage | None = None
    daemon: Container | None = None
    podCIDR: Annotated[str | None, Schema(description="Addresses of pods; absent means 10.244.0.0/14.")] = None


class Multus(Model):
    """Additional interfaces for pods on DPUs; on by default."""

    schema: ClassVar[Schema] = Schema(rules=(either_image_rule("cni"),))

    disable: Disable = None
    helmChart: HelmChart = None
    image: OldImage = None
    cni: Container | None = None


class NVIPAM(Model):
    """Addresses for the additional interfaces; on by default."""

    schema: ClassVar[Schema] = Schema(rules=(either_image_rule("controller"), either_image_rule("node")))

    disable: Disable = None
    replicas: Replicas = 2
    helmChart: HelmChart = None
    image: OldImage = None
    controller: Container | None = None
    node: Container | None = None


class SRIOVDevicePlugin(Model):
    """Offers the DPU's functions as node resources; on by default."""

    schema: ClassVar[Schema] = Schema(rules=(either_image_rule("deviceplugin"),))

    disable: Disable = None
    helmChart: HelmChart = None
    image: OldImage = None
    deviceplugin: Container | None = None


class OVSCNI(Model):
    """Older way to attach pods to Open vSwitch; deprecated in favour of `cniInstaller`."""

    schema: ClassVar[Schema] = Schema(rules=(either_image_rule("cni"),))

    disable: Disable = None
    helmChart: HelmChart = None
    image: OldImage = None
    cni: Container | None = None


class OVSHelper(Model):
    """Prepares Open vSwitch on the DPU; on by default."""

    disable: Disable = None
    helmChart: HelmChart = None
    image: Image = None


class CNIInstaller(Model):
    """Installs the CNI plugin that attaches pods to Open vSwitch; on by default."""

    disable: Disable = None
    helmChart: HelmChart = None
    installer: Container | None = None


class SFCController(Model):
    """Programs service chains into Open vSwitch on each DPU; on by default."""

    schema: ClassVar[Schema] = Schema(rules=(either_image_rule("controller"),))

    disable: Disable = None
    helmChart: HelmChart = None
    image: OldImage = None
    controller: Container | None = None
    secureFlowDeletionTimeout: Annotated[
        str | None, Schema(format="duration", description="How long flows outlive their chain's pods; 0 means not.")
    ] = None


class KeyRef(Model):
    """One key of an object of the same namespace."""

    name: Annotated[str, Schema(min_length=1, description="Name of the object.")]
    key: Annotated[str, Schema(min_length=1, description="Key in its data.")]


class StaticKey(Model):
    """Encryption with a key from a Secret."""

    keySecretRef: Annotated[KeyRef, Schema(description="Secret that holds the key.")]
    automaticRotationDisabled: Annotated[
        bool | None, Schema(description="Do not rotate the key by itself.")
    ] = None


class EtcdEncryptionAtRest(Model):
    """Encryption of what DPU clusters store."""

    schema: ClassVar[Schema] = Schema(rules=(
        Rule(rule="self.provider != 'staticKey' || has(self.staticKey)",
             message="staticKey is required when provider is staticKey"),
        Rule(rule="self.provider != 'vaultKMS' || !has(self.staticKey)",
             message="staticKey must not be set when provider is vaultKMS"),
    ))

    provider: Annotated[str, Schema(enum=("staticKey", "vaultKMS"), description="Where the key comes from.")]
    staticKey: StaticKey | None = None


class KamajiClusterManager(Model):
    """Makes control planes of DPU clusters with Kamaji; on by default."""

    schema: ClassVar[Schema] = Schema(rules=(either_image_rule("controller"),))

    disable: Disable = None
    replicas: Replicas = 2
    image: OldImage = None
    controller: Container | None = None
    etcdEncryptionAtRest: EtcdEncryptionAtRest | None = None


class StaticClusterManager(Model):
    """Takes DPU clusters that exist already; off by default."""

    schema: ClassVar[Schema] = Schema(rules=(either_image_rule("controller"),))

    disable: Disable = None
    replicas: Replicas = 2
    image: OldImage = None
    controller: Container | None = None


class K0smotronClusterManager(Model):
    """Makes control planes of DPU clusters with k0smotron; off by default."""

    disable: Disable = None
    replicas: Replicas = 2
    controller: Container | None = None
    k0sVersion: Annotated[str | None, Schema(description="Version of k0s.")] = None
    etcdStorageClassName: Annotated[str | None, Schema(description="Storage class for etcd.")] = None


class DevicePlugin(Model):
    """The device plugin that the controller configures."""

    image: Image = None
    initImage: Image = None
    defaultResourcePrefix: Annotated[
        str | None, Schema(pattern=DNS_SUBDOMAIN_PATTERN, description="Prefix of resources that name none.")
    ] = None


class NodeSRIOVDevicePluginController(Model):
    """Configures the device plugin for each node; off by default."""

    disable: Disable = None
    replicas: Replicas = 2
    controller: Container | None = None
    devicePlugin: DevicePlugin | None = None


class CoreDNS(Model):
    """Name service of a DPU cluster; on by default."""

    disable: Disable = None
    helmChart: HelmChart = None
    deployment: Container | None = None
    upstreamNameservers: Annotated[
        str | None, Schema(min_length=1, description="Name servers for everything outside the cluster.")
    ] = None
