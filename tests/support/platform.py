"""A local platform for tests, driven through the programs that users type: dpfctl and kubectl."""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any

import yaml

from dpf.kube import connect
from dpf.kube.http import HTTPClient
from dpf.local import controlplanes, parts
from dpf.local.platform import settings, up

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
DPFCTL = Path(sys.executable).with_name("dpfctl")


@dataclass(frozen=True)
class Platform:
    """One platform in its own state folder."""

    state: Path

    @cached_property
    def environment(self) -> dict[str, str]:
        """What `dpfctl local env` exports."""
        lines = self.dpfctl("local", "env").stdout.splitlines()
        words = [shlex.split(line.removeprefix("export "))[0] for line in lines]
        return dict(word.split("=", 1) for word in words)

    def dpfctl(self, *arguments: str, check: bool = True, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run dpfctl for this platform."""
        return run([str(DPFCTL), *arguments], env={"DPF_STATE": str(self.state)}, check=check, timeout_s=timeout_s)

    def up(self, *options: str) -> dict[str, Any]:
        """`dpfctl local up`; returns its figures."""
        done = self.dpfctl("local", "up", "--quiet", "-o", "json", *options, timeout_s=180)
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    def status(self) -> dict[str, Any]:
        """`dpfctl local status -o json`, healthy or not."""
        return json.loads(self.dpfctl("local", "status", "-o", "json", check=False).stdout)  # type: ignore[no-any-return]

    def pids(self) -> dict[str, int | None]:
        """Process ids by name."""
        return {p["name"]: p["pid"] for p in self.status()["processes"]}

    def controllers_argv(self) -> list[str]:
        """How the platform runs its controllers, but without a metrics port."""
        return [
            sys.executable, "-m", "dpf", "run", "all",
            "--kubeconfig", str(self.state / "host" / "dpf-controllers.kubeconfig"),
            "--local-state", str(self.state), "--metrics-address", "",
            *up.controllers_options(self._settings),
        ]

    def controllers_environment(self) -> dict[str, str]:
        """Where its programs are."""
        found = {part.variable: parts.find(part.name) for part in parts.PARTS if part.name in controlplanes.PROGRAMS}
        return {name: str(path) for name, path in found.items()}

    def kill_controllers(self) -> None:
        """kill -9 of our process; nobody starts it again but `up`."""
        pid = self.pids()[up.CONTROLLERS]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def passes(self, controller: str) -> int:
        """How often the running controllers have found an object of this controller as it should be."""
        url = f"http://127.0.0.1:{self._settings.port('controllers-metrics')}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        series = f'dpf_reconcile_total{{controller="{controller}",result="done"}} '
        return next((int(float(line[len(series):])) for line in text.splitlines() if line.startswith(series)), 0)

    @property
    def _settings(self) -> settings.Settings:
        """What the platform remembers of itself."""
        remembered = settings.load(self.state)
        assert remembered is not None
        return remembered

    def kubectl(
        self, *arguments: str, dpu: bool = False, stdin: str | None = None, check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """kubectl against the host cluster, or the DPU cluster."""
        kubeconfig = self.environment["DPU_KUBECONFIG" if dpu else "HOST_KUBECONFIG"]
        return run([self.environment["KUBECTL"], "--kubeconfig", kubeconfig, *arguments], stdin=stdin, check=check)

    def apply(self, *objects: dict[str, Any], options: Sequence[str] = ()) -> None:
        """kubectl apply, with strict validation as users have it."""
        self.kubectl("apply", "--validate=strict", *options, "-f", "-", stdin=yaml.safe_dump_all(objects))

    def wait(self, resource: str, condition: str, namespace: str, timeout_s: int = 60) -> None:
        """kubectl wait; an object that is not there yet is waited for, too."""
        if condition != "delete":
            self.kubectl("wait", "--for=create", resource, "-n", namespace, f"--timeout={timeout_s}s")
        self.kubectl("wait", f"--for={condition}", resource, "-n", namespace, f"--timeout={timeout_s}s")

    @asynccontextmanager
    async def client(self, *, dpu: bool = False) -> AsyncIterator[HTTPClient]:
        """A client of the host cluster, or of the DPU cluster."""
        name = "DPU_KUBECONFIG" if dpu else "HOST_KUBECONFIG"
        async with connect.client(self.environment[name], name=name) as client:
            yield client

    def example(self, file: str) -> list[dict[str, Any]]:
        """The objects of an example with the registry placeholders filled."""
        text = Template((EXAMPLES / file).read_text()).safe_substitute(self.environment)
        return [document for document in yaml.safe_load_all(text) if document]

    def service(self, name: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
        """A DPUService of the dummydpuservice chart without extended resources; `spec` replaces fields."""
        source = {
            "repoURL": f"https://{self.environment['DPUSERVICE_HELM_REGISTRY']}/dpf", "version": "v0.1.0",
            "chart": "dummydpuservice-chart",
        }
        image = {"repository": f"{self.environment['DPUSERVICE_DOCKER_REGISTRY']}/dummydpuservice", "tag": "v0.1.0"}
        return {
            "apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "DPUService",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"helmChart": {"source": source, "values": {"image": image}}, **spec},
        }


@dataclass(slots=True)
class Standin:
    """The process that speaks for service chains and their interfaces (`tools.standin`)."""

    platform: Platform
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Speak."""
        argv = [sys.executable, "-m", "tools.standin", "--kubeconfig", self.platform.environment["HOST_KUBECONFIG"]]
        with (self.platform.state / "logs" / "standin.log").open("ab") as log:
            self.process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self) -> None:
        """Say nothing any more."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process = None

    @contextmanager
    def silent(self) -> Iterator[None]:
        """For the length of a block no chain and no interface becomes ready: an upgrade stops half-way.

        What happens meanwhile is not seen afterwards, only what has come of it.
        """
        self.stop()
        try:
            yield
        finally:
            self.start()


@contextmanager
def standin(made: Platform) -> Iterator[Standin]:
    """The stand-in for `made`, for the length of a block."""
    speaking = Standin(made)
    speaking.start()
    try:
        yield speaking
    finally:
        speaking.stop()


@contextmanager
def platform(dpus: int = 2, *, started: bool = True, interface: str = "none") -> Iterator[Platform]:
    """A fresh platform, removed at the end. Its folder is in /tmp: unix sockets need short paths.

    With the interface `none` its DPUs are nodes without an installation; with another one only their hardware is there.
    """
    folder = Path(tempfile.mkdtemp(prefix="dpf-e2e-", dir="/tmp"))
    made = Platform(state=folder / "s")
    try:
        if started:
            made.up("--dpus", str(dpus), "--install-interface", interface)
        yield made
    finally:
        made.dpfctl("local", "down", check=False)
        shutil.rmtree(folder, ignore_errors=True)


def run(
    argv: list[str], *, env: dict[str, str] | None = None, stdin: str | None = None, check: bool = True,
    timeout_s: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run a program; a failure shows its output."""
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})},
        timeout=timeout_s,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{shlex.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def decoded(value: str) -> str:
    """A value of a Secret as text; what is no text is left out."""
    return base64.b64decode(value).decode(errors="ignore")
