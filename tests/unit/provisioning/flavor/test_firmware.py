"""Counts and settings that others take from a flavor's firmware settings, and huge pages from its kernel parameters."""

from __future__ import annotations

import pytest
from tests.support import dpuflavors as some

from dpf.provisioning.flavor import firmware, kernel

GIB = 1 << 30


def nvconfig(*parameters: str) -> list[dict[str, list[str]]]:
    return [{"parameters": list(parameters)}]


@pytest.mark.parametrize(("parameters", "sfs", "vfs"), [
    ((), 0, 16),
    (("PF_TOTAL_SF=20", "NUM_OF_VFS=46"), 20, 46),
    (("PF_TOTAL_SF=20", "PF_TOTAL_SF=4"), 20, 16),
    (("num_of_vfs=0",), 0, 0),
    (("PF_TOTAL_SF=x",), 0, 16),
    (("PF_TOTAL_SF=٣",), 0, 16),
])
def test_counts_are_the_first_of_their_name(parameters: tuple[str, ...], sfs: int, vfs: int) -> None:
    flavor = some.a_flavor(nvconfig=nvconfig(*parameters))
    assert (firmware.sf_count(flavor), firmware.vf_count(flavor)) == (sfs, vfs)


def test_a_flavor_without_spec_has_the_usual_counts() -> None:
    flavor = some.a_flavor()
    assert (firmware.sf_count(flavor), firmware.vf_count(flavor)) == (0, 16)


@pytest.mark.parametrize(("parameter", "delays"), [
    ("DELAY_HOST_OS_INIT=1", True), ("DELAY_HOST_OS_INIT=True(1)", True), ("DELAY_HOST_OS_INIT=0", False),
    ("DELAY_HOST_OS_INIT=False(0)", False), ("OTHER=1", False),
])
def test_a_waiting_host_is_recognised(parameter: str, delays: bool) -> None:
    assert firmware.delays_host(some.a_flavor(nvconfig=nvconfig(parameter))) is delays


@pytest.mark.parametrize(("parameters", "size"), [
    (None, 0),
    (["hugepages=512"], GIB),
    (["hugepagesz=2048kB", "hugepages=3072"], 6 * GIB),
    (["hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=512"], 3 * GIB),
    (["default_hugepagesz=1G", "hugepages=4"], 4 * GIB),
    (["hugepages=4", "default_hugepagesz=1G"], 4 * GIB),
    (["hugepagesz=1G", "hugepages=0:1,1:2"], 3 * GIB),
    (["console=hvc0"], 0),
])
def test_huge_pages_are_counted_as_the_kernel_does(parameters: list[str] | None, size: int) -> None:
    assert kernel.huge_pages(parameters) == kernel.HugePages(size_bytes=size)


@pytest.mark.parametrize("word", [
    "hugepages=", "hugepages=x", "hugepages=-1", "hugepages=0:", "hugepagesz=4K", "hugepagesz=", "hugepagesz=2T",
    "default_hugepagesz=3M", "hugepages=" + "9" * 500,
])
def test_what_the_kernel_would_ignore_is_named_and_counts_nothing(word: str) -> None:
    assert kernel.huge_pages([word]) == kernel.HugePages(size_bytes=0, mistakes=(word,))
