"""Install what Debian packages: only what is missing, only as root.

Called by `resolver`. Elsewhere the user is told the command.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence

from dpf.local.parts import commands
from dpf.local.parts.errors import StepFailed
from dpf.local.parts.options import Options

Progress = Callable[[str], None]
LOCK_TIMEOUT_S = 120
_SAID_LINES = 6


def command(packages: Sequence[str]) -> str:
    """What a person would type."""
    return f"sudo apt-get install --no-install-recommends {' '.join(packages)}"


async def install(packages: Sequence[str], options: Options, progress: Progress) -> None:
    """Install `packages`; lists are refreshed when apt-get does not know or cannot fetch one. Raises StepFailed."""
    if shutil.which("apt-get", path=options.environ.get("PATH")) is None:
        raise StepFailed("this is not Debian (no apt-get)")
    if os.geteuid() != 0:
        raise StepFailed("not root, so it was not installed")
    progress(f"installing {', '.join(packages)} with apt-get")
    first = await _apt_get(["install", "-y", "--no-install-recommends", *packages], options)
    if first.code == 0:
        return
    await _apt_get(["update"], options)
    again = await _apt_get(["install", "-y", "--no-install-recommends", *packages], options)
    if again.code != 0:
        said = " / ".join(line for line in again.said.splitlines()[-_SAID_LINES:] if line)
        raise StepFailed(f"apt-get install failed: {said}")


async def _apt_get(arguments: Sequence[str], options: Options) -> commands.Result:
    environ = {**options.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    argv = ["apt-get", "-q", "-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT_S}", *arguments]
    try:
        return await commands.run(argv, env=environ)
    except OSError as error:
        raise StepFailed(f"apt-get could not be started: {error.strerror or error}") from error
