"""All nodes of one kubelet process: joins each, runs its agent, starts it again after a fault.

Called by `__main__`. Nodes are independent: one that cannot join or whose cluster is away never delays another. A node
that leaves the configuration is switched off: its processes end and its network goes; its Node object is for the
cluster's owner to delete, as with a real machine.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from dpf.emulation.join import bootstrap, discovery
from dpf.emulation.join import errors as join_errors
from dpf.emulation.join import identity as identities
from dpf.emulation.join.identity import Identity
from dpf.emulation.kubelet import addresses, machines, nodeclient
from dpf.emulation.kubelet.addresses import NodeAddresses
from dpf.emulation.kubelet.agent import Agent
from dpf.emulation.kubelet.config import Config, NetworkMode, NodeConfig
from dpf.emulation.kubelet.containers import ContainerStarter
from dpf.emulation.kubelet.network import HostNetwork, NetworkError, PodNetwork
from dpf.emulation.kubelet.node import DEFAULT_CAPACITY, Machine, NodeFacts
from dpf.emulation.kubelet.podworker import Node
from dpf.emulation.kubelet.processes import Processes, Watcher
from dpf.emulation.kubelet.server import LogServer
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.local.supervisor import procfs
from dpf.local.supervisor.spec import PLATFORM_VARIABLE
from dpf.runtime.clock import Clock

_LOG: Final = structlog.get_logger(__name__)
_FIRST_RETRY_S: Final = 0.5
_LAST_RETRY_S: Final = 15.0
_CHECK_RENEWAL_S: Final = 3600.0
_CHECK_NETWORK_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """What every node of this process shares."""

    platform: str
    state: Path
    config: Config
    clock: Clock

    @property
    def namespaces(self) -> bool:
        """Whether nodes and pods get network namespaces of their own."""
        mode = self.config.network.mode
        return mode is NetworkMode.NAMESPACES or (mode is NetworkMode.AUTO and os.geteuid() == 0)

    @property
    def mark(self) -> Path:
        """What marks every process of this platform: the supervisor's mark when one started us, else our folder."""
        return Path(os.environ.get(PLATFORM_VARIABLE) or self.state)


def new_plant(config: Config, clock: Clock) -> Plant:
    """The shared part of `config`."""
    return Plant(platform=config.platform, state=Path(config.stateDir).resolve(), config=config, clock=clock)


class EmulatedNode:
    """One node from joining to being switched off."""

    def __init__(self, config: NodeConfig, plant: Plant) -> None:
        self._config = config
        self._plant = plant
        self._folder = plant.state / config.name
        self._addresses = addresses.of_node(plant.config.network, config.index, namespaces=plant.namespaces)
        self._network = build_network(plant, config, self._addresses)
        self._processes = Processes(state=self._folder, platform=plant.mark)

    async def run(self) -> None:
        """Join and serve, for ever. A fault of the agent itself is raised, after which `run` may be called again."""
        failures = 0
        while True:
            try:
                await self._start_machine()
                identity = await self._identity()
                failures = 0
                await self._serve(identity)
            except* (join_errors.JoinError, errors.Error, NetworkError, OSError) as group:
                failures += 1
                for error in _leaves(group):
                    _LOG.warning("node is down", node=self._config.name, why=str(error))
                if group.subgroup(errors.Unauthorized):
                    identities.discard(self._folder)
            await self._plant.clock.sleep(min(_FIRST_RETRY_S * 2.0 ** min(failures, 10), _LAST_RETRY_S))

    async def switch_off(self) -> None:
        """End every process of the node and take its network away. Raises NetworkError."""
        ended = await asyncio.to_thread(self._processes.kill_strays)
        await self._network.remove_node()
        await asyncio.to_thread(_remove_pods, self._folder)
        _LOG.info("node is switched off", node=self._config.name, processes=ended)

    async def _start_machine(self) -> None:
        """After a restart of the machine nothing of before runs; after an installation nothing of before is there."""
        wanted = machines.Machine(disk=self._config.disk, boot=self._config.boot)
        before = await asyncio.to_thread(machines.load, self._folder)
        if before is not None and before != wanted:
            await self.switch_off()
            if before.disk != wanted.disk:
                await asyncio.to_thread(shutil.rmtree, self._folder)
                _LOG.info("node was installed anew", node=self._config.name)
        await asyncio.to_thread(machines.store, self._folder, wanted)

    async def _identity(self) -> Identity:
        """The stored identity, renewed when it is time; else a new one by joining. The token is read only then."""
        join = self._config.join
        now = self._plant.clock.now()
        stored = identities.load(self._folder)
        pins = [discovery.parse_pin(pin) for pin in join.caPins]
        if stored and identities.is_usable(stored, node=self._config.name, server=join.server, pins=pins, now=now):
            return stored if now < identities.renewal_time(stored) else await self._renew(stored)
        token = await asyncio.to_thread(_read_token, Path(join.tokenFile))
        parameters = bootstrap.parse_config(
            node=self._config.name, server=join.server, token=token, pins=join.caPins
        )
        started = self._plant.clock.monotonic()
        identity = await bootstrap.ensure_identity(parameters, self._folder, nodeclient.connect, now=now)
        took_s = round(self._plant.clock.monotonic() - started, 3)
        _LOG.info("node has joined", node=self._config.name, server=join.server, seconds=took_s)
        return identity

    async def _renew(self, stored: Identity) -> Identity:
        """The next identity, or the stored one while it is valid and nobody gives us another."""
        try:
            return await bootstrap.renew(self._config.name, stored, self._folder, nodeclient.connect)
        except (join_errors.JoinError, errors.Transient, errors.Forbidden) as error:
            _LOG.warning("cannot renew the node's certificate", node=self._config.name, why=str(error),
                         expires=stored.expires.isoformat())
            return stored

    async def _serve(self, identity: Identity) -> None:
        """Run the agent until the certificate is due for renewal, or the node's network has broken or been mended."""
        client = nodeclient.connect(identity.access, node=self._config.name)
        address = str(self._addresses.node)
        server = LogServer(ca_pem=identity.ca, folder=self._folder / "pki", node=self._config.name, address=address)
        problem = await self._network_problem()
        if problem is not None:
            _LOG.error("node cannot run pods", node=self._config.name, why=problem)
        try:
            facts = NodeFacts(
                config=self._config, platform=self._plant.platform, machine=_machine(),
                server_version=await client.server_version(), address=address,
                port=None if problem else await server.start(self._network.node_netns), problem=problem,
            )
            agent = Agent(self._node(client), facts, self._addresses)
            server.attach(agent)
            await _first_of(agent.run(), self._until_renewal(identity), self._until_network_changes(problem))
        finally:
            await server.close()
            await client.aclose()

    async def _network_problem(self) -> str | None:
        """Why the node's network cannot be made, or None once it is as it should be."""
        try:
            await self._network.ensure_node()
        except NetworkError as error:
            return f"the node's network cannot be made: {error}"
        return None

    async def _until_network_changes(self, problem: str | None) -> None:
        """Try to mend a broken network, and look once a minute whether a good one is still there."""
        while await self._network_problem() == problem:
            await self._plant.clock.sleep(_LAST_RETRY_S if problem else _CHECK_NETWORK_S)

    async def _until_renewal(self, identity: Identity) -> None:
        """Until it is time to ask for the next certificate; after a refusal that is an hour later, or the end.

        Looked at every hour: a machine may have slept.
        """
        again = self._plant.clock.now() + timedelta(seconds=_CHECK_RENEWAL_S)
        due = min(max(identities.renewal_time(identity), again), identity.expires)
        while (left_s := (due - self._plant.clock.now()).total_seconds()) > 0:
            await self._plant.clock.sleep(min(left_s, _CHECK_RENEWAL_S))

    def _node(self, client: Client) -> Node:
        starter = ContainerStarter(
            node=self._config.name, rules=self._plant.config.images, processes=self._processes,
            host_ip=str(self._addresses.node), allocatable={**DEFAULT_CAPACITY, **self._config.capacity},
            clock=self._plant.clock,
        )
        return Node(
            name=self._config.name, host_ip=str(self._addresses.node), folder=self._folder, client=client,
            network=self._network, processes=self._processes, watcher=Watcher(), clock=self._plant.clock,
            starter=starter,
        )


class Nodes:
    """The nodes of a process; `configure` makes the running ones those of the configuration."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shared: Config | None = None
        self._running: dict[str, tuple[NodeConfig, EmulatedNode, asyncio.Task[None]]] = {}

    async def configure(self, config: Config) -> None:
        """Start what is new, switch off what is gone, start again what is configured differently."""
        plant = new_plant(config, self._clock)
        shared = msgspec.structs.replace(config, nodes=[])
        wanted = {node.name: node for node in config.nodes}
        for name in [name for name in self._running if name not in wanted]:
            _, node, task = self._running.pop(name)
            await _cancel([task])
            try:
                await node.switch_off()
            except (NetworkError, OSError) as error:
                _LOG.error("cannot remove everything of a node", node=name, why=str(error))
        for name, node_config in wanted.items():
            if name in self._running and self._running[name][0] == node_config and shared == self._shared:
                continue
            if name in self._running:
                await _cancel([self._running.pop(name)[2]])
            node = EmulatedNode(node_config, plant)
            task = asyncio.create_task(self._keep(name, node), name=f"node {name}")
            self._running[name] = (node_config, node, task)
        self._shared = shared

    async def close(self) -> None:
        """Stop serving. Containers and networks stay, as they do when a kubelet stops."""
        await _cancel(task for _, _, task in self._running.values())
        self._running.clear()

    async def _keep(self, name: str, node: EmulatedNode) -> None:
        """Run the node; a fault in our own code is logged with its traceback and the node is started again."""
        while True:
            task = asyncio.create_task(node.run())
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                await _cancel([task])
                raise
            _LOG.critical("the emulated kubelet of this node failed", node=name, exc_info=task.exception())
            await self._clock.sleep(_LAST_RETRY_S)


def build_network(plant: Plant, config: NodeConfig, own: NodeAddresses) -> PodNetwork:
    """The node's network by the configured mode."""
    if not plant.namespaces:
        return HostNetwork()
    from dpf.emulation.kubelet.namespaces import NamespaceNetwork

    return NamespaceNetwork(platform=plant.platform, node=config.name, index=config.index, addresses=own)


def _machine() -> Machine:
    uname = platform.uname()
    return Machine(architecture=uname.machine, kernel=uname.release, boot_id=procfs.boot_id())


def _read_token(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise join_errors.InvalidJoinConfig(f"cannot read the bootstrap token file {path}: {error.strerror}") from None


async def _first_of(*works: Coroutine[None, None, None]) -> None:
    """Run all until the first has ended; cancels the others. Raises what the first one raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel(tasks)
    for task in done:
        task.result()


def _remove_pods(folder: Path) -> None:
    shutil.rmtree(folder / "pods", ignore_errors=True)


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    pending = list(tasks)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterable[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
