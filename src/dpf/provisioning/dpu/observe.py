"""Reads what a pass over a DPU needs: caches by index, and the card where the phase asks for it. Reads only.

Called by the controller. A place among the installations and a DPUCluster are held in memory once they are proposed
(`places`). The API server itself is asked only before a DPU is let go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from dpf.api import core
from dpf.api.bfb import BFB
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU, DPUSpec, Phase
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, Object, object_key
from dpf.api.provisioning import InstallInterface
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.clusters import ClusterRegistry, Unreachable
from dpf.provisioning.dpu import cards, settings, watches
from dpf.provisioning.dpu.phases import table
from dpf.provisioning.dpu.places import Places
from dpf.provisioning.dpu.snapshot import UNBEGUN, Settings, Snapshot, Unknown
from dpf.provisioning.hostpods import build, state
from dpf.provisioning.install.port import Installer
from dpf.provisioning.maintenance import request
from dpf.provisioning.maintenance import snapshot as maintenances
from dpf.provisioning.maintenance import watches as effects
from dpf.runtime import clock

T = TypeVar("T", bound=Object)

POD_LIMIT: Final = timedelta(minutes=10)
"""How long a host that is dead may keep a DPU from going."""


class Leftovers(Protocol):
    """Who knows what is left of a DPU beside its Node."""

    async def remains(self, dpu: DPU, cluster: Key | None) -> tuple[str, ...]:
        """Names of it, for people; in the DPU cluster too, unless that is None. Raises kube.errors.Error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is read from. `installers` by install interface; `usual` counts where the DPFOperatorConfig says nothing."""

    clusters: ClusterRegistry
    installers: dict[InstallInterface, Installer]
    places: Places
    leftovers: Leftovers
    usual: Settings


async def snapshot(world: World, dpu: DPU, now: datetime) -> Snapshot:
    """One look. Raises kube.errors.Error when the host cluster cannot be read."""
    seen = _from_caches(world, dpu, now)
    if dpu.metadata.deletionTimestamp is not None and dpu.status.phase == Phase.DELETING:
        world.places.give_back(dpu)
        return await _going(world, seen, now)
    seen = await _with_card(world, seen)
    if dpu.status.phase == Phase.PENDING:
        if table.decide(seen, now).update.phase is not Phase.NODE_EFFECT:
            world.places.give_back(dpu)
            return seen
        has_place, others = world.places.admit(dpu, seen.settings.parallel_installations)
        return replace(seen, has_place=has_place, installing=others)
    if table.phase_of(dpu.status.phase) is Phase.INITIALIZING and seen.cluster_key is None and seen.device is not None:
        allocated, why = world.places.assign(dpu)
        return replace(seen, allocated=allocated, unallocated=why)
    return seen


def _from_caches(world: World, dpu: DPU, now: datetime) -> Snapshot:
    cache, spec = world.clusters.host.cache, dpu.spec or DPUSpec()
    namespace = dpu.metadata.namespace or ""
    configs = cache.list(DPFOperatorConfig)
    dpunode = cache.get(DPUNode, Key(namespace, spec.dpuNodeName)) if spec.dpuNodeName else None
    seen = Snapshot(
        dpu=dpu, settings=settings.of_config(configs[0] if configs else None, world.usual), dpunode=dpunode,
        device=_named(cache, DPUDevice, namespace, spec.dpuDeviceName),
        bfb=_named(cache, BFB, namespace, spec.bfb), flavor=_named(cache, DPUFlavor, namespace, spec.dpuFlavor),
        host_node=_host_node(cache, dpunode), maintenances=_maintenances(cache, dpu, dpunode),
        siblings=_siblings(cache, dpu),
        dms=state.dms_state(cache.get(core.Pod, Key(namespace, build.dms_name(spec.dpuNodeName))), now),
        host_network=state.hostnetwork_state(cache.get(core.Pod, Key(namespace, build.hostnetwork_name(
            dpu.metadata.name
        )))),
    )
    if table.phase_of(dpu.status.phase) in UNBEGUN:
        seen = replace(seen, rival=_rival(cache, dpu, seen.device), namesake=_namesake(cache, dpu))
    key = seen.cluster_key
    if key is None:
        return seen
    return replace(seen, cluster=cache.get(DPUCluster, key), node=_node(world, key, dpu.metadata.name))


def _rival(cache: Cache, dpu: DPU, device: DPUDevice | None) -> DPU | None:
    """Another DPU on the same card, in whatever namespace, that was there first."""
    if device is None or device.spec is None:
        return None
    devices = cache.by_index(DPUDevice, watches.BY_SERIAL, device.spec.serialNumber.lower())
    others = (other for one in devices for other in cache.by_index(DPU, watches.BY_DEVICE, str(object_key(one))))
    return min((other for other in others if _is_before(other, dpu)), key=object_key, default=None)


def _namesake(cache: Cache, dpu: DPU) -> DPU | None:
    """Another DPU that joins the same DPUCluster by the same name, and was there first."""
    key = watches.cluster_of(dpu)
    others = cache.by_index(DPU, watches.BY_NAME, dpu.metadata.name) if key is not None else ()
    found = (other for other in others if watches.cluster_of(other) == key and _is_before(other, dpu))
    return min(found, key=object_key, default=None)


def _is_before(other: DPU, dpu: DPU) -> bool:
    """Whether `other` has begun already, or is older: of two that have not begun, both agree who waits."""
    if other.metadata.uid == dpu.metadata.uid:
        return False
    ages = [(one.metadata.creationTimestamp or "", one.metadata.uid or "") for one in (other, dpu)]
    return table.phase_of(other.status.phase) not in UNBEGUN or ages[0] < ages[1]


def _named(cache: Cache, kind: type[T], namespace: str, name: str | None) -> T | None:
    return cache.get(kind, Key(namespace, name)) if name else None


def _host_node(cache: Cache, dpunode: DPUNode | None) -> core.Node | None:
    name = dpunode.status.kubeNodeRef if dpunode is not None else None
    return cache.get(core.Node, Key("", name)) if name else None


def _siblings(cache: Cache, dpu: DPU) -> tuple[DPU, ...]:
    where = str(Key(dpu.metadata.namespace or "", dpu.spec.dpuNodeName if dpu.spec is not None else ""))
    found = cache.by_index(DPU, watches.BY_NODE, where)
    return tuple(sorted((one for one in found if one.metadata.name != dpu.metadata.name), key=object_key))


def _maintenances(cache: Cache, dpu: DPU, dpunode: DPUNode | None) -> tuple[DPUNodeMaintenance, ...]:
    """Those that this DPU asks for, and the one that it would."""
    where = Key(dpu.metadata.namespace or "", dpu.spec.dpuNodeName if dpu.spec is not None else "")
    wanted = None
    if dpunode is not None:
        wanted = request.maintenance_key(dpunode, dpu.spec.nodeEffect if dpu.spec is not None else None)
    found = cache.by_index(DPUNodeMaintenance, effects.BY_DPUNODE, str(where))
    mine = (one for one in found if object_key(one) == wanted or dpu.metadata.name in maintenances.requestors(one))
    return tuple(sorted(mine, key=object_key))


def _node(world: World, cluster: Key, name: str) -> core.Node | Unknown | None:
    """The Node in the DPU cluster; only a cache with contact says that there is none."""
    found = world.clusters.get(cluster)
    if isinstance(found, Unreachable):
        return Unknown(why=found.why)
    try:
        return found.cache.get(core.Node, Key("", name))
    except errors.Error as error:
        return Unknown(why=str(error))


async def _with_card(world: World, seen: Snapshot) -> Snapshot:
    topics = cards.topics(seen)
    if not topics or seen.interface is None:
        # The address is known all the same: some phases give orders without looking.
        return replace(seen, card=cards.card_of(seen, seen.host_node))
    card, installer = cards.card_of(seen, seen.host_node), world.installers.get(seen.interface)
    if card is None or installer is None:
        return seen
    sight = await installer.look(card, topics=topics, task=cards.task(seen))
    return replace(seen, card=card, sight=sight)


def _pods_left(world: World, seen: Snapshot, now: datetime) -> tuple[str, ...]:
    """The pod of the host's network; one that its node does not end goes with its node, at last."""
    key = Key(seen.key.namespace, build.hostnetwork_name(seen.key.name))
    pod = world.clusters.host.cache.get(core.Pod, key)
    if pod is None or seen.host_network is None or seen.host_network.phase is state.PodPhase.NOT_THERE:
        return ()
    if pod.metadata.deletionTimestamp is None:
        return (f"Pod {key.name}",)
    if now - clock.parse_rfc3339(pod.metadata.deletionTimestamp) > POD_LIMIT:
        return ()
    limit = f"{POD_LIMIT.total_seconds() / 60:.0f} min"
    return (f"Pod {key.name}: its node has not ended it yet; it is waited for at most {limit}",)


async def _going(world: World, seen: Snapshot, now: datetime) -> Snapshot:
    """Before a DPU is let go the servers are asked: a cache may be a moment behind."""
    if isinstance(seen.node, core.Node):
        return replace(seen, remains=("its tokens and files",))
    if seen.cluster is None:
        seen = replace(seen, node=None)
    pods = _pods_left(world, seen, now)
    answers = seen.cluster is not None and not isinstance(seen.node, Unknown)
    left = await world.leftovers.remains(seen.dpu, seen.cluster_key if answers else None)
    return replace(seen, remains=(*pods, *left, *(await _unseen_requests(world, seen))))


async def _unseen_requests(world: World, seen: Snapshot) -> tuple[str, ...]:
    """Maintenances that the DPU has asked and that the cache does not show: nobody else takes its request back."""
    listing = await world.clusters.host.client.list(DPUNodeMaintenance, seen.key.namespace)
    shown = {object_key(one) for one in seen.maintenances if seen.key.name in maintenances.requestors(one)}
    asked = (one for one in listing.items if seen.key.name in maintenances.requestors(one))
    return tuple(
        f"its request in DPUNodeMaintenance {one.metadata.name}" for one in asked if object_key(one) not in shown
    )
