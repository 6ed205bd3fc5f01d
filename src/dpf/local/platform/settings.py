"""What one platform is made of and what its state folder remembers: size, ports, network.

Two platforms live side by side because everything that could collide (ports, namespaces, sockets) comes from here and
is derived from the state folder. Called by the CLI and by `up`, `down`, `status`; starts nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from dpf.local import errors, files
from dpf.local.platform import addresses
from dpf.local.supervisor import ports

PodNetwork = Literal["netns", "host"]
InstallInterface = Literal["gnoi", "redfish", "none"]

PORT_NAMES: Final = (
    "host-api", "chart-repository", "argocd-repo-server", "argocd-repo-server-metrics",
    "argocd-application-controller-metrics", "controllers-metrics", "bfb-registry", "bfb-server", "bmc",
)
DEFAULT_INTERFACE: Final = "gnoi"
"""How DPUs are installed when nobody says it. `none`: they are Ready nodes without an installation."""
BMC_PORT: Final = 443
MARK: Final = ".dpf-platform"
_UNIX_PATH_LIMIT: Final = 107
_LONGEST_SOCKET: Final = "etcd/etcd.sock:0"
_FREE_SPACE_BYTES: Final = 1 << 30


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One platform. Saved as `platform.json` in its state folder."""

    state: Path
    dpus: int = 2
    install_interface: InstallInterface = DEFAULT_INTERFACE
    provision: bool = False
    manual_reboot: bool = False
    pod_network: PodNetwork = "host"
    address_slot: int | None = None
    ports: dict[str, int] = {}

    @property
    def id(self) -> str:
        """Four hex digits that tell this platform's interfaces and namespaces from those of another."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:4]

    @property
    def prefix(self) -> str:
        """Prefix of every network namespace and interface of this platform."""
        return f"dpf{self.id}"

    def port(self, name: str) -> int:
        """The loopback port of the named server."""
        return self.ports[name]

    @property
    def dpu_names(self) -> tuple[str, ...]:
        """Names of the emulated DPUs, as cards."""
        return tuple(f"dpu-{n}" for n in range(1, self.dpus + 1))

    @property
    def is_installing(self) -> bool:
        """Whether its DPUs become nodes by an installation."""
        return self.install_interface != "none"

    @property
    def host_names(self) -> tuple[str, ...]:
        """Names of the emulated hosts that are Nodes of the host cluster: where DPUs are installed from their hosts."""
        return tuple(f"worker-{n}" for n in range(1, self.dpus + 1)) if self.install_interface == "gnoi" else ()


def default_state() -> Path:
    """`$DPF_STATE`, else a folder in the user's state directory."""
    if chosen := os.environ.get("DPF_STATE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "dpf" / "default"


def load(state: Path) -> Settings | None:
    """What the state folder remembers, or None when there is no platform there.

    Raises LocalError when the file cannot be read as ours.
    """
    path = state / "platform.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.LocalError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return msgspec.json.decode(content, type=Settings, dec_hook=lambda kind, value: kind(value))
    except msgspec.MsgspecError as error:
        raise errors.LocalError(
            f"{path} is damaged ({error}). Run `dpfctl local down --state {state}` and `up` again."
        ) from error


def is_ours(state: Path) -> bool:
    """Whether a platform was made in this folder, wholly or in part. Raises LocalError when that cannot be told."""
    try:
        return (state / MARK).exists()
    except OSError as error:
        raise errors.LocalError(
            f"{state} cannot be looked into: {error.strerror}. Use the account that made the platform, or another "
            "folder with --state."
        ) from error


def claim(state: Path) -> None:
    """Make the folder, private, and mark it before anything else is put there."""
    files.write_atomic(files.ensure_private_folder(state) / MARK, b"A local platform of dpfctl lives here.\n")


def save(settings: Settings) -> None:
    """Write `platform.json` atomically into the (private) state folder."""
    content = msgspec.json.format(msgspec.json.encode(settings, enc_hook=str))
    files.write_atomic(files.ensure_private_folder(settings.state) / "platform.json", content)


def complete(settings: Settings) -> Settings:
    """The same with every port and address slot chosen that is still open; what was chosen once stays."""
    taken = set(settings.ports.values())
    chosen = dict(settings.ports)
    for name in PORT_NAMES:
        if name == "bmc" and name not in chosen and os.geteuid() == 0:
            # Every platform has addresses of its own for BMCs, so that all can have the port that BMCs have.
            chosen[name] = BMC_PORT
        elif name not in chosen:
            chosen[name] = ports.find_free_port(avoid=taken)
            taken.add(chosen[name])
    slot = settings.address_slot
    if slot is None:
        # On loopback there are no routes to look at; the id tells platforms apart.
        if settings.pod_network == "netns":
            slot = addresses.claim_slot(settings.state, is_ours)
        else:
            slot = int(settings.id, 16) % addresses.SLOTS
    return msgspec.structs.replace(settings, ports=chosen, address_slot=slot)


def resolve(
    state: Path, *, dpus: int | None, pod_network: PodNetwork | None, wanted_ports: Mapping[str, int],
    saved: Settings | None, install_interface: InstallInterface | None = None, provision: bool | None = None,
    manual_reboot: bool | None = None,
) -> Settings:
    """Settings for this `up`: what the user said now, else what was saved, else defaults. Ports may still be missing.

    Raises PreflightError when the saved platform cannot take the new setting.
    """
    if saved and saved.address_slot is not None and saved.address_slot >= addresses.SLOTS:
        raise errors.PreflightError("this platform was made by an older version; run `dpfctl local down`, then `up`")
    unknown = sorted(set(wanted_ports) - set(PORT_NAMES))
    if unknown:
        raise errors.PreflightError(f"unknown port name {unknown[0]}; known are {', '.join(PORT_NAMES)}")
    network = pod_network or (saved.pod_network if saved else "netns" if os.geteuid() == 0 else "host")
    if saved and network != saved.pod_network:
        raise errors.PreflightError(
            f"this platform was made with --pod-network {saved.pod_network}; run `dpfctl local down` before changing it"
        )
    interface = install_interface or (saved.install_interface if saved else DEFAULT_INTERFACE)
    if saved and interface != saved.install_interface:
        raise errors.PreflightError(
            f"this platform was made with --install-interface {saved.install_interface}; run `dpfctl local down` "
            "before changing it"
        )
    if interface == "none" and provision:
        raise errors.PreflightError("--provision needs DPUs to install: --install-interface gnoi or redfish")
    moved = sorted(name for name, port in wanted_ports.items() if saved and saved.ports.get(name, port) != port)
    if saved and moved:
        raise errors.PreflightError(
            f"this platform uses port {saved.ports[moved[0]]} for {moved[0]}; run `dpfctl local down` before changing "
            "it"
        )
    chosen = {**(saved.ports if saved else {}), **wanted_ports}
    _check_distinct(chosen)
    # Who names the interface wants the hardware; who just says `up` wants DPUs.
    usual = saved.provision if saved else install_interface is None and interface != "none"
    return Settings(
        state=state, dpus=dpus if dpus is not None else saved.dpus if saved else 2, pod_network=network,
        install_interface=interface, provision=usual if provision is None else provision,
        manual_reboot=manual_reboot if manual_reboot is not None else saved.manual_reboot if saved else False,
        address_slot=saved.address_slot if saved else None, ports=chosen,
    )


def _check_distinct(ports: Mapping[str, int]) -> None:
    """Raise PreflightError for two servers at one port. BMCs have addresses of their own."""
    by_port: dict[int, str] = {}
    for name in sorted(set(ports) - {"bmc"}):
        other = by_port.setdefault(ports[name], name)
        if other != name:
            raise errors.PreflightError(
                f"port {ports[name]} is wanted for {other} and {name}; choose another one for one of them with --port"
            )


def check(settings: Settings) -> None:
    """Raise PreflightError for what would make `up` fail later and less clearly."""
    longest = settings.state / _LONGEST_SOCKET
    if len(str(longest)) > _UNIX_PATH_LIMIT:
        raise errors.PreflightError(
            f"the state folder's path is too long: {longest} has {len(str(longest))} characters and a unix socket "
            f"takes {_UNIX_PATH_LIMIT}. Choose a shorter one with --state."
        )
    if settings.pod_network == "netns" and os.geteuid() != 0:
        raise errors.PreflightError(
            "network namespaces for nodes and pods need root. Run with sudo, or pass --pod-network host to run pods in "
            "this machine's own network."
        )
    if settings.state.exists() and not is_ours(settings.state) and any(settings.state.iterdir()):
        raise errors.PreflightError(
            f"{settings.state} holds files that are not a platform's; choose an empty or a new folder with --state"
        )
    _check_space(settings.state)


def _check_space(state: Path) -> None:
    existing = next(p for p in (state, *state.parents) if p.exists())
    if not os.access(existing, os.W_OK):
        raise errors.PreflightError(f"{existing} is not writable. Choose another state folder with --state.")
    free = shutil.disk_usage(existing).free
    if free < _FREE_SPACE_BYTES:
        raise errors.PreflightError(
            f"only {free >> 20} MiB are free on the disk of {existing} and the platform needs 1024 MiB. Free some "
            "space or choose another state folder with --state."
        )
