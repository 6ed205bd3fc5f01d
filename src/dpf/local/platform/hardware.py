"""The emulated hardware of a platform: its configuration, its processes, its hosts.

Called by `up`, `status` and `dpfctl local fault`. With the interface `gnoi` every DPU is in a host of its own, which is
a Node of the host cluster; with `redfish` every DPU has a BMC, and no host is a Node. With neither there are no cards;
the server of bundles runs in any case.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from dpf.api import core
from dpf.emulation.bmc.control import ControlError, Request
from dpf.emulation.bmc.settings import Timings
from dpf.emulation.hardware import control, hostpod
from dpf.emulation.hardware import settings as room
from dpf.emulation.join import discovery, identity
from dpf.emulation.kubelet import config as kubelet_config
from dpf.emulation.kubelet.images import DEFAULT_IMAGES
from dpf.kube import client as port
from dpf.kube import kubeconfig, wait
from dpf.local import errors, files
from dpf.local.platform import addresses, environment, manifests, nodes, settings
from dpf.local.supervisor.spec import ProcessSpec
from dpf.provisioning.dpucluster import bootstrap
from dpf.provisioning.dpucluster import token as tokens

PROCESS: Final = "emulated-hardware"
HOSTS_PROCESS: Final = "emulated-hosts"
BFB_SITE: Final = "http://internal-nfs"
"""The file server that the users' guide names for bundles; the platform's own one is its mirror."""
TIMINGS: Final = Timings(transfer_s=1.0, uefi_s=0.5, os_starting_s=0.5, bmc_reset_s=1.0)
"""Long enough to be seen."""
SLOTS: Final = (0x0E, 0x1A)
"""Where hosts have their card on the bus, in turn: the places that the users' guide selects DPUs by."""
_PATIENCE_S: Final = 30.0
_LOOK_AGAIN_S: Final = 0.05


def folder(state: Path) -> Path:
    """Where cards and hosts keep what they remember, and the sockets by which they are steered."""
    return state / "hardware"


def hosts_folder(state: Path) -> Path:
    """Where the hosts' nodes keep what a machine would keep on its disk."""
    return state / "hosts"


def bfb_folder(state: Path) -> Path:
    """The volume with bundles and configurations that controllers and DMS pods share."""
    return state / "bfb"


def serial(number: int) -> str:
    """The serial number of card `number`, from 1."""
    return f"MT2402XZ{number:04d}"


def configuration(platform: settings.Settings, server: str, ca_pin: str) -> room.Settings:
    """The machine room. `server` and `ca_pin` are the host cluster's."""
    state = platform.state
    return room.Settings(
        stateDir=str(folder(state)), logDir=str(state / "logs"), socketDir=str(folder(state)), timings=TIMINGS,
        bundlePort=platform.port("bfb-server"), bfbFolder=str(bfb_folder(state)),
        kubeconfig="" if platform.manual_reboot else str(environment.host_kubeconfig(state)),
        dpuKubelet=_dpu_kubelet(platform) if platform.is_installing else None,
        hostCluster=_host_cluster(platform, server, ca_pin) if platform.host_names else None,
        cards=[_card(platform, number) for number in range(1, platform.dpus + 1)] if platform.is_installing else [],
        hosts=[
            room.Host(name=name, index=addresses.FIRST_HOST + number) for number, name in enumerate(platform.host_names)
        ],
    )


async def prepare(platform: settings.Settings, host: port.Client) -> ProcessSpec:
    """Write the configuration and have the host cluster ready for its nodes; returns the process of the hardware.

    `host` is the administrator's client of the host cluster.
    """
    where = files.ensure_private_folder(folder(platform.state))
    files.ensure_private_folder(bfb_folder(platform.state))
    admin = kubeconfig.single_identity(kubeconfig.parse(
        await asyncio.to_thread(environment.host_kubeconfig(platform.state).read_bytes), source="host cluster"
    ))
    ca_pem = base64.b64decode(admin.ca_data)
    if platform.host_names:
        await _let_join(platform, host, admin.server, ca_pem)
    (pin,) = discovery.ca_pins(ca_pem)
    content = msgspec.json.format(msgspec.json.encode(configuration(platform, admin.server, pin)))
    path = _config_file(platform.state)
    await asyncio.to_thread(files.write_atomic, path, content)
    return ProcessSpec(
        name=PROCESS, cwd=where, log=platform.state / "logs" / f"{PROCESS}.log", inputs=files.digest(content),
        argv=(sys.executable, "-m", "dpf.emulation.hardware", "--config", str(path)),
    )


def kubelets(platform: settings.Settings) -> list[ProcessSpec]:
    """The processes of the nodes that are installed. The hardware has to run before: it writes what they read."""
    if not platform.is_installing:
        return []
    found = [nodes.process(platform, nodes.PROCESS, nodes.folder(platform.state) / "nodes.json")]
    if platform.host_names:
        found.append(nodes.process(platform, HOSTS_PROCESS, hosts_folder(platform.state) / "nodes.json"))
    return found


async def wait_answering(state: Path) -> None:
    """Return when the hardware runs. Raises StepError."""
    deadline = time.monotonic() + _PATIENCE_S
    while why := await _silence(state):
        if time.monotonic() > deadline:
            raise errors.StepError(f"{why}; its log: {state / 'logs' / PROCESS}.log")
        await asyncio.sleep(_LOOK_AGAIN_S)


def control_socket(state: Path) -> Path:
    """Where the cards are steered."""
    return folder(state) / "control"


async def _silence(state: Path) -> str:
    """Why it does not answer; empty when it does."""
    try:
        await control.ask(control_socket(state), Request(card="*"))
    except ControlError as error:
        return str(error)
    return ""


async def _let_join(platform: settings.Settings, host: port.Client, server: str, ca_pem: bytes) -> None:
    """What nodes need to join the host cluster, and a token while one of them has not joined yet."""
    for namespace in ("kube-public", "kube-system"):
        await wait.until(host, core.Namespace, namespace, accept=bool, timeout_s=_PATIENCE_S)
    version = await host.server_version()
    await manifests.ensure(host, bootstrap.joining_objects(endpoint=server, ca_pem=ca_pem, version=version))
    where = files.ensure_private_folder(hosts_folder(platform.state))
    if not all((where / name / identity.FILE_NAME).exists() for name in platform.host_names):
        token = await tokens.mint_token(host, nodes.TOKEN_TTL_S, description="Joins a host to this cluster.")
        await asyncio.to_thread(files.write_atomic, where / "bootstrap-token", token.bearer.encode())


def _dpu_kubelet(platform: settings.Settings) -> room.Kubelet:
    where = nodes.folder(platform.state)
    return room.Kubelet(path=str(where / "nodes.json"), template=nodes.template(platform, where))


def _host_cluster(platform: settings.Settings, server: str, ca_pin: str) -> room.HostCluster:
    where = hosts_folder(platform.state)
    template = nodes.template(platform, where)
    images = [*hostpod.image_rules(_config_file(platform.state)), *DEFAULT_IMAGES]
    return room.HostCluster(
        kubelet=room.Kubelet(
            path=str(where / "nodes.json"), template=msgspec.structs.replace(template, images=images),
        ),
        join=kubelet_config.JoinParameters(server=server, tokenFile=str(where / "bootstrap-token"), caPins=[ca_pin]),
    )


def _card(platform: settings.Settings, number: int) -> room.Card:
    bmc = room.BMC(host=addresses.of_bmc(platform.id, number), port=platform.port("bmc"))
    return room.Card(
        name=platform.dpu_names[number - 1], serial=serial(number), index=number - 1,
        host=platform.host_names[number - 1] if platform.host_names else "", slot=SLOTS[(number - 1) % len(SLOTS)],
        bmc=bmc if platform.install_interface == "redfish" else None,
    )


def _config_file(state: Path) -> Path:
    return folder(state) / "hardware.json"
