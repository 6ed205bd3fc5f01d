"""Reads what a pass over a DPUSet needs. Reads only; called by the controller at the start of each pass.

The caches answer, by index. Before anything is deleted, and before a DPUSet goes, the API server itself is asked,
because each kind is watched on its own and one cache may be later than another, above all in a process that has just
become the leader: about the DPUSet, its DPUs, and the devices, hosts and clusters that seem to be lost. So no more DPUs
are out of service than allowed, and none is installed anew because of something that is merely late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from dpf.api import names
from dpf.api.dpfoperatorconfig import DeploymentMode, DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpuset import DPUSet, DPUSetSpec
from dpf.api.meta import Key, Object, object_key
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.dpuset import drift, naming, plan, selection, watches
from dpf.provisioning.dpuset.selection import Candidate
from dpf.provisioning.dpuset.snapshot import Platform, Snapshot, device_of

T = TypeVar("T", bound=Object)

_AT_A_TIME: Final = 20
"""Devices that the API server is asked about together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is read from. `version` is that of the platform, `dpf_namespace` where its configuration is expected."""

    clusters: ClusterRegistry
    version: str
    dpf_namespace: str


async def snapshot(world: World, dpuset: DPUSet, *, rests_s: float = 0.0) -> Snapshot:
    """One look; none, when the pass can wait for `rests_s`. Raises kube.errors.Error when the host does not answer."""
    cache, client = world.clusters.host.cache, world.clusters.host.client
    if rests_s:
        return Snapshot(dpuset=dpuset, platform=Platform(version=world.version), rests_s=rests_s)
    platform = _platform(cache, world)
    if dpuset.metadata.deletionTimestamp is not None:
        seen = Snapshot(dpuset=dpuset, platform=platform, dpus=_owned(cache, dpuset), marked=_marked(cache, dpuset))
        return seen if seen.dpus else replace(seen, dpus=await _listed(client, seen))
    seen = _from_cache(cache, dpuset, platform)
    return await _confirmed(client, seen) if plan.victims(seen) else seen


def _from_cache(cache: Cache, dpuset: DPUSet, platform: Platform) -> Snapshot:
    spec, namespace = dpuset.spec or DPUSetSpec(), dpuset.metadata.namespace or ""
    usable = dpuset.spec is not None and selection.problem(spec) is None
    candidates = sorted(_candidates(cache, namespace, spec), key=lambda c: c.name) if usable else ()
    dpus = _owned(cache, dpuset)
    seen = Snapshot(
        dpuset=dpuset, platform=platform, candidates=tuple(candidates), dpus=dpus, marked=_marked(cache, dpuset),
        clusters=_clusters(cache, spec, dpus),
    )
    free = [c for c in seen.candidates if c.device.metadata.name not in seen.by_device]
    older = {dpu.spec.nodeName: dpu for dpu in dpus if not device_of(dpu) and dpu.spec is not None}
    return replace(
        seen, rivals=_rivals(cache, seen, free),
        obstacles={c.name: why for c in free if (why := _obstacle(cache, older, c)) is not None},
    )


def _candidates(cache: Cache, namespace: str, spec: DPUSetSpec) -> Iterable[Candidate]:
    for node in _nodes(cache, namespace, spec):
        for device in cache.by_index(DPUDevice, watches.BY_NODE, f"{namespace}/{node.metadata.name}"):
            if selection.selects(spec, node, device):
                yield Candidate(node=node, device=device)


def _nodes(cache: Cache, namespace: str, spec: DPUSetSpec) -> Iterable[DPUNode]:
    """DPUNodes that may be selected: those that are filed under a value of each group, of which few are read."""
    store = cache.store(DPUNode)
    groups = [
        [store.keys_by_index(watches.BY_LABEL, watches.label_value(namespace, value)) for value in group]
        for group in selection.node_groups(spec)
    ]
    if not groups:
        return cache.list(DPUNode, namespace)
    groups.sort(key=lambda group: sum(map(len, group)))
    found = {key for keys in groups[0] for key in keys if all(any(key in k for k in group) for group in groups[1:])}
    nodes = (store.get(key) for key in found if key not in store.unreadable)
    return [node for node in nodes if node is not None]


def _owned(cache: Cache, dpuset: DPUSet) -> tuple[DPU, ...]:
    """DPUs that have this DPUSet as their controller, or have lost it and carry its labels."""
    dpus = (
        *cache.by_index(DPU, watches.BY_OWNER, dpuset.metadata.uid or ""),
        *cache.by_index(DPU, watches.BY_OWNER, str(object_key(dpuset))),
    )
    return tuple(sorted(dpus, key=_name))


def _marked(cache: Cache, dpuset: DPUSet) -> tuple[DPU, ...]:
    value = watches.collision_value(dpuset.metadata.namespace or "", dpuset.metadata.name)
    return tuple(sorted(cache.by_index(DPU, watches.BY_COLLISION, value), key=_name))


def _clusters(cache: Cache, spec: DPUSetSpec, dpus: Sequence[DPU]) -> dict[Key, DPUCluster]:
    """Clusters of the DPUs; nobody asks about them without a selector."""
    cluster = spec.dpuTemplate.spec.cluster
    if cluster is None or cluster.selector is None:
        return {}
    store = cache.store(DPUCluster)
    keys = {key for dpu in dpus if (key := drift.cluster_of(dpu)) is not None and key not in store.unreadable}
    return {key: found for key in sorted(keys) if (found := store.get(key)) is not None}


def _rivals(cache: Cache, seen: Snapshot, free: Iterable[Candidate]) -> dict[str, DPU]:
    rivals: dict[str, DPU] = {}
    for candidate in free:
        device = candidate.device.metadata.name
        others = cache.by_index(DPU, watches.BY_DEVICE, f"{seen.key.namespace}/{device}")
        if others:
            rivals[device] = min(others, key=_name)
    return rivals


def _obstacle(cache: Cache, older: Mapping[str | None, DPU], candidate: Candidate) -> str | None:
    """Why no DPU of the candidate's name can be made. `older` are DPUs of a release without devices, by their Node."""
    metadata = candidate.node.metadata
    for host in (metadata.name, candidate.node.status.kubeNodeRef):
        if host in older:
            return (
                f"DPU {older[host].metadata.name} was made by an older release and does not say for which DPUDevice "
                f"of {host}; delete it to have it made anew"
            )
    try:
        holder = cache.get(DPU, Key(metadata.namespace or "", candidate.name))
    except errors.NotSynced as error:
        return str(error)
    if holder is None or device_of(holder) == candidate.device.metadata.name:
        return None
    return f"DPU {candidate.name} is for DPUDevice {device_of(holder) or '(none)'}: rename one of the DPUDevices"


def _platform(cache: Cache, world: World) -> Platform:
    """How DPUs are installed. Of several DPFOperatorConfigs, the one where it is expected."""
    found = sorted(
        cache.list(DPFOperatorConfig), key=lambda c: (c.metadata.namespace != world.dpf_namespace, object_key(c))
    )
    unreadable = cache.store(DPFOperatorConfig).unreadable
    if unreadable and not found:
        raise errors.NotSynced(f"DPFOperatorConfig {min(unreadable)} cannot be read; correct it")
    spec = found[0].spec if found else None
    if spec is None:
        return Platform(version=world.version)
    interface = spec.provisioningController.installInterface
    zero_trust = spec.deploymentMode == DeploymentMode.ZERO_TRUST
    by_redfish = interface is not None and interface.installViaRedfish is not None
    return Platform(version=world.version, redfish=zero_trust or by_redfish, zero_trust=zero_trust)


async def _confirmed(client: Client, seen: Snapshot) -> Snapshot:
    """The same with what the API server says about everything on account of which DPUs would be deleted."""
    live = await _read(client, DPUSet, seen.key)
    if live is None or _version(live) != _version(seen.dpuset):
        return replace(seen, is_behind=True)
    seen = replace(seen, dpus=await _listed(client, seen))
    clusters = {key for dpu in plan.victims(seen) if (key := drift.cluster_of(dpu)) in seen.clusters and key}
    found = await asyncio.gather(*(_read(client, DPUCluster, key) for key in sorted(clusters)))
    fresh = {object_key(cluster): cluster for cluster in found if cluster is not None}
    kept = {key: cluster for key, cluster in seen.clusters.items() if key not in clusters}
    retained: set[str] = set()
    for start in range(0, len(seen.unselected), _AT_A_TIME):
        dpus = seen.unselected[start:start + _AT_A_TIME]
        answers = await asyncio.gather(*(_is_selected(client, seen.spec, dpu) for dpu in dpus))
        retained |= {dpu.metadata.name for dpu, is_kept in zip(dpus, answers, strict=True) if is_kept}
    return replace(seen, clusters={**kept, **fresh}, retained=frozenset(retained))


async def _listed(client: Client, seen: Snapshot) -> tuple[DPU, ...]:
    """DPUs of the set, from the server by the label; those that have lost the label, as the cache has them."""
    labels = f"{names.DPUSET_NAME_LABEL}={naming.label_value(seen.key.name)}"
    mine = {seen.dpuset.metadata.uid or "", str(seen.key)}
    listed = (await client.list(DPU, seen.key.namespace, labels=labels)).items
    unlabelled = (dpu for dpu in seen.dpus if not _has_label(dpu, seen.key.name))
    return tuple(sorted((*(d for d in listed if mine & set(watches.owner_index(d))), *unlabelled), key=_name))


def _has_label(dpu: DPU, dpuset: str) -> bool:
    return (dpu.metadata.labels or {}).get(names.DPUSET_NAME_LABEL) == naming.label_value(dpuset)


async def _is_selected(client: Client, spec: DPUSetSpec, dpu: DPU) -> bool:
    """Whether the server's device and host are selected, and for this DPU; one that cannot be read is not lost."""
    namespace = dpu.metadata.namespace or ""
    try:
        device = await _read(client, DPUDevice, Key(namespace, device_of(dpu)))
        name = (device.metadata.labels or {}).get(names.DPUNODE_NAME_LABEL) if device is not None else None
        node = await _read(client, DPUNode, Key(namespace, name)) if name else None
    except errors.Invalid:
        return True
    if device is None or node is None or not selection.selects(spec, node, device):
        return False
    return dpu.spec is not None and dpu.spec.dpuNodeName == node.metadata.name


async def _read(client: Client, kind: type[T], key: Key) -> T | None:
    try:
        return await client.get(kind, key.name, key.namespace)
    except errors.NotFound:
        return None


def _version(dpuset: DPUSet) -> tuple[object, ...]:
    """What of the DPUSet a deletion depends on."""
    metadata = dpuset.metadata
    return metadata.uid, metadata.generation, metadata.deletionTimestamp


def _name(dpu: DPU) -> str:
    return dpu.metadata.name
