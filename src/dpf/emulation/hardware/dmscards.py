"""Cards that a DMS on their host installs: their faults, and what the DMS remembers of them.

The DMS is a pod on the emulated host and keeps everything in a folder of ours, so that cards outlive pods. It reads a
card's faults from there at each request. Called by `panel` and `hostpod`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from dpf.emulation.bmc.control import ControlError
from dpf.emulation.dms import faults as dms_faults
from dpf.emulation.dms.faults import Faults
from dpf.emulation.dms.records import Record, Store
from dpf.emulation.hardware.settings import Card, Settings


class DMSCards:
    """The cards of all DMSs of the room."""

    def __init__(self, settings: Settings) -> None:
        self._state = settings.state

    def check(self, card: Card, changes: dict[str, Any]) -> None:
        """Whether these faults can be set. Raises ControlError."""
        self._changed(card, changes, clear=False)

    def change(self, card: Card, *, clear: bool, changes: dict[str, Any]) -> None:
        """Set faults, from the next request on. Raises ControlError, OSError."""
        if clear or changes:
            dms_faults.write(self._folder(card), self._changed(card, changes, clear=clear))

    def show(self, card: Card) -> dict[str, Any]:
        """A card for people, and for tests that count. Raises ControlError."""
        record = self._record(card)
        return {
            "address": card.pci_address, "serial": card.serial, "mode": record.mode, "version": record.version,
            "installs": msgspec.to_builtins(record.activations), "transfers": msgspec.to_builtins(record.transfers),
            "faults": msgspec.to_builtins(self._faults(card)),
        }

    def _changed(self, card: Card, changes: dict[str, Any], *, clear: bool) -> Faults:
        unknown = sorted(set(changes) - set(Faults.__struct_fields__))
        if unknown:
            there = ", ".join(Faults.__struct_fields__)
            raise ControlError(f"card {card.name} has no fault {unknown[0]!r}; there are: {there}")
        present = {} if clear else msgspec.to_builtins(self._faults(card))
        try:
            return msgspec.convert({**present, **changes}, Faults)
        except msgspec.ValidationError as error:
            raise ControlError(f"this fault cannot be: {error}") from None

    def _faults(self, card: Card) -> Faults:
        try:
            return dms_faults.read(self._folder(card))
        except ValueError as error:
            raise ControlError(f"the faults of card {card.name} cannot be read: {error}") from None

    def _record(self, card: Card) -> Record:
        """What its DMS knows; a card that never saw a DMS is as it left the factory."""
        try:
            return Store(self._folder(card)).load()
        except ValueError as error:
            raise ControlError(f"the record of card {card.name} cannot be read: {error}") from None

    def _folder(self, card: Card) -> Path:
        return folder(self._state, card.host) / card.name


def folder(state: Path, host: str) -> Path:
    """Where the DMS of a host keeps everything."""
    return state / "dms" / host
