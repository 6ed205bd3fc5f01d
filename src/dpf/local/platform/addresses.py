"""Which addresses a platform's nodes and pods get, so that two platforms on one machine never overlap.

198.18.0.0/15 is reserved for tests between networks (RFC 2544, RFC 6890): nobody's real hosts are there. It is cut into
eight slots; a platform takes one that no route of this machine uses. BMCs are on loopback addresses.
"""

from __future__ import annotations

import fcntl
import ipaddress
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dpf.local import errors

SLOTS: Final = 8
POD_PREFIX_LENGTH: Final = 26
FIRST_HOST: Final = 64
"""Index of the first host's node; the DPUs' nodes are before it."""
_ROUTES: Final = Path("/proc/net/route")
_CLAIMS: Final = Path("/run/dpf/slots")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Node network (256 addresses) and pod network (128 blocks of 64 addresses) of one platform."""

    nodes: ipaddress.IPv4Network
    pods: ipaddress.IPv4Network


def of_slot(slot: int) -> Addresses:
    """The networks of slot 0 to 7."""
    return Addresses(
        nodes=ipaddress.IPv4Network(f"198.18.{slot}.0/24"), pods=ipaddress.IPv4Network(f"198.19.{slot * 32}.0/19")
    )


def of_bmc(platform: str, number: int) -> str:
    """Where the BMC of card `number` (1 to 64) listens. `platform` is four hex digits that tell platforms apart."""
    first, second = bytes.fromhex(platform)
    return f"127.{64 + first % 64}.{second}.{number}"


def claim_slot(owner: Path, is_alive: Callable[[Path], bool], claims: Path = _CLAIMS) -> int:
    """A free slot, which belongs to `owner` (a state folder) from now on; routes come only when its nodes start.

    A claim lasts as long as `is_alive` says so of its owner. Raises PreflightError when all are taken.
    """
    claims.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (claims / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        slot = free_slot(claimed=[slot for slot in range(SLOTS) if _is_claimed(claims / str(slot), owner, is_alive)])
        (claims / str(slot)).write_text(str(owner))
    return slot


def free_slot(routes: str | None = None, claimed: Collection[int] = ()) -> int:
    """The first slot that no route of this machine touches; `routes` is the text of /proc/net/route.

    Raises PreflightError when all are taken.
    """
    taken = _destinations(_ROUTES.read_text() if routes is None else routes)
    for slot in range(SLOTS):
        wanted = of_slot(slot)
        routed = any(network.overlaps(wanted.nodes) or network.overlaps(wanted.pods) for network in taken)
        if not routed and slot not in claimed:
            return slot
    raise errors.PreflightError(
        f"all {SLOTS} address slots in 198.18.0.0/15 are in use; `dpfctl local down` a platform you no longer need"
    )


def _is_claimed(claim: Path, owner: Path, is_alive: Callable[[Path], bool]) -> bool:
    try:
        other = Path(claim.read_text())
    except FileNotFoundError:
        return False
    return other != owner and is_alive(other)


def _destinations(routes: str) -> list[ipaddress.IPv4Network]:
    """Destinations of a kernel routing table, the default route aside. Its numbers are little-endian hexadecimal."""
    found = []
    for line in routes.splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        if mask:
            found.append(ipaddress.IPv4Network((address, mask.bit_count())))
    return found
