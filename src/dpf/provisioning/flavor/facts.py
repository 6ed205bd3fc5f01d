"""What a rendering needs to know beside the flavor: about the DPU, its cluster and how it is installed.

Pure values. The DPU controller fills them in from the DPU, its DPUNode, the DPFOperatorConfig and the join Secret.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dpf.api.provisioning import InstallInterface

DEFAULT_MTU: Final = 1500

_SERVER: Final = re.compile(r"[A-Za-z0-9.\-\[\]:]+:[0-9]{1,5}")
_TOKEN: Final = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_PIN: Final = re.compile(r"sha256:[0-9a-f]{64}")


class JoinCommandError(ValueError):
    """The text is no usable join command; `str()` says why and quotes nothing, because a token may be in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """How a DPU joins its cluster: the parts of `kubeadm join`.

    `server` is `host:port`, `token` is `<id>.<secret>`, `pins` are `sha256:<hex>` over the public keys of the cluster's
    CAs (behaviour-provisioning.md section 12).
    """

    server: str
    token: str = field(repr=False)
    pins: tuple[str, ...]

    def command(self, node: str) -> tuple[str, ...]:
        """The words of the command that makes this machine the Node `node`."""
        pins = (word for pin in self.pins for word in ("--discovery-token-ca-cert-hash", pin))
        return ("kubeadm", "join", self.server, "--token", self.token, "--v=5", *pins, "--node-name", node)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAccess:
    """How the agent on a DPU reaches the host cluster for the first time, and who it has to become there.

    `server` is an URL, `ca_pem` the CA of that server, `token` a bootstrap token `<id>.<secret>`. With it the agent
    asks for a certificate for `user` in exactly these `groups` (`provisioning/join`).
    """

    server: str
    ca_pem: str
    token: str = field(repr=False)
    user: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUFacts:
    """One DPU that is about to be installed.

    `name` is the DPU's and its Node's, `host_name` that of the host's Node, None where the host is in no cluster.
    `control_plane_mtu` counts on the way to the API server, `high_speed_mtu` on the function that the host has in its
    bridge. `additional_reboot` asks for one more restart of the Arm cores at the end of the first boot, where nobody
    will restart the host. `agent` None: no agent runs on the DPU. The PCI address is the one that the Arm cores see.
    """

    namespace: str
    name: str
    uid: str
    install_interface: InstallInterface
    join: Join
    agent: AgentAccess | None = None
    host_name: str | None = None
    node_labels: Mapping[str, str] = field(default_factory=dict)
    control_plane_mtu: int = DEFAULT_MTU
    high_speed_mtu: int = DEFAULT_MTU
    doca_version: str | None = None
    additional_reboot: bool = False
    skip_size_check: bool = False
    pf0_address: str = "0000:03:00.0"
    host_representor: str = "pf0vf0"


def parse_join(command: str) -> Join:
    """The parts of a join command, e.g. of `kubeadm token create --print-join-command`. Raises JoinCommandError."""
    try:
        words = shlex.split(command)
    except ValueError:
        raise JoinCommandError("the join command does not end its quotation") from None
    if words[:2] != ["kubeadm", "join"] or len(words) < 3:
        raise JoinCommandError("the join command must begin with `kubeadm join HOST:PORT`")
    tokens, pins = _values(words, "--token"), _values(words, "--discovery-token-ca-cert-hash")
    if not _SERVER.fullmatch(words[2]):
        raise JoinCommandError("the join command names no server as HOST:PORT")
    if len(tokens) != 1 or not _TOKEN.fullmatch(tokens[0]):
        raise JoinCommandError("the join command needs one --token of 6 characters, a dot and 16 characters")
    if not pins or not all(_PIN.fullmatch(pin) for pin in pins):
        raise JoinCommandError("the join command needs --discovery-token-ca-cert-hash sha256:<64 hexadecimal digits>")
    return Join(server=words[2], token=tokens[0], pins=pins)


def _values(words: list[str], option: str) -> tuple[str, ...]:
    """Every value of `option`, written as two words or with `=`."""
    separate = [value for name, value in itertools.pairwise(words) if name == option]
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return (*separate, *joined)
