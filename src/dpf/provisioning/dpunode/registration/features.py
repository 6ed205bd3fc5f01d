"""Reads the cards of a host from the labels that node feature discovery has put on its Node. Pure.

Source: behaviour-provisioning.md section 4, resolutions.md rows 24, 34 and 48. Serial number and part number are there
when the detector could read them; a card without a serial number is known by its host and its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dpf.api import core, names
from dpf.provisioning.maintenance.naming import fit

DPUNODE_NAME_LIMIT: Final = 48
DEVICE_NAME_LIMIT: Final = 63
_FEATURE: Final = re.compile(
    r"feature\.node\.kubernetes\.io/dpu-([0-9]+)-(pci-address|ps-id|pf0-name|serial-number|part-number)"
)
_ADDRESS: Final = re.compile(r"(?:[0-9a-f]{4}-)?[0-9a-f]{2}-[0-9a-f]{2}")
_FOREIGN: Final = re.compile(r"[^a-z0-9.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card. `address` is its place on the PCI bus, e.g. `0000-04-00`; what is not known is ""."""

    address: str
    serial: str = ""
    psid: str = ""
    opn: str = ""
    pf0_name: str = ""


def cards(node: core.Node) -> tuple[Card, ...]:
    """The cards of `node`, by address; of two with one address, and of addresses that are none, nothing is made."""
    labels = node.metadata.labels or {}
    if labels.get(names.DPU_ENABLED_LABEL, "true") != "true":
        return ()
    found: dict[str, dict[str, str]] = {}
    for label, value in labels.items():
        match = _FEATURE.fullmatch(label)
        if match is not None:
            found.setdefault(match[1], {})[match[2]] = value
    read = [_card(facts) for _, facts in sorted(found.items(), key=lambda item: (len(item[0]), item[0]))]
    by_address = {card.address: card for card in reversed([card for card in read if card is not None])}
    return tuple(by_address[address] for address in sorted(by_address))


def namespace_of(node: core.Node, usual: str) -> str:
    """Where the cards of `node` are registered: in the namespace that its label gives them to, or in the usual one."""
    return (node.metadata.labels or {}).get(names.DPUNODE_NAMESPACE_LABEL) or usual


def dpunode_name(node: str) -> str:
    """The DPUNode of a Node, within the limit of its kind."""
    return fit(node.lower(), DPUNODE_NAME_LIMIT)


def device_name(dpunode: str, card: Card) -> str:
    """The DPUDevice of a card: its serial number in lower case, else host and place."""
    if card.serial:
        return fit(_FOREIGN.sub("-", card.serial.lower()).strip("-."), DEVICE_NAME_LIMIT)
    return fit(f"{dpunode}-{card.address}", DEVICE_NAME_LIMIT)


def _card(facts: dict[str, str]) -> Card | None:
    address = facts.get("pci-address", "").lower()
    if not _ADDRESS.fullmatch(address):
        return None
    return Card(
        address=address, serial=facts.get("serial-number", ""), psid=facts.get("ps-id", ""),
        opn=facts.get("part-number", ""), pf0_name=facts.get("pf0-name", ""),
    )
