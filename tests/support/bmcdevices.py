"""DPUDevices whose BMCs are emulated and reached over real sockets, in an in-memory host cluster.

    async with a_fleet(tmp_path) as fleet:
        async with fleet.running() as manager:
            assert fleet.told("Ready") == ("True", "Success", "")

Certificates are verified by the real clock. So that those which are made later in a test are valid now, the clock of
the controllers begins in the past; the BMCs' clocks are as late, and go with it.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from tests.support import bmcs
from tests.support.bmcs import PASSWORD
from tests.support.clock import FakeClock, turns
from tests.support.world import NAMESPACE, World

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig, DPFOperatorConfigSpec
from dpf.api.dpudevice import DPUDevice, DPUDeviceSpec
from dpf.api.dpudiscovery import DPUDiscovery
from dpf.api.dpunode import DPUNode, DPUNodeSpec, DPURef
from dpf.api.meta import Object, ObjectMeta
from dpf.api.operatorprovisioning import InstallInterface, InstallViaRedfish, ProvisioningController
from dpf.emulation.bmc.card import Card
from dpf.emulation.bmc.emulator import Emulator
from dpf.emulation.bmc.faults import Faults
from dpf.emulation.bmc.settings import CardSettings
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.certificates.issuer import Issuer
from dpf.provisioning.dpudevice.controller import DPUDeviceController
from dpf.provisioning.dpudevice.credentials import SHARED_SECRET
from dpf.provisioning.dpudevice.driver import BMCs
from dpf.provisioning.dpudiscovery.controller import DPUDiscoveryController
from dpf.provisioning.dpudiscovery.scanning import Scans
from dpf.provisioning.install.redfish.transport import Limits
from dpf.runtime.manager import Manager

LATE_S = 7200.0
"""How far the clocks are behind the real one when a test begins."""


@dataclass(slots=True)
class Fleet:
    """Cards `dpu-0`, `dpu-1`, ...; the DPUDevice of each is named by its serial number."""

    world: World
    emulator: Emulator
    limits: Limits = bmcs.QUICK
    spec: dict[str, Any] = field(default_factory=dict)
    scans: Scans | None = None

    @property
    def host(self) -> MemoryCluster:
        return self.world.host

    @property
    def clusters(self) -> tuple[MemoryCluster, ...]:
        """For crashes."""
        return self.world.clusters

    def card(self, number: int = 0) -> Card:
        return self.emulator.card(f"dpu-{number}")

    def name(self, number: int = 0) -> str:
        return self.card(number).settings.serial.lower()

    def device(self, number: int = 0) -> DPUDevice:
        (found,) = [d for d in self.host.objects(DPUDevice) if d.metadata.name == self.name(number)]
        return found

    def told(self, type_: str, number: int = 0) -> tuple[str, str, str]:
        """Status, reason and message of a condition; empty when it is not there."""
        found = [c for c in self.device(number).status.conditions or () if c.type == type_]
        return (found[0].status, found[0].reason, found[0].message) if found else ("", "", "")

    def add_device(self, number: int = 0, *, attach: bool = True, **spec: Any) -> None:
        """The DPUDevice of a card, and a DPUNode that lists it."""
        card, name = self.card(number), self.name(number)
        wanted = {"serialNumber": card.settings.serial, "bmcIp": card.settings.host, "bmcPort": card.record.port}
        self.host.add(DPUDevice(
            metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=DPUDeviceSpec(**{**wanted, **self.spec, **spec}),
        ))
        if attach:
            self.host.add(DPUNode(
                metadata=ObjectMeta(name=f"node-{number}", namespace=NAMESPACE),
                spec=DPUNodeSpec(dpus=[DPURef(name=name)]),
            ))

    async def patch(self, patch: dict[str, Any], number: int = 0) -> None:
        """Change a DPUDevice."""
        await self.host.patch(DPUDevice, self.name(number), NAMESPACE, patch=patch)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Manager]:
        """One life of the process, settled."""
        made: list[BMCs] = []

        def build(world: World) -> Sequence[Any]:
            issuer = Issuer(world.host, NAMESPACE, world.clock, cache=world.registry.host.cache)
            made.append(BMCs(issuer, world.clock, limits=self.limits, look_s=5.0))
            self.scans = Scans(world.clock, limits=self.limits)
            return [
                DPUDeviceController(clusters=world.registry, bmcs=made[0]),
                DPUDiscoveryController(clusters=world.registry, scans=self.scans),
            ]

        async with self.world.controllers(build) as manager:
            try:
                await manager.settle()
                yield manager
            finally:
                await made[0].aclose()
                if self.scans is not None:
                    await self.scans.aclose()

    def set_faults(self, number: int = 0, *, clock_skew_s: float = 0.0, **faults: Any) -> None:
        """Those faults and no others; `clock_skew_s` against our clock."""
        behind = self.world.clock.monotonic() - LATE_S
        self.card(number).set_faults(Faults(clock_skew_s=clock_skew_s + behind, **faults))

    async def pass_time(self, manager: Manager, seconds: float) -> None:
        """Let time pass at once, for the BMCs too, and work on what falls due."""
        self.world.clock.advance(seconds)
        for card in self.emulator.cards.values():
            late_s = card.record.faults.clock_skew_s + seconds
            card.set_faults(msgspec.structs.replace(card.record.faults, clock_skew_s=late_s))
        await turns()
        await manager.settle()

    def kinds(self) -> dict[str, Any]:
        """Everything that controllers have made, for comparisons; without what is random."""
        return {
            name: _without_randomness(state) for name, state in self.world.state(
                DPUDevice, DPUNode, DPUDiscovery
            ).items()
        }


def a_secret(name: str = SHARED_SECRET, password: str | bytes = PASSWORD, key: str = "password") -> core.Secret:
    """A Secret with a BMC's password."""
    raw = password.encode() if isinstance(password, str) else password
    return core.Secret(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE), data={key: base64.b64encode(raw).decode()}
    )


def by_bmcs(**redfish: Any) -> DPFOperatorConfig:
    """DPUs are installed through their BMCs; keywords are fields of installViaRedfish."""
    chosen = InstallInterface(installViaRedfish=InstallViaRedfish(**redfish))
    return DPFOperatorConfig(
        metadata=ObjectMeta(name="dpf", namespace=NAMESPACE),
        spec=DPFOperatorConfigSpec(provisioningController=ProvisioningController(installInterface=chosen)),
    )


@asynccontextmanager
async def a_fleet(
    folder: Path, *, cards: Sequence[CardSettings] | int = 1, devices: bool = True,
    objects: Sequence[Object] | None = None, limits: Limits = bmcs.QUICK, **fields: Any,
) -> AsyncIterator[Fleet]:
    """BMCs as they come from the factory, a Secret with their password, and a DPUDevice for each of them."""
    settings = bmcs.some_cards(cards, **fields) if isinstance(cards, int) else list(cards)
    clock = FakeClock(datetime.now(UTC), skew_s=-LATE_S)
    world = World(host=MemoryCluster(now=clock.now), dpus={}, clock=clock)
    world.host.add(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)))
    world.host.add(*((by_bmcs(), a_secret()) if objects is None else objects))
    async with Emulator(folder / "bmc", settings) as emulator:
        fleet = Fleet(world=world, emulator=emulator, limits=limits)
        for number in range(len(settings)):
            fleet.set_faults(number)
        if devices:
            for number in range(len(settings)):
                fleet.add_device(number)
        yield fleet


def _without_randomness(state: Any) -> Any:
    """Times, and the digest of a bundle whose key is random."""
    status = dict(state.get("status") or {})
    for name in ("bmcServerCertificate", "caTrustBundle", "lastScanTime"):
        if name in status:
            status[name] = "there"
    return {**state, "status": status}
