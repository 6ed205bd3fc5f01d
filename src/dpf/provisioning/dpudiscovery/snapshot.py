"""Every fact that a decision about one DPUDiscovery needs, as values. Pure. Filled by `observe` and `scanning`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from dpf.api.dpudevice import DPUDevice
from dpf.api.dpudiscovery import DPUDiscovery
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key, object_key
from dpf.api.operatorprovisioning import InstallViaRedfish
from dpf.provisioning.dpudevice.credentials import Credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A DPU that was found at `address`."""

    address: str
    serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """How a scan stands. `ended` is None while it runs. `asked` addresses are done of `total`.

    `rejected` and `unreadable` have addresses, at most a few of them; `foreign` and `silent` are numbers.
    """

    generation: int
    total: int
    asked: int = 0
    cards: tuple[Card, ...] = ()
    foreign: int = 0
    silent: int = 0
    rejected: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    ended: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One scan: the addresses from `first` to `last` but `known`, so many at a time."""

    key: Key
    uid: str
    generation: int
    first: int
    last: int
    port: int
    workers: int
    password: str = field(repr=False)
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`redfish` is None where DPUs are not installed through BMCs. `devices` are those of all namespaces."""

    discovery: DPUDiscovery
    redfish: InstallViaRedfish | None
    credentials: Credentials
    devices: tuple[DPUDevice, ...] = ()
    dpunodes: tuple[DPUNode, ...] = ()
    scan: Scan | None = None

    @property
    def key(self) -> Key:
        """Of the DPUDiscovery."""
        return object_key(self.discovery)
