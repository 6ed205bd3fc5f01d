"""What should run: a process as a value. Pure.

Built by `local.controlplane`, the platform and the local cluster manager; carried out by `supervisor`.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,118}[a-z0-9])?")
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PLATFORM_VARIABLE = "DPF_PLATFORM"
PROCESS_VARIABLE = "DPF_PROCESS"


class StopStage(IntEnum):
    """Order of stopping; a stage begins when the one before has ended (local-parts.md, trap 1)."""

    CLIENTS = 0
    """Everything that talks to an API server."""
    API_SERVERS = 1
    STORES = 2
    """etcd: without it an API server does not end within 20 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process.

    `argv[0]` is an absolute path. `env` is added to a minimal environment; nothing else is inherited. `netns` names a
    network namespace under /run/netns, `nice` is added to our own niceness. `inputs` is a digest of files that the
    program reads only when it starts: another digest restarts it. How it is stopped does not restart it.
    """

    name: str
    argv: tuple[str, ...]
    cwd: Path
    log: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    inputs: str = ""
    netns: str | None = None
    nice: int = 0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
    stop_stage: int = StopStage.CLIENTS

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.argv or not self.argv[0].startswith("/"):
            raise ValueError(f"process {self.name}: argv has to begin with the absolute path of a program")
        if self.netns is not None and "/" in self.netns:
            raise ValueError(f"process {self.name}: {self.netns!r} is not the name of a network namespace")


def check_name(name: str) -> None:
    """Raise ValueError when `name` cannot name a process: it becomes a file name and an environment variable."""
    if not is_name(name):
        message = "use lower-case letters, digits, '-' and '.', at most 120 characters"
        raise ValueError(f"{name!r} cannot name a process: {message}")


def is_name(text: str) -> bool:
    """Whether `text` can name a process."""
    return _NAME.fullmatch(text) is not None


def digest(spec: ProcessSpec) -> str:
    """Identity of everything that needs a restart to change."""
    parts = [
        spec.argv, str(spec.cwd), str(spec.log), sorted(spec.env.items()), spec.inputs, spec.netns, spec.nice,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def command_line(spec: ProcessSpec) -> tuple[str, ...]:
    """What is executed: the program behind `nsenter` and `nice` where asked for. Both replace themselves by it."""
    command = spec.argv
    if spec.nice:
        command = ("nice", "-n", str(spec.nice), *command)
    if spec.netns is not None:
        command = ("nsenter", f"--net=/run/netns/{spec.netns}", *command)
    return command


def environment(spec: ProcessSpec, platform: Path) -> dict[str, str]:
    """The complete environment: minimal, then `spec.env`, then the marks by which the process is found again.

    HOME is the working folder, so that nobody's personal configuration or credentials are picked up.
    """
    minimal = {"PATH": SEARCH_PATH, "HOME": str(spec.cwd), "LANG": "C.UTF-8"}
    marks = {PLATFORM_VARIABLE: str(platform), PROCESS_VARIABLE: spec.name}
    return {**minimal, **spec.env, **marks}
