"""Every fact that tells whether one installed DPU works, as plain values.

Pure. Filled by `observe`, read by `plan` and `status`.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpf.api.dpu import DPU, ConditionType, Phase
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.meta import Key
from dpf.runtime import conditions
from dpf.services.dpuready.workloads import NodeView, Silent

_INSTALLED = frozenset({
    Phase.DPU_CLUSTER_CONFIG, Phase.SERVICE_READINESS, Phase.NODE_EFFECT_REMOVAL, Phase.READY,
})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at the world around `dpu`.

    `view` is None while its DPUCluster `cluster` has no such Node. `services`, `interfaces` and `chains` are those that
    go to the cluster and to the Node. Of a DPU that is not installed nothing else is read.
    """

    dpu: DPU
    cluster: Key | None = None
    view: NodeView | Silent | None = None
    services: tuple[DPUService, ...] = ()
    interfaces: tuple[DPUServiceInterface, ...] = ()
    chains: tuple[DPUServiceChain, ...] = ()


def is_installed(dpu: DPU) -> bool:
    """Whether the DPU has its system, so that it can be told whether it works."""
    phase = dpu.status.phase
    if phase == Phase.NODE_EFFECT:
        return bool(dpu.status.postProvisioningNodeEffect)
    if phase == Phase.ERROR:
        return conditions.is_true(dpu.status.conditions, ConditionType.DPU_CLUSTER_READY)
    return phase in _INSTALLED
