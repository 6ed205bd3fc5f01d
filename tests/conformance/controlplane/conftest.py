"""The implementations of the ControlPlane port, each with a way to break it and to look inside."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import controlplanes
from tests.support.controlplanes import Machine

from dpf.api.meta import Key
from dpf.kube.client import Client
from dpf.provisioning.clustermanager.local import apply
from dpf.provisioning.clustermanager.local.driver import Access, ControlPlane, Identity, Stage
from dpf.provisioning.clustermanager.local.memory import MemoryControlPlane

LOOKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """One implementation. `kill` ends an API server without a word, `client` opens a client to be closed."""

    planes: ControlPlane
    kill: Callable[[Identity], None]
    client: Callable[[Access], Client]

    async def up(self, identity: Identity) -> Access:
        """What a manager does until the control plane runs."""
        for _ in range(LOOKS):
            state = await self.planes.observe(identity)
            if state.access is not None:
                return state.access
            if state.stage is not Stage.STARTING:
                await self.planes.ensure(identity)
        pytest.fail(f"still {state.stage}: {state.why}")


def an_identity(name: str = "tenant1", uid: str = "uid-1") -> Identity:
    return Identity(key=Key("dpf-operator-system", name), uid=uid)


@pytest.fixture(params=["memory", pytest.param("processes", marks=pytest.mark.parts)])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    if request.param == "memory":
        planes = MemoryControlPlane()
        yield Rig(planes=planes, kill=planes.kill, client=planes.client)
        return
    async with controlplanes.machine(tmp_path) as machine:
        yield Rig(planes=machine.planes(), kill=lambda identity: _kill(machine, identity), client=apply.connect)


def _kill(machine: Machine, identity: Identity) -> None:
    process = machine.process(identity.key, "kube-apiserver")
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
