"""A kubelet process with emulated nodes, against a joinable cluster, and waiting for what it makes of pods."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.joinable import Cluster

import dpf
from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.kube import wait
from dpf.kube.client import Client

SHELL = {"pattern": "shell:*", "argv": ["/bin/sh", "-c", "{args}"]}
EXAMPLE = {"pattern": "*dummydpuservice:*", "argv": ["{python}", "-m", "dpf.emulation.services.dummydpuservice"]}


@dataclass(kw_only=True)
class Kubelet:
    """`python -m dpf.emulation.kubelet` in a folder of its own; `platform` names everything it makes."""

    folder: Path
    cluster: Cluster
    platform: str
    mode: str
    names: list[str]
    subnet: int = 250
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def config(self) -> Path:
        return self.folder / "nodes.json"

    def configure(self, token: str | None = None) -> None:
        """Write the configuration for `names`; a node's index is the number at the end of its name."""
        if token is not None:
            (self.folder / "token").write_text(token)
        join = {"server": self.cluster.server, "tokenFile": str(self.folder / "token"), "caPins": [self.cluster.pin]}
        labels = {"dpu": self.platform}
        nodes = [{"name": name, "index": int(name[-1]), "join": join, "labels": labels} for name in self.names]
        network = {
            "mode": self.mode, "nodeNetwork": f"198.18.{self.subnet}.0/24", "podNetwork": f"198.19.{self.subnet}.0/24",
            "podPrefixLength": 27,
        }
        temporary = self.config.with_suffix(".new")
        temporary.write_text(json.dumps({
            "platform": self.platform, "stateDir": str(self.folder / "nodes"), "network": network, "nodes": nodes,
            "images": [SHELL, EXAMPLE],
        }))
        temporary.replace(self.config)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command("run"), stdout=log, stderr=log, env=self._env())

    def kill(self) -> None:
        """As a crash: nobody gets to say good-bye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    def remove(self) -> None:
        subprocess.run(self._command("remove"), check=True, env=self._env(), capture_output=True, timeout=60)

    def _command(self, action: str) -> list[str]:
        return [sys.executable, "-m", "dpf.emulation.kubelet", "--config", str(self.config), action]

    def _env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(dpf.__file__).parents[1])}


def a_pod(name: str, node: str, *scripts: str, image: str = "shell:1", **spec: Any) -> core.Pod:
    """A pod bound to `node` whose containers run these shell scripts."""
    containers = [core.Container(name=f"c{n}", image=image, args=[script]) for n, script in enumerate(scripts)]
    return core.Pod(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=core.PodSpec(**{"nodeName": node, "containers": containers, "terminationGracePeriodSeconds": 5, **spec}),
    )


async def until_node(client: Client, name: str, status: str = "True", timeout_s: float = 60) -> core.Node:
    """The node as soon as its Ready condition has that status."""
    def accept(node: core.Node | None) -> bool:
        return node is not None and any(c.type == "Ready" and c.status == status for c in node.status.conditions or ())

    found = await wait.until(client, core.Node, name, accept=accept, timeout_s=timeout_s)
    assert found is not None
    return found


async def until_pod(client: Client, name: str, accept: Callable[[core.Pod], bool], timeout_s: float = 30) -> core.Pod:
    """The pod of namespace `default` as soon as `accept` says yes."""
    found = await wait.until(
        client, core.Pod, name, "default", accept=lambda pod: pod is not None and accept(pod), timeout_s=timeout_s
    )
    assert found is not None
    return found


async def until_gone(client: Client, name: str, timeout_s: float = 30) -> None:
    """Return when there is no such pod."""
    await wait.until(client, core.Pod, name, "default", accept=lambda pod: pod is None, timeout_s=timeout_s)


def is_ready(pod: core.Pod) -> bool:
    """Whether its Ready condition is True."""
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())
