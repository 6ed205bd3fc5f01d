"""Which versions a BFB reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.api.bfb import BFBVersions
from dpf.provisioning.bfb import versions
from dpf.provisioning.bfb.bundle import NOT_FOUND, Inventory
from dpf.provisioning.bfb.versions import Unusable


@pytest.mark.parametrize(("raw", "normal"), [
    ("3.0.0058-1", "3.0.0"), ("2.9.3008", "2.9.3"), ("2.9.1", "2.9.1"), ("2.10.0-rc1-2", "2.10.0"), ("3.2.1a", "3.2.1"),
    ("", None), ("3.0", None), ("3.0.0.1", None), ("3.0.x", None), ("a.0.1", None), ("3..1", None), ("-3.0.1", None),
    ("3.0.\u0661", None), ("3.0.1" + "0" * 1000, "3.0.1"),
])
def test_doca(raw: str, normal: str | None) -> None:
    assert versions.normalize_doca(raw) == normal


@given(st.text(max_size=40))
def test_any_text_is_a_version_or_none(raw: str) -> None:
    normal = versions.normalize_doca(raw)
    assert normal is None or len(normal.split(".")) == 3


def test_declared_ones_stand_as_they_are() -> None:
    declared = BFBVersions(bsp="b", doca="not.normal", uefi="u", atf="a")
    assert versions.read(declared, Inventory(doca="3.0.0"), "") == declared


def test_components_that_the_bundle_does_not_name_are_left_out() -> None:
    assert versions.read(None, Inventory(doca="3.0.0058-1"), "") == BFBVersions(doca="3.0.0")


def test_what_a_stranger_wrote_is_bounded() -> None:
    found = versions.read(None, Inventory(doca="3.0.0", bsp="x" * 10_000), "")
    assert isinstance(found, BFBVersions)
    assert len(found.bsp or "") == 256


@pytest.mark.parametrize(("inventory", "problem", "why"), [
    (None, "", NOT_FOUND), (None, "software inventory JSON in BFB is too large", "too large"),
    (Inventory(doca="9" * 200), "", "is not of the form major.minor.patch"),
])
def test_unusable(inventory: Inventory | None, problem: str, why: str) -> None:
    found = versions.read(None, inventory, problem)
    assert isinstance(found, Unusable)
    assert why in found.why
    assert len(found.why) < 200
