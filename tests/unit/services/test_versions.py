"""Versions: what is one, and their order (semver.org section 11; lenient as behaviour-service.md 6.3 says)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.services.versions import version

ASCENDING = (
    "0.0.0-0", "0.0.0", "0.0.1", "0.1.0", "1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0--", "1.0.0--1", "1.0.0-0a",
    "1.0.0-B", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.1.1", "1.0.0-alpha.9", "1.0.0-alpha.10",
    "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1-a", "1.0.1",
    "1.2.0", "1.10.0", "2.9.1", "2.10.0", "10.0.0", "18446744073709551615.0.0",
)
"""Each one less than the next."""

texts = st.text("0123456789.-+vabzA", max_size=14) | st.text(max_size=10)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2.9.1", "2.9.1"),
        ("v2.9.1", "2.9.1"),
        ("2.9", "2.9.0"),
        ("2", "2.0.0"),
        ("v2", "2.0.0"),
        ("0", "0.0.0"),
        ("2.9.0-0012a", "2.9.0-0012a"),
        ("2.9-beta.1", "2.9.0-beta.1"),
        ("2-rc-1", "2.0.0-rc-1"),
        ("2.9.1+build.007", "2.9.1+build.007"),
        ("v2.9.1-rc.1+5114f85", "2.9.1-rc.1+5114f85"),
        ("1+a-b", "1.0.0+a-b"),
        ("18446744073709551615", "18446744073709551615.0.0"),
    ],
)
def test_what_is_a_version(text: str, canonical: str) -> None:
    assert str(version.parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "v", "V1.2.3", "vv1", "a", "x", "1.x", "*", "1.2.3.4", "1..2", ".1", "1.", "1.2.", "01.2.3", "1.02",
        "1.2.03", "-1", "+1", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3-a.01", "1.2.3+", "1.2.3+a..b", "1.2.3+a+b",
        "1.2.3-ä", " 1.2.3", "1.2.3 ", "1.2.3\n", "1,2", "1.2.3_4", ">=1.2", "18446744073709551616",
        "1.99999999999999999999999", "\u0661.2.3", "1" * 5000, "1.2.3-" + "1" * 5000,
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(version.VersionError, match=r"^Invalid Semantic Version: .{5,200}$"):
        version.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2.x", "Invalid Semantic Version: '2.x'; write numbers like 2.9.1, a pre-release like 2.9.1-rc.1"),
        ("18446744073709551616", "Invalid Semantic Version: 18446744073709551616 is larger than 18446744073709551615"),
        ("1" * 1025, "Invalid Semantic Version: longer than 1024 characters"),
    ],
    ids=["form", "number", "length"],
)
def test_an_error_says_what_to_do(text: str, message: str) -> None:
    with pytest.raises(version.VersionError) as caught:
        version.parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("lower", "higher"), [*itertools.pairwise(ASCENDING)])
def test_order(lower: str, higher: str) -> None:
    assert version.parse(lower) < version.parse(higher)


def test_order_is_the_same_from_anywhere() -> None:
    assert sorted(map(version.parse, reversed(ASCENDING))) == list(map(version.parse, ASCENDING))


@pytest.mark.parametrize(
    ("one", "other"), [("1.2.3+a", "1.2.3+b"), ("1.2.3+a", "1.2.3"), ("v1.2", "1.2.0"), ("1.0.0-a+1", "1.0.0-a")]
)
def test_metadata_and_spelling_make_no_difference(one: str, other: str) -> None:
    assert version.parse(one) == version.parse(other)
    assert not version.parse(one) < version.parse(other)
    assert len({version.parse(one), version.parse(other)}) == 1


def test_a_pre_release_is_not_its_release() -> None:
    assert version.parse("1.0.0-a") != version.parse("1.0.0")


@given(texts)
def test_any_text_is_a_version_or_an_explained_error(text: str) -> None:
    try:
        found = version.parse(text)
    except version.VersionError as error:
        assert "\n" not in str(error)
    else:
        assert str(version.parse(str(found))) == str(found)
        assert version.parse(str(found)) == found
