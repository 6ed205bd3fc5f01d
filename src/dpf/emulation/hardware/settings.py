"""The configuration file of the machine room. Pure but for `load`.

Written by the local platform, or by a person; it holds no secret. Unknown fields are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from dpf.api.meta import Model
from dpf.emulation.bmc.settings import CardSettings, Timings
from dpf.emulation.kubelet import config as kubelet_config

FIRST_SLOT: Final = 0x04
"""The first card of a host is at 0000:04:00.0, the next at 0000:05:00.0."""


class SettingsError(Exception):
    """The configuration cannot be used; the text says where and why."""


class BMC(Model, forbid_unknown_fields=True):
    """Where the BMC of a card listens. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 0


class Card(Model, forbid_unknown_fields=True):
    """One card. `index` chooses the addresses of its node. With `bmc` it has a BMC; else it is driven from its host."""

    name: str
    serial: str
    index: int
    host: str = ""
    slot: int = FIRST_SLOT
    bmc: BMC | None = None

    @property
    def pci_address(self) -> str:
        """Where its host sees it on the bus."""
        return f"0000:{self.slot:02x}:00.0"


class Host(Model, forbid_unknown_fields=True):
    """A host that is a Node of the host cluster."""

    name: str
    index: int


class Kubelet(Model, forbid_unknown_fields=True):
    """A kubelet process whose nodes we decide: `path` is the file that it reads, `template` all of it but the nodes."""

    path: str
    template: kubelet_config.Config


class HostCluster(Model, forbid_unknown_fields=True):
    """The hosts' kubelet, and how its nodes join."""

    kubelet: Kubelet
    join: kubelet_config.JoinParameters


class Settings(Model, forbid_unknown_fields=True):
    """The whole file.

    `socketDir` has the sockets `control` and `boot`. Cards need a `dpuKubelet`. `kubeconfig` is for the person who
    reboots hosts; empty: nobody does. `bundlePort` 0 serves no bundles. `bfbFolder` is the volume of bundles that DMS
    pods share with controllers.
    """

    stateDir: str
    logDir: str
    socketDir: str
    dpuKubelet: Kubelet | None = None
    hostCluster: HostCluster | None = None
    cards: list[Card] = []
    hosts: list[Host] = []
    timings: Timings = Timings()
    kubeconfig: str = ""
    bundlePort: int = 0
    bfbFolder: str = ""

    @property
    def state(self) -> Path:
        """Where everything is kept that cards and hosts remember."""
        return Path(self.stateDir)

    @property
    def control_socket(self) -> Path:
        """Where the cards are steered."""
        return Path(self.socketDir) / "control"

    @property
    def boot_socket(self) -> Path:
        """Where a DMS says that a card boots."""
        return Path(self.socketDir) / "boot"

    def of_host(self, name: str) -> tuple[Card, ...]:
        """The cards of a host."""
        return tuple(card for card in self.cards if card.host == name)


def load(path: Path) -> Settings:
    """Raises SettingsError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read the configuration {path}: {error.strerror}") from error
    return parse(content, str(path))


def parse(content: bytes, source: str) -> Settings:
    """The checked settings in `content`; `source` names it in messages. Raises SettingsError."""
    try:
        found = msgspec.json.decode(content, type=Settings)
    except msgspec.DecodeError as error:
        raise SettingsError(f"{source}: {error}") from error
    wrong = _problem(found)
    if wrong:
        raise SettingsError(f"{source}: {wrong}")
    return found


def bmc_settings(card: Card, bmc: BMC) -> CardSettings:
    """The card as its emulated BMC takes it. Addresses of its functions follow from its index."""
    mac = f"02:00:00:00:{card.index // 256:02x}:{card.index % 256:02x}"
    return CardSettings(name=card.name, serial=card.serial, host=bmc.host, port=bmc.port, pf0_mac=mac)


def _problem(found: Settings) -> str:
    unique: Mapping[str, list[str]] = {
        "cards have the name": [card.name for card in found.cards],
        "cards have the index": [str(card.index) for card in found.cards],
        "cards have the serial number": [card.serial.lower() for card in found.cards],
        "cards are in host and place": [f"{card.host} {card.pci_address}" for card in found.cards if card.host],
        "hosts have the name": [host.name for host in found.hosts],
    }
    for what, values in unique.items():
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            return f"two {what} {twice[0]}"
    if found.cards and found.dpuKubelet is None:
        return "there are cards, and no dpuKubelet that is their nodes"
    known = {host.name for host in found.hosts}
    lost = next((card for card in found.cards if card.bmc is None and card.host not in known), None)
    return f"card {lost.name} has neither a BMC nor a host that is there" if lost is not None else ""
