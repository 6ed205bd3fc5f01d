"""One BMC as its callers see it: documents by path, and the ids under which it keeps the parts of a DPU.

Called by `looking`, `login`, `setup`, `discovery` and `installer`. It adds nothing to `transport` but what every caller
would repeat, and remembers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dpf.provisioning.install.redfish import errors, reading
from dpf.provisioning.install.redfish.transport import Answer, Target, Transport, segment

ROOT: Final = "/redfish/v1"

_CHASSIS: Final = {"Bluefield_BMC": "Card1"}
_OTHER_CHASSIS: Final = "BlueField_0"
_CHUNK: Final = 32
"""Members of a list of parts that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The paths of manager, system and chassis."""

    manager: str = f"{ROOT}/Managers/Bluefield_BMC"
    system: str = f"{ROOT}/Systems/Bluefield"
    chassis: str = f"{ROOT}/Chassis/Card1"


class BMC:
    """`target` through `transport`. Every method raises RedfishError."""

    def __init__(self, transport: Transport, target: Target) -> None:
        self._transport = transport
        self._target = target

    def __str__(self) -> str:
        return str(self._target)

    async def get(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON the BMC sends
        """The document at `path`."""
        return (await self._transport.send(self._target, "GET", path)).document

    async def find(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON the BMC sends
        """The document at `path`, None when the BMC has no such resource."""
        try:
            return await self.get(path)
        except errors.Missing:
            return None

    async def send(self, method: str, path: str, body: object = None, *, secrets: tuple[str, ...] = ()) -> Answer:
        """See `Transport.send`."""
        return await self._transport.send(self._target, method, path, body, secrets=secrets)

    async def upload(self, path: str, content: bytes) -> Answer:
        """POST of a file."""
        return await self._transport.send(self._target, "POST", path, content)

    async def names(self) -> Names:
        """The ids of this BMC, which differ between generations (behaviour-provisioning.md 9.1, ids)."""
        manager = await self._pick(f"{ROOT}/Managers", "bmc")
        system = await self._pick(f"{ROOT}/Systems", "bluefield")
        return Names(
            manager=f"{ROOT}/Managers/{manager}", system=f"{ROOT}/Systems/{system}",
            chassis=f"{ROOT}/Chassis/{_CHASSIS.get(manager, _OTHER_CHASSIS)}",
        )

    async def _pick(self, path: str, part: str) -> str:
        """The id below `path` that has `part` in it. What it says about other paths is not followed."""
        for member in reading.members(await self.get(path))[:_CHUNK]:
            name = segment(reading.last_part(member))
            if name is not None and part in name.lower():
                return name
        raise errors.Unreadable(f"{self} lists nothing like {part!r} under {path}: it is not the BMC of a BlueField")
