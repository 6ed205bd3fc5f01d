"""Quantities: read exactly, summed exactly, written as the API server writes them (resource.Quantity)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.kube import quantities
from dpf.kube.quantities import Family, Quantity

POWERS = {
    **{suffix: Fraction(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1), "k": Fraction(10**3),
    "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12), "P": Fraction(10**15), "E": Fraction(10**18),
    "e3": Fraction(1000), "E-2": Fraction(1, 100), "e+1": Fraction(10), "e0": Fraction(1),
}
"""What each suffix multiplies by, said without integers of billionths."""

texts = st.text("0123456789.eEinumkKMGTP+-", max_size=12) | st.text(max_size=6)
numbers = st.tuples(st.integers(0, 10**12), st.integers(0, 12)).map(lambda pair: f"{pair[0]}.{'0' * pair[1]}5")
written = st.tuples(
    st.sampled_from(("", "-", "+")), st.integers(0, 10**6).map(str) | numbers, st.sampled_from([*POWERS])
)


def canonical(value: str | int) -> str:
    return quantities.canonical(quantities.parse(value))


@pytest.mark.parametrize(
    ("value", "text", "family"),
    [
        # Decimal.
        ("0", "0", Family.DECIMAL_SI),
        ("-0", "0", Family.DECIMAL_SI),
        ("0.000", "0", Family.DECIMAL_SI),
        (0, "0", Family.DECIMAL_SI),
        (16, "16", Family.DECIMAL_SI),
        (-2000, "-2k", Family.DECIMAL_SI),
        ("1", "1", Family.DECIMAL_SI),
        ("100", "100", Family.DECIMAL_SI),
        ("1000", "1k", Family.DECIMAL_SI),
        ("1500", "1500", Family.DECIMAL_SI),
        ("1000000", "1M", Family.DECIMAL_SI),
        ("1.5", "1500m", Family.DECIMAL_SI),
        ("1.500", "1500m", Family.DECIMAL_SI),
        ("+1.5", "1500m", Family.DECIMAL_SI),
        ("-0.5", "-500m", Family.DECIMAL_SI),
        (".5", "500m", Family.DECIMAL_SI),
        ("5.", "5", Family.DECIMAL_SI),
        ("0005", "5", Family.DECIMAL_SI),
        ("500m", "500m", Family.DECIMAL_SI),
        ("1000m", "1", Family.DECIMAL_SI),
        ("1500m", "1500m", Family.DECIMAL_SI),
        ("1000u", "1m", Family.DECIMAL_SI),
        ("1500n", "1500n", Family.DECIMAL_SI),
        ("3k", "3k", Family.DECIMAL_SI),
        ("1.5G", "1500M", Family.DECIMAL_SI),
        ("1000P", "1E", Family.DECIMAL_SI),
        ("12E", "12E", Family.DECIMAL_SI),
        ("1000E", "1000E", Family.DECIMAL_SI),
        # Finer than a billionth: up, away from zero.
        ("0.1n", "1n", Family.DECIMAL_SI),
        ("1.0000000001", "1000000001n", Family.DECIMAL_SI),
        ("-0.5n", "-1n", Family.DECIMAL_SI),
        ("1e-100", "1e-9", Family.DECIMAL_EXPONENT),
        # Binary.
        ("1Ki", "1Ki", Family.BINARY_SI),
        ("1024Ki", "1Mi", Family.BINARY_SI),
        ("1025Ki", "1025Ki", Family.BINARY_SI),
        ("1.5Gi", "1536Mi", Family.BINARY_SI),
        ("16Gi", "16Gi", Family.BINARY_SI),
        ("2048Gi", "2Ti", Family.BINARY_SI),
        ("-2Gi", "-2Gi", Family.BINARY_SI),
        ("0Gi", "0", Family.BINARY_SI),
        ("0.5Ki", "512", Family.BINARY_SI),
        ("0.2Gi", "214748364800m", Family.BINARY_SI),
        ("-0.2Gi", "-214748364800m", Family.BINARY_SI),
        ("0.0001Ki", "102400u", Family.DECIMAL_SI),
        ("1000.5Ki", "1024512", Family.BINARY_SI),
        ("8Ei", "9223372036854775807", Family.BINARY_SI),
        ("-9Ei", "-9223372036854775807", Family.BINARY_SI),
        ("7Ei", "7Ei", Family.BINARY_SI),
        # With an exponent.
        ("1e3", "1e3", Family.DECIMAL_EXPONENT),
        ("1E3", "1e3", Family.DECIMAL_EXPONENT),
        ("1e+3", "1e3", Family.DECIMAL_EXPONENT),
        ("12e6", "12e6", Family.DECIMAL_EXPONENT),
        ("1.5e3", "1500", Family.DECIMAL_EXPONENT),
        ("1e4", "10e3", Family.DECIMAL_EXPONENT),
        ("1e-3", "1e-3", Family.DECIMAL_EXPONENT),
        ("100e-3", "100e-3", Family.DECIMAL_EXPONENT),
        ("5e0", "5", Family.DECIMAL_EXPONENT),
        ("1e30", "1e30", Family.DECIMAL_EXPONENT),
    ],
)
def test_reading_and_writing(value: str | int, text: str, family: Family) -> None:
    parsed = quantities.parse(value)
    assert (quantities.canonical(parsed), parsed.family) == (text, family)
    assert str(parsed) == text


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "+", "-", ".", "m", "Ki", "e3", "+.", "1 ", " 1", "1 Gi", "1\n", "--1", "1.2.3", "1,5", "1_000",
        "0x10", "1K", "1g", "1mi", "1ki", "1i", "1Gib", "1GB", "1kk", "1e", "1e1.5", "1e3m", "1ee3", "Gi1", "NaN",
        "inf", "\u0661", "1\u00b5", "1e101", "1e-101", "1e99999999999999999999", "1" * 101, "1" * 5000, True, None,
        1.5, [], {}, 2**63, -(2**63),
    ],
)
def test_what_is_no_quantity(value: Any) -> None:
    with pytest.raises(quantities.QuantityError, match=r"^.{20,250}$"):
        quantities.parse(value)


def test_a_number_too_long_to_print_is_no_quantity() -> None:
    with pytest.raises(quantities.QuantityError, match="too large"):
        quantities.parse(10**5000)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2 GB", "'2 GB' is no quantity; write a number like 500m, 2, 1.5Gi or 1e3"),
        ("1e500", "the exponent of '1e500' is out of range; it may be 100 at most"),
        (2**63, "the number is too large for a quantity; the largest is 9223372036854775807"),
        (1.5, "a quantity is a text like 500m or 2Gi or a whole number, not 1.5"),
    ],
)
def test_an_error_says_what_to_do(value: Any, message: str) -> None:
    with pytest.raises(quantities.QuantityError) as caught:
        quantities.parse(value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("left", "right", "total", "difference"),
    [
        ("1", "500m", "1500m", "500m"),
        ("500m", "1", "1500m", "-500m"),
        ("5", "6", "11", "-1"),
        ("1Gi", "1Gi", "2Gi", "0"),
        ("1Gi", "512Mi", "1536Mi", "512Mi"),
        ("1Gi", "1M", "1074741824", "1072741824"),
        ("1M", "1Ki", "1001024", "998976"),
        ("1k", "1e3", "2k", "0"),
        ("1e3", "1k", "2e3", "0"),
        ("0", "2Gi", "2Gi", "-2Gi"),
        ("0Gi", "1000", "1k", "-1k"),
        ("2Gi", "0", "2Gi", "2Gi"),
        ("1Ki", "500m", "1024500m", "1023500m"),
        ("1n", "1E", "1000000000000000000000000001n", "-999999999999999999999999999n"),
    ],
)
def test_sums_keep_the_family_of_the_left_side(left: str, right: str, total: str, difference: str) -> None:
    one, other = quantities.parse(left), quantities.parse(right)
    assert str(one + other) == total
    assert str(one - other) == difference


@pytest.mark.parametrize(
    ("lower", "higher"),
    [("-1", "0"), ("999m", "1"), ("1k", "1Ki"), ("1G", "1Gi"), ("0.9Gi", "1Gi"), ("1n", "1u"), ("1e3", "1001")],
)
def test_comparison_is_by_amount(lower: str, higher: str) -> None:
    assert quantities.parse(lower) < quantities.parse(higher)
    assert not quantities.parse(higher) <= quantities.parse(lower)


@pytest.mark.parametrize(("one", "other"), [("1024", "1Ki"), ("1", "1000m"), ("1e3", "1k"), ("0Gi", "-0"), (2, "2")])
def test_equal_amounts_are_equal(one: str | int, other: str | int) -> None:
    assert quantities.parse(one) == quantities.parse(other)
    assert hash(quantities.parse(one)) == hash(quantities.parse(other))


def test_the_sign_changes_and_the_family_stays() -> None:
    assert str(-quantities.parse("2Gi")) == "-2Gi"
    assert Quantity(0) == quantities.ZERO


@given(written)
def test_the_amount_is_exact_up_to_a_billionth(parts: tuple[str, str, str]) -> None:
    sign, number, suffix = parts
    exact = Fraction(number) * POWERS[suffix] * 10**9
    if suffix.endswith("i"):
        exact = min(exact, Fraction((2**63 - 1) * 10**9))
    rounded_up = -(-exact.numerator // exact.denominator)
    assert quantities.parse("".join(parts)).nano == (-rounded_up if sign == "-" else rounded_up)


@given(written)
def test_the_canonical_text_says_the_same_and_is_its_own(parts: tuple[str, str, str]) -> None:
    parsed = quantities.parse("".join(parts))
    text = quantities.canonical(parsed)
    assert quantities.parse(text) == parsed
    assert canonical(text) == text


@given(written, written)
def test_subtracting_undoes_adding(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    left, right = quantities.parse("".join(one)), quantities.parse("".join(other))
    assert left + right - right == left
    assert (left < right) == (left - right < quantities.ZERO)


@given(texts)
def test_any_text_is_a_quantity_or_an_explained_error(text: str) -> None:
    try:
        parsed = quantities.parse(text)
    except quantities.QuantityError as error:
        assert str(error)
    else:
        assert canonical(quantities.canonical(parsed)) == quantities.canonical(parsed)
