"""A host's bus becomes a feature file (behaviour-provisioning.md section 4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpf.detector import pci, scan, vpd

ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n{}\n"


def a_vpd(*fields: tuple[bytes, bytes]) -> bytes:
    """Vital product data with a name and these read-only fields."""
    content = b"".join(key + bytes([len(value)]) + value for key, value in fields)
    name = b"BlueField-3"
    return (b"\x82" + len(name).to_bytes(2, "little") + name + b"\x90" + len(content).to_bytes(2, "little") + content
            + b"\x78")


VPD = a_vpd((b"PN", b"900-9D3B6-00CV-AA0"), (b"EC", b"A1"), (b"SN", b"MT2402XZ0F7X   "))


def a_function(
    sysfs: Path, address: str, device: str = "0xa2dc", *, net: str = "", data: bytes = b"", vendor: str = "0x15b3",
) -> None:
    """One function on the bus."""
    folder = sysfs / "bus" / "pci" / "devices" / address
    folder.mkdir(parents=True)
    (folder / "device").write_text(f"{device}\n")
    (folder / "vendor").write_text(f"{vendor}\n")
    (folder / "vpd").write_bytes(data)
    if net:
        (folder / "net" / net).mkdir(parents=True)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host with an empty bus."""
    for name in ("sys/bus/pci/devices", "proc/net", "features.d"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def detect(host: Path) -> bool:
    return scan.detect(sysfs=host / "sys", proc=host / "proc", features=host / "features.d")


def written(host: Path) -> bytes:
    return (host / "features.d" / "dpu").read_bytes()


def test_cards_are_written_once_per_slot_in_order(host: Path) -> None:
    a_function(host / "sys", "0000:2b:00.0", "0xa2d6", net="ens2f0np0")
    for function in "01":
        a_function(host / "sys", f"0000:04:00.{function}", net=f"ens1f{function}np{function}", data=VPD)
    a_function(host / "sys", "0000:05:00.0", "0x1021")
    assert detect(host)
    assert written(host) == (
        b"dpu-enabled=true\r\ndpu-0-pci-address=0000-04-00\r\ndpu-0-pf0-name=ens1f0np0\r\n"
        b"dpu-0-serial-number=MT2402XZ0F7X\r\ndpu-0-part-number=900-9D3B6-00CV-AA0\r\n"
        b"dpu-1-pci-address=0000-2b-00\r\ndpu-1-pf0-name=ens2f0np0\r\n"
    )


def test_file_is_written_only_when_something_changed(host: Path) -> None:
    a_function(host / "sys", "0000:04:00.0")
    assert detect(host)
    assert not detect(host)
    a_function(host / "sys", "0000:05:00.0")
    assert detect(host)
    assert [path.name for path in (host / "features.d").iterdir()] == ["dpu"]


def test_host_without_cards_has_an_empty_file(host: Path) -> None:
    a_function(host / "sys", "0000:04:00.0", vendor="0x8086")
    detect(host)
    assert written(host) == b""


def test_bus_that_cannot_be_read_leaves_the_file(host: Path) -> None:
    a_function(host / "sys", "0000:04:00.0")
    detect(host)
    before = written(host)
    (host / "sys" / "bus").rename(host / "elsewhere")
    with pytest.raises(pci.Unreadable, match=r"cannot list .*devices: No such file or directory; is sysfs mounted"):
        detect(host)
    assert written(host) == before


@pytest.mark.parametrize(("route", "is_bridge", "found"), [
    ("br-dpu\t00000000\t0100000A\t0003\t0\t0\t10\t00000000\t0\t0\t0", True, True),
    ("br-dpu\t00000000\t0100000A\t0003\t0\t0\t2\t00000000\t0\t0\t0", True, False),
    ("br-dpu\t0000000A\t00000000\t0001\t0\t0\t10\t000000FF\t0\t0\t0", True, False),
    ("eth0\t00000000\t0100000A\t0003\t0\t0\t10\t00000000\t0\t0\t0", True, False),
    ("br-dpu\t00000000\t0100000A\t0003\t0\t0\t10\t00000000\t0\t0\t0", False, False),
    ("br-dpu nonsense", True, False),
])
def test_bridge_with_a_default_route_is_reported(host: Path, route: str, is_bridge: bool, found: bool) -> None:
    (host / "proc" / "net" / "route").write_text(ROUTES.format(route))
    if is_bridge:
        (host / "sys" / "class" / "net" / "br-dpu" / "bridge").mkdir(parents=True)
    detect(host)
    assert written(host) == (b"dpu-oob-bridge-configured=\r\n" if found else b"")


@pytest.mark.parametrize("data", [
    b"", b"\x90", b"\x90\xff\xff", b"\x82\xff", b"\xff" * 64, b"\x00" * 70_000, a_vpd((b"SN", b"no good label!")),
    a_vpd((b"SN", b"\xff\xfe")), a_vpd((b"XX", b"")),
])
def test_product_data_that_make_no_sense_say_nothing(data: bytes) -> None:
    assert vpd.parse(data) == vpd.Product()


def test_product_data_may_be_cut_short() -> None:
    assert vpd.parse(VPD[:40]).part == "900-9D3B6-00CV-AA0"
