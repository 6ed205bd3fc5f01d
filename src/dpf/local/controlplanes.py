"""The driver of the local cluster manager for one state folder, put together for `dpf run`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from dpf.local import controlplane, errors, parts
from dpf.local.dpucontrolplane import ProcessControlPlane, Programs
from dpf.local.parts.table import KUBERNETES
from dpf.local.platform import settings

PROGRAMS: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def environment(found: parts.Parts) -> dict[str, str]:
    """What a process needs in its environment to find in `of_state` the programs that were found here."""
    return {part.variable: str(found[part.name]) for part in parts.PARTS if part.name in PROGRAMS}


def of_state(state: Path) -> ProcessControlPlane:
    """Control planes as processes of the platform in `state`. Raises LocalError when there is none, PartsMissing."""
    platform = settings.load(state)
    if platform is None:
        raise errors.LocalError(f"there is no platform in {state}; `dpfctl local up --state {state}` makes one")
    options = parts.from_environment(os.environ)
    apiserver, controller_manager, scheduler = (parts.find(name, options) for name in PROGRAMS)
    return ProcessControlPlane(
        state=state, store=controlplane.Store(folder=state / "etcd"), reserved_ports=platform.ports.values(),
        programs=Programs(
            apiserver=apiserver, controller_manager=controller_manager, scheduler=scheduler, version=KUBERNETES
        ),
    )
