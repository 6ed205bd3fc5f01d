"""From a container's spec to a local process: image rule, environment, mounts, network namespace.

Called by `podworker`. A container whose image no rule names is paused: it is Running without a process, or, as an init
container, has ended well at once (a pause would hold its pod back for ever).
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dpf
from dpf.api.core import Container, IntOrString, Pod
from dpf.emulation.kubelet import environment, images, podfolder, volumes
from dpf.emulation.kubelet.downward import Placement
from dpf.emulation.kubelet.images import ImageRule
from dpf.emulation.kubelet.probes import Target
from dpf.emulation.kubelet.processes import Launch, Processes
from dpf.emulation.kubelet.records import Exit, PodRecord, ProcessRef
from dpf.emulation.kubelet.sources import Sources
from dpf.local.supervisor import spec as specs
from dpf.runtime.clock import Clock

_PACKAGES: Final = str(Path(dpf.__file__).resolve().parents[1])
_STEERING: Final = ("LD_", "PYTHON")
"""Where our own package is found by the programs of an image rule, also when it runs out of a checkout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A life that has begun. Without `process` it is paused; `exit` is set when it has ended at once."""

    process: ProcessRef | None = None
    exit: Exit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStarter:
    """What starting a container on this node depends on besides the pod."""

    node: str
    rules: Sequence[ImageRule]
    processes: Processes
    host_ip: str
    allocatable: Mapping[str, IntOrString]
    clock: Clock

    def write_volumes(self, pod: Pod, record: PodRecord, sources: Sources | None, folder: Path) -> None:
        """Bring the pod's volumes on disk up to date. Raises MissingReference, OSError."""
        rendered = volumes.render(pod, sources or Sources(), self._placement(record))
        for name, content in rendered.items():
            volumes.write(podfolder.volume(folder, name), content)

    def start(
        self, pod: Pod, record: PodRecord, container: Container, sources: Sources | None, *, folder: Path, log: Path,
        netns: str | None,
    ) -> Started:
        """Begin a life of the container. Raises MissingReference (its environment), StartFailed (its program)."""
        rule = images.find_rule(self.rules, container.image)
        if rule is None:
            is_init = any(c.name == container.name for c in pod.spec.initContainers or ())
            return Started(exit=Exit(code=0, reason="Completed", at=self.clock.now()) if is_init else None)
        env = self._environment(pod, record, container, sources, folder)
        volumes.link_mounts(container, folder / "volumes", podfolder.root(folder, container.name))
        argv = images.build_argv(rule, container, env, python=sys.executable, node=self.node)
        process = self.processes.start(Launch(
            pod_uid=record.uid, container=container.name, argv=argv, env=env, folder=folder, log=log,
            netns=None if rule.outside and pod.spec.hostNetwork else netns,
        ))
        return Started(process=process)

    def probe_target(
        self, pod: Pod, record: PodRecord, container: Container, sources: Sources | None, *, folder: Path,
        netns: str | None,
    ) -> Target:
        """Where the container is probed. A command probe runs with the container's environment and network.

        Only where the image's rule allows it: the command is a program of this machine.
        """
        rule = images.find_rule(self.rules, container.image)
        if rule is None or not rule.commands:
            return Target(ip=record.ip, execute=None)

        def execute(command: list[str]) -> Awaitable[asyncio.subprocess.Process]:
            env = self._environment(pod, record, container, sources, folder)
            return _execute(command, {"PATH": specs.SEARCH_PATH, **env}, folder, netns)

        return Target(ip=record.ip, execute=execute)

    def _environment(
        self, pod: Pod, record: PodRecord, container: Container, sources: Sources | None, folder: Path
    ) -> dict[str, str]:
        standard = {
            "HOSTNAME": pod.metadata.name,
            volumes.ROOT_VARIABLE: str(podfolder.root(folder, container.name)),
        }
        built = environment.build(pod, container, sources or Sources(), self._placement(record), standard)
        # The programs are this machine's: a pod must not choose what their loader or interpreter loads.
        return {k: v for k, v in built.items() if not k.startswith(_STEERING)} | {"PYTHONPATH": _PACKAGES}

    def _placement(self, record: PodRecord) -> Placement:
        return Placement(pod_ip=record.ip, host_ip=self.host_ip, allocatable=self.allocatable)


async def _execute(
    command: list[str], env: Mapping[str, str], folder: Path, netns: str | None
) -> asyncio.subprocess.Process:
    """Run a probe's command. Raises OSError when it cannot be executed."""
    program = shutil.which(command[0], path=specs.SEARCH_PATH) if command else None
    if program is None:
        raise FileNotFoundError(f"{command[0] if command else 'the empty command'} is not there")
    argv = [program, *command[1:]]
    if netns is not None:
        argv = ["/usr/bin/nsenter", f"--net=/run/netns/{netns}", *argv]
    return await asyncio.create_subprocess_exec(
        *argv, env=env, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )


