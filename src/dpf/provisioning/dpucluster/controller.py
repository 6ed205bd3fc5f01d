"""DPUCluster: guarantees that phase, version and Ready tell whether the cluster can be used.

Hands a new DPUCluster to its cluster manager (Pending -> Creating), then asks the API server for its version: every
30 s while it answers, every 5 s while it does not. Writes status only; `Created` and spec.kubeconfig belong to the
manager. Continues: cluster managers (`provisioning.clustermanager`), whoever connects (`runtime.clusterfollower`).
Source: behaviour-provisioning.md section 12.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from dpf.api import names
from dpf.api.core import Secret
from dpf.api.dpu import DPU
from dpf.api.dpucluster import ConditionType, DPUCluster
from dpf.api.meta import Key, object_key
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.dpucluster import observe, status
from dpf.provisioning.dpucluster import plan as planner
from dpf.provisioning.dpucluster.plan import Snapshot
from dpf.provisioning.dpucluster.prober import Prober
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch

BY_CLUSTER: Final = "dpucluster-dpus"
"""DPUs by `namespace/name` of their DPUCluster."""


class DPUClusterController(Reconciler[DPUCluster, Snapshot]):
    """Phases and health of DPUClusters."""

    kind = DPUCluster
    name = "dpucluster"
    field_owner = "dpucluster-controller"
    finalizer = names.DPUCLUSTER_FINALIZER
    condition_types = (ConditionType.READY,)
    observes_generation = False
    permissions = (
        Permission(kind=DPUCluster, verbs=("get", "list", "watch", "patch"), subresources=("status", "finalizers")),
        # Read one by one and fresh (behaviour-service.md 1.2), so that no right to list Secrets is needed.
        Permission(kind=Secret, verbs=("get",)),
        Permission(kind=DPU, verbs=("list", "watch")),
    )

    def __init__(self, *, clusters: ClusterRegistry, prober: Prober) -> None:
        self._clusters = clusters
        self._prober = prober

    @property
    def watches(self) -> Sequence[Watch]:
        """DPUs that come to a cluster or leave it; a manager reports through the condition `Created`."""
        return (Watch(kind=DPU, maps=_clusters_of, indexes={BY_CLUSTER: _index}),)

    async def observe(self, root: DPUCluster) -> Snapshot:
        """The kubeconfig Secret, the answer of the API server, and how many DPUs belong to the cluster."""
        host = self._clusters.host
        seen = await observe.snapshot(root, host=host.client, prober=self._prober)
        count = len(host.cache.store(DPU).keys_by_index(BY_CLUSTER, str(object_key(root))))
        return replace(seen, nodes_count=count)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """When to look again."""
        return planner.plan(snapshot)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """Let go at once."""
        return planner.teardown(snapshot)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """Phase, version and Ready."""
        return status.compute(snapshot, now)


def _clusters_of(old: DPU | None, new: DPU | None) -> Iterable[Key]:
    """The clusters that a DPU has come to, or has left."""
    before, after = (_cluster_of(dpu) if dpu is not None else None for dpu in (old, new))
    return [key for key in (before, after) if key is not None] if before != after else []


def _index(dpu: DPU) -> Iterable[str]:
    return [str(key) for key in _clusters_of(None, dpu)]


def _cluster_of(dpu: DPU) -> Key | None:
    cluster = dpu.spec.cluster if dpu.spec is not None else None
    if cluster is None or not cluster.name:
        return None
    return Key(cluster.namespace or dpu.metadata.namespace or "", cluster.name)
