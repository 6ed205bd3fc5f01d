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

    def __init__(self, kubelet: Kubelet) -> None:
        self._path = Path(kubelet.path)
        self._template = kubelet.template

    def problem(self, node: NodeConfig, others: Iterable[NodeConfig] = ()) -> str:
        """Why `node` cannot be one beside `others`; empty when it can."""
        return config.problem(replace(self._template, nodes=[*others, node])) or ""

    def write(self, nodes: Mapping[str, NodeConfig]) -> None:
        """Have the kubelet run these, in the order of their keys. Raises OSError."""
        wanted = replace(self._template, nodes=[node for _, node in sorted(nodes.items())])
        content = msgspec.json.encode(wanted)
        files.ensure_private_folder(self._path.parent)
        files.write_atomic(self._path, msgspec.json.format(content))
