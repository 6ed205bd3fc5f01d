"""Control planes in memory, for tests: a server that serves as soon as a test lets it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import yaml

from dpf.api.meta import Key
from dpf.kube.client import Client
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.clustermanager.local.driver import Access, ControlPlaneState, Identity, Stage
from dpf.runtime.reconciler import DriverError

VERSION = "v1.36.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plane:
    uid: str
    port: int
    alive: bool = False
    serving: bool = False
    data: MemoryCluster = field(default_factory=lambda: MemoryCluster("dpu", version=VERSION))


class MemoryControlPlane:
    """A new control plane serves at once, unless `slow`; `fail` makes the next calls of an intent fail."""

    def __init__(self, *, slow: bool = False) -> None:
        self.slow = slow
        self._planes: dict[Key, _Plane] = {}
        self._failures: dict[str, str] = {}
        self._next_port = 20000

    def fail(self, intent: str, message: str | None) -> None:
        """Let `ensure` or `remove` fail with `message` from now on; None ends that."""
        if message is None:
            self._failures.pop(intent, None)
        else:
            self._failures[intent] = message

    def serve(self, identity: Identity) -> None:
        """A slow one is done with its start."""
        self._planes[identity.key] = replace(self._planes[identity.key], serving=True)

    def kill(self, identity: Identity) -> None:
        """Its API server dies."""
        self._planes[identity.key] = replace(self._planes[identity.key], alive=False)

    def serves(self, endpoint: str) -> bool:
        """Whether an API server answers at that URL: what a health check finds out."""
        return any(p.alive and p.serving for p in self._planes.values() if _endpoint(p.port) == endpoint)

    def client(self, access: Access) -> Client:
        """A client of the control plane behind `access`, in place of a connection."""
        return next(plane.data for plane in self._planes.values() if _endpoint(plane.port) == access.endpoint)

    async def observe(self, identity: Identity) -> ControlPlaneState:
        """See `driver.ControlPlane`."""
        plane = self._planes.get(identity.key)
        if plane is None:
            return ControlPlaneState(stage=Stage.ABSENT)
        if plane.uid != identity.uid:
            return ControlPlaneState(stage=Stage.STOPPED, why="an earlier DPUCluster of this name left its data")
        if not plane.alive:
            return ControlPlaneState(stage=Stage.STOPPED, why="kube-apiserver does not run")
        if not plane.serving:
            return ControlPlaneState(stage=Stage.STARTING, why="kube-apiserver does not serve yet")
        return ControlPlaneState(stage=Stage.RUNNING, access=_access(plane.port))

    async def ensure(self, identity: Identity) -> None:
        """See `driver.ControlPlane`."""
        self._fail_if_told("ensure")
        plane = self._planes.get(identity.key)
        if plane is None or plane.uid != identity.uid:
            plane = _Plane(uid=identity.uid, port=self._next_port)
            self._next_port += 1
        if not plane.alive:
            plane = replace(plane, alive=True, serving=not self.slow)
        self._planes[identity.key] = plane

    async def remove(self, identity: Identity) -> None:
        """See `driver.ControlPlane`."""
        self._fail_if_told("remove")
        self._planes.pop(identity.key, None)

    def _fail_if_told(self, intent: str) -> None:
        if intent in self._failures:
            raise DriverError(self._failures[intent])


def _access(port: int) -> Access:
    endpoint = _endpoint(port)
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "admin",
        "clusters": [{"name": "memory", "cluster": {"server": endpoint, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "admin", "user": {"token": f"memory-{port}"}}],
        "contexts": [{"name": "admin", "context": {"cluster": "memory", "user": "admin"}}],
    }
    return Access(endpoint=endpoint, ca_pem=b"CA", kubeconfig=yaml.safe_dump(config).encode(), version=VERSION)


def _endpoint(port: int) -> str:
    return f"https://127.0.0.1:{port}"
