"""One stream of bytes as bundle and bf.cfg, however it is cut into pieces."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.emulation import bfb
from dpf.emulation.bfb import NotABundle
from dpf.emulation.bmc.splitting import Splitter

BUNDLE = bfb.build()
HEADERS = {at for image in bfb.images(io.BytesIO(BUNDLE)) for at in range(image.offset - 24, image.offset)}


def split(content: bytes, size: int) -> Splitter:
    splitter = Splitter()
    for start in range(0, len(content), size):
        splitter.feed(content[start:start + size])
    return splitter


@given(size=st.integers(1, 9000), bfcfg=st.binary(max_size=300))
def test_the_pieces_do_not_matter(size: int, bfcfg: bytes) -> None:
    splitter = split(BUNDLE + bfcfg, size)
    inventory, behind = splitter.finish()

    assert behind == bfcfg
    assert inventory is not None
    assert (inventory.uefi, inventory.bsp) == (bfb.DEFAULT.uefi, bfb.DEFAULT.bsp)
    assert splitter.bundle_sha256 == hashlib.sha256(BUNDLE).hexdigest()


@given(at=st.integers(0, len(BUNDLE) - 1), bit=st.integers(0, 7))
def test_no_damaged_bit_goes_through(at: int, bit: int) -> None:
    damaged = bytearray(BUNDLE)
    damaged[at] ^= 1 << bit
    if at in HEADERS:  # not all of a header is covered by the checksum
        return
    with pytest.raises(NotABundle):
        split(bytes(damaged), 4096).finish()


@pytest.mark.parametrize("length", [0, 1, 23, 24, 5000, len(BUNDLE) - 1])
def test_half_a_bundle_is_none(length: int) -> None:
    with pytest.raises(NotABundle, match=f"ends at byte {length}"):
        split(BUNDLE[:length], 1000).finish()


def test_a_bundle_without_inventory_is_a_bundle() -> None:
    assert split(bfb.build(None), 512).finish() == (None, b"")
