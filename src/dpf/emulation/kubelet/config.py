"""The configuration file of the emulated kubelet process: which nodes it is, and how their containers run.

Pure but for `load`. The file is JSON, written by the local platform or by a person; it holds no secret (tokens are in
files of their own). Unknown fields are refused, so that a misspelt one is noticed.
"""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from dpf.api.core import IntOrString, Taint
from dpf.api.meta import Model
from dpf.emulation.kubelet.images import DEFAULT_IMAGES, ImageRule

_PLATFORM: Final = re.compile(r"[a-z][a-z0-9]{0,6}")
_NODE: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")


class ConfigError(Exception):
    """The configuration cannot be used; the message names the field and says what is allowed."""


class NetworkMode(StrEnum):
    """Where pods live."""

    AUTO = "auto"
    """`namespaces` when root, else `host`."""
    NAMESPACES = "namespaces"
    """A network namespace per node and per pod, behind one bridge; needs root."""
    HOST = "host"
    """The machine's own namespace; nodes and pods get loopback addresses of their own."""


class NetworkConfig(Model, forbid_unknown_fields=True):
    """Address blocks. Every node takes one block of `podPrefixLength` out of `podNetwork`, by its index."""

    mode: NetworkMode = NetworkMode.AUTO
    nodeNetwork: str = "198.18.0.0/16"
    podNetwork: str = "198.19.0.0/16"
    podPrefixLength: int = 24


class JoinParameters(Model, forbid_unknown_fields=True):
    """Arguments of the bootstrap; `tokenFile` holds the bootstrap token and is needed until the node has joined."""

    server: str
    tokenFile: str
    caPins: list[str]


class NodeConfig(Model, forbid_unknown_fields=True):
    """One emulated node. `index` chooses its addresses and must stay the same for the life of the node.

    Another `boot` than before is a restart of the machine: what ran on it has ended. Another `disk` is a machine that
    was installed anew: nothing is left on it. `system` is what the node calls itself.
    """

    name: str
    index: int
    join: JoinParameters
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    taints: list[Taint] = []
    capacity: dict[str, IntOrString] = {}
    disk: str = ""
    boot: str = ""
    system: str = "BlueField DPU"


class Config(Model, forbid_unknown_fields=True):
    """The whole file. `platform` is a short id that every name on this machine carries."""

    platform: str
    stateDir: str
    nodes: list[NodeConfig] = []
    network: NetworkConfig = NetworkConfig()
    images: list[ImageRule] = msgspec.field(default_factory=lambda: list(DEFAULT_IMAGES))


def load(path: Path) -> Config:
    """Read and check the file. Raises ConfigError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the kubelet configuration {path}: {error.strerror}") from error
    return parse(content, str(path))


def parse(content: bytes, source: str) -> Config:
    """The checked configuration in `content`; `source` names it in messages. Raises ConfigError."""
    try:
        config = msgspec.json.decode(content, type=Config)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{source}: {error}") from error
    wrong = problem(config)
    if wrong:
        raise ConfigError(f"{source}: {wrong}")
    return config


def problem(config: Config) -> str | None:
    """The first thing that is wrong, in words, or None."""
    if not _PLATFORM.fullmatch(config.platform):
        return f"platform {config.platform!r} must be 1 to 7 characters of a-z and 0-9 that begin with a letter"
    if not Path(config.stateDir).is_absolute():
        return f"stateDir {config.stateDir!r} must be an absolute path"
    return _network_problem(config.network) or _nodes_problem(config)


def _network_problem(network: NetworkConfig) -> str | None:
    try:
        nodes, pods = ipaddress.IPv4Network(network.nodeNetwork), ipaddress.IPv4Network(network.podNetwork)
    except ValueError as error:
        return f"network: {error}; write IPv4 networks such as 198.18.0.0/16"
    if nodes.overlaps(pods):
        return f"network: nodeNetwork {nodes} and podNetwork {pods} overlap"
    if not pods.prefixlen <= network.podPrefixLength <= 29:
        return f"network: podPrefixLength {network.podPrefixLength} must be between {pods.prefixlen} and 29"
    return None


def _nodes_problem(config: Config) -> str | None:
    pods = ipaddress.IPv4Network(config.network.podNetwork)
    nodes = ipaddress.IPv4Network(config.network.nodeNetwork)
    room = min(2 ** (config.network.podPrefixLength - pods.prefixlen), nodes.num_addresses - 3)
    names: set[str] = set()
    indexes: dict[int, str] = {}
    for node in config.nodes:
        if not _NODE.fullmatch(node.name):
            return f"node name {node.name!r} must be lower-case letters, digits, - and . (at most 63 characters)"
        if node.name in names:
            return f"node {node.name} is there twice"
        if node.index in indexes:
            return f"nodes {indexes[node.index]} and {node.name} have the same index {node.index}"
        if not 0 <= node.index < room:
            return f"node {node.name}: index {node.index} must be between 0 and {room - 1} with these networks"
        names.add(node.name)
        indexes[node.index] = node.name
    return None
