"""Constraints: the rules of behaviour-service.md 6.3 as tables, and an oracle that counts versions out one by one.

The tables were made from the documented rules and checked against the library that charts are written for.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.services.versions import constraint, version

NUMBERS = (0, 1, 2, 3)
GRID = tuple(itertools.product(NUMBERS, repeat=3))
PARTIALS = tuple(itertools.chain(*(itertools.product(NUMBERS[:3], repeat=length) for length in (1, 2, 3))))

HINT = "write comparisons like >=2.9 <3.0, ~2.9 or 2.7 - 2.9, with || between alternatives"

texts = st.text("0123456789.xX*-+ ,|<>=!~^vab", max_size=16) | st.text(max_size=8)


def allows(text: str, candidate: str) -> bool:
    return constraint.parse(text).allows(version.parse(candidate))


@pytest.mark.parametrize(
    ("text", "accepted", "rejected"),
    [
        # Complete versions.
        ("2.9.1", "2.9.1 v2.9.1 2.9.1+build", "2.9.0 2.9.2 2.9.1-rc.1"),
        ("=2.9.1", "2.9.1", "2.9.0 2.9.2"),
        ("= 2.9.1", "2.9.1", "2.9.0 2.9.2"),
        ("v2.9.1", "2.9.1", "2.9.0 2.9.2"),
        ("2.9.1+a", "2.9.1 2.9.1+b", "2.9.2"),
        ("!=2.9.1", "2.9.0 2.9.2 3", "2.9.1 2.9.1+b"),
        (">2.9.1", "2.9.2 3.0.0", "2.9.1 2.9.0 2.9.1+b"),
        ("<2.9.1", "2.9.0 0.0.0", "2.9.1 2.9.2"),
        (">=2.9.1", "2.9.1 2.10.0", "2.9.0"),
        ("=>2.9.1", "2.9.1 2.10.0", "2.9.0"),
        ("<=2.9.1", "2.9.1 2.9.0", "2.9.2"),
        ("=<2.9.1", "2.9.1 2.9.0", "2.9.2"),
        # Partial versions.
        ("2.9", "2.9.0 2.9.1", "2.8.9 2.10.0 3.9.0"),
        ("=2.9", "2.9.0 2.9.1", "2.8.9 2.10.0"),
        ("2", "2.0.0 2.99.0", "1.9.9 3.0.0"),
        ("0", "0.0.0 0.9.9", "1.0.0"),
        ("0.0", "0.0.0 0.0.9", "0.1.0"),
        ("!=2.9", "2.8.9 2.10.0 3.9.0", "2.9.0 2.9.1"),
        ("!=2", "1.9.9 3.0.0", "2.0.0 2.9.1"),
        (">2.9", "2.10.0 3.0.0", "2.9.0 2.9.1 2.8.0"),
        (">2", "3.0.0", "2.0.0 2.9.9"),
        (">=2.9", "2.9.0 2.9.1 3.0.0", "2.8.9"),
        (">= 2.9", "2.9.0 2.9.1 3.0.0", "2.8.9"),
        (">=3.0", "3.0.0", "2.9.1"),
        (">=2", "2.0.0", "1.9.9"),
        ("<2.9", "2.8.9", "2.9.0 2.9.1"),
        ("<2", "1.9.9", "2.0.0"),
        ("<=2.9", "2.9.0 2.9.5 1.0.0", "2.10.0 3.0.0"),
        ("<=2", "2.0.0 2.99.0", "3.0.0"),
        # Wildcards.
        ("*", "0.0.0 2.9.1", "1.0.0-a"),
        ("x", "0.0.0 2.9.1", "1.0.0-a"),
        ("X.1.2", "0.0.0 2.9.1", "1.0.0-a"),
        ("=*", "0.0.0 2.9.1", "1.0.0-a"),
        ("2.x", "2.0.0 2.9.1", "1.9.9 3.0.0"),
        ("2.X.7", "2.0.0 2.9.1", "1.9.9 3.0.0"),
        ("2.9.*", "2.9.0 2.9.9", "2.10.0 2.8.0"),
        ("!=2.x", "1.0.0 3.0.0", "2.0.0 2.9.9"),
        ("!=2.9.x", "2.8.0 2.10.0", "2.9.0 2.9.9"),
        (">2.x", "3.0.0", "2.9.9"),
        (">=2.9.x", "2.9.0", "2.8.9"),
        ("<=2.x", "2.9.9", "3.0.0"),
        (">=*", "0.0.0 9.0.0", "1.0.0-a"),
        (">*", "0.0.1 9.0.0", "0.0.0"),
        ("!=*", "0.0.1 9.0.0", "0.0.0"),
        ("<=*", "0.0.0 0.0.9", "0.1.0 1.0.0"),
        # Tilde.
        ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0 2.2.3"),
        ("~1.2", "1.2.0 1.2.9", "1.1.9 1.3.0"),
        ("~1", "1.0.0 1.9.9", "0.9.9 2.0.0"),
        ("~>1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
        ("~ 2.9", "2.9.0", "2.10.0"),
        ("~2.9", "2.9.1", "2.10.0"),
        ("~1.x", "1.0.0 1.9.9", "2.0.0"),
        ("~0.0.1", "0.0.1 0.0.9", "0.1.0"),
        ("~0.0", "0.0.0 0.0.9", "0.1.0"),
        ("~0", "0.0.0 0.9.0", "1.0.0"),
        ("~0.0.0", "0.0.0 0.1.0 7.0.0", "1.0.0-a"),
        ("~*", "0.0.0 7.0.0", "1.0.0-a"),
        # Caret.
        ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0"),
        ("^1.2", "1.2.0 1.9.0", "1.1.9 2.0.0"),
        ("^1", "1.0.0 1.9.0", "0.9.9 2.0.0"),
        ("^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0 1.2.3"),
        ("^0.2", "0.2.0 0.2.9", "0.1.9 0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.2 0.0.4 0.1.3"),
        ("^0.0", "0.0.0 0.0.9", "0.1.0 1.0.0"),
        ("^0", "0.0.0 0.9.9", "1.0.0"),
        ("^0.x", "0.0.0 0.9.9", "1.0.0"),
        ("^*", "0.0.0", "0.0.1 1.0.0"),
        # Ranges.
        ("2.7 - 2.9", "2.7.0 2.9.0 2.9.5", "2.6.9 2.10.0"),
        ("2.7.1 - 2.9.1", "2.7.1 2.9.1", "2.7.0 2.9.2"),
        ("v1  -  v2", "1.0.0 2.9.9", "0.9.9 3.0.0"),
        ("1 - 2, !=1.5", "1.4.9 2.0.0", "1.5.0 3.0.0"),
        ("!=1.5 1 - 2", "1.4.9 2.0.0", "1.5.0 3.0.0"),
        ("1 - 2 || 4 - 5", "1.0.0 5.9.9", "3.0.0 6.0.0"),
        ("1||4 - 5", "1.0.0 5.9.9", "3.0.0 6.0.0"),
        ("1.0.0-a - 2.0.0-b", "1.0.0-b 2.0.0-a", "1.0.0-0 2.0.0"),
        ("1.0.0-a - 2.0.0", "1.0.0 2.0.0", "1.0.0-b 2.0.0-a"),
        # Both, either.
        (">=2.7 <2.9", "2.7.0 2.8.9", "2.6.9 2.9.0"),
        (">=2.7, <2.9", "2.7.0 2.8.9", "2.6.9 2.9.0"),
        (">=2.7,<2.9", "2.7.0 2.8.9", "2.6.9 2.9.0"),
        (">= 2.7 , < 2.9", "2.7.0 2.8.9", "2.6.9 2.9.0"),
        (" >=2.7\t<2.9\n", "2.7.0 2.8.9", "2.6.9 2.9.0"),
        ("^1.2 || ~2.9", "1.9.0 2.9.9", "2.8.0 3.0.0"),
        ("1||3", "1.0.0 3.1.1", "2.0.0"),
        (">2 <1", "", "0.0.0 1.5.0 3.0.0"),
        # Pre-releases: only where the comparison has one itself.
        (">=2.9.0-0", "2.9.0-alpha 2.9.0 2.10.0-rc.1 3.0.0", "2.8.9 2.8.9-z"),
        (">=2.9", "2.9.0 3.0.0", "2.9.0-rc.1 3.0.0-rc.1"),
        (">2.9.0-alpha", "2.9.0-alpha.1 2.9.0 3.0.0-a", "2.9.0-alpha 2.9.0-0"),
        ("<2.9.0-beta", "2.9.0-alpha 2.8.0", "2.9.0-beta 2.9.0"),
        ("<=2.9-0", "2.9.7 2.9.7-rc 2.8.0-a", "2.10.0-a 2.10.0"),
        (">2-0", "3.0.0-a 3.0.0", "2.9.9 2.9.9-a"),
        (">=2.9.0-0 <3", "2.9.0 2.9.5", "2.9.0-rc.1 3.0.0-a"),
        (">=2.9.0-0 <3-0", "2.9.0-rc.1 2.9.5", "3.0.0-0 3.0.0"),
        ("2.9.0-rc.1", "2.9.0-rc.1 2.9.0-rc.1+b", "2.9.0 2.9.0-rc.2"),
        ("~2.9.0-rc.1", "2.9.0-rc.2 2.9.0 2.9.5-a", "2.9.0-rc.0 2.10.0-a"),
        ("^1.2.0-0", "1.2.0-a 1.9.0-a 1.2.0", "2.0.0-a 1.1.9"),
        ("^0.0.3-a", "0.0.3-b 0.0.3", "0.0.4-a 0.0.4"),
        ("*-0", "0.0.0-a 2.0.0-a 2.0.0", ""),
        ("2.x-0", "2.0.0-a 2.9.0-a", "3.0.0-a 1.9.9"),
        ("!=2.9.1", "2.9.1-a 3.0.0-a", "2.9.1"),
        ("!=2.9.1-a", "2.9.1-b 2.9.1", "2.9.1-a"),
        ("!=2.9", "2.8.0", "2.8.0-a 2.9.0-a"),
        ("!=2.9-a", "2.9.0 2.9.3-b 2.8.0-a", "2.9.0-a 2.9.3-a"),
        ("!=2-a", "3.0.0-a", "2.0.0 2.0.0-b"),
    ],
)
def test_what_is_accepted(text: str, accepted: str, rejected: str) -> None:
    verdicts = {candidate: allows(text, candidate) for candidate in (*accepted.split(), *rejected.split())}
    assert verdicts == {**dict.fromkeys(accepted.split(), True), **dict.fromkeys(rejected.split(), False)}


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "||", "1 ||", "|| 1", "1 || || 2", ",1", "1,", "1,,2", "1 , , 2", ">", ">=", ">1<2", "1>2", "> =2",
        ">>2", "=!2", "==2", "<>2", "~~2", "^^2", "!2", "a", "1.a", "latest", "1.2.3.4", "1..2", ".1", "1.", "01",
        "1.02", "1.2.03", "1x", "1.2x", "xx", "1-", "1.2.3-", "1.2.3-01", ">2-01", "1.2.3-a..b", "1.2.3+", "1 -2",
        "1- 2", "1 - ", " - 2", "1 - 2 - 3", ">1 - 2", "1 - >2", "1|2", "1 | 2", "1 && 2", "1;2", ">= 2.9 and", "V1",
        "vv1", "1.2.3_4", "ä", "\u0661", "1\u00a02", "18446744073709551616", ">=1.2.3-" + "0" * 30, "1" * 5000,
        " " * 5000, "1 " * 600,
    ],
)
def test_what_is_no_constraint(text: str) -> None:
    with pytest.raises(constraint.ConstraintError, match=r"^improper constraint: (?s:.){5,300}$"):
        constraint.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ">=2.9 and up",
            f"improper constraint: and up; {HINT}",
        ),
        (">=2.09", "improper constraint: >=2.09; Invalid Semantic Version: 09 is no number, or begins with a zero"),
        (">1 - 2", "improper constraint: >1 - 2; a range takes no >"),
        ("1" * 1025, "improper constraint: longer than 1024 characters"),
    ],
    ids=["form", "number", "range", "length"],
)
def test_an_error_says_what_to_do(text: str, message: str) -> None:
    with pytest.raises(constraint.ConstraintError) as caught:
        constraint.parse(text)
    assert str(caught.value) == message


def test_a_constraint_prints_as_it_was_written() -> None:
    assert str(constraint.parse(" >= 2.9 || 1")) == " >= 2.9 || 1"


def spelled(partial: tuple[int, ...], wildcard: str) -> str:
    """`1.2`, or with a wildcard in every place that is missing."""
    numbers = [str(number) for number in partial]
    return ".".join([*numbers, *[wildcard] * (3 - len(numbers))] if wildcard else numbers)


def counted(operator: str, partial: tuple[int, ...]) -> set[tuple[int, ...]]:
    """The versions of the grid that `operator` lets pass, found by looking at each and knowing nothing of intervals."""
    same = [candidate for candidate in GRID if candidate[: len(partial)] == partial]
    first, last = min(same), max(same)
    match operator:
        case "" | "=":
            return set(same)
        case "!=":
            return set(GRID) - set(same)
        case ">":
            return {candidate for candidate in GRID if all(candidate > other for other in same)}
        case ">=" | "=>":
            return {candidate for candidate in GRID if candidate >= first}
        case "<":
            return {candidate for candidate in GRID if all(candidate < other for other in same)}
        case "<=" | "=<":
            return {candidate for candidate in GRID if candidate <= last}
        case "~" | "~>":
            return {c for c in GRID if c >= first and c[:2][: len(partial)] == partial[:2]}
        case _:
            telling = next((place for place, number in enumerate(partial) if number), len(partial) - 1)
            return {c for c in GRID if c >= first and c[: telling + 1] == partial[: telling + 1]}


operators = st.sampled_from(("", "=", "!=", ">", ">=", "=>", "<", "<=", "=<", "~", "~>", "^"))
partials = st.sampled_from([partial for partial in PARTIALS if partial != (0, 0, 0)])
terms = st.tuples(operators, partials, st.sampled_from(("", "x", "X", "*")), st.sampled_from(("", " ")))


@given(
    st.lists(st.lists(terms, min_size=1, max_size=3), min_size=1, max_size=3), st.sampled_from((" ", ", ", ",", " , "))
)
def test_against_counting(alternatives: list[list[tuple[str, tuple[int, ...], str, str]]], separator: str) -> None:
    text = " || ".join(
        separator.join(f"{op}{blank}{spelled(partial, wildcard)}" for op, partial, wildcard, blank in group)
        for group in alternatives
    )
    expected = set().union(
        *(set(GRID).intersection(*(counted(op, partial) for op, partial, _, _ in group)) for group in alternatives)
    )
    parsed = constraint.parse(text)
    assert {c for c in GRID if parsed.allows(version.parse(".".join(map(str, c))))} == expected


@given(partials, partials)
def test_a_range_against_counting(low: tuple[int, ...], high: tuple[int, ...]) -> None:
    parsed = constraint.parse(f"{spelled(low, '')} - {spelled(high, '')}")
    expected = counted(">=", low) & counted("<=", high)
    assert {c for c in GRID if parsed.allows(version.parse(".".join(map(str, c))))} == expected


LINE = (
    "0.9.9-z", "0.9.9", "1.0.0-0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.2", "1.0.0-beta", "1.0.0",
    "1.0.1-alpha", "1.0.1", "1.1.0-rc", "1.1.0",
)
"""In this order; a place in it is all that the next test knows of a version."""


@given(
    st.sampled_from((">", ">=", "<", "<=", "=")), st.integers(0, len(LINE) - 1), st.integers(0, len(LINE) - 1)
)
def test_pre_releases_against_their_place_in_line(operator: str, bound: int, candidate: int) -> None:
    holds = {
        ">": candidate > bound, ">=": candidate >= bound, "<": candidate < bound, "<=": candidate <= bound,
        "=": candidate == bound,
    }[operator]
    welcome = "-" in LINE[bound] or "-" not in LINE[candidate]
    assert allows(f"{operator}{LINE[bound]}", LINE[candidate]) is (holds and welcome)


@given(texts)
def test_any_text_is_a_constraint_or_an_explained_error(text: str) -> None:
    try:
        parsed = constraint.parse(text)
    except constraint.ConstraintError as error:
        assert str(error).startswith("improper constraint: ")
    else:
        assert parsed.allows(version.parse("1.2.3")) in (True, False)
