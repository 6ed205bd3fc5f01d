"""Redfish documents of a BlueField-3 -> facts of the port.

Pure. Called by `looking`, `discovery` and `setup`. A document is whatever JSON the BMC sent; what is missing, or is of
another type than it should be, is "not told". Source: behaviour-provisioning.md 4.5, 5.8, 9.1.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import msgspec

from dpf.api.provisioning import DPUMode, DPUType
from dpf.provisioning.install.port import Boot, Power, SecureBoot, Task, TaskState
from dpf.provisioning.install.redfish import messages

Document = dict[str, Any]

_GENERATION: Final = re.compile(r"bluefield[- ]?(\d+)")
_TYPES: Final = {"2": DPUType.BLUEFIELD_2, "3": DPUType.BLUEFIELD_3, "4": DPUType.BLUEFIELD_4}
_MODES: Final = {"dpumode": DPUMode.DPU, "nicmode": DPUMode.NIC}
_MAC: Final = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
_UNSET: Final = frozenset({"", "n/a", "na", "none", "null"})
_BOOT: Final = {
    "osisrunning": Boot.OS_RUNNING, "osrunning": Boot.OS_RUNNING, "osstarting": Boot.OS_STARTING,
    "osbootstarted": Boot.OS_STARTING, "uefi": Boot.UEFI, "systemhardwareinitializationcomplete": Boot.UEFI,
}
_STATES: Final = {
    "completed": TaskState.COMPLETED, "exception": TaskState.FAILED, "killed": TaskState.FAILED,
    "cancelled": TaskState.FAILED, "interrupted": TaskState.FAILED,
}


def text(document: object, *path: str) -> str | None:
    """The text at `path`, without the spaces around it; None when there is none, or when it says that it is unset."""
    found = at(document, *path)
    if not isinstance(found, str) or found.strip().lower() in _UNSET:
        return None
    return messages.clean(found)


def at(document: object, *path: str) -> object:
    """Whatever stands at `path`, or None."""
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return document


def members(document: object) -> tuple[str, ...]:
    """The paths of a collection's members, in its order."""
    listed = at(document, "Members")
    paths = (at(member, "@odata.id") for member in listed) if isinstance(listed, list) else ()
    return tuple(path for path in paths if isinstance(path, str) and path)


def last_part(path: str) -> str:
    """The id of a resource: the end of its path."""
    return path.rstrip("/").rsplit("/", 1)[-1]


def dpu_type(model: str | None) -> DPUType:
    """By the chassis' Model."""
    model = model or ""
    if model.startswith("B4"):
        return DPUType.BLUEFIELD_4
    found = _GENERATION.search(model.lower())
    return _TYPES.get(found[1], DPUType.UNKNOWN) if found else DPUType.UNKNOWN


def product_type(product: str | None) -> DPUType:
    """By the Product of the service root, which anybody may read."""
    product = (product or "").upper()
    if "B4" in product or "BLUEFIELD-4" in product:
        return DPUType.BLUEFIELD_4
    return dpu_type(product)


def is_bluefield(product: str | None) -> bool:
    """Whether the service root is that of a DPU's BMC at all."""
    product = (product or "").upper()
    return "BLUEFIELD" in product or "B4" in product


def mode(document: object) -> DPUMode | None:
    """Of Systems/{s}/Oem/Nvidia."""
    return _MODES.get((text(document, "Mode") or "").lower())


def mac(document: object) -> str | None:
    """Of a NetworkDeviceFunction; the burnt-in address before the one in use."""
    for key in ("PermanentMACAddress", "MACAddress"):
        found = text(document, "Ethernet", key) or ""
        if _MAC.fullmatch(found):
            return found
    return None


def secure_boot(document: object) -> SecureBoot:
    """Of Systems/{s}/SecureBoot."""
    current = (text(document, "SecureBootCurrentBoot") or "").lower()
    wanted = at(document, "SecureBootEnable")
    return SecureBoot(
        current={"enabled": True, "disabled": False}.get(current), wanted=wanted if isinstance(wanted, bool) else None
    )


def power(document: object) -> Power | None:
    """Of Systems/{s}."""
    told = text(document, "PowerState")
    return None if told is None else next((state for state in Power if state == told), Power.OTHER)


def is_standby(document: object) -> bool | None:
    """Of Systems/{s}: whether the system was shut down and the card waits."""
    told = text(document, "Status", "State")
    return None if told is None else told == "StandbyOffline"


def boot(document: object) -> tuple[Boot | None, str]:
    """Of Systems/{s}: how far the boot is, and the BMC's own word; the vendor's word before the standard's."""
    words = [text(document, "BootProgress", key) for key in ("OemLastState", "LastState")]
    told = [word for word in words if word is not None and word != "OEM"]
    if power(document) is Power.OFF:
        return Boot.OFF, told[0] if told else ""
    known = ((_BOOT.get(word.lower().replace(" ", "")), word) for word in told)
    return next((pair for pair in known if pair[0] is not None), (Boot.OTHER, told[0]) if told else (None, ""))


def clock_skew_s(document: object, now: datetime) -> float | None:
    """Of Managers/{m}: how far its clock is ahead of `now`."""
    told = moment(document, "DateTime")
    return None if told is None else (told - now).total_seconds()


def moment(document: object, *path: str) -> datetime | None:
    """A point in time, with its zone."""
    try:
        told = datetime.fromisoformat(text(document, *path) or "")
    except ValueError:
        return None
    return told if told.tzinfo is not None else None


def task(document: object) -> Task | None:
    """Of TaskService/Tasks/{id}; None when it is no task."""
    number = text(document, "Id")
    if number is None:
        return None
    told = text(document, "TaskState") or ""
    state = _STATES.get(told.lower(), TaskState.RUNNING)
    percent = at(document, "PercentComplete")
    return Task(
        id=number, state=state, percent=_percent(percent), image=_image(document), state_text=told,
        messages=messages.texts(at(document, "Messages")),
    )


def _percent(told: object) -> int | None:
    return max(0, min(100, int(told))) if isinstance(told, int | float) and not isinstance(told, bool) else None


def _image(document: object) -> str | None:
    """What a SimpleUpdate was asked to fetch: BMCs keep the request as text, or as an object."""
    request = at(document, "Payload", "JsonBody")
    if isinstance(request, str):
        try:
            request = msgspec.json.decode(request)
        except (msgspec.MsgspecError, RecursionError):
            return None
    return text(request, "ImageURI")
