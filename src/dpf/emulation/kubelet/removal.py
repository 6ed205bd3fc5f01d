"""Take everything of an emulated platform away: processes, namespaces, interfaces, folders.

Called by `python -m dpf.emulation.kubelet remove` and by `dpfctl local down`, when no kubelet runs any more. It works
from what is on the machine, not from what anybody remembers.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import structlog

from dpf.emulation.kubelet import network
from dpf.emulation.kubelet.config import Config
from dpf.emulation.kubelet.processes import Processes

_LOG = structlog.get_logger(__name__)


def remove_all(config: Config) -> None:
    """End every container of every node found in the state folder, then remove networks and the folder.

    Raises NetworkError, OSError.
    """
    state = Path(config.stateDir).resolve()
    ended = sum(Processes(state=folder, platform=state).kill_strays() for folder in _node_folders(state))
    network.remove_all(config.platform)
    shutil.rmtree(state, ignore_errors=True)
    _LOG.info("removed emulated nodes", platform=config.platform, processes=ended)


def _node_folders(state: Path) -> list[Path]:
    return [path for path in state.iterdir() if path.is_dir()] if state.is_dir() else []
