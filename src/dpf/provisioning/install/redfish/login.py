"""The password of a BMC: is it the one of the Secret, and if not, can it be made so? (behaviour-provisioning.md 9.2)

Called by the DPUDevice controller before it sets a BMC up, when a Secret has changed, and by `discovery`. Every call
may be repeated: it begins with the wanted password, so that one that was set just before a crash is found to be right.
A password that the BMC does not accept is `Rejected`, which is not the same as a BMC that does not answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from dpf.provisioning.install.redfish import errors
from dpf.provisioning.install.redfish.bmc import BMC, ROOT
from dpf.provisioning.install.redfish.transport import Login, Target, Transport

FACTORY_PASSWORD: Final = "0penBmc"  # noqa: S105 - published, and refused as a password of ours
USERS: Final = ("root", "admin")
"""Who we may be: BlueField-3 has the first, BlueField-4 the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A login that works. `changed`: its password was another one before."""

    login: Login
    changed: bool = False


async def verify(transport: Transport, target: Target, password: str) -> Login:
    """The user whose password it is. Raises PasswordMustChange, Rejected, Unreachable, ..., as the BMC says."""
    for user in USERS:
        login = Login(user=user, password=password)
        try:
            await BMC(transport, replace(target, login=login)).get(f"{ROOT}/Managers")
        except errors.PasswordMustChange:
            raise
        except errors.Rejected:
            continue
        return login
    raise errors.Rejected(f"{target} does not accept the password; correct it in the Secret, or on the BMC")


async def settle(transport: Transport, target: Target, password: str, *, former: str | None = None) -> Account:
    """Make `password` the BMC's. Tried in turn: that one, the `former` of a rotation, the factory's.

    Raises RedfishError. The factory's password is refused as a new one: the BMC would ask for its change for ever.
    """
    try:
        return Account(login=await verify(transport, target, password))
    except errors.PasswordMustChange:
        raise errors.PasswordMustChange(_must_differ(target, password)) from None
    except errors.Rejected as rejected:
        if password == FACTORY_PASSWORD:
            raise
        for old in dict.fromkeys(filter(None, (former, FACTORY_PASSWORD))):
            if old != password and await _change(transport, target, old, password):
                return Account(login=await verify(transport, target, password), changed=True)
        raise rejected from None


async def _change(transport: Transport, target: Target, old: str, new: str) -> bool:
    """Whether `old` was right; then `new` has taken its place."""
    login = Login(user=USERS[0], password=old)
    bmc = BMC(transport, replace(target, login=login))
    try:
        await bmc.get(f"{ROOT}/Managers")
    except errors.PasswordMustChange:
        pass
    except errors.Rejected:
        return False
    path = f"{ROOT}/AccountService/Accounts/{login.user}"
    await bmc.send("PATCH", path, {"Password": new}, secrets=(new, old))
    return True


def _must_differ(target: Target, password: str) -> str:
    held = "the factory's password" if password == FACTORY_PASSWORD else "a password that the BMC wants changed"
    return f"{target}: the Secret holds {held}; put another one into it"
