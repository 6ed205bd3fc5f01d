"""One look at a host: its DPUs as a feature file, from which node feature discovery makes labels of the Node.

Called by the host agent, from time to time. Labels lead to DPUDevices and a DPUNode. A bus that cannot be read leaves
the file as it is. Source: behaviour-provisioning.md section 4 (Detector).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dpf.detector import bridge, pci
from dpf.detector.pci import Card

FILE: Final = "dpu"
DEFAULT_BRIDGE: Final = "br-dpu"


def lines(cards: Sequence[Card], *, bridge_configured: bool) -> list[str]:
    """`name=value`, which become labels `feature.node.kubernetes.io/name`; what is not known has no line."""
    found = ["dpu-enabled=true"] if cards else []
    for index, card in enumerate(cards):
        facts = {
            "pci-address": card.address, "pf0-name": card.pf0_name, "serial-number": card.serial,
            "part-number": card.part,
        }
        found += [f"dpu-{index}-{name}={value}" for name, value in facts.items() if value]
    return [*found, "dpu-oob-bridge-configured="] if bridge_configured else found


def render(found: Sequence[str]) -> str:
    """The file's content: each line ends with CR LF."""
    return "".join(f"{line}\r\n" for line in found)


def detect(*, sysfs: Path, proc: Path, features: Path, bridge_name: str = DEFAULT_BRIDGE) -> bool:
    """Look, and write the file in the folder `features` if it changed; whether it did.

    Raises pci.Unreadable, and OSError when the file cannot be written.
    """
    has_bridge = bridge.is_configured(sysfs, proc, bridge_name)
    content = render(lines(pci.cards(sysfs), bridge_configured=has_bridge)).encode()
    target = features / FILE
    if target.is_file() and target.read_bytes() == content:
        return False
    # Readers pass over hidden files, and see the old content or the new one.
    fresh = features / f".{FILE}.new"
    fresh.write_bytes(content)
    fresh.replace(target)
    return True
