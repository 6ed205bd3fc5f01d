"""What `dpfctl local up --provision` applies, so that a service developer has DPUs after one command.

A BFB, a DPUFlavor and a DPUSet over all cards, the ones of `examples/030-provisioning-gnoi.yaml` and
`examples/031-provisioning-redfish.yaml`; with BMCs also the DPUDiscovery that finds them. Builders are pure;
`wait_ready` looks until every DPU is Ready.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from dpf.api import bfb, dpudiscovery, dpuflavor, dpuset, names
from dpf.api.dpu import DPU, Phase
from dpf.api.meta import LabelSelector, Object, ObjectMeta
from dpf.api.provisioning import ClusterTemplate, NodeEffect, Taint
from dpf.kube import client as port
from dpf.local import errors
from dpf.local.platform import addresses, hardware, settings

BFB: Final = "bf-bundle-dk-ga"
BFB_URL: Final = f"{hardware.BFB_SITE}/bf-bundle-2.9.1-40_24.11_ubuntu-22.04_prod.bfb"
FLAVOR: Final = "dpf-provisioning-hbn-ovn"
DPUSET: Final = "all-dpus"
DISCOVERY: Final = "all-bmcs"
TIMEOUT_S: Final = 300.0
_LOOK_AGAIN_S: Final = 0.5


def objects(platform: settings.Settings) -> list[Object]:
    """Everything that is applied, in an order in which it may exist."""
    found: list[Object] = [_bfb(), _flavor()]
    if platform.install_interface == "redfish" and platform.dpus:
        found.append(_discovery(platform))
    return [*found, _dpuset(platform.install_interface)]


async def wait_ready(host: port.Client, count: int) -> None:
    """Return when `count` DPUs are Ready. Raises StepError that says how far the others are."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        dpus = (await host.list(DPU, names.DPF_NAMESPACE)).items
        waiting = [dpu for dpu in dpus if dpu.status.phase != Phase.READY]
        failed = [dpu for dpu in waiting if dpu.status.phase == Phase.ERROR]
        if len(dpus) - len(waiting) >= count and not waiting:
            return
        if failed or time.monotonic() > deadline:
            raise errors.StepError(_explain(failed or waiting, count - len(dpus)))
        await asyncio.sleep(_LOOK_AGAIN_S)


def progress(dpu: DPU) -> str:
    """How far a DPU is, and what it says about it."""
    trouble = next((c for c in dpu.status.conditions or () if c.status == "False" and c.message), None)
    return f"DPU/{dpu.metadata.name}: {dpu.status.phase}" + (f": {trouble.message}" if trouble else "")


def _explain(waiting: list[DPU], missing: int) -> str:
    lines = [progress(dpu) for dpu in waiting]
    if missing > 0:
        lines.append(f"{missing} DPUs are not there yet: see `dpfctl describe dpusets`")
    return "; ".join(lines)


def _meta(name: str) -> ObjectMeta:
    return ObjectMeta(name=name, namespace=names.DPF_NAMESPACE)


def _bfb() -> bfb.BFB:
    return bfb.BFB(metadata=_meta(BFB), spec=bfb.BFBSpec(url=BFB_URL))


def _flavor() -> dpuflavor.DPUFlavor:
    """Twenty scalable functions for services; hugepages for Open vSwitch."""
    return dpuflavor.DPUFlavor(metadata=_meta(FLAVOR), spec=dpuflavor.DPUFlavorSpec(
        grub=dpuflavor.Grub(
            kernelParameters=["console=hvc0", "console=ttyAMA0", "hugepagesz=2048kB", "hugepages=3072"],
        ),
        nvconfig=[dpuflavor.NVConfig(device="*", parameters=["PF_TOTAL_SF=20", "NUM_OF_VFS=16"])],
        bfcfgParameters=["UPDATE_ATF_UEFI=yes", "WITH_NIC_FW_UPDATE=yes"],
    ))


def _discovery(platform: settings.Settings) -> dpudiscovery.DPUDiscovery:
    """The BMCs of all cards. It makes a DPUDevice and a DPUNode for each that it finds."""
    found = dpudiscovery.IPRange(
        startIP=addresses.of_bmc(platform.id, 1), endIP=addresses.of_bmc(platform.id, platform.dpus),
        port=platform.port("bmc"),
    )
    return dpudiscovery.DPUDiscovery(metadata=_meta(DISCOVERY), spec=dpudiscovery.DPUDiscoverySpec(
        ipRangeSpec=dpudiscovery.IPRangeSpec(ipRange=found), workers=min(8, platform.dpus),
    ))


def _dpuset(interface: settings.InstallInterface) -> dpuset.DPUSet:
    """Hosts that are Nodes get a taint meanwhile; others are nobody's concern here."""
    taint = Taint(key="dpu", value="provisioning", effect="NoSchedule")
    effect = NodeEffect(taint=taint) if interface == "gnoi" else NodeEffect(noEffect=True)
    return dpuset.DPUSet(metadata=_meta(DPUSET), spec=dpuset.DPUSetSpec(
        dpuNodeSelector=LabelSelector(matchLabels={names.DPU_ENABLED_LABEL: "true"}),
        strategy=dpuset.Strategy(type="RollingUpdate", rollingUpdate=dpuset.RollingUpdate(maxUnavailable=1)),
        dpuTemplate=dpuset.DPUTemplate(spec=dpuset.DPUTemplateSpec(
            bfb=dpuset.BFBReference(name=BFB), dpuFlavor=FLAVOR, nodeEffect=effect,
            cluster=ClusterTemplate(nodeLabels={"dpu": "dpu"}),
        )),
    ))
