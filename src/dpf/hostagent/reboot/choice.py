"""In which way the host is restarted for the DPUs that wait for it. Pure. Called by `plan`.

A power cycle where the method or a DPU's annotation demands one, else a reset that the cards lead; the annotations of
the Node may choose another way, or none. Sources: behaviour-provisioning.md section 7, api-provisioning.md section 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dpf.api import names
from dpf.api.dpu import DPU
from dpf.api.dpunode import DPUNode
from dpf.api.provisioning import RebootMethod
from dpf.provisioning.dpunode import reboot

_CYCLE: Final = "cycle"
_SKIP: Final = "skip"
_WORDS: Final = (_CYCLE, "reset", _SKIP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """By the host's own BMC. `action` is `cycle` (off and on) or `reset`."""

    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """By the cards: shut down their systems, then one of them resets the host. `cards` are addresses of functions."""

    cards: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Not at all: somebody has decided so. `annotation` is where."""

    annotation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """It cannot be told how; `why` is for people."""

    why: str


Way = Power | Reset


def choose(dpunode: DPUNode, dpus: Sequence[DPU]) -> Way | Skip | Unusable:
    """The way for `dpus`, of which there is at least one."""
    needs_power = any(_needs_power_cycle(dpu) for dpu in dpus)
    annotation, word = _told(dpunode, needs_power=needs_power)
    if word not in (None, *_WORDS):
        return Unusable(why=(
            f"Annotation {annotation} of DPUNode {dpunode.metadata.name} is none of {', '.join(_WORDS)}. Next step: "
            "correct it on the Node"
        ))
    if word == _SKIP:
        return Skip(annotation=annotation)
    if word is not None or needs_power:
        return Power(action=word or _CYCLE)
    cards = [address for dpu in dpus if (address := _function(dpu))]
    if not cards:
        listed = ", ".join(dpu.metadata.name for dpu in dpus)
        return Unusable(why=f"The place of DPU {listed} on the bus is not known: spec.pciAddress is not set")
    return Reset(cards=tuple(sorted(cards)))


def _needs_power_cycle(dpu: DPU) -> bool:
    wanted = (dpu.metadata.annotations or {}).get(names.HOST_POWER_CYCLE_REQUIRED_ANNOTATION, "")
    return reboot.method(dpu) is RebootMethod.POWER_CYCLE or wanted.lower() in ("true", "1", "t")


def _told(dpunode: DPUNode, *, needs_power: bool) -> tuple[str, str | None]:
    """The annotation that counts, and its word. One about power cycles asks for one where none would be necessary."""
    have = dpunode.metadata.annotations or {}
    power, other = names.POWERCYCLE_COMMAND_ANNOTATION, names.REBOOT_COMMAND_ANNOTATION
    if needs_power:
        return power, have.get(power)
    if other not in have and have.get(power) not in (None, _SKIP):
        return power, have[power]
    return other, have.get(other)


def _function(dpu: DPU) -> str:
    """The first function of the card as the kernel writes it, e.g. `0000:0e:00.0`."""
    address = (dpu.spec.pciAddress if dpu.spec is not None else None) or ""
    parts = address.lower().split("-")
    return ":".join((["0000"] if len(parts) == 2 else []) + parts) + ".0" if address else ""
