"""BFBs, what refers to them, and the BFB controller over an in-memory cluster, a folder and servers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import bundleserver
from tests.support.clock import turns
from tests.support.world import NAMESPACE, World, a_world

from dpf.api.bfb import BFB, BFBSpec, BFBStatus, DeclaredVersions
from dpf.api.core import Event, Namespace
from dpf.api.dpu import DPU, DPUSpec
from dpf.api.dpuset import BFBReference, DPUSet, DPUSetSpec, DPUTemplate, DPUTemplateSpec
from dpf.api.meta import Condition, Key, ObjectMeta, object_key
from dpf.kube.memory import Request
from dpf.provisioning.bfb.connecting import Limits
from dpf.provisioning.bfb.controller import BFBController
from dpf.provisioning.bfb.download import Downloads
from dpf.provisioning.bfb.files import Volume
from dpf.provisioning.bfb.plan import Intent
from dpf.runtime.manager import Manager

NAME = "bfb-2.9"
FILE = f"{NAMESPACE}-{NAME}.bfb"
DECLARED = DeclaredVersions(bsp="4.9", doca="2.9.1", uefi="4.9-1", atf="v2.2")
QUICK = Limits(connect_s=2.0, silence_s=5.0, connect_pause_s=0.0)

AfterWrite = Callable[[Request], None]


def a_bfb(
    url: str = "http://192.0.2.1/bf-bundle.bfb", *, name: str = NAME, namespace: str = NAMESPACE,
    file_name: str | None = None, versions: DeclaredVersions | None = None, uid: str | None = None,
    created: str = "2026-01-01T00:00:00Z", status: BFBStatus | None = None, deleting: bool = False,
) -> BFB:
    """A BFB as the API server returns it."""
    return BFB(
        metadata=ObjectMeta(
            name=name, namespace=namespace, uid=uid or f"uid-{name}", generation=1, creationTimestamp=created,
            deletionTimestamp="2026-01-02T00:00:00Z" if deleting else None,
        ),
        spec=BFBSpec(url=url, fileName=file_name, versions=versions), status=status or BFBStatus(),
    )


def a_dpuset(bfb: str = NAME, *, name: str = "dpuset-dk") -> DPUSet:
    """A DPUSet that names a BFB."""
    template = DPUTemplate(spec=DPUTemplateSpec(bfb=BFBReference(name=bfb), dpuFlavor="flavor"))
    return DPUSet(metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=DPUSetSpec(dpuTemplate=template))


def a_dpu(bfb: str = NAME, *, name: str = "worker1-0000-2b-00") -> DPU:
    """A DPU that names a BFB."""
    spec = DPUSpec(dpuNodeName="worker1", dpuDeviceName="d", serialNumber="s", bfb=bfb, dpuFlavor="flavor")
    return DPU(metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=spec)


class Watched(Downloads):
    """Downloads whose intents are counted like writes."""

    after_write: AfterWrite | None = None

    async def carry_out(self, intent: Intent) -> None:
        await super().carry_out(intent)
        if self.after_write is not None:
            self.after_write(Request(verb="drive", kind=type(intent).__name__, key=intent.job.key))


@dataclass(slots=True)
class Stage:
    """What outlives a restart of the controller: cluster, clock and volume."""

    folder: Path
    world: World = field(default_factory=a_world)
    limits: Limits = QUICK
    after_write: AfterWrite | None = None
    downloads: Watched = field(init=False)
    driven: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.world.host.add(Namespace(metadata=ObjectMeta(name=NAMESPACE)))

    @property
    def clusters(self) -> tuple[Stage, ...]:
        """For `crash_everywhere`: what is to be armed."""
        return (self,)

    @asynccontextmanager
    async def controller(self) -> AsyncIterator[Manager]:
        """One life of the controller's process. Its end leaves everything as a kill would."""
        downloads = self.downloads = Watched(
            Volume(self.folder), self.world.clock, limits=self.limits, tls=bundleserver.trusting
        )
        downloads.after_write = self._drove
        self.world.host.after_write = self.after_write
        try:
            async with self.world.controllers(lambda w: [
                BFBController(clusters=w.registry, downloads=downloads)
            ]) as manager:
                yield manager
        finally:
            await downloads.aclose()

    async def settle(self, manager: Manager, seconds: float = 30.0, *, step_s: float = 1.0) -> None:
        """Let time pass in steps; downloads are waited for in each, however long they take in truth."""
        await manager.settle()
        for _ in range(round(seconds / step_s)):
            if self.downloads.tasks:
                await asyncio.wait(self.downloads.tasks, timeout=20)
            self.world.clock.advance(step_s)
            await turns()
            await manager.settle()

    async def until(self, manager: Manager, accept: Callable[[], bool], *, seconds: int = 60) -> None:
        """Let time pass until something is so, without waiting for a download to end."""
        for _ in range(seconds * 10):
            await manager.settle()
            if accept():
                return
            await asyncio.sleep(0.005)
            self.world.clock.advance(0.1)
        raise AssertionError(f"not so after {seconds} s; the BFB is {self.bfb()}")

    def bfb(self, name: str = NAME, namespace: str = NAMESPACE) -> BFB | None:
        found = [b for b in self.world.host.objects(BFB) if object_key(b) == Key(namespace, name)]
        return found[0] if found else None

    def phase(self, name: str = NAME) -> str | None:
        bfb = self.bfb(name)
        return bfb.status.phase if bfb is not None else None

    def condition(self, type_: str, name: str = NAME) -> Condition:
        bfb = self.bfb(name)
        assert bfb is not None
        (found,) = [c for c in bfb.status.conditions or () if c.type == type_]
        return found

    def told(self, type_: str, name: str = NAME) -> tuple[str, str, str]:
        """Status, reason and message of a condition."""
        found = self.condition(type_, name)
        return found.status, found.reason, found.message

    @property
    def on_disk(self) -> Mapping[str, bytes]:
        """Every file of the volume."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}

    @property
    def events(self) -> list[str]:
        return [f"{e.type} {e.reason}: {e.message}" for e in self.world.host.objects(Event)]

    async def delete(self, name: str = NAME) -> None:
        await self.world.host.delete(BFB, name, NAMESPACE)

    def _drove(self, request: Request) -> None:
        self.driven.append(request.kind)
        if self.after_write is not None:
            self.after_write(request)


def phases_seen(stage: Stage) -> list[str]:
    """Have every phase noted from now on as the API server sees it; the list grows."""
    seen: list[str] = []

    def note(_: Request) -> None:
        phase = stage.phase()
        if phase is not None and (not seen or seen[-1] != phase):
            seen.append(phase)

    stage.after_write = note
    return seen


def key(name: str = NAME) -> Key:
    return Key(NAMESPACE, name)
