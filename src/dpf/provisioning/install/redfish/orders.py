"""Orders -> the requests that carry them out (behaviour-provisioning.md 9.1).

Pure. Called by `installer`, which sends them in order and stops at the first that is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, assert_never

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
from dpf.provisioning.install.redfish.bmc import ROOT, Names

BUSY: Final = "another update is in progress"
TARGET: Final = "redfish/v1/UpdateService/FirmwareInventory/DPU_OS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request."""

    method: str
    path: str
    body: Mapping[str, Any]


def calls(order: Order, names: Names) -> tuple[Call, ...]:
    """Empty when Redfish has no such order."""
    match order:
        case SetMode():
            return _set_mode(order, names)
        case PrepareRShim():
            return (
                _post(f"{names.system}/Oem/Nvidia/Actions/HostRshim.Set", {"HostRshim": "Disabled"}),
                _patch(f"{names.manager}/Oem/Nvidia", {"BmcRShim": {"BmcRShimEnabled": True}}),
            )
        case SetSecureBoot():
            return (_patch(f"{names.system}/SecureBoot", {"SecureBootEnable": order.enabled}),)
        case Restart():
            return (_post(f"{names.system}/Actions/ComputerSystem.Reset", {"ResetType": "ForceRestart"}),)
        case ForceReset():
            return (_post(f"{names.system}/Oem/Nvidia/SOC.ForceReset", {}),)
        case Install():
            return (_install(order),)
        case Transfer() | Activate():
            return ()
        case _:
            assert_never(order)


def describe(order: Order) -> str:
    """What an order does, for texts."""
    match order:
        case SetMode():
            return f"setting the mode {order.mode.value}"
        case PrepareRShim():
            return "giving the RShim to the BMC"
        case SetSecureBoot():
            return f"turning secure boot {'on' if order.enabled else 'off'}"
        case Restart():
            return "restarting the Arm cores"
        case ForceReset():
            return "resetting the card"
        case Install():
            return "starting the installation"
        case Transfer():
            return "transferring a file"
        case Activate():
            return "activating what was transferred"
        case _:
            assert_never(order)


def _set_mode(order: SetMode, names: Names) -> tuple[Call, ...]:
    mode = "NicMode" if order.mode is DPUMode.NIC else "DpuMode"
    request = _post(f"{names.system}/Oem/Nvidia/Actions/Mode.Set", {"Mode": mode})
    if order.mode is DPUMode.NIC:
        return (request,)
    return (_patch(f"{names.system}/Bios/Settings", {"Attributes": {"InternalCPUModel": "Privileged"}}), request)


def _install(order: Install) -> Call:
    body = {"TransferProtocol": "HTTPS", "ImageURI": order.image, "Targets": [TARGET]}
    return _post(f"{ROOT}/UpdateService/Actions/UpdateService.SimpleUpdate", body)


def _post(path: str, body: Mapping[str, Any]) -> Call:
    return Call(method="POST", path=path, body=body)


def _patch(path: str, body: Mapping[str, Any]) -> Call:
    return Call(method="PATCH", path=path, body=body)
