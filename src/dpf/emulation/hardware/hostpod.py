"""The programs of DPF's pods on emulated hosts: `python -m dpf.emulation.hardware.hostpod PROGRAM --config --node`.

The kubelet of the host cluster runs it for the images of `image_rules`. It becomes the real program, with the emulated
host in place of this machine: its PCI tree, its cards, a restart that the machine room carries out.

    dms         the DMS of the host's cards
    agent       any command of the host agent: detector, reboots, the host's side of the network
    power-cycle the restart of this host, as the host agent's command
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dpf.emulation.bmc.control import ControlError, Deed, Request
from dpf.emulation.hardware import control, dmscards, podaccess
from dpf.emulation.hardware import settings as hardware_settings
from dpf.emulation.hardware.hosts import FOLDER as HOSTS_FOLDER
from dpf.emulation.hardware.settings import Host, Settings, SettingsError
from dpf.emulation.kubelet import addresses, volumes
from dpf.emulation.kubelet.config import NetworkMode
from dpf.emulation.kubelet.images import ARGS, NODE, PYTHON, ImageRule
from dpf.provisioning.hostpods.build import DMS_PORT

DMS: Final = "dms"
AGENT: Final = "agent"
POWER_CYCLE: Final = "power-cycle"
TLS_FOLDER: Final = "etc/dms/tls"
"""Where the pod of the DMS mounts its Secret."""
_MODULE: Final = "dpf.emulation.hardware.hostpod"
_REBOOT: Final = "reboot"


class NoSuchHost(Exception):
    """The node is not one of ours; the text is for people."""


def image_rules(config: Path) -> list[ImageRule]:
    """Which of our programs stands for which image on hosts. `config` is the machine room's file."""
    begin = [PYTHON, "-m", _MODULE, "--config", str(config), "--node", NODE]
    return [
        ImageRule(pattern="*dpf-dms:*", argv=[*begin, DMS]),
        ImageRule(pattern="*dpf-hostnetwork:*", argv=[*begin, AGENT, ARGS], commands=True),
        # The agent talks to the API server, which listens on the machine's loopback only.
        ImageRule(pattern="*dpf-hostagent:*", argv=[*begin, AGENT, ARGS], commands=True, outside=True),
    ]


def command(program: str, settings: Settings, config: Path, host: Host, rest: Sequence[str]) -> list[str]:
    """What to become. Raises OSError when the pod's own credentials cannot be read."""
    root = Path(os.environ.get(volumes.ROOT_VARIABLE, "/"))
    if program == DMS:
        return [sys.executable, "-m", "dpf.emulation.dms", *_dms_options(settings, host, root)]
    hosts = str(settings.state / HOSTS_FOLDER)
    begin = [sys.executable, "-m", "dpf.hostagent", "--emulated-hosts", hosts, "--node", host.name]
    if _REBOOT not in rest:
        return [*begin, *rest]
    again = shlex.join([sys.executable, "-m", _MODULE, "--config", str(config), "--node", host.name, POWER_CYCLE])
    server = settings.hostCluster.join.server if settings.hostCluster else ""
    kubeconfig = podaccess.write_kubeconfig(root, server)
    return [*begin, "--restart-command", again, "--kubeconfig", str(kubeconfig), *rest]


def main(arguments: list[str] | None = None) -> int:
    """Become the program. Returns the exit code when that is not possible."""
    parsed, rest = _parser().parse_known_args(arguments)
    try:
        settings = hardware_settings.load(parsed.config)
        host = _host(settings, parsed.node)
        if parsed.program == POWER_CYCLE:
            asyncio.run(_power_cycle(settings, host))
            return 0
        argv = command(parsed.program, settings, parsed.config, host, rest)
        os.execv(argv[0], argv)
    except (SettingsError, NoSuchHost, ControlError, OSError) as error:
        print(f"{parsed.program} on {parsed.node}: {error}", file=sys.stderr)  # noqa: T201 - a container's log
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=__doc__, add_help=False)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("program", choices=(DMS, AGENT, POWER_CYCLE))
    return parser


def _host(settings: Settings, node: str) -> Host:
    found = next((host for host in settings.hosts if host.name == node), None)
    if found is None:
        raise NoSuchHost("there is no such host in the machine room")
    return found


def _dms_options(settings: Settings, host: Host, root: Path) -> list[str]:
    targets = [f"{card.pci_address}={card.name}" for card in settings.of_host(host.name)]
    timings = settings.timings
    return [
        "--listen", f"{_address(settings, host)}:{DMS_PORT}", "--tls-dir", str(root / TLS_FOLDER),
        "--folder", str(dmscards.folder(settings.state, host.name)),
        *(word for target in targets for word in ("--target", target)),
        "--bfb-folder", settings.bfbFolder, "--boot-socket", str(settings.boot_socket),
        "--flash-s", str(timings.transfer_s), "--boot-s", str(timings.uefi_s + timings.os_starting_s),
    ]


def _address(settings: Settings, host: Host) -> str:
    """The node's own address, where pods with its network are reached."""
    if settings.hostCluster is None:
        raise NoSuchHost("the hosts of this machine room are no Nodes")
    network = settings.hostCluster.kubelet.template.network
    namespaces = network.mode is NetworkMode.NAMESPACES or (network.mode is NetworkMode.AUTO and os.geteuid() == 0)
    return str(addresses.of_node(network, host.index, namespaces=namespaces).node)


async def _power_cycle(settings: Settings, host: Host) -> None:
    card = next(iter(settings.of_host(host.name)), None)
    if card is None:
        raise NoSuchHost("this host has no card")
    await control.ask(settings.control_socket, Request(card=card.name, do=Deed.POWER_CYCLE))


if __name__ == "__main__":
    sys.exit(main())
