"""Reads what a pass over a DPUNodeMaintenance needs. Reads only; a place that is given is held in memory (`admission`).

Called by the controller. What runs on a Node is asked of the server, and only while it is drained.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, object_key
from dpf.api.upkeep import Job, NodeMaintenance, PodDisruptionBudget
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.maintenance import drain, durations
from dpf.provisioning.maintenance import plan as planner
from dpf.provisioning.maintenance import snapshot as values
from dpf.provisioning.maintenance.admission import Admissions
from dpf.provisioning.maintenance.naming import Effect
from dpf.provisioning.maintenance.snapshot import Limits, Snapshot, Tenancy


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is read from. `limits` count as long as no DPFOperatorConfig says otherwise."""

    clusters: ClusterRegistry
    admissions: Admissions
    limits: Limits


async def snapshot(world: World, maintenance: DPUNodeMaintenance) -> Snapshot:
    """One look. Raises kube.errors.Error when the host cluster cannot be read."""
    cache, client = world.clusters.host.cache, world.clusters.host.client
    dpunode = cache.get(DPUNode, values.dpunode_key(maintenance))
    node, name = _node(cache, maintenance, dpunode)
    seen = Snapshot(
        maintenance=maintenance, dpunode=dpunode, node=node, node_name=name, limits=_limits(cache, world.limits),
        dpus=_dpus(cache, maintenance), job=cache.get(Job, object_key(maintenance)),
    )
    if maintenance.metadata.deletionTimestamp is not None:
        return replace(seen, tenancy=await _remains(client, seen))
    if values.is_applied(maintenance) or not values.requestors(maintenance) or planner.refusal(seen) is not None:
        world.admissions.give_back(seen.key)
        return seen
    if values.is_committed(maintenance):
        return await _working(client, seen)
    if values.is_harmless(maintenance) or values.is_forced(maintenance):
        return seen
    return replace(seen, full=await world.admissions.is_full(maintenance, seen.limits))


async def _working(client: Client, seen: Snapshot) -> Snapshot:
    match seen.effect:
        case Effect.DRAIN if seen.node is not None:
            return replace(seen, tenancy=await _tenancy(client, seen.key, seen.node))
        case Effect.CUSTOM_ACTION if seen.job is None:
            return replace(seen, action=await _action(client, seen))
        case _:
            return seen


async def _tenancy(client: Client, key: Key, node: core.Node) -> Tenancy:
    """Pods are read for our own drain alone: the operator looks for itself."""
    if not drain.is_cordoned_by(node, key) and await _operator_served(client):
        found = await _node_maintenance(client, key.namespace, node.metadata.name)
        return Tenancy(operator_served=True, node_maintenance=found)
    pods = (await client.list(core.Pod, fields=f"spec.nodeName={node.metadata.name}")).items
    namespaces = sorted({pod.metadata.namespace or "" for pod in pods})
    budgets = [b for ns in namespaces for b in (await client.list(PodDisruptionBudget, ns)).items]
    return Tenancy(operator_served=False, pods=pods, budgets=tuple(budgets))


async def _remains(client: Client, seen: Snapshot) -> Tenancy | None:
    """What the operator still has for us; only one who may have drained has to ask."""
    if seen.effect is not Effect.DRAIN or seen.node_name is None or not values.is_committed(seen.maintenance):
        return None
    if not await _operator_served(client):
        return Tenancy(operator_served=False)
    found = await _node_maintenance(client, seen.key.namespace, seen.node_name)
    return Tenancy(operator_served=True, node_maintenance=found)


async def _operator_served(client: Client) -> bool:
    """Whether the maintenance operator's kind exists: an answer to a list cannot tell that from an empty one."""
    try:
        await client.get(core.CustomResourceDefinition, NodeMaintenance.resource.qualified_name)
    except errors.NotFound:
        return False
    return True


async def _node_maintenance(client: Client, namespace: str, node: str) -> NodeMaintenance | None:
    try:
        return await client.get(NodeMaintenance, node, namespace)
    except errors.NotFound:
        return None


async def _action(client: Client, seen: Snapshot) -> core.ConfigMap | None:
    try:
        return await client.get(core.ConfigMap, planner.wanted(seen).customAction or "", seen.key.namespace)
    except errors.NotFound:
        return None


def _node(
    cache: Cache, maintenance: DPUNodeMaintenance, dpunode: DPUNode | None
) -> tuple[core.Node | None, str | None]:
    """The Node of the host, and its name. Of a host whose DPUNode has gone: the Node of the same name."""
    if dpunode is not None:
        name = dpunode.status.kubeNodeRef
        return (cache.get(core.Node, Key("", name)) if name else None), name or None
    node = cache.get(core.Node, Key("", values.dpunode_key(maintenance).name))
    return node, node.metadata.name if node is not None else None


def _dpus(cache: Cache, maintenance: DPUNodeMaintenance) -> tuple[DPU, ...]:
    namespace = maintenance.metadata.namespace or ""
    found = (cache.get(DPU, Key(namespace, name)) for name in values.requestors(maintenance))
    return tuple(dpu for dpu in found if dpu is not None)


def _limits(cache: Cache, fallback: Limits) -> Limits:
    for config in sorted(cache.list(DPFOperatorConfig), key=object_key):
        settings = config.spec.provisioningController if config.spec is not None else None
        wait_s = durations.seconds(settings.multiDPUOperationsSyncWaitTime) if settings is not None else None
        if settings is not None and wait_s is not None:
            return Limits(
                max_unavailable=settings.maxUnavailableDPUNodes, sync_wait_s=wait_s,
                sync_wait=settings.multiDPUOperationsSyncWaitTime,
            )
    return fallback
