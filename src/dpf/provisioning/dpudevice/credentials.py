"""Which Secret has the password of a BMC, and what is wrong with it. Pure (behaviour-provisioning.md 9.2).

Called by `observe`. No text here holds a password, and no value shows one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dpf.api import core
from dpf.api.dpudevice import ConditionReason, DPUDevice
from dpf.api.meta import Key, object_key

SHARED_SECRET: Final = "bmc-shared-password"  # noqa: S105 - a name
PASSWORD_KEY: Final = "password"  # noqa: S105 - a key


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why there is no password; `reason` is the condition's."""

    reason: ConditionReason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """`password` is "" when there is a problem; `former` is that of the Secret that was used before."""

    secret: str
    password: str = field(default="", repr=False)
    former: str | None = field(default=None, repr=False)
    problem: Problem | None = None

    @property
    def digest(self) -> str:
        """Changes when the password does; kept in memory only."""
        return hashlib.sha256(f"{self.secret}\0{self.password}\0{self.former}".encode()).hexdigest()


def secret_key(device: DPUDevice) -> Key:
    """The Secret: the device's own, else the one that all share."""
    own = device.spec.bmcCredentialSecretName if device.spec is not None else None
    return Key(device.metadata.namespace or "", own or SHARED_SECRET)


def read(device: DPUDevice, secret_of: Callable[[Key], core.Secret | None]) -> Credentials:
    """What the Secrets say. From a Secret of its own a device does not go back to the shared one."""
    key, before = secret_key(device), device.status.bmcCredentialSecretName
    if key.name == SHARED_SECRET and before not in {None, "", SHARED_SECRET}:
        return Credentials(secret=key.name, problem=Problem(
            reason=ConditionReason.MODE_SWITCH_NOT_ALLOWED,
            message=(
                f"DPUDevice {object_key(device)} uses its own Secret {before}; going back to the shared Secret "
                f"{SHARED_SECRET} is not allowed: set spec.bmcCredentialSecretName again"
            ),
        ))
    found = secret_of(key)
    if found is None:
        return Credentials(secret=key.name, problem=Problem(
            reason=ConditionReason.CREDENTIALS_SECRET_NOT_FOUND,
            message=f"Secret {key} does not exist; make it, with the BMC's password under the key {PASSWORD_KEY}",
        ))
    password = password_of(found)
    if not password:
        return Credentials(secret=key.name, problem=Problem(
            reason=ConditionReason.CREDENTIALS_SECRET_INVALID,
            message=f"Secret {key} has no password under the key {PASSWORD_KEY}; put it there",
        ))
    former = secret_of(Key(key.namespace, before)) if before and before != key.name else None
    return Credentials(
        secret=key.name, password=password, former=password_of(former) or None if former is not None else None
    )


def password_of(secret: core.Secret) -> str:
    """The password, or "" when there is none that could be one."""
    try:
        return base64.b64decode((secret.data or {}).get(PASSWORD_KEY, "")).decode()
    except (binascii.Error, ValueError):
        return ""
