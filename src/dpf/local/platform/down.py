"""`dpfctl local down`: stop every process in order, remove network namespaces, interfaces and the state folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from dpf.emulation.kubelet import config, removal
from dpf.local import errors
from dpf.local.platform import nodes, progress, settings
from dpf.local.supervisor import errors as supervisor_errors
from dpf.local.supervisor.supervisor import Supervisor


def down(state: Path, meter: progress.Progress) -> bool:
    """Remove the platform in `state`; False when there was none. Works on a half-made or damaged one too.

    Only a folder that carries our marks is removed. Raises LocalError naming what would not go.
    """
    if not _is_ours(state):
        return False
    try:
        with meter.step("processes stopped"):
            Supervisor(state).stop_all()
    except supervisor_errors.Error as error:
        raise errors.LocalError(str(error)) from error
    with meter.step("nodes and their network removed"):
        prefix = settings.Settings(state=state).prefix
        removal.remove_all(config.Config(platform=prefix, stateDir=str(nodes.folder(state))))
    with meter.step("state folder removed"):
        shutil.rmtree(state)
    return True


def _is_ours(state: Path) -> bool:
    return any((state / mark).exists() for mark in ("platform.json", "run"))
