"""Where the DMS of a host is reached. Pure. Called by the DPU controller, which makes a card of it, and by `driver`."""

from __future__ import annotations

from dataclasses import dataclass

from dpf.api import core
from dpf.api.dpunode import DPUNode
from dpf.provisioning.hostpods.build import DMS_PORT

_INTERNAL = "InternalIP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Host and port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Nobody has said where; `why` is for people."""

    why: str


def dms_address(dpunode: DPUNode, node: core.Node | None) -> Address | Missing:
    """What the DPUNode says (`spec.nodeDMSAddress`), else the address of its Node and the usual port."""
    told = dpunode.spec.nodeDMSAddress if dpunode.spec is not None else None
    if told is not None:
        return Address(host=told.ip, port=told.port)
    if node is None:
        return Missing(why=f"DPUNode {dpunode.metadata.name} is no Node of the host cluster, and has no nodeDMSAddress")
    found = next((a.address for a in node.status.addresses or () if a.type == _INTERNAL), None)
    if found is None:
        return Missing(why=f"Node {node.metadata.name} reports no address of type {_INTERNAL} yet")
    return Address(host=found, port=DMS_PORT)
