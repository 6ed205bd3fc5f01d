"""Amounts of resources in a flavor: what a DPU must have, and the part of it that the system keeps.

Pure. Called by `checks` and `preflight`. Source of the texts: api-provisioning.md section 6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from dpf.api.dpuflavor import DPUFlavorSpec
from dpf.kube import quantities
from dpf.provisioning.flavor.problem import Problem

RESERVED_WITHOUT_TOTAL: Final = (
    "resources are misconfigured: spec.systemReservedResources must not be specified if spec.dpuResources are not "
    "specified"
)
RESERVED_EXCEED_TOTAL: Final = (
    "resources are misconfigured: reserved resource specified in spec.systemReservedResources exceed the ones defined "
    "in spec.dpuResources: Additional resources needed in spec.dpuResources: [{}]"
)

Amounts = Mapping[str, quantities.Quantity]


def problems(spec: DPUFlavorSpec) -> Iterator[Problem]:
    """Amounts that are none, and a reserve that is larger than the whole."""
    unreadable = [
        *_unreadable("dpuResources", spec.dpuResources),
        *_unreadable("systemReservedResources", spec.systemReservedResources),
    ]
    if unreadable:
        yield from unreadable
    elif spec.systemReservedResources and not spec.dpuResources:
        yield Problem(what=RESERVED_WITHOUT_TOTAL)
    elif missing := exceeding(amounts(spec.systemReservedResources), amounts(spec.dpuResources)):
        texts = (f"{name}: {quantities.canonical(amount)}" for name, amount in missing.items())
        yield Problem(what=RESERVED_EXCEED_TOTAL.format(", ".join(texts)))


def amounts(resources: Mapping[str, str | int] | None) -> Amounts:
    """The amounts that can be read; `problems` tells of the others."""
    return {name: amount for name, value in (resources or {}).items() if (amount := _amount(value)) is not None}


def exceeding(wanted: Amounts, available: Amounts) -> Amounts:
    """By how much `wanted` is more than `available`, sorted by name; what is not named there counts as nothing."""
    lacking = {name: amount - available.get(name, quantities.ZERO) for name, amount in sorted(wanted.items())}
    return {name: amount for name, amount in lacking.items() if amount.nano > 0}


def _unreadable(field: str, resources: Mapping[str, str | int] | None) -> Iterator[Problem]:
    for name, value in (resources or {}).items():
        try:
            amount = quantities.parse(value)
        except quantities.QuantityError as error:
            yield Problem(where=f"spec.{field}.{name}", what=str(error))
            continue
        if amount.nano < 0:
            yield Problem(where=f"spec.{field}.{name}", what="an amount is not negative", remedy="write 0 or more")


def _amount(value: str | int) -> quantities.Quantity | None:
    try:
        return quantities.parse(value)
    except quantities.QuantityError:
        return None
