"""What a platform is made of: what was said now, what was said before, and what cannot change."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dpf.local import errors
from dpf.local.platform import addresses, environment, settings
from dpf.local.platform.settings import Settings

STATE = Path("/nowhere/state")


def resolved(saved: Settings | None = None, **said: Any) -> Settings:
    """As `up` resolves it."""
    wanted: dict[str, Any] = {"dpus": None, "pod_network": "host", "wanted_ports": {}, "saved": saved, **said}
    return settings.resolve(STATE, **wanted)


@pytest.mark.parametrize(("said", "interface", "provision"), [
    ({}, "gnoi", True), ({"install_interface": "gnoi"}, "gnoi", False),
    ({"install_interface": "redfish"}, "redfish", False),
    ({"install_interface": "none"}, "none", False), ({"provision": False}, "gnoi", False),
    ({"install_interface": "redfish", "provision": True}, "redfish", True),
], ids=["nothing", "gnoi", "redfish", "none", "no provisioning", "both"])
def test_who_names_the_interface_wants_the_hardware(said: dict[str, Any], interface: str, provision: bool) -> None:
    found = resolved(**said)
    assert (found.install_interface, found.provision) == (interface, provision)


@pytest.mark.parametrize("said", [{}, {"install_interface": "redfish"}, {"dpus": 3}])
def test_what_was_said_before_counts(said: dict[str, Any]) -> None:
    before = resolved(install_interface="redfish", provision=True, manual_reboot=True)
    again = resolved(before, **said)
    assert (again.install_interface, again.provision, again.manual_reboot) == ("redfish", True, True)
    assert resolved(before, provision=False).provision is False
    assert resolved(before, manual_reboot=False).manual_reboot is False


@pytest.mark.parametrize(("saved", "said", "words"), [
    ({"install_interface": "gnoi"}, {"install_interface": "redfish"}, "made with --install-interface gnoi"),
    ({"install_interface": "none"}, {"install_interface": "gnoi"}, "dpfctl local down"),
    ({"install_interface": "none"}, {"provision": True}, "--provision needs DPUs to install"),
    ({"address_slot": 12}, {}, "made by an older version"),
], ids=["interface", "from none", "nothing to install", "older version"])
def test_what_cannot_change_is_explained(saved: dict[str, Any], said: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.PreflightError, match=words):
        resolved(replace(resolved(), **saved), **said)


@pytest.mark.parametrize("saved", [{}, {"ports": {"host-api": 9000}}], ids=["both new", "one from before"])
def test_two_servers_do_not_get_one_port(saved: dict[str, Any]) -> None:
    wanted = {"controllers-metrics": 9000} if saved else {"controllers-metrics": 9000, "host-api": 9000}
    before = replace(resolved(), **saved) if saved else None
    with pytest.raises(errors.PreflightError, match="port 9000 is wanted for controllers-metrics and host-api"):
        resolved(before, wanted_ports=wanted)


def test_hosts_are_nodes_only_where_dpus_are_installed_from_them() -> None:
    assert resolved(dpus=2).host_names == ("worker-1", "worker-2")
    assert resolved(dpus=2, install_interface="redfish").host_names == ()


def test_networks_of_slots_hold_all_nodes_and_do_not_overlap() -> None:
    slots = [addresses.of_slot(slot) for slot in range(addresses.SLOTS)]
    networks = [network for slot in slots for network in (slot.nodes, slot.pods)]
    assert not any(a.overlaps(b) for i, a in enumerate(networks) for b in networks[i + 1:])
    assert all(network.subnet_of(ipaddress.IPv4Network("198.18.0.0/15")) for network in networks)
    blocks = 2 ** (addresses.POD_PREFIX_LENGTH - slots[0].pods.prefixlen)
    assert blocks == 2 * addresses.FIRST_HOST


def test_bmcs_have_loopback_addresses_of_their_platform() -> None:
    mine = [addresses.of_bmc("3fa0", number) for number in (1, 64)]
    assert mine == ["127.127.160.1", "127.127.160.64"]
    assert addresses.of_bmc("3fa1", 1) not in mine
    lowest = ipaddress.ip_address(addresses.of_bmc("0000", 1))
    assert lowest not in ipaddress.ip_network("127.0.0.0/10")


def test_the_environment_names_what_a_person_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpf.local.parts.find", lambda name: Path(f"/parts/{name}"))
    ports = {"chart-repository": 1, "bfb-server": 2, "bmc": 443}
    found = {
        interface: environment.variables(replace(resolved(dpus=3, install_interface=interface), ports=ports))
        for interface in ("none", "gnoi", "redfish")
    }
    assert found["none"]["BFB_URL"] == "http://127.0.0.1:2"
    assert found["gnoi"]["BFB_URL"] == "http://127.0.0.1:2"
    assert "BMC_PORT" not in found["gnoi"]
    first, last = found["redfish"]["BMC_FIRST_IP"], found["redfish"]["BMC_LAST_IP"]
    assert (first.rpartition(".")[2], last.rpartition(".")[2], found["redfish"]["BMC_PORT"]) == ("1", "3", "443")


def test_platforms_that_start_at_the_same_time_get_different_slots(tmp_path: Path) -> None:
    alive = {tmp_path / "a", tmp_path / "b"}

    def claim(name: str) -> int:
        return addresses.claim_slot(tmp_path / name, lambda owner: owner in alive, tmp_path / "claims")

    first, second = claim("a"), claim("b")
    assert first != second
    assert claim("a") == first, "asked again it is the same"
    alive.remove(tmp_path / "a")
    assert claim("c") == first, "what nobody has any more is free"
