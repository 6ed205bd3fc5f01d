"""A machine room for tests: its settings in a folder, a bf.cfg for a card, and the kubelet process of its nodes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from tests.support import dpuflavors

import dpf
from dpf.emulation.bmc.settings import Timings
from dpf.emulation.hardware.settings import BMC, Card, Host, HostCluster, Kubelet, Settings
from dpf.emulation.kubelet import config as kubelet_config
from dpf.emulation.kubelet.config import JoinParameters, NetworkConfig, NetworkMode
from dpf.provisioning.flavor.facts import Join
from dpf.provisioning.flavor.render import render

NOWHERE = Join(server="127.0.0.1:1", token="abcdef.0123456789abcdef", pins=("sha256:" + "0" * 64,))


def a_template(folder: Path, platform: str = "troom", subnet: int = 251) -> kubelet_config.Config:
    """A kubelet's configuration without nodes; everything on loopback."""
    network = NetworkConfig(
        mode=NetworkMode.HOST, nodeNetwork=f"198.18.{subnet}.0/24", podNetwork=f"198.19.{subnet}.0/24",
        podPrefixLength=27,
    )
    return kubelet_config.Config(platform=platform, stateDir=str(folder), network=network)


def a_room(folder: Path, *, redfish: int = 0, gnoi: int = 0, **fields: Any) -> Settings:
    """Settings of a room with `redfish` cards that have a BMC, then `gnoi` cards, each in a host of its own."""
    cards = [
        Card(name=f"dpu-{n}", serial=f"MT2334XZ0{n:03d}", index=n, bmc=BMC() if n < redfish else None,
             host="" if n < redfish else f"worker-{n}")
        for n in range(redfish + gnoi)
    ]
    hosts = [Host(name=card.host, index=card.index) for card in cards if card.host]
    join = JoinParameters(server="https://127.0.0.1:1", tokenFile=str(folder / "host-token"), caPins=[])
    return Settings(
        stateDir=str(folder / "hardware"), logDir=str(folder / "logs"), socketDir=str(folder / "run"),
        dpuKubelet=Kubelet(path=str(folder / "nodes.json"), template=a_template(folder / "nodes")),
        hostCluster=HostCluster(
            kubelet=Kubelet(path=str(folder / "hosts.json"), template=a_template(folder / "hostnodes", "thost", 252)),
            join=join,
        ),
        cards=cards, hosts=hosts, **{"timings": Timings(), **fields},
    )


def a_bfcfg(name: str = "worker1-0000-2b-00", join: Join = NOWHERE, *, flavor: Any = None, **facts: Any) -> bytes:
    """What a controller renders for the DPU `name`."""
    rendered = render(flavor or dpuflavors.a_flavor(), dpuflavors.a_dpu(name=name, join=join, **facts))
    assert rendered.bf_cfg is not None, rendered.problems
    return rendered.bf_cfg


def nodes_of(path: Path) -> dict[str, kubelet_config.NodeConfig]:
    """The nodes in a kubelet's file, by name; the file has to be one that a kubelet takes."""
    return {node.name: node for node in kubelet_config.load(path).nodes}


@contextmanager
def a_kubelet(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process that is the nodes of `config`; nothing of it is left at the end."""
    command = [sys.executable, "-m", "dpf.emulation.kubelet", "--config", str(config)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(dpf.__file__).parents[1])}
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        subprocess.run([*command, "remove"], check=True, env=environment, capture_output=True, timeout=60)


@contextmanager
def a_room_process(settings: Settings, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m dpf.emulation.hardware`, killed at the end."""
    path = folder / "hardware.json"
    path.write_bytes(msgspec.json.encode(settings))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(dpf.__file__).parents[1])}
    with (folder / "hardware.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dpf.emulation.hardware", "--config", str(path)], stdout=output, stderr=output,
            env=environment,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
