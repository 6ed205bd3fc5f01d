"""A Node of the host cluster that nobody runs, for end-to-end tests: pods are scheduled to it, its kubelet is played.

    async with hostnodes.host_node(tenant, "host-1"):
        ...
        hostnodes.maintain(tenant, "host-1", "the requestor of a DPUSet")

A platform without an installation has no host nodes: what in-cluster services do with them needs no more than this.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support import tenants
from tests.support.tenants import Tenant

from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.kube import errors

_GROUP = "provisioning.dpu.nvidia.com/v1alpha1"
_ROOM = {"cpu": "16", "memory": "16Gi", "pods": "10", "nvidia.com/sf": "4"}


@asynccontextmanager
async def host_node(tenant: Tenant, name: str) -> AsyncIterator[None]:
    """The Node, in no rack, and the DPUNode that stands for it. Pods of the tenant run there once they are bound."""
    labels = {tenants.RACK: tenants.Where.NOWHERE.value}
    await tenant.host.create(core.Node(
        metadata=ObjectMeta(name=name, labels=labels),
        status=core.NodeStatus(capacity=dict(_ROOM), allocatable=dict(_ROOM)),
    ))
    tenant.platform.apply({
        "apiVersion": _GROUP, "kind": "DPUNode", "spec": {},
        "metadata": {"name": name, "namespace": tenant.namespace, "labels": labels},
    })
    _report(tenant, "dpunode", name, {"kubeNodeRef": name})
    kubelet = asyncio.create_task(_play_kubelet(tenant, name))
    try:
        yield
        assert not kubelet.done(), "the played kubelet has ended"
    finally:
        kubelet.cancel()
        await asyncio.gather(kubelet, return_exceptions=True)
        tenant.platform.kubectl("delete", "node", name)


def maintain(tenant: Tenant, node: str, *requestors: str) -> str:
    """What provisioning does for requestors: the node effect is on the node. Returns the DPUNodeMaintenance's name."""
    name = f"{node}-drain"
    tenant.platform.apply({
        "apiVersion": _GROUP, "kind": "DPUNodeMaintenance",
        "metadata": {"name": name, "namespace": tenant.namespace},
        "spec": {"dpuNodeName": node, "nodeEffect": {"drain": True}, "requestor": list(requestors)},
    })
    applied = {"type": "NodeEffectApplied", "status": "True", "reason": "Success", "message": ""}
    _report(tenant, "dpunodemaintenance", name, {
        "conditions": [{**applied, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    })
    return name


def _report(tenant: Tenant, kind: str, name: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    tenant.kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)


async def _play_kubelet(tenant: Tenant, node: str) -> None:
    """Pods run at once, and end at once when they are deleted."""
    while True:
        listing = await tenant.host.list(core.Pod, tenant.namespace, fields=f"spec.nodeName={node}")
        for pod in listing.items:
            try:
                await _attend(tenant, pod)
            except errors.NotFound:
                continue
        await tenants.change(tenant.host, core.Pod, tenant.namespace, listing.resource_version)


async def _attend(tenant: Tenant, pod: core.Pod) -> None:
    name, client = pod.metadata.name, tenant.host
    if pod.metadata.deletionTimestamp is not None:
        await client.delete(core.Pod, name, tenant.namespace, uid=pod.metadata.uid, grace_period_s=0)
    elif pod.status.phase != "Running":
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        await client.patch(core.Pod, name, tenant.namespace, patch={"status": status}, subresource="status")
