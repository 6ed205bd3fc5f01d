"""Synthetic bundles have the form of real ones, and the walk over images finds what is behind them."""

from __future__ import annotations

import io
import struct

import pytest

from dpf.emulation import bfb

BUNDLE = bfb.build()


def test_header_of_the_first_image() -> None:
    """Bit by bit, as behaviour-provisioning.md 2.1 has it."""
    first, second, following = struct.unpack("<QQQ", BUNDLE[:24])
    assert first & 0xFFFFFFFF == 0x13026642
    assert (first >> 32 & 0xF, first >> 36 & 0xF) == (1, 2)
    assert (first >> 52 & 0xF, first >> 56) == (3, 62)
    assert second & 0xFFFFFFFF == len(BUNDLE) - 2 * 24 - 552
    assert following == 1 << 63


def test_images_and_what_is_behind_them() -> None:
    stream = io.BytesIO(BUNDLE + b"#!/bin/bash\nubuntu_PASSWORD=x\n")
    assert [(image.id, image.offset) for image in bfb.images(stream)] == [(62, 24), (63, 7640)]
    assert stream.read() == b"#!/bin/bash\nubuntu_PASSWORD=x\n"
    stream.seek(0)
    assert bfb.length(stream) == len(BUNDLE) == 8192


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert bfb.build(seed=7) == bfb.build(seed=7) != bfb.build(seed=8)


@pytest.mark.parametrize("size", [2048, 8192, 1 << 20])
def test_the_size_is_exact(size: int) -> None:
    assert len(bfb.build(size=size)) == size


@pytest.mark.parametrize("size", [8, 8191])
def test_a_size_that_cannot_be(size: int) -> None:
    with pytest.raises(ValueError, match="cannot be made"):
        bfb.build(size=size)


@pytest.mark.parametrize(("data", "why"), [
    (b"", "ends inside the header of an image at byte 0"),
    (b"x" * 24, "there is no image at byte 0"),
    (BUNDLE[:-1], "the image at byte 7616 is damaged or not complete"),
    (BUNDLE[:7620], "ends inside the header of an image at byte 7616"),
    (BUNDLE[:1000] + b"\0\0" + BUNDLE[1002:], "the image at byte 0 is damaged or not complete"),
])
def test_what_is_no_bundle(data: bytes, why: str) -> None:
    with pytest.raises(bfb.NotABundle, match=why):
        bfb.length(io.BytesIO(data))
