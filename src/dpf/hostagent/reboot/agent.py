"""The process around the reboot controller: the one host, its cache, its workers. Called by `python -m dpf.hostagent`.

It follows no DPU clusters and reads no Secrets, as controllers elsewhere do: what a host may read is what concerns it.
There is one on each host, so nobody has to be elected.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import structlog

from dpf.api.dpunode import DPUNode
from dpf.hostagent.reboot.controller import HostRebootController
from dpf.hostagent.reboot.port import Machine
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.dpunode import snapshot
from dpf.provisioning.dpunode.registration import features
from dpf.runtime.clock import SystemClock
from dpf.runtime.manager import Manager

_LOG = structlog.get_logger()
_LOOK_AGAIN_S = 5.0


async def run(host: Client, node: str, machine: Machine, stop: asyncio.Event, *, dpunode: str | None = None) -> None:
    """Until `stop`. `node` is this host's Node; `dpunode` its DPUNode, where that cannot be found by it."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(host.aclose)
        name = dpunode or await _find(host, node, stop)
        if name is None:
            return
        _LOG.info("reboots of this host are driven", node=node, dpunode=name)
        clusters = ClusterRegistry(host)
        stack.push_async_callback(clusters.aclose)
        manager = Manager(clusters, host, [
            HostRebootController(clusters=clusters, dpunode=name, machine=machine, clock=SystemClock()),
        ])
        clusters.start()
        running = asyncio.create_task(manager.run(), name="manager")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if running.done():
            await running
        await manager.stop(running)


async def dpunode_of(host: Client, node: str) -> str:
    """The DPUNode that stands for the Node; before there is one, the name that it will be registered under.

    Raises kube.errors.Error.
    """
    usual = features.dpunode_name(node)
    listing = await host.list(DPUNode, labels=f"kubernetes.io/hostname={node}")
    found = [d.metadata.name for d in listing.items if node in (d.status.kubeNodeRef, snapshot.owner_node(d))]
    return usual if usual in found or not found else found[0]


async def _find(host: Client, node: str, stop: asyncio.Event) -> str | None:
    """None at `stop`. An API server that does not answer is asked again."""
    while not stop.is_set():
        try:
            return await dpunode_of(host, node)
        except errors.Error as error:
            _LOG.warning("the DPUNode of this host cannot be read", node=node, error=str(error))
        try:
            async with asyncio.timeout(_LOOK_AGAIN_S):
                await stop.wait()
        except TimeoutError:
            continue
    return None
