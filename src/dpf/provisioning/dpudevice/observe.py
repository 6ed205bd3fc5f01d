"""Reads what a pass over a DPUDevice needs: who lists and uses it, its password, its BMC. Reads only.

Called by the controller. Everything but the BMC comes from caches.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key, object_key
from dpf.api.provisioning import InstallInterface
from dpf.kube.cache import Cache
from dpf.provisioning.certificates import bundle
from dpf.provisioning.dpudevice import credentials
from dpf.provisioning.dpudevice.driver import BMCs
from dpf.provisioning.dpudevice.snapshot import RENEW_BEFORE_S, Reach, Snapshot
from dpf.provisioning.dpunode import interface
from dpf.provisioning.maintenance import durations

BY_DEVICE: Final = "dpudevice"
"""DPUNodes and DPUs by `namespace/device`, in lower case."""


async def snapshot(cache: Cache, bmcs: BMCs, device: DPUDevice) -> Snapshot:
    """One look at everything. Raises kube.errors.NotSynced."""
    where = str(object_key(device)).lower()
    listing = sorted(cache.by_index(DPUNode, BY_DEVICE, where), key=object_key)
    configs = cache.list(DPFOperatorConfig)
    config = configs[0] if configs else None
    found = Snapshot(
        device=device, dpunode=listing[0] if listing else None, interface=interface.interface_of(config),
        dpus=tuple(sorted(cache.by_index(DPU, BY_DEVICE, where), key=object_key)),
        renew_before_s=renew_before_s(config),
    )
    if device.metadata.deletionTimestamp is not None:
        bmcs.forget(object_key(device))
        return found
    if found.interface is not InstallInterface.REDFISH or found.skips_hardware:
        return found
    return await _with_bmc(found, cache, bmcs)


def renew_before_s(config: DPFOperatorConfig | None) -> float:
    """How long before its end a BMC's certificate is renewed."""
    told = config.spec.provisioningController.bmcServerCertRenewBefore if config and config.spec else None
    return (durations.seconds(told) if told else None) or RENEW_BEFORE_S


async def _with_bmc(found: Snapshot, cache: Cache, bmcs: BMCs) -> Snapshot:
    def secret_of(key: Key) -> core.Secret | None:
        return cache.get(core.Secret, key)

    given = credentials.read(found.device, secret_of)
    trusted, spec = bmcs.bundle(), found.device.spec
    if not found.bmc_ip or trusted is None or spec is None:
        return replace(found, credentials=given)
    reach = Reach(
        device=found.key, host=found.bmc_ip, port=spec.bmcPort, credentials=given, bundle=trusted,
        inputs=(
            found.bmc_ip, str(spec.bmcPort), given.digest, str(given.problem is None), bundle.digest(trusted),
            str(found.device.metadata.generation), str(found.manual_trigger),
        ),
    )
    return replace(found, credentials=given, reach=reach, look=await bmcs.look(reach))
