"""Would this flavor and this BFB work on that card? Asked before anything is installed.

Pure. Called by the DPU controller before it admits an installation, by admission and by `dpfctl`. It says no where the
card would come up without its system, or not at all; where we only cannot tell, it gives advice. A fact of the card
that is None is unknown, and nothing is concluded from it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dpf.api.bfb import BFB
from dpf.api.dpuflavor import DPUFlavor, DPUFlavorSpec
from dpf.api.meta import object_key
from dpf.api.provisioning import DPUType
from dpf.kube import quantities
from dpf.provisioning.flavor import firmware, kernel, resources
from dpf.provisioning.flavor.problem import Problem

SYSTEM_MEMORY: Final = 2 << 30
"""Bytes that the kernel, its buffers and the services of the system need beside huge pages."""
FIRST_DOCA: Final = {DPUType.BLUEFIELD_3: (2, 0, 2)}
"""The first DOCA that knows the card."""
SF_RESOURCE: Final = "nvidia.com/sf"

_BRICKS: Final = {
    ("INTERNAL_CPU_OFFLOAD_ENGINE", "1"): "turns the card into a plain network card: its system does not start",
    ("INTERNAL_CPU_OFFLOAD_ENGINE", "DISABLED"): "turns the card into a plain network card: its system does not start",
    ("INTERNAL_CPU_MODEL", "0"): "takes the network of the host away from the DPU: service chains do not work",
    ("INTERNAL_CPU_MODEL", "SEPARATED_HOST"): "takes the network of the host away from the DPU: service chains do not "
                                              "work",
}
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card. `name` is its DPUDevice's, for the texts."""

    name: str
    type: DPUType = DPUType.UNKNOWN
    memory_bytes: int | None = None
    cpus: int | None = None
    pf_count: int | None = None


def preflight(flavor: DPUFlavor, card: Card, bfb: BFB) -> tuple[Problem, ...]:
    """Everything that speaks against this installation; empty when nothing does. `checks` is not repeated here."""
    spec = flavor.spec or DPUFlavorSpec()
    found = (
        *_memory(spec, card), *_resources(spec, card), *_ports(spec, card), *_bricks(flavor), *_keys(flavor, card),
        *_functions(flavor),
    )
    name = f"DPUFlavor {object_key(flavor)} on DPUDevice {card.name}"
    named = (Problem(where=f"{name}: {p.where}", what=p.what, remedy=p.remedy, blocks=p.blocks) for p in found)
    return (*named, *_bundle(bfb, card))


def _memory(spec: DPUFlavorSpec, card: Card) -> Iterator[Problem]:
    parameters = spec.grub.kernelParameters if spec.grub is not None else None
    pages = kernel.huge_pages(parameters).size_bytes
    if card.memory_bytes is None or not pages or pages + SYSTEM_MEMORY <= card.memory_bytes:
        return
    most = max(0, card.memory_bytes - SYSTEM_MEMORY)
    yield Problem(
        where="spec.grub.kernelParameters",
        what=f"huge pages of {pages // _MIB} MiB do not leave the system its {SYSTEM_MEMORY // _MIB} MiB of the card's "
             f"{card.memory_bytes // _MIB} MiB: it would not start",
        remedy=f"ask for at most {most // _MIB} MiB",
    )


def _resources(spec: DPUFlavorSpec, card: Card) -> Iterator[Problem]:
    facts = {"cpu": card.cpus, "memory": card.memory_bytes}
    available = {name: quantities.parse(amount) for name, amount in facts.items() if amount is not None}
    wanted = {name: amount for name, amount in resources.amounts(spec.dpuResources).items() if name in available}
    for name, missing in resources.exceeding(wanted, available).items():
        yield Problem(
            where=f"spec.dpuResources.{name}",
            what=f"the flavor needs {quantities.canonical(wanted[name])}, the card has "
                 f"{_shown(name, facts[name] or 0)}, {_lacking(name, missing)} less",
            remedy="use a larger card or a smaller flavor",
        )


def _shown(name: str, amount: int) -> str:
    return f"{amount // _MIB}Mi" if name == "memory" else str(amount)


def _lacking(name: str, amount: quantities.Quantity) -> str:
    return _shown(name, amount.nano // 10**9) if name == "memory" else quantities.canonical(amount)


def _ports(spec: DPUFlavorSpec, card: Card) -> Iterator[Problem]:
    if card.pf_count is None:
        return
    ports = [(f"spec.nvconfig[{i}].device", firmware.device_of(e.device)) for i, e in enumerate(spec.nvconfig or ())]
    ports += [
        (f"spec.hostNetworkInterfaceConfigs[{i}].portNumber", f"p{port.portNumber}")
        for i, port in enumerate(spec.hostNetworkInterfaceConfigs or ())
    ]
    for where, port in ports:
        if port != firmware.ALL_DEVICES and port[1:].isdigit() and int(port[1:]) >= card.pf_count:
            yield Problem(
                where=where, what=f"the card has no port {port}, it has {card.pf_count}",
                remedy="use a flavor for cards with as many ports",
            )


def _bricks(flavor: DPUFlavor) -> Iterator[Problem]:
    for setting in firmware.settings(flavor):
        value = setting.value.upper().partition("(")[0]
        if why := _BRICKS.get((setting.key.upper(), value)):
            yield Problem(where=setting.field, what=f"{setting.key}={setting.value} {why}", remedy="remove it")


def _keys(flavor: DPUFlavor, card: Card) -> Iterator[Problem]:
    """Advice only: newer firmware has settings that our list does not."""
    keys = firmware.known_keys(card.type)
    if keys is None:
        return
    for setting in firmware.settings(flavor):
        if firmware.is_known(setting.key, keys):
            continue
        similar = difflib.get_close_matches(setting.key.upper(), sorted(keys.names), n=1, cutoff=0.8)
        question = f"did you mean {similar[0]}? Else compare" if similar else "compare"
        yield Problem(
            where=setting.field, blocks=False,
            what=f"{setting.key} is no setting that we know of a {card.type}; if its firmware does not know it either, "
                 "no setting of this entry is made",
            remedy=f"{question} with `mlxconfig query` on the card",
        )


def _functions(flavor: DPUFlavor) -> Iterator[Problem]:
    """More scalable functions promised to services than the DPU makes."""
    spec = flavor.spec or DPUFlavorSpec()
    promised = resources.amounts(spec.dpuResources).get(SF_RESOURCE)
    made = firmware.sf_count(flavor)
    if promised is None or not made or promised <= quantities.parse(made):
        return
    yield Problem(
        where=f"spec.dpuResources.{SF_RESOURCE}", blocks=False,
        what=f"{quantities.canonical(promised)} scalable functions are promised, {firmware.SF_TOTAL} makes {made}",
        remedy=f"set {firmware.SF_TOTAL} to the number that is promised",
    )


def _bundle(bfb: BFB, card: Card) -> Iterator[Problem]:
    where = f"BFB {object_key(bfb)} on DPUDevice {card.name}"
    if card.type == DPUType.BLUEFIELD_4:
        yield Problem(
            where=where, what=f"a {card.type} is not installed from a BFB, and its own way is not supported yet",
            remedy="take the card out of the DPUSet",
        )
    versions = bfb.status.versions
    doca = versions.doca if versions is not None else None
    first, given = FIRST_DOCA.get(card.type), _version(doca)
    if first is not None and given is not None and given < first:
        yield Problem(
            where=where, what=f"DOCA {doca} does not know a {card.type}",
            remedy=f"use a BFB with DOCA {'.'.join(map(str, first))} or newer",
        )
    if doca is None:
        yield Problem(
            where=where, blocks=False, remedy="set spec.versions of the BFB",
            what="its DOCA version is not known, so that it cannot be compared with the card",
        )


def _version(text: str | None) -> tuple[int, ...] | None:
    """Three numbers as the BFB controller writes them (behaviour-provisioning.md section 2.1), else None."""
    parts = (text or "").split(".")
    plain = all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts)
    return tuple(int(part) for part in parts) if plain and len(parts) == 3 else None
