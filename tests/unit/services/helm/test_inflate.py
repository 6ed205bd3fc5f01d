"""gzip in small pieces."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.services.helm.inflate import Inflater
from dpf.services.helm.port import ChartError


@given(st.lists(st.binary(max_size=200_000), min_size=1, max_size=3), st.integers(1, 5000))
def test_members_come_out_as_they_went_in(members: list[bytes], size: int) -> None:
    packed = b"".join(gzip.compress(member) for member in members)
    inflater = Inflater()
    out = [piece for at in range(0, len(packed), size) for piece in inflater.feed(packed[at:at + size])]
    assert b"".join(out) == b"".join(members)
    assert inflater.complete
    assert max(map(len, out)) <= 64 << 10


def test_what_is_cut_off_is_not_complete() -> None:
    inflater = Inflater()
    list(inflater.feed(gzip.compress(b"x" * 1000)[:-4]))
    assert not inflater.complete


def test_a_bomb_takes_no_memory_for_who_stops_in_time() -> None:
    bomb = gzip.compress(bytes(200 << 20), compresslevel=9)
    tracemalloc.start()
    try:
        taken = 0
        for piece in Inflater().feed(bomb):
            taken += len(piece)
            if taken > 8 << 20:
                break
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [b"not gzip", gzip.compress(b"x", mtime=0) + b"rubbish"])
def test_rubbish_is_an_error_for_people(data: bytes) -> None:
    with pytest.raises(ChartError, match="not valid gzip"):
        list(Inflater().feed(data))
