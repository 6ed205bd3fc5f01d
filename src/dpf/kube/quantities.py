"""Kubernetes quantities (`500m`, `2Gi`, `1e3`) as exact values, and back into text as the API server writes it.

Pure. Called by what compares and sums resources. Everything is counted in billionths (nano), the finest that Kubernetes
knows; there are no floats. Rules: the API server's resource.Quantity. A value remembers the family of suffixes it was
written in, and is printed in it again where that loses nothing.

Two of its oddities are not copied: a text without any digit is no number (there `Ki` is 0), and a value too large for
the suffix `E` keeps its digits (there 1000E is written as 1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MAX_LENGTH: Final = 100
"""Characters of a text; more is no quantity. With `MAX_EXPONENT` it bounds the size of every number."""
MAX_EXPONENT: Final = 100

_NANO: Final = 9
_ONE: Final = 10**_NANO
_LARGEST: Final = 2**63 - 1

_PATTERN: Final = re.compile(
    r"([+-]?)(?:([0-9]++)(?:\.([0-9]*+))?|\.([0-9]++))([KMGTPE]i|[numkMGTPE]|[eE]([+-]?[0-9]++))?"
)
_BINARY: Final = {suffix: 1024**power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX: Final = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_LARGEST_SUFFIX: Final = max(_DECIMAL_SUFFIX)


class QuantityError(ValueError):
    """The value is no quantity; `str()` says why, for people."""


class Family(StrEnum):
    """How a quantity was written; the names are those of the API server."""

    DECIMAL_SI = "DecimalSI"
    """`500m`, `2`, `3k`."""
    BINARY_SI = "BinarySI"
    """`2Gi`."""
    DECIMAL_EXPONENT = "DecimalExponent"
    """`1e3`."""


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An exact amount of something. Compares and hashes by amount alone: `1Ki` equals `1024`."""

    nano: int
    family: Family = field(compare=False, default=Family.DECIMAL_SI)

    def __add__(self, other: Quantity) -> Quantity:
        """The sum, in the family of the left side; zero has none and takes the other's."""
        return Quantity(self.nano + other.nano, self.family if self.nano else other.family)

    def __sub__(self, other: Quantity) -> Quantity:
        """The difference, which may be negative; the family is as in a sum."""
        return self + -other

    def __neg__(self) -> Quantity:
        return Quantity(-self.nano, self.family)

    def __str__(self) -> str:
        return canonical(self)


ZERO: Final = Quantity(0)


def parse(value: str | int) -> Quantity:
    """The quantity that `value` spells; a whole number needs no quotes in YAML. Raises QuantityError.

    What is finer than a billionth is rounded away from zero, and a binary quantity ends at 2^63 - 1.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return _of_int(value)
    if not isinstance(value, str):
        raise QuantityError(f"a quantity is a text like 500m or 2Gi or a whole number, not {str(value)[:MAX_LENGTH]}")
    found = _PATTERN.fullmatch(value) if len(value) <= MAX_LENGTH else None
    if found is None:
        raise QuantityError(f"{value[:MAX_LENGTH]!r} is no quantity; write a number like 500m, 2, 1.5Gi or 1e3")
    sign, whole, fraction, bare_fraction, suffix, exponent = found.groups("")
    digits, places = int(whole + fraction + bare_fraction), len(fraction + bare_fraction)
    if suffix in _BINARY:
        nano, family = _binary(digits, places, _BINARY[suffix])
    elif exponent:
        nano, family = _shifted(digits, _exponent(value, exponent) - places), Family.DECIMAL_EXPONENT
    else:
        nano, family = _shifted(digits, _DECIMAL[suffix] - places), Family.DECIMAL_SI
    return Quantity(-nano if sign == "-" else nano, family)


def canonical(quantity: Quantity) -> str:
    """The one way to write `quantity`: whole digits, the largest suffix of its family that loses nothing.

    A binary quantity below 1Ki, or with a fraction, is written in decimal (`0.2Gi` is 214748364800m).
    """
    if not quantity.nano:
        return "0"
    number, rest = divmod(quantity.nano, _ONE)
    if quantity.family is Family.BINARY_SI and not rest and abs(number) >= 1024:
        return _with_binary_suffix(number)
    return _with_decimal_suffix(quantity.nano, quantity.family)


def _of_int(value: int) -> Quantity:
    if abs(value) > _LARGEST:
        raise QuantityError(f"the number is too large for a quantity; the largest is {_LARGEST}")
    return Quantity(value * _ONE)


def _binary(digits: int, places: int, factor: int) -> tuple[int, Family]:
    """Less than one is a decimal quantity from then on."""
    nano = min(_shifted(digits * factor, -places), _LARGEST * _ONE)
    return nano, Family.DECIMAL_SI if 0 < nano < _ONE else Family.BINARY_SI


def _shifted(digits: int, exponent: int) -> int:
    """`digits` times ten to the `exponent`, in billionths, rounded up."""
    power: int = 10 ** abs(exponent + _NANO)
    return digits * power if exponent >= -_NANO else -(-digits // power)


def _exponent(value: str, digits: str) -> int:
    exponent = int(digits)
    if abs(exponent) > MAX_EXPONENT:
        raise QuantityError(f"the exponent of {value!r} is out of range; it may be {MAX_EXPONENT} at most")
    return exponent


def _with_binary_suffix(number: int) -> str:
    suffix = ""
    for candidate, factor in _BINARY.items():
        if number % factor:
            break
        suffix = candidate
    return f"{number // _BINARY.get(suffix, 1)}{suffix}"


def _with_decimal_suffix(nano: int, family: Family) -> str:
    exponent = -_NANO
    while nano % 1000 == 0 and (family is Family.DECIMAL_EXPONENT or exponent < _LARGEST_SUFFIX):
        nano, exponent = nano // 1000, exponent + 3
    if family is Family.DECIMAL_EXPONENT:
        return f"{nano}e{exponent}" if exponent else str(nano)
    return f"{nano}{_DECIMAL_SUFFIX[exponent]}"
