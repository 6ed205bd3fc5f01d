"""The nodes that a kubelet process is to be: its configuration file, written whole whenever a system starts or stops.

The kubelet reads the file by itself when it has changed. A node that would make the whole file unusable is left out, so
that what is in one card's bf.cfg never disturbs another card.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from dpf.emulation.hardware.settings import Kubelet
from dpf.emulation.kubelet import config
from dpf.emulation.kubelet.config import NodeConfig
from dpf.local import files


class NodesFile:
    """One file. `write` is called with all nodes, each time."""

    def __init__(self, kubelet: Kubelet | None) -> None:
        """Without a kubelet there are no nodes, and nothing is written."""
        self._kubelet = kubelet

    def problem(self, node: NodeConfig, others: Iterable[NodeConfig] = ()) -> str:
        """Why `node` cannot be one beside `others`; empty when it can."""
        if self._kubelet is None:
            return "there is no kubelet for it"
        return config.problem(replace(self._kubelet.template, nodes=[*others, node])) or ""

    def write(self, nodes: Mapping[str, NodeConfig]) -> None:
        """Have the kubelet run these, in the order of their keys. Raises OSError."""
        if self._kubelet is None:
            return
        wanted = replace(self._kubelet.template, nodes=[node for _, node in sorted(nodes.items())])
        path = Path(self._kubelet.path)
        files.ensure_private_folder(path.parent)
        files.write_atomic(path, msgspec.json.format(msgspec.json.encode(wanted)))
