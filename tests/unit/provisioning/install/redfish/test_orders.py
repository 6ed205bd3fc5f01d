"""Orders as requests (behaviour-provisioning.md 9.1), and paths that a BMC or a status could try to bend."""

from __future__ import annotations

import pytest

from dpf.api.provisioning import DPUMode
from dpf.provisioning.install.port import (
    Activate,
    ForceReset,
    Install,
    Order,
    PrepareRShim,
    Restart,
    SetMode,
    SetSecureBoot,
    Transfer,
)
from dpf.provisioning.install.redfish import orders, setup, tls, transport
from dpf.provisioning.install.redfish.bmc import Names

SYSTEM = "/redfish/v1/Systems/Bluefield"


@pytest.mark.parametrize(("order", "wanted"), [
    (SetMode(mode=DPUMode.DPU), [
        ("PATCH", f"{SYSTEM}/Bios/Settings", {"Attributes": {"InternalCPUModel": "Privileged"}}),
        ("POST", f"{SYSTEM}/Oem/Nvidia/Actions/Mode.Set", {"Mode": "DpuMode"}),
    ]),
    (SetMode(mode=DPUMode.NIC), [("POST", f"{SYSTEM}/Oem/Nvidia/Actions/Mode.Set", {"Mode": "NicMode"})]),
    (PrepareRShim(), [
        ("POST", f"{SYSTEM}/Oem/Nvidia/Actions/HostRshim.Set", {"HostRshim": "Disabled"}),
        ("PATCH", "/redfish/v1/Managers/Bluefield_BMC/Oem/Nvidia", {"BmcRShim": {"BmcRShimEnabled": True}}),
    ]),
    (SetSecureBoot(enabled=False), [("PATCH", f"{SYSTEM}/SecureBoot", {"SecureBootEnable": False})]),
    (Restart(), [("POST", f"{SYSTEM}/Actions/ComputerSystem.Reset", {"ResetType": "ForceRestart"})]),
    (ForceReset(), [("POST", f"{SYSTEM}/Oem/Nvidia/SOC.ForceReset", {})]),
    (Install(image="10.0.0.1:443/bfb/??a.bfb,bfcfg/b?/bfb-to-install"), [
        ("POST", "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate", {
            "TransferProtocol": "HTTPS", "ImageURI": "10.0.0.1:443/bfb/??a.bfb,bfcfg/b?/bfb-to-install",
            "Targets": ["redfish/v1/UpdateService/FirmwareInventory/DPU_OS"],
        }),
    ]),
    (Transfer(version="a", path="/a"), []),
    (Activate(version="a"), []),
], ids=lambda value: type(value).__name__ if isinstance(value, Order) else "")
def test_requests(order: Order, wanted: list[tuple[str, str, dict[str, object]]]) -> None:
    assert [(call.method, call.path, call.body) for call in orders.calls(order, Names())] == wanted


@pytest.mark.parametrize(("text", "escaped"), [
    ("7", "7"), ("../Accounts", "..%2FAccounts"), ("a?b#c", "a%3Fb%23c"), ("", None), ("..", None), ("x" * 257, None),
])
def test_an_id_stays_one_part_of_a_path(text: str, escaped: str | None) -> None:
    assert transport.segment(text) == escaped


@pytest.mark.parametrize(("subject", "alternative", "fits"), [
    ("10.0.0.1", (), True), ("bmc", (("IP Address", "10.0.0.1"),), True), ("bmc", (("DNS", "bmc"),), False),
    ("10.0.0.10", (("IP Address", "10.0.0.2"),), False), ("", (), False),
])
def test_a_certificate_names_the_address(subject: str, alternative: tuple[tuple[str, str], ...], fits: bool) -> None:
    certificate = {"subject": ((("commonName", subject),),), "subjectAltName": alternative}
    assert tls.names(certificate, "10.0.0.1") is fits


@pytest.mark.parametrize(("version", "is_outdated"), [
    ("BF-24.10-17", False), ("BF-24.07-14", True), ("BF-25.1-1", False), ("BF-9.12-1", True), ("unknown", None),
    (None, None), ("BF-24", None),
])
def test_bmc_firmware(version: str | None, is_outdated: bool | None) -> None:
    assert setup.is_outdated(version) is is_outdated
