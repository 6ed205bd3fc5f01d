"""Digests in names: stable across releases, because names of existing objects depend on them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.runtime import digest


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest.short({"a": 1, "b": [2]}) == digest.short({"b": [2], "a": 1})


def test_parts_do_not_run_together() -> None:
    assert digest.short("ab", "c") != digest.short("a", "bc")


def test_digest_is_the_documented_function() -> None:
    """SHA-256 over `"a"\\n`, first ten digits: `printf '"a"\\n' | sha256sum`."""
    assert digest.short("a") == "ee195db0cd"


@pytest.mark.parametrize(("name", "limit"), [("a" * 63, 63), ("a", 63)])
def test_short_names_stay(name: str, limit: int) -> None:
    assert digest.fit(name, limit) == name


@given(st.text("ab-.", min_size=64, max_size=200))
def test_long_names_fit_and_stay_apart(name: str) -> None:
    fitted = digest.fit(name, 63)
    assert len(fitted) <= 63
    assert fitted != digest.fit(f"{name}x", 63)
    assert fitted[-1] not in "-."
