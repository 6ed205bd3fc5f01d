"""One emulated node while it is joined: Node object, Lease, heartbeat, node ports, and a worker for every pod.

`nodes` runs an agent for each configured node and gives it an identity. Cancelling an agent is like stopping a kubelet:
containers go on running, and the next agent of the node finds them again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec
import structlog

from dpf.api import core
from dpf.api.meta import Key, object_key
from dpf.emulation.kubelet import addresses, node, nodeclient, nodeports, podfolder, records
from dpf.emulation.kubelet.addresses import NodeAddresses
from dpf.emulation.kubelet.network import NetworkError
from dpf.emulation.kubelet.node import NodeFacts
from dpf.emulation.kubelet.podworker import Node, PodWorker
from dpf.emulation.kubelet.processes import Found
from dpf.emulation.kubelet.relay import Relay
from dpf.kube import client as port
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.reflector import Reflectors

_LOG: Final = structlog.get_logger(__name__)
_RETRY_S: Final = 2.0


class Agent:
    """The kubelet of one node. With a problem in `facts` the node is reported NotReady."""

    def __init__(self, node: Node, facts: NodeFacts, addresses: NodeAddresses) -> None:
        self._node = node
        self._facts = facts
        self._addresses = addresses
        self._cache = Cache(f"node {node.name}")
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._found: dict[str, list[Found]] = {}
        self._ports_changed = asyncio.Event()
        self._crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Until cancelled. Raises Unauthorized when the node's certificate is not accepted any more."""
        registered = await self._register()
        self._found = self._find_containers()
        self._cache.register(core.Pod, fields=nodeclient.pods_of(self._node.name))
        self._cache.subscribe(core.Pod, self._on_pod)
        self._cache.register(core.Service)
        self._cache.subscribe(core.Service, lambda _old, _new: self._ports_changed.set())
        reflectors = Reflectors(self._node.client, self._cache)
        reflectors.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew_lease(registered))
                group.create_task(self._beat())
                group.create_task(self._sweep())
                group.create_task(self._watch_workers())
                group.create_task(self._serve_node_ports())
        finally:
            await reflectors.stop("the node has stopped")
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._node.watcher.close()

    def container_log(self, namespace: str, pod: str, container: str, *, previous: bool) -> Path | None:
        """The log file of the container's current (or previous) life; None when it has none here."""
        worker = self._worker(namespace, pod)
        return worker.log_file(container, previous=previous) if worker else None

    def is_running(self, namespace: str, pod: str, container: str) -> bool:
        """Whether that container runs on this node."""
        worker = self._worker(namespace, pod)
        return worker is not None and worker.is_running(container)

    def _worker(self, namespace: str, pod: str) -> PodWorker | None:
        """The worker of the pod of that name; of two (one is being deleted) the younger."""
        wanted = Key(namespace, pod)
        named = [worker for worker in self._workers.values() if object_key(worker.pod) == wanted]
        return named[-1] if named else None

    async def _register(self) -> core.Node:
        """Have the Node in the cluster as we say it is. Tries until the API server answers."""
        while True:
            try:
                return await self._create_or_update()
            except (errors.Transient, errors.NotFound) as error:
                _LOG.warning("cannot register node", node=self._node.name, why=str(error))
                await self._node.clock.sleep(_RETRY_S)

    async def _create_or_update(self) -> core.Node:
        """Create the Node, or bring the one that is there up to date."""
        wanted = node.build(self._facts, self._node.clock.now())
        try:
            return await self._node.client.create(wanted)
        except errors.AlreadyExists:
            current = await self._node.client.get(core.Node, self._node.name)
        changes = node.metadata_changes(current, wanted)
        if changes:
            await self._node.client.patch(core.Node, self._node.name, patch=changes)
        return await self._report_status(current)

    async def _report_status(self, current: core.Node) -> core.Node:
        wanted = node.build_status(self._facts, current.status.conditions or (), self._node.clock.now())
        return await self._node.client.patch(
            core.Node, self._node.name, patch={"status": msgspec.to_builtins(wanted)},
            type=port.PatchType.STRATEGIC, subresource="status",
        )

    async def _beat(self) -> None:
        """Report the node's status every five minutes."""
        while True:
            await self._node.clock.sleep(node.HEARTBEAT_S)
            try:
                await self._report_status(await self._node.client.get(core.Node, self._node.name))
            except errors.Unauthorized:
                raise
            except errors.Error as error:
                # A Node that somebody deleted is not made again while we run: that is how a node is taken out.
                _LOG.warning("cannot report node status", node=self._node.name, why=str(error))

    async def _renew_lease(self, registered: core.Node) -> None:
        """Every ten seconds; the control plane calls a node lost after forty seconds without."""
        while True:
            lease = node.build_lease(registered, self._node.clock.now())
            try:
                await self._put_lease(lease)
            except errors.Unauthorized:
                raise
            except errors.Error as error:
                _LOG.warning("cannot renew lease", node=self._node.name, why=str(error))
                await self._node.clock.sleep(_RETRY_S)
                continue
            await self._node.clock.sleep(node.RENEW_EVERY_S)

    async def _put_lease(self, lease: core.Lease) -> None:
        try:
            await self._node.client.patch(
                core.Lease, lease.metadata.name, node.LEASE_NAMESPACE, patch={"spec": msgspec.to_builtins(lease.spec)}
            )
        except errors.NotFound:
            await self._node.client.create(lease)

    def _find_containers(self) -> dict[str, list[Found]]:
        """What an earlier kubelet of this node left running, by pod uid."""
        found: dict[str, list[Found]] = {}
        for item in self._node.processes.find_all():
            found.setdefault(item.pod_uid, []).append(item)
        return found

    async def _sweep(self) -> None:
        """Once the pods are known: end and remove what belongs to pods that were deleted while nobody looked."""
        await self._cache.wait_synced(core.Pod)
        known = {pod.metadata.uid or "" for pod in self._cache.list(core.Pod)}
        folders = dict(podfolder.all_of(self._node.folder))
        for uid in sorted({*self._found, *folders} - known):
            ended = self._node.processes.kill_strays(uid)
            try:
                await self._node.network.remove_pod(uid)
            except NetworkError as error:
                _LOG.warning("cannot remove the network of a pod that is gone", uid=uid, why=str(error))
            if uid in folders:
                podfolder.remove(folders[uid])
            _LOG.info("removed a pod that is gone", node=self._node.name, uid=uid, processes=ended)

    def _on_pod(self, old: core.Pod | None, new: core.Pod | None) -> None:
        """A change in the cache: tell the pod's worker, or make one."""
        self._ports_changed.set()
        if new is None:
            worker = self._workers.get(old.metadata.uid or "") if old else None
            if worker is not None:
                worker.orphan()
            return
        if old is not None and old.metadata.uid != new.metadata.uid:
            self._on_pod(old, None)
        uid = new.metadata.uid or ""
        if uid in self._workers:
            self._workers[uid].update(new)
        else:
            self._start_worker(uid, new)

    async def _serve_node_ports(self) -> None:
        """Keep the node's ports those of the Services and ready pods. Cancellation closes them."""
        relay = Relay(self._node.host_ip, self._node.network.node_netns)
        try:
            while True:
                # While the API server is away the ports stay as they are.
                await self._cache.wait_synced(core.Pod, core.Service)
                try:
                    services, pods = self._cache.list(core.Service), self._cache.list(core.Pod)
                except errors.NotSynced:
                    continue
                await relay.update(nodeports.wanted(services, pods))
                await self._ports_changed.wait()
                self._ports_changed.clear()
        finally:
            await relay.close()

    def _start_worker(self, uid: str, pod: core.Pod) -> None:
        worker = PodWorker(pod, self._node, allocate=self._allocate, found=self._found.pop(uid, ()))
        self._workers[uid] = worker
        task = asyncio.create_task(worker.run(), name=f"pod {object_key(pod)}")
        self._tasks[uid] = task
        task.add_done_callback(lambda done: self._on_worker_done(uid, done))

    def _on_worker_done(self, uid: str, task: asyncio.Task[None]) -> None:
        """A worker that ended by an exception is a fault of ours: it stops the agent, which is started again."""
        self._workers.pop(uid, None)
        self._tasks.pop(uid, None)
        if not task.cancelled() and (error := task.exception()) is not None and not self._crashed.done():
            self._crashed.set_exception(error)

    async def _watch_workers(self) -> None:
        await self._crashed

    def _allocate(self) -> str:
        """An address that no pod of the node has, also none that has not been swept yet."""
        used = [worker.ip for worker in self._workers.values()]
        stored = [records.load(folder) for _, folder in podfolder.all_of(self._node.folder)]
        taken = {ip for ip in used if ip} | {record.ip for record in stored if record}
        return addresses.first_free(self._addresses, taken - {str(self._addresses.node)})
