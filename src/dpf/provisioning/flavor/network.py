"""How an installed DPU reaches its cluster: the netplan file, and the interface that the join waits for.

Pure. Called by `cloudinit`. Source: behaviour-provisioning.md section 10.
"""

from __future__ import annotations

from typing import Any

from dpf.api.provisioning import InstallInterface
from dpf.provisioning.flavor import layout
from dpf.provisioning.flavor.facts import DPUFacts

_OFF: dict[str, Any] = {"dhcp4": False, "dhcp6": False, "link-local": []}


def interface(facts: DPUFacts) -> str:
    """Where the DPU gets the address that it reaches the API server from."""
    return layout.OOB_PORT if facts.install_interface == InstallInterface.REDFISH else layout.COMMUNICATION_BRIDGE


def netplan(facts: DPUFacts) -> dict[str, Any]:
    """The whole file as data.

    A DPU of a trusted host goes out through the host's bridge, by the representor of a function of the host. A DPU that
    is installed by Redfish has its own port instead: the host is not trusted.
    """
    rshim = {**_OFF, "addresses": [layout.RSHIM_ADDRESS], "optional": True}
    if interface(facts) == layout.OOB_PORT:
        ports = {layout.OOB_PORT: {"dhcp4": True, "mtu": facts.control_plane_mtu}, layout.RSHIM_PORT: rshim}
        return {"network": {"version": 2, "renderer": "networkd", "ethernets": ports}}
    ports = {
        layout.OOB_PORT: {**_OFF, "optional": True},
        facts.host_representor: {**_OFF, "mtu": facts.high_speed_mtu, "optional": True},
        layout.RSHIM_PORT: rshim,
    }
    bridge = {
        "interfaces": [facts.host_representor], "dhcp4": True, "mtu": facts.control_plane_mtu, "optional": True,
        "parameters": {"stp": False},
    }
    return {"network": {
        "version": 2, "renderer": "networkd", "ethernets": ports, "bridges": {layout.COMMUNICATION_BRIDGE: bridge},
    }}
