"""Hosts of a platform that a tenant has for a while, so that his DPUDeployments install their DPUs.

    async with tenanthosts.tenant(site, "some-namespace") as mine:
        mine.platform.apply(*mine.producer_consumer(Where.FIRST))
        await mine.ready()
        async with tenanthosts.busy(mine, Where.FIRST):
            ...                         # the host cannot be taken out of service

A platform whose DPUs are installed through their hosts is meant (`gnoi`); its first two hosts are in the racks of the
users' guide. At the end they are free, and in service: a host that somebody still needs does not go back.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tests.support import tenants
from tests.support.platform import Platform
from tests.support.tenants import Tenant, Where

from dpf.api import core, names
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.upkeep import PodDisruptionBudget

HOSTS: Final = {Where.FIRST: "worker-1", Where.SECOND: "worker-2"}
DPUS: Final = {Where.FIRST: "worker-1-mt2402xz0001", Where.SECOND: "worker-2-mt2402xz0002"}
"""Names of DPUs, and of their Nodes."""
_BUSY: Final = "does-not-move"


@asynccontextmanager
async def tenant(platform: Platform, namespace: str) -> AsyncIterator[Tenant]:
    """A fresh namespace that has the hosts. At the end no effect is on them, and they are nobody's."""
    async with tenants.tenant(platform, namespace) as made:
        await _hand_over(made)
        try:
            yield made
        finally:
            await made.delete("dpudeployments", "--all")
            await free(made)
            await _take_back(made)


async def free(tenant: Tenant) -> None:
    """Until no effect is on a host, and all take pods. Without DPUs nobody has to be asked for that."""
    await tenant.until_all(DPUNodeMaintenance, lambda found: not found)
    for host in HOSTS.values():
        await tenant.until(core.Node, host, lambda node: not (node.spec.unschedulable or node.spec.taints))


async def until_requestors(tenant: Tenant, where: Where, requestors: Sequence[str]) -> None:
    """Until exactly these keep the host out of service."""
    def are_they(found: Sequence[DPUNodeMaintenance]) -> bool:
        return [sorted(one.spec.requestor or ()) for one in found if one.spec is not None
                and one.spec.dpuNodeName == HOSTS[where]] == [sorted(requestors)]

    await tenant.until_all(DPUNodeMaintenance, are_they)


async def requestors(tenant: Tenant, where: Where) -> Sequence[str]:
    """Who keeps the host out of service."""
    found = [one.spec for one in await tenant.all(DPUNodeMaintenance) if one.spec is not None]
    return [who for spec in found if spec.dpuNodeName == HOSTS[where] for who in spec.requestor or ()]


@asynccontextmanager
async def busy(tenant: Tenant, *where: Where) -> AsyncIterator[None]:
    """On these hosts runs something that must not be evicted: whoever wants them drained has to wait."""
    labels = {"app": _BUSY}
    for one in where:
        tenant.platform.apply({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"{_BUSY}-{HOSTS[one]}", "namespace": tenant.namespace, "labels": labels},
            "spec": {
                "nodeName": HOSTS[one], "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
                "containers": [{"name": "work", "image": "registry.local/some-database"}],
            },
        })
    tenant.platform.apply({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": _BUSY, "namespace": tenant.namespace, "labels": labels},
        "spec": {"minAvailable": len(where), "selector": {"matchLabels": labels}},
    })
    await tenant.until(PodDisruptionBudget, _BUSY, lambda budget: budget.status.currentHealthy == len(where))
    try:
        yield
    finally:
        await tenant.delete("poddisruptionbudgets,pods", "-l", f"app={_BUSY}")


async def _hand_over(tenant: Tenant) -> None:
    for rack, host in HOSTS.items():
        _label(tenant, host, {tenants.RACK: rack.value, names.DPUNODE_NAMESPACE_LABEL: tenant.namespace})
    await tenant.until_all(DPUNode, lambda found: {one.metadata.name for one in found} == set(HOSTS.values()))


async def _take_back(tenant: Tenant) -> None:
    for host in HOSTS.values():
        _label(tenant, host, {tenants.RACK: None, names.DPUNODE_NAMESPACE_LABEL: None})
    await tenant.until_all(DPUNode, lambda found: not found)


def _label(tenant: Tenant, host: str, labels: dict[str, str | None]) -> None:
    patch = json.dumps({"metadata": {"labels": labels}})
    tenant.platform.kubectl("patch", "node", host, "--type=merge", "-p", patch)
