"""Read what a pass over a DPUCluster needs: its kubeconfig Secret and the answer of its API server. Reads only."""

from __future__ import annotations

from dpf.api.dpucluster import ConditionType, DPUCluster, Phase
from dpf.kube.client import Client
from dpf.provisioning.dpucluster import kubeconfig
from dpf.provisioning.dpucluster.plan import Snapshot
from dpf.provisioning.dpucluster.prober import Prober, Unhealthy
from dpf.runtime import conditions
from dpf.runtime.kubeconfigsecret import Unusable


async def snapshot(cluster: DPUCluster, *, host: Client, prober: Prober) -> Snapshot:
    """Ask the API server of `cluster` once its manager has reported it as created, also after that was taken back.

    Raises kube.errors.Error when the host cluster cannot be read.
    """
    if cluster.metadata.deletionTimestamp or not _can_be_asked(cluster):
        return Snapshot(cluster=cluster)
    access = await kubeconfig.read(host, cluster)
    if isinstance(access, Unusable):
        return Snapshot(cluster=cluster, health=Unhealthy(why=access.why, advice=access.advice))
    return Snapshot(cluster=cluster, server=access.server, health=await prober.probe(access.connection))


def _can_be_asked(cluster: DPUCluster) -> bool:
    if conditions.is_true(cluster.status.conditions, ConditionType.CREATED):
        return True
    return cluster.status.phase in (Phase.READY, Phase.NOT_READY) and bool(cluster.spec.kubeconfig)
