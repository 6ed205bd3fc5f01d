"""`dpfctl local down`: stop every process in order, remove network namespaces, interfaces and the state folder."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Final

from dpf.emulation.kubelet import config, removal
from dpf.local import errors
from dpf.local.platform import hardware, nodes, progress, settings
from dpf.local.supervisor import errors as supervisor_errors
from dpf.local.supervisor.supervisor import Supervisor

_FOLDERS: Final = (
    "argocd", "bfb", "charts", "clusters", "etcd", "hardware", "host", "hosts", "logs", "nodes", "pki", "run",
)
_FILES: Final = ("dpu.kubeconfig", "platform.json")


def down(state: Path, meter: progress.Progress) -> bool:
    """Remove the platform in `state`; False when there was none. Works on a half-made or damaged one too.

    Only a folder that carries our mark is touched, and only what a platform puts there is removed. Raises LocalError
    naming what would not go.
    """
    if not settings.is_ours(state):
        return False
    try:
        with meter.step("processes stopped"):
            Supervisor(state).stop_all()
    except supervisor_errors.Error as error:
        raise errors.LocalError(str(error)) from error
    with meter.step("nodes and their network removed"):
        prefix = settings.Settings(state=state).prefix
        for folder in (nodes.folder(state), hardware.hosts_folder(state)):
            removal.remove_all(config.Config(platform=prefix, stateDir=str(folder)))
    with meter.step("state folder removed"):
        _remove(state)
    if state.exists():
        meter.say(f"{state} stays: it holds files that the platform did not put there")
    return True


def _remove(state: Path) -> None:
    """Our own entries, the mark last: until then `down` can be repeated. Raises LocalError for what would not go."""
    for name in _FOLDERS:
        _remove_folder(state / name)
    for name in (*_FILES, settings.MARK):
        _remove_file(state / name)
    with contextlib.suppress(OSError):
        state.rmdir()


def _remove_folder(path: Path) -> None:
    """A link that somebody has put in its place goes, and what it leads to stays."""
    if path.is_symlink():
        _remove_file(path)
        return
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _stays(path, error) from error


def _remove_file(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _stays(path, error) from error


def _stays(path: Path, error: OSError) -> errors.LocalError:
    where = error.filename or path
    return errors.LocalError(f"{where} cannot be removed: {error.strerror}. Remove it yourself, then run this again.")
