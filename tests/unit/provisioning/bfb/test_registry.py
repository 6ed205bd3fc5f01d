"""Which requests name files, and which bytes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.provisioning.bfb import imageuri, registry
from dpf.provisioning.bfb.registry import Part, Span

CONFIGURATION = "dpf-operator-system_worker1-0000-2b-00_3f0c9f0e-8d1f-4b8e-9d5e-6a2f0f8b1c11"


def test_the_address_of_a_stream() -> None:
    path = imageuri.build("ns-x.bfb", CONFIGURATION)
    assert path == f"/bfb/??ns-x.bfb,bfcfg/{CONFIGURATION}?/bfb-to-install"
    assert imageuri.parse(path) == ("ns-x.bfb", f"bfcfg/{CONFIGURATION}")
    assert imageuri.parse(imageuri.build("ns-x.bfb")) == ("ns-x.bfb",)


@pytest.mark.parametrize("path", [
    "/bfb/%3F%3Fx.bfb%2Cbfcfg%2Fc%3F/bfb-to-install", "/bfb/??x.bfb,bfcfg/c", "/bfb/??x.bfb,bfcfg/c?/anything",
])
def test_spellings_of_one_address(path: str) -> None:
    assert imageuri.parse(path) == ("x.bfb", "bfcfg/c")


@pytest.mark.parametrize("path", [
    "/", "/bfb/", "/bfb/x.bfb", "/bfb/??", "/bfb/??x.bfb,", "/bfb/??bfcfg/c", "/bfb/??bfcfg/c,x.bfb",
    "/bfb/??x.bfb,bfcfg/../x", "/bfb/??../x.bfb", "/bfb/??x.bfb,bfcfg/..", "/bfb/??x.bfb,bfcfg/.hidden",
    "/bfb/??x.bfb,bfcfg/a/b", "/bfb/??x.bfb,y.bfb", "/bfb/??x.bfb,bfcfg/a,bfcfg/b", "/bfb/??bfb-uid",
    "/bfb/??bfb-uid.json", "/bfb/??%2e%2e%2fx.bfb", "/bfb/??x.bfb%00,bfcfg/c",
    "/etc/passwd", "/bfb/??x.bfb,bfcfg/c\n", "/bfb/??x.bfb\n",
    "/bfb/??" + "x" * 3000 + ".bfb",
])
def test_everything_else_names_nothing(path: str) -> None:
    assert imageuri.parse(path) is None


@given(st.text(max_size=60))
def test_no_text_leads_out_of_the_folder(text: str) -> None:
    for name in imageuri.parse(f"/bfb/??{text}") or ():
        assert ".." not in name.split("/")
        assert not name.startswith("/")


@pytest.mark.parametrize("name", ["../x.bfb", "x.bfb,y.bfb", "x", "x.bfb?"])
def test_no_address_is_made_for_other_names(name: str) -> None:
    with pytest.raises(ValueError, match="are no names"):
        imageuri.build(name, CONFIGURATION)


@pytest.mark.parametrize(("header", "span"), [
    (None, None), ("bytes=0-", (0, 100)), ("bytes=10-19", (10, 20)), ("bytes=99-", (99, 100)),
    ("bytes=90-1000", (90, 100)), ("bytes=-30", (70, 100)), ("bytes=-1000", (0, 100)), ("bytes=-", None),
    ("bytes=9-3", None), ("bytes=0-1,5-6", None), ("lines=1-2", None), ("bytes=a-b", None), ("", None),
])
def test_range(header: str | None, span: tuple[int, int] | None) -> None:
    found = registry.parse_range(header, 100)
    assert (found and (found.begin, found.end)) == span


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0", "bytes=1000-2000"])
def test_a_range_that_is_not_there(header: str) -> None:
    with pytest.raises(ValueError, match="there are 100 bytes"):
        registry.parse_range(header, 100)


@given(sizes=st.lists(st.integers(0, 600_000), min_size=1, max_size=3), data=st.data())
def test_pieces_are_exactly_the_span(sizes: list[int], data: st.DataObject) -> None:
    parts = [Part(descriptor=n, size=size, modified_ns=0) for n, size in enumerate(sizes)]
    begin = data.draw(st.integers(0, sum(sizes)))
    end = data.draw(st.integers(begin, sum(sizes)))
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    at = begin
    for part, first, last in registry.pieces(parts, Span(begin=begin, end=end)):
        assert starts[part.descriptor] + first == at
        assert first < last <= part.size
        at = starts[part.descriptor] + last
    assert at == end
