"""What is behind an address: a DPU's BMC, another Redfish service, or nothing? (behaviour-provisioning.md 4)

Called by the DPUDiscovery controller for each address of its range, and by the DPUDevice controller's discovery. It
never raises for what an address does, so that one bad address does not end a scan.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from dpf.api.provisioning import DPUType
from dpf.provisioning.install.port import Cause, Silence
from dpf.provisioning.install.redfish import errors, login, looking, reading
from dpf.provisioning.install.redfish.bmc import BMC, ROOT
from dpf.provisioning.install.redfish.transport import Target, Transport

PROBE_S: Final = 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The BMC of a DPU. `password_changed`: it had the factory's, and now has ours."""

    address: str
    serial: str
    type: DPUType
    model: str | None = None
    psid: str | None = None
    opn: str | None = None
    password_changed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Something else is there; no password was shown to it."""

    address: str
    why: str


Probed = Found | Foreign | Silence


async def probe(transport: Transport, address: str, password: str, *, limit_s: float = PROBE_S) -> Probed:
    """What is at `address` (host and port). Sets `password` where the factory's is still in place."""
    target = Target(address=address, proven=False)
    try:
        async with asyncio.timeout(limit_s):
            return await _probe(transport, target, password)
    except TimeoutError:
        return errors.Unreachable(f"{target} does not answer in time", sent=False).silence
    except errors.Refused as error:
        return Silence(cause=Cause.UNREADABLE, why=str(error))
    except errors.RedfishError as error:
        return error.silence


async def _probe(transport: Transport, target: Target, password: str) -> Probed:
    try:
        root = await BMC(transport, target).get(ROOT)
    except (errors.Unreadable, errors.Refused, errors.Rejected) as error:
        return Foreign(address=target.address, why=str(error))
    product = reading.text(root, "Product")
    if not reading.is_bluefield(product):
        return Foreign(address=target.address, why=f"{target} is of another product: {product or 'it names none'}")
    account = await login.settle(transport, target, password)
    bmc = BMC(transport, replace(target, login=account.login))
    chassis = looking.of_chassis(await bmc.get((await bmc.names()).chassis))
    if chassis["serial"] is None:
        raise errors.Unreadable(f"{target} tells no serial number")
    kind = chassis["type"] if chassis["type"] is not DPUType.UNKNOWN else reading.product_type(product)
    return Found(
        address=target.address, serial=chassis["serial"], type=kind, model=chassis["model"], psid=chassis["psid"],
        opn=chassis["opn"], password_changed=account.changed,
    )
