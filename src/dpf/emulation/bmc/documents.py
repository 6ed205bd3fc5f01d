"""What an emulated BMC tells: a path -> a document (behaviour-provisioning.md 9.1, the BlueField-3 rows).

Pure. Called by `server` for GET. A path that is not here is 404.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from dpf.emulation.bmc.records import Record, TaskRecord
from dpf.emulation.bmc.settings import CardSettings

ROOT: Final = "/redfish/v1"
MANAGER: Final = f"{ROOT}/Managers/Bluefield_BMC"
SYSTEM: Final = f"{ROOT}/Systems/Bluefield"
CHASSIS: Final = f"{ROOT}/Chassis/Card1"
TRUSTSTORE: Final = f"{MANAGER}/Truststore/Certificates"
HTTPS: Final = f"{MANAGER}/NetworkProtocol/HTTPS/Certificates"
INVENTORY: Final = f"{ROOT}/UpdateService/FirmwareInventory"
TASKS: Final = f"{ROOT}/TaskService/Tasks"
ACCOUNTS: Final = f"{ROOT}/AccountService/Accounts"
FUNCTIONS: Final = f"{CHASSIS}/NetworkAdapters/NvidiaNetworkAdapter/NetworkDeviceFunctions"

Document = Mapping[str, Any]


class Source:
    """What documents are made of: one card at one moment (its own clock)."""

    def __init__(self, settings: CardSettings, record: Record, now: datetime) -> None:
        self.settings = settings
        self.record = record
        self.now = now


def document(path: str, source: Source) -> Document | None:
    """The document at `path`, None when there is none."""
    page = _page(path, source)
    return None if page is None else {"@odata.id": path, **page}


def task(record: TaskRecord) -> Document:
    """A task, as the answer to its creation and afterwards."""
    body = msgspec.json.encode({"ImageURI": record.image, "TransferProtocol": "HTTPS"}).decode()
    return {
        "@odata.type": "#Task.v1_4_3.Task", "Id": record.id, "Name": f"Task {record.id}", "TaskState": record.state,
        "TaskStatus": "Critical" if record.state == "Exception" else "OK", "PercentComplete": record.percent,
        "StartTime": record.started, "Messages": [{
            "MessageId": "Update.1.0.TransferFailed" if record.state == "Exception" else "TaskEvent.1.0.TaskOK",
            "Message": text,
        } for text in record.messages],
        "Payload": {
            "HttpOperation": "POST", "TargetUri": f"{ROOT}/UpdateService/Actions/UpdateService.SimpleUpdate",
            "JsonBody": body,
        },
    }


def _page(path: str, source: Source) -> Document | None:
    if path in _PAGES:
        return _PAGES[path](source)
    folder, _, name = path.rpartition("/")
    return _MEMBERS[folder](source, name) if folder in _MEMBERS else None


def _collection(path: str, names: Sequence[str]) -> Document:
    members = [{"@odata.id": f"{path}/{name}"} for name in names]
    return {"Members": members, "Members@odata.count": len(members)}


def _root(source: Source) -> Document:  # noqa: ARG001 - one signature for all
    return {
        "@odata.type": "#ServiceRoot.v1_15_0.ServiceRoot", "Id": "RootService", "Name": "Root Service",
        "Product": "BlueField-3 DPU", "RedfishVersion": "1.17.0", "Vendor": "Nvidia",
        **{name: {"@odata.id": f"{ROOT}/{name}"} for name in (
            "AccountService", "CertificateService", "Chassis", "Managers", "Systems", "UpdateService",
        )},
        "Tasks": {"@odata.id": f"{ROOT}/TaskService"},
    }


def _manager(source: Source) -> Document:
    return {
        "Id": "Bluefield_BMC", "ManagerType": "BMC", "DateTime": source.now.isoformat(timespec="milliseconds"),
        "FirmwareVersion": source.record.firmware["BMC_Firmware"], "Status": {"State": "Enabled", "Health": "OK"},
    }


def _manager_vendor(source: Source) -> Document:
    return {"BmcRShim": {"BmcRShimEnabled": source.record.is_bmc_rshim_on}}


def _system(source: Source) -> Document:
    record = source.record
    return {
        "Id": "Bluefield", "PowerState": record.power, "SerialNumber": _serial(source),
        "Status": {"State": "StandbyOffline" if record.is_standby else "Enabled", "Health": "OK"},
        "BootProgress": {"LastState": "OEM" if record.boot else "None", "OemLastState": record.boot or "PowerOff"},
    }


def _system_vendor(source: Source) -> Document:
    return {
        "Mode": source.record.mode, "Description": source.settings.description,
        "HostRshim": "Enabled" if source.record.is_host_rshim_on else "Disabled",
    }


def _bios(source: Source) -> Document:
    return {"Attributes": {"InternalCPUModel": source.record.cpu_model}}


def _secure_boot(source: Source) -> Document:
    return {
        "Id": "SecureBoot", "SecureBootCurrentBoot": "Enabled" if source.record.secure_boot else "Disabled",
        "SecureBootEnable": source.record.secure_boot_wanted, "SecureBootMode": "UserMode",
    }


def _chassis(source: Source) -> Document:
    """A card in NIC mode does not tell what it is."""
    settings = source.settings
    return {
        "Id": "Card1", "Model": settings.model if source.record.mode == "DpuMode" else "N/A",
        "PartNumber": settings.opn, "SerialNumber": _serial(source), "AssetTag": settings.psid,
        "Manufacturer": "Nvidia",
    }


def _serial(source: Source) -> str:
    return source.record.faults.serial or source.settings.serial


def _function(source: Source) -> Document:
    mac = source.settings.pf0_mac
    return {"Id": "eth0f0", "Ethernet": {"MACAddress": mac, "PermanentMACAddress": mac}}


def _firmware(source: Source, name: str) -> Document | None:
    version = source.record.firmware.get(name)
    return None if version is None else {"Id": name, "Version": version, "Updateable": True}


def _trusted(source: Source, number: str) -> Document | None:
    pem = source.record.trusted.get(number)
    return None if pem is None else {"Id": number, "CertificateString": pem, "CertificateType": "PEM"}


def _served(source: Source) -> Document:
    return {"Id": "1", "CertificateString": source.record.certificate_pem, "CertificateType": "PEM"}


def _task(source: Source, number: str) -> Document | None:
    if source.record.faults.lost_task:
        return None
    return next((task(one) for one in source.record.tasks if one.id == number), None)


def _tasks(source: Source) -> Document:
    known = [] if source.record.faults.lost_task else source.record.tasks
    return _collection(TASKS, [one.id for one in known])


def _accounts(source: Source) -> Document:
    return {"Oem": {"OpenBMC": {"AuthMethods": {
        "BasicAuth": True, "SessionToken": True, "TLS": source.record.is_tls_login_on,
    }}}}


def _account(source: Source, user: str) -> Document | None:
    account = source.record.accounts.get(user)
    if account is None:
        return None
    return {"Id": user, "UserName": user, "Password": None, "PasswordChangeRequired": account.must_change}


_PAGES: Final[Mapping[str, Callable[[Source], Document]]] = {
    ROOT: _root,
    f"{ROOT}/Managers": lambda _: _collection(f"{ROOT}/Managers", ["Bluefield_BMC"]),
    f"{ROOT}/Systems": lambda _: _collection(f"{ROOT}/Systems", ["Bluefield"]),
    f"{ROOT}/Chassis": lambda _: _collection(f"{ROOT}/Chassis", ["Bluefield_BMC", "Card1"]),
    MANAGER: _manager,
    f"{MANAGER}/Oem/Nvidia": _manager_vendor,
    TRUSTSTORE: lambda source: _collection(TRUSTSTORE, list(source.record.trusted)),
    HTTPS: lambda _: _collection(HTTPS, ["1"]),
    f"{HTTPS}/1": _served,
    SYSTEM: _system,
    f"{SYSTEM}/Oem/Nvidia": _system_vendor,
    f"{SYSTEM}/Bios/Settings": _bios,
    f"{SYSTEM}/SecureBoot": _secure_boot,
    f"{SYSTEM}/LogServices/SEL/Entries": lambda _: _collection(f"{SYSTEM}/LogServices/SEL/Entries", []),
    CHASSIS: _chassis,
    f"{FUNCTIONS}/eth0f0": _function,
    f"{ROOT}/UpdateService": lambda _: {"HttpPushUri": f"{ROOT}/UpdateService", "ServiceEnabled": True},
    INVENTORY: lambda source: _collection(INVENTORY, list(source.record.firmware)),
    f"{ROOT}/TaskService": lambda _: {"Tasks": {"@odata.id": TASKS}},
    TASKS: _tasks,
    f"{ROOT}/AccountService": _accounts,
    ACCOUNTS: lambda source: _collection(ACCOUNTS, list(source.record.accounts)),
    f"{ROOT}/CertificateService": lambda _: {"Id": "CertificateService"},
}
_MEMBERS: Final[Mapping[str, Callable[[Source, str], Document | None]]] = {
    TRUSTSTORE: _trusted,
    INVENTORY: _firmware,
    TASKS: _task,
    ACCOUNTS: _account,
}
