"""The port behind which a control plane of this machine stands, written as intents.

Implementations: `dpf.local.dpucontrolplane` (processes), `memory` (tests). One suite checks both
(tests/conformance/controlplane). Every call may be repeated, also after a crash in the middle of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from dpf.api.meta import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose control plane it is. The uid tells a DPUCluster from an earlier one of the same name."""

    key: Key
    uid: str


class Stage(StrEnum):
    """What there is of a control plane."""

    ABSENT = "absent"
    """Nothing, not even data. The state after `remove`."""
    STOPPED = "stopped"
    """Something is there, but not everything runs, or it belongs to an earlier DPUCluster of this name."""
    STARTING = "starting"
    """Everything runs and does not serve yet."""
    RUNNING = "running"
    """Serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach a running control plane. `endpoint` is the API server's URL, `version` its Kubernetes version."""

    endpoint: str
    ca_pem: bytes = field(repr=False)
    kubeconfig: bytes = field(repr=False)
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlaneState:
    """What was found.

    `why` says, for people and stable while nothing changes, what is missing for RUNNING. `access` is set when RUNNING.
    `outdated` means: runs, but should be ensured again (other programs, certificates due). `late` means: STARTING for
    much longer than a start takes. `not_before` holds back the restart of something that ended right after its start.
    """

    stage: Stage
    why: str = ""
    access: Access | None = None
    outdated: bool = False
    late: bool = False
    not_before: datetime | None = None


class ControlPlane(Protocol):
    """The control planes of one machine."""

    async def observe(self, identity: Identity) -> ControlPlaneState:
        """What is there now. Changes nothing; may wait a little for a server that is about to serve.

        Never raises for what is wrong on this machine: that is STOPPED, and `ensure` or `remove` will say more.
        """

    async def ensure(self, identity: Identity) -> None:
        """Start what does not run, on data that only this DPUCluster has written; may return before it serves.

        Raises reconciler.DriverError saying what is in the way.
        """

    async def remove(self, identity: Identity) -> None:
        """Stop everything and delete its data. Raises reconciler.DriverError naming what would not go."""
