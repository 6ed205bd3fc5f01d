"""Reads what a pass over a DPUDiscovery needs: what is known already, the password, how its scan stands. Reads only."""

from __future__ import annotations

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpudiscovery import DPUDiscovery
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key, ObjectMeta
from dpf.api.operatorprovisioning import InstallViaRedfish
from dpf.api.provisioning import InstallInterface
from dpf.kube.cache import Cache
from dpf.provisioning.dpudevice import credentials
from dpf.provisioning.dpudiscovery.scanning import Scans
from dpf.provisioning.dpudiscovery.snapshot import Snapshot
from dpf.provisioning.dpunode import interface


def snapshot(cache: Cache, scans: Scans, root: DPUDiscovery) -> Snapshot:
    """From caches. Raises kube.errors.NotSynced."""
    def secret_of(key: Key) -> core.Secret | None:
        return cache.get(core.Secret, key)

    anyone = DPUDevice(metadata=ObjectMeta(name=root.metadata.name, namespace=root.metadata.namespace))
    return Snapshot(
        discovery=root, redfish=redfish(cache), credentials=credentials.read(anyone, secret_of),
        devices=cache.list(DPUDevice), dpunodes=cache.list(DPUNode, root.metadata.namespace),
        scan=scans.scan(root.metadata.uid or ""),
    )


def redfish(cache: Cache) -> InstallViaRedfish | None:
    """The settings for BMCs; None where DPUs are not installed through them."""
    configs = cache.list(DPFOperatorConfig)
    config = configs[0] if configs else None
    if interface.interface_of(config) is not InstallInterface.REDFISH or config is None or config.spec is None:
        return None
    chosen = config.spec.provisioningController.installInterface
    return (chosen.installViaRedfish if chosen is not None else None) or InstallViaRedfish()
