"""The hosts that are Nodes of the host cluster: what they are, and what a reboot does to them.

Called by `room` and `panel`. A host is a node of the kubelet process of the host cluster; a reboot ends what runs on
it and restarts its cards' systems.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from dpf.api import core
from dpf.emulation.hardware import tree
from dpf.emulation.hardware.nodesfile import NodesFile
from dpf.emulation.hardware.settings import Host, HostCluster, Settings
from dpf.emulation.kubelet.config import NodeConfig
from dpf.local import files

FOLDER: Final = "hosts"
BOOT_ID: Final = Path("proc") / "sys" / "kernel" / "random" / "boot_id"
"""Where a host shows the id of its boot, below its folder."""
CAPACITY: Final[Mapping[str, core.IntOrString]] = {
    "cpu": "32", "memory": "128Gi", "ephemeral-storage": "256Gi", "pods": "60", "nvidia.com/bf_sf": "0",
}
_NAMESPACE: Final = uuid.UUID("7d0b53c1-90a5-5a8f-a0f6-2a1f4f1f7a21")


class HostRecord(msgspec.Struct, kw_only=True):
    """How often a host was started, and whether it has power."""

    boots: int = 1
    is_on: bool = True


class Hosts:
    """All hosts of the platform; none where hosts are no Nodes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hosts: Mapping[str, Host] = {host.name: host for host in settings.hosts}
        self._root = settings.state / FOLDER
        self._records = {name: self._load(name) for name in self._hosts}
        self._nodes = NodesFile(settings.hostCluster.kubelet if settings.hostCluster else None)

    def start(self) -> None:
        """Have their trees there, and their nodes running. Raises OSError."""
        for name in self._hosts:
            tree.write(self.folder(name), self._settings.of_host(name))
            self._show_boot(name)
        self._publish()

    def folder(self, name: str) -> Path:
        """Where a host's own files are: sys, proc, features.d."""
        return self._root / name

    def names(self) -> Iterable[str]:
        """All of them."""
        return self._hosts

    def boots(self, name: str) -> int:
        """How often it was started. Raises KeyError."""
        return self._records[name].boots

    def reboot(self, name: str) -> None:
        """It goes off and on again. Raises KeyError, OSError."""
        self._keep(name, HostRecord(boots=self._records[name].boots + 1))
        tree.write(self.folder(name), self._settings.of_host(name), fresh=True)
        self._show_boot(name)
        self._publish()

    def switch_off(self, name: str) -> None:
        """It stays off until it is rebooted. Raises KeyError, OSError."""
        self._keep(name, HostRecord(boots=self._records[name].boots, is_on=False))
        self._publish()

    def _publish(self) -> None:
        cluster = self._settings.hostCluster
        if cluster is None:
            return
        running = [host for name, host in self._hosts.items() if self._records[name].is_on]
        self._nodes.write({host.name: self._node(host, cluster) for host in running})

    def _node(self, host: Host, cluster: HostCluster) -> NodeConfig:
        return NodeConfig(
            name=host.name, index=host.index, join=cluster.join, labels=tree.features(self.folder(host.name)),
            capacity=dict(CAPACITY), boot=self._boot_id(host.name), system="host",
        )

    def _boot_id(self, name: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{self._root}/{name}/{self._records[name].boots}"))

    def _show_boot(self, name: str) -> None:
        path = self.folder(name) / BOOT_ID
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(path, f"{self._boot_id(name)}\n".encode(), mode=0o644)

    def _load(self, name: str) -> HostRecord:
        content = files.read_if_exists(self._root / name / "host.json")
        return HostRecord() if content is None else msgspec.json.decode(content, type=HostRecord)

    def _keep(self, name: str, record: HostRecord) -> None:
        self._records[name] = record
        files.write_atomic(self._root / name / "host.json", msgspec.json.encode(record))
