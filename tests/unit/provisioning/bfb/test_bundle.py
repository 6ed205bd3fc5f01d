"""The inventory is found in any bundle, cut into any pieces, within bounds (behaviour-provisioning.md 2.1)."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Iterable, Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.emulation import bfb as emulated
from dpf.provisioning.bfb.bundle import NOT_FOUND, Inventory, Scanner

BUNDLE = emulated.build()
FOUND = Inventory(
    atf="v2.2(release):4.9.3-2-g2b5c0fa", bsp="4.9.3.13617", uefi="4.9.3-25-gf0aa3d6a62", doca="2.9.3008-1"
)


def scan(pieces: Iterable[bytes]) -> tuple[Inventory | None, str]:
    scanner = Scanner()
    for piece in pieces:
        scanner.feed(piece)
    return scanner.finish()


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at:at + size] for at in range(0, len(data), size))


def naive(data: bytes) -> list[str]:
    """The rule of the sheet, word for word and slowly: what is kept between beginning and end."""
    kept: list[str] | None = None
    run = ""
    for byte in [*data, 0]:
        if 0x20 <= byte <= 0x7E:
            run += chr(byte)
            continue
        text, run = run, ""
        if len(text) < 4:
            continue
        if kept is None and "This JSON represents" in text:
            kept = ["{"]
        elif kept is not None:
            kept.append(text.strip())
            if '"Members@odata.count":' in text:
                return [*kept, "}"]
    return []


@pytest.mark.parametrize("size", [1, 3, 7, 64, 4096, 8192])
def test_it_is_found_however_the_bundle_is_cut(size: int) -> None:
    assert scan(in_pieces(BUNDLE, size)) == (FOUND, "")


@given(st.lists(st.integers(min_value=1, max_value=8191), max_size=12))
def test_it_is_found_for_any_cuts(cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts)), len(BUNDLE)]
    assert scan(BUNDLE[a:b] for a, b in itertools.pairwise(edges)) == (FOUND, "")


@pytest.mark.parametrize(("indent", "found"), [(2, FOUND), (4, FOUND), (1, None)])
def test_short_lines_are_dropped(indent: int, found: Inventory | None) -> None:
    assert scan([emulated.build(indent=indent)])[0] == found


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_what_is_around_does_not_matter(before: bytes, after: bytes) -> None:
    text = emulated.inventory(emulated.DEFAULT)
    assert scan([before + b"\0" + text + after])[0] == FOUND


FRAGMENTS = [
    b'"//": "This JSON represents x",', b'"Members": [', b'{"Name": "DOCA", "Version": "3.0.0"},',
    b'{"Name": "BF3_ATF", "Version": "a"}', b"    ],", b'"Members@odata.count": 2', b"\n", b"\0", b"abc", b" ", b"}",
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30), st.integers(1, 40))
def test_it_agrees_with_the_rule_word_for_word(fragments: list[bytes], size: int) -> None:
    data = b"\n".join(fragments)
    try:
        members = json.loads("\n".join(naive(data))).get("Members", [])
    except ValueError:
        return
    expected = {m["Name"]: m["Version"] for m in members if isinstance(m, dict)}
    found, _ = scan(in_pieces(data, size))
    assert found == Inventory(doca=expected.get("DOCA", ""), atf=expected.get("BF3_ATF", ""))


def test_an_inventory_at_the_very_end_needs_nothing_behind_it() -> None:
    text = emulated.inventory(emulated.DEFAULT)
    assert scan([text[:text.index(b"@odata.count") + len(b'@odata.count": 4')]])[0] == FOUND


def test_missing_components_are_empty() -> None:
    assert scan([emulated.build(emulated.Versions(bsp="", atf=""))])[0] == Inventory(
        uefi="4.9.3-25-gf0aa3d6a62", doca="2.9.3008-1"
    )


@pytest.mark.parametrize(("data", "why"), [
    (b"", NOT_FOUND),
    (emulated.build(None), NOT_FOUND),
    (b"\0This JSON represents nothing", NOT_FOUND),
    (b'\0This JSON represents\n"Members": [}\n"Members@odata.count": 1\n', "cannot be read"),
    (b'\0This JSON represents\n"Members": [4711],\n"Members@odata.count": 1\n', "cannot be read"),
    (b'\0This JSON represents\n"Name": "\\ud800",\n"Members@odata.count": 1\n', None),
])
def test_why_there_is_none(data: bytes, why: str | None) -> None:
    found, said = scan(in_pieces(data, 5))
    assert (why or said) in said
    assert found is None or why is None


def test_a_false_beginning_does_not_hide_the_inventory() -> None:
    noise = b'\0This JSON represents\n"Members": [}\n"Members@odata.count": 1\n'
    assert scan(in_pieces(noise + BUNDLE, 1000)) == (FOUND, "")


@pytest.mark.parametrize("filling", [b"x" * 64, b"line\n" * 13], ids=["one endless line", "endless lines"])
def test_an_inventory_without_end_is_given_up_and_the_next_one_found(filling: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"\0This JSON represents\n"
        for _ in range(64):
            yield filling * 1024
        yield b"\0" + BUNDLE

    assert scan(pieces()) == (FOUND, "")


@pytest.mark.parametrize("piece", [
    Random(1).randbytes(1 << 16), b"x" * (1 << 16), b"\0This JSON represents" + b"y" * (1 << 16),
], ids=["noise", "text", "beginnings"])
def test_memory_is_bounded(piece: bytes) -> None:
    tracemalloc.start()
    try:
        scan(piece for _ in range(256))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
