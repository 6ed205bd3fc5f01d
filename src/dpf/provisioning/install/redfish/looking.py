"""Topics of a look -> the documents to ask for, one after the other, and what they say.

Called by `installer`. One connection serves a whole look, because BMCs are slow and have few.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dpf.provisioning.install.port import Component, Sight, Task, TaskState, Topic
from dpf.provisioning.install.redfish import errors, reading
from dpf.provisioning.install.redfish.bmc import BMC, ROOT, Names
from dpf.provisioning.install.redfish.transport import segment

INVENTORY: Final = f"{ROOT}/UpdateService/FirmwareInventory"
TASKS: Final = f"{ROOT}/TaskService/Tasks"
FIRMWARE: Final = {
    Component.BMC: "BMC_Firmware", Component.UEFI: "DPU_UEFI", Component.BSP: "DPU_BSP", Component.NIC: "DPU_NIC",
    Component.OS: "DPU_OS", Component.BOARD: "DPU_BOARD",
}
MOST_TASKS: Final = 16
"""The last ones of the list are looked at: BMCs append."""

Facts = Mapping[str, Any]
"""Fields of a Sight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What one look asks: `task` is the one to be told about, `now` our time."""

    names: Names
    task: str | None
    now: Callable[[], datetime]


async def look(bmc: BMC, topics: Topic, question: Question) -> Sight:
    """What the BMC says. Raises RedfishError when it says nothing; what it refuses singly is among the troubles."""
    facts: dict[str, Any] = {}
    troubles: list[str] = []
    for topic, ask in _READERS.items():
        if topic not in topics:
            continue
        try:
            facts.update(await ask(bmc, question))
        except errors.Refused as error:
            troubles.append(str(error))
        except errors.Unreadable as error:
            troubles.append(str(error))
    if troubles and not facts:
        raise errors.Unreadable(troubles[0])
    return Sight(**facts, troubles=tuple(troubles))


async def task(bmc: BMC, id: str) -> Task:
    """How a task stands. Raises RedfishError; that the BMC does not know it is no error but a state."""
    name = segment(id)
    if name is None:
        return Task(id=id, state=TaskState.LOST)
    document = await bmc.find(f"{TASKS}/{name}")
    if document is None:
        return Task(id=id, state=TaskState.LOST)
    found = reading.task(document)
    if found is None or found.id != id:
        raise errors.Unreadable(f"{bmc} answers something else than task {name}")
    return found


async def _identity(bmc: BMC, question: Question) -> Facts:
    chassis = await bmc.get(question.names.chassis)
    vendor = await bmc.find(f"{question.names.system}/Oem/Nvidia")
    function = await bmc.find(
        f"{question.names.chassis}/NetworkAdapters/NvidiaNetworkAdapter/NetworkDeviceFunctions/eth0f0"
    )
    return {**of_chassis(chassis), "mode": reading.mode(vendor), "description": reading.text(vendor, "Description"),
            "pf0_mac": reading.mac(function)}


def of_chassis(document: object) -> Facts:
    """Who the card is (behaviour-provisioning.md 4.5)."""
    model = reading.text(document, "Model")
    return {
        "model": model, "type": reading.dpu_type(model), "serial": reading.text(document, "SerialNumber"),
        "psid": reading.text(document, "AssetTag"), "opn": reading.text(document, "PartNumber"),
    }


async def _firmware(bmc: BMC, question: Question) -> Facts:  # noqa: ARG001 - one signature for all
    versions: dict[Component, str] = {}
    for component, name in FIRMWARE.items():
        version = reading.text(await bmc.find(f"{INVENTORY}/{name}"), "Version")
        if version is not None:
            versions[component] = version
    return {"firmware": versions}


async def _secure_boot(bmc: BMC, question: Question) -> Facts:
    document = await bmc.find(f"{question.names.system}/SecureBoot")
    return {"secure_boot": None if document is None else reading.secure_boot(document)}


async def _boot(bmc: BMC, question: Question) -> Facts:
    system = await bmc.get(question.names.system)
    boot, told = reading.boot(system)
    return {
        "boot": boot, "boot_text": told, "power": reading.power(system), "is_standby": reading.is_standby(system),
    }


async def _clock(bmc: BMC, question: Question) -> Facts:
    before = question.now()
    document = await bmc.get(question.names.manager)
    middle = before + (question.now() - before) / 2
    return {"clock_skew_s": reading.clock_skew_s(document, middle)}


async def _task(bmc: BMC, question: Question) -> Facts:
    return {"task": await task(bmc, question.task) if question.task is not None else None}


async def _tasks(bmc: BMC, question: Question) -> Facts:  # noqa: ARG001 - one signature for all
    paths = reading.members(await bmc.get(TASKS))[-MOST_TASKS:]
    found = [await task(bmc, reading.last_part(path)) for path in paths]
    return {"tasks": tuple(one for one in found if one.state is not TaskState.LOST)}


_READERS: Final[Mapping[Topic, Callable[[BMC, Question], Awaitable[Facts]]]] = {
    Topic.TASK: _task, Topic.TASKS: _tasks, Topic.IDENTITY: _identity, Topic.FIRMWARE: _firmware,
    Topic.SECURE_BOOT: _secure_boot, Topic.BOOT: _boot, Topic.CLOCK: _clock,
}
