"""Reads what a pass over a DPUNode needs, from the cache, by index. Called by the controller. Reads only."""

from __future__ import annotations

from dataclasses import replace

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Key, object_key
from dpf.api.upkeep import Job
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.provisioning.dpudevice import controller as dpudevices
from dpf.provisioning.dpunode import interface, reboot, rebootjob, snapshot, watches
from dpf.provisioning.dpunode.snapshot import Snapshot
from dpf.provisioning.maintenance import watches as effects


async def snapshot_of(cache: Cache, client: Client, dpunode: DPUNode) -> Snapshot:
    """One look. The server is asked for a reboot script that has to run, or has failed, and whether a reboot is over.

    Raises kube.errors.Error.
    """
    seen = _cached(cache, dpunode)
    if not reboot.participants(seen) or seen.hostless:
        return seen
    if reboot.is_external(dpunode) and reboot.turns_on_request(seen):
        return replace(seen, dpunode=await _current(client, dpunode))
    if rebootjob.script_of(dpunode) is None:
        return seen
    seen = replace(seen, job=cache.get(Job, rebootjob.job_key(seen)))
    if seen.job is None:
        return replace(seen, script=await _script(client, rebootjob.script_key(seen)))
    if rebootjob.has_ended(seen.job, "Failed"):
        return replace(seen, exit_code=await _exit_code(client, object_key(seen.job)))
    return seen


async def _current(client: Client, dpunode: DPUNode) -> DPUNode:
    """DPUs and hosts are watched each on their own: what is known of a host may be older than what its DPUs know."""
    try:
        return await client.get(DPUNode, dpunode.metadata.name, dpunode.metadata.namespace)
    except errors.NotFound:
        return dpunode


async def _script(client: Client, key: Key) -> core.ConfigMap | None:
    try:
        return await client.get(core.ConfigMap, key.name, key.namespace)
    except errors.NotFound:
        return None


async def _exit_code(client: Client, job: Key) -> int | None:
    """What the last of the Job's pods ended with."""
    pods = (await client.list(core.Pod, job.namespace, labels=f"job-name={job.name}")).items
    ended = sorted(
        (status.state.terminated.finishedAt or "", status.state.terminated.exitCode)
        for pod in pods for status in pod.status.containerStatuses or () if status.state.terminated is not None
    )
    return next((code for _, code in reversed(ended) if code), None)


def _cached(cache: Cache, dpunode: DPUNode) -> Snapshot:
    where = str(object_key(dpunode))
    configs = cache.list(DPFOperatorConfig)
    owner = snapshot.owner_node(dpunode)
    node = cache.get(core.Node, Key("", owner or dpunode.status.kubeNodeRef or dpunode.metadata.name))
    listed = dpudevices.listed(dpunode)
    devices = {d.metadata.name: d for d in cache.by_index(DPUDevice, watches.ON_NODE, where)}
    for device in listed:
        devices |= {d.metadata.name: d for d in cache.by_index(DPUDevice, dpudevices.BY_LOWER_NAME, device)}
    return Snapshot(
        dpunode=dpunode, node=node, orphaned=owner is not None and node is None,
        interface=interface.interface_of(configs[0] if configs else None),
        dpus=tuple(sorted(cache.by_index(DPU, watches.ON_NODE, where), key=object_key)),
        devices=tuple(device for _, device in sorted(devices.items())),
        shared=tuple(d.rpartition("/")[2] for d in listed if len(cache.by_index(DPUNode, dpudevices.BY_DEVICE, d)) > 1),
        effects=tuple(m for m in cache.by_index(DPUNodeMaintenance, effects.BY_DPUNODE, where) if effects.counts(m)),
    )
