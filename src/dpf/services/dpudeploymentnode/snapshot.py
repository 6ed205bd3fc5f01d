"""Every fact that a decision about the labels of one host Node needs, as plain values.

Pure. Filled by `observe`, read by `plan`.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpf.api import core
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuset import DPUSet
from dpf.services.dpudeploymentnode.claims import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A DPUDeployment with in-cluster services: what they claim, and the DPUSets it has made."""

    object: DPUDeployment
    claims: tuple[Claim, ...]
    dpusets: tuple[DPUSet, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at the world around `node`.

    `dpunodes` are the DPUNodes that stand for the Node, `maintenances` those of these DPUNodes, `deployments` those of
    their namespaces. `unused` are version labels of the node that no DPUService of the cluster claims.
    """

    node: core.Node
    dpunodes: tuple[DPUNode, ...] = ()
    maintenances: tuple[DPUNodeMaintenance, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    unused: frozenset[str] = frozenset()
