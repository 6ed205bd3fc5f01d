"""The emulated nodes of the platform: their configuration, their tokens, and waiting until all are Ready.

`configuration` is for DPUs that are nodes without an installation; where DPUs are installed, the machine room fills in
`template` (see `hardware`).
"""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path
from typing import Final

import msgspec

from dpf.api import core, names
from dpf.emulation.join import discovery, identity
from dpf.emulation.kubelet import config as kubelet_config
from dpf.kube import client as port
from dpf.kube import kubeconfig, wait
from dpf.local import files
from dpf.local.platform import addresses, settings
from dpf.local.supervisor.spec import ProcessSpec
from dpf.provisioning.dpucluster import token as tokens

PROCESS: Final = "emulated-nodes"
TOKEN_TTL_S: Final = 3600
_CAPACITY: Final[dict[str, core.IntOrString]] = {
    "cpu": "16", "memory": "32Gi", "ephemeral-storage": "64Gi", "pods": "60", "nvidia.com/bf_sf": "20",
    # The name under which the producer/consumer example asks for scalable functions.
    "nvidia.com/sf": "20",
}


def folder(state: Path) -> Path:
    """Where the emulated nodes keep what a machine would keep on its disk."""
    return state / "nodes"


def template(platform: settings.Settings, where: Path) -> kubelet_config.Config:
    """The configuration of a kubelet process of the platform, without nodes, which live in the folder `where`."""
    if platform.address_slot is None:
        raise ValueError("the platform has no address slot yet")
    networks = addresses.of_slot(platform.address_slot)
    mode = kubelet_config.NetworkMode.NAMESPACES if platform.pod_network == "netns" else kubelet_config.NetworkMode.HOST
    return kubelet_config.Config(
        platform=platform.prefix,
        stateDir=str(where),
        network=kubelet_config.NetworkConfig(
            mode=mode, nodeNetwork=str(networks.nodes), podNetwork=str(networks.pods),
            podPrefixLength=addresses.POD_PREFIX_LENGTH,
        ),
    )


def configuration(platform: settings.Settings, server: str, ca_pin: str) -> kubelet_config.Config:
    """All emulated DPUs of a platform where none is installed."""
    where = folder(platform.state)
    join = kubelet_config.JoinParameters(server=server, tokenFile=str(where / "bootstrap-token"), caPins=[ca_pin])
    return msgspec.structs.replace(template(platform, where), nodes=[
        kubelet_config.NodeConfig(name=name, index=index, labels=_labels(name), capacity=_CAPACITY, join=join)
        for index, name in enumerate(platform.dpu_names)
    ])


def _labels(name: str) -> dict[str, str]:
    return {
        "dpu": "dpu",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        names.DPU_NODE_LABEL: "true",
        names.DPUNODE_NAME_LABEL: name,
    }


async def prepare(platform: settings.Settings, client: port.Client, kubeconfig_path: Path) -> ProcessSpec:
    """Write the configuration and, for nodes that have to join, a fresh token; returns the process of the nodes.

    `client` and the kubeconfig at `kubeconfig_path` are the administrator's of the DPU cluster.
    """
    where = files.ensure_private_folder(folder(platform.state))
    path = where / "nodes.json"
    if not all((where / name / identity.FILE_NAME).exists() for name in platform.dpu_names):
        token = await tokens.mint_token(client, TOKEN_TTL_S)
        await asyncio.to_thread(files.write_atomic, where / "bootstrap-token", token.bearer.encode())
    await asyncio.to_thread(_write_configuration, platform, kubeconfig_path, path)
    return process(platform, PROCESS, path)


def process(platform: settings.Settings, name: str, path: Path) -> ProcessSpec:
    """The kubelet process of the nodes in the file `path`."""
    return ProcessSpec(
        name=name, cwd=path.parent, log=platform.state / "logs" / f"{name}.log",
        argv=(sys.executable, "-m", "dpf.emulation.kubelet", "--config", str(path)),
    )


def _write_configuration(platform: settings.Settings, kubeconfig_path: Path, path: Path) -> None:
    admin = kubeconfig.single_identity(kubeconfig.parse(kubeconfig_path.read_bytes(), source=str(kubeconfig_path)))
    (pin,) = discovery.ca_pins(base64.b64decode(admin.ca_data))
    content = msgspec.json.encode(configuration(platform, admin.server, pin))
    files.write_atomic(path, msgspec.json.format(content))


async def remove_others(client: port.Client, node_names: tuple[str, ...]) -> None:
    """Delete emulated Nodes that the platform no longer has, as is done when a machine is taken away."""
    for node in (await client.list(core.Node)).items:
        runtime = node.status.nodeInfo.containerRuntimeVersion if node.status.nodeInfo else ""
        if node.metadata.name not in node_names and runtime.startswith("dpf-emulated://"):
            await client.delete(core.Node, node.metadata.name, uid=node.metadata.uid)


async def wait_ready(client: port.Client, node_names: tuple[str, ...], timeout_s: float) -> None:
    """Return when every node is Ready. Raises kube Timeout naming the one that is not."""
    async with asyncio.TaskGroup() as group:
        for name in node_names:
            group.create_task(wait.until(
                client, core.Node, name, accept=lambda node: wait.condition_is_true(node, "Ready"), timeout_s=timeout_s,
            ))
