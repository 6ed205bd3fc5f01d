"""Every fact that a decision about one DPUDevice needs, as plain values. Pure. Filled by `observe` and `driver`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from dpf.api import names
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key, object_key
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.dpudevice.credentials import Credentials
from dpf.provisioning.install.port import Sight, Silence

RENEW_BEFORE_S: Final = 720 * 3600.0
"""Where the DPFOperatorConfig does not say (api-provisioning.md 13.3)."""


class Access(StrEnum):
    """How a BMC let us in."""

    CERTIFICATE = "certificate"
    """Each side has proven who it is: the BMC is ours."""
    PASSWORD = "password"  # noqa: S105 - no password
    """By the password of the Secret; the BMC has proven nothing."""


class Password(StrEnum):
    """What a BMC says to the password of the Secret."""

    UNKNOWN = "unknown"
    """It was not asked, or did not answer."""
    ACCEPTED = "accepted"
    WRONG = "wrong"
    """It has another one, or wants this one changed; the factory's and the former one were not tried."""
    REFUSED = "refused"
    """None that we know is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a BMC told. `silence`: why it told nothing, and then only `doubt` and `password` say more.

    `doubt` is why it is not (yet) reached with certificates. `user` is whose password it is. `is_trusting`: its
    truststore holds our CAs and no others. `is_served_ours`: the certificate that it shows says that we have issued it
    for this address. `attempts` counts what we have had it do since it was ours last.
    """

    access: Access | None = None
    silence: Silence | None = None
    doubt: Silence | None = None
    password: Password = Password.UNKNOWN
    password_why: str = ""
    user: str = ""
    firmware: str | None = None
    is_outdated: bool | None = None
    clock_skew_s: float | None = None
    is_trusting: bool = False
    is_served_ours: bool = False
    not_after: datetime | None = None
    is_tls_login_on: bool | None = None
    sight: Sight | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where a BMC is, how we may enter, and what it is to trust (PEM). `inputs` change when a new look is due."""

    device: Key
    host: str
    port: int
    credentials: Credentials
    bundle: bytes
    inputs: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`dpunode` is the one that lists the device; of several the first by name. `dpus` are those on the device.

    `reach` and `look` are there where the device is reached by its BMC; `reach` is None while there is no address, no
    CA or no certificate of our own.
    """

    device: DPUDevice
    interface: InstallInterface
    dpunode: DPUNode | None = None
    dpus: tuple[DPU, ...] = ()
    credentials: Credentials | None = None
    reach: Reach | None = None
    look: Look | None = None
    renew_before_s: float = RENEW_BEFORE_S

    @property
    def key(self) -> Key:
        """Of the device."""
        return object_key(self.device)

    @property
    def bmc_ip(self) -> str:
        """Where the BMC should be; "" where nobody has said."""
        return (self.device.spec.bmcIp if self.device.spec is not None else None) or ""

    @property
    def hostless(self) -> bool:
        """Whether it stands alone, without a host."""
        return (self.device.metadata.labels or {}).get(names.HOSTLESS_LABEL) == "true"

    @property
    def skips_hardware(self) -> bool:
        """Whether its BMC is left alone."""
        return (self.device.metadata.labels or {}).get(names.SKIP_HW_PROVISIONING_LABEL) == "true"

    @property
    def manual_trigger(self) -> str | None:
        """The request for a new certificate of the BMC, whatever its text is."""
        return (self.device.metadata.annotations or {}).get(names.ROTATE_BMC_SERVER_CERTIFICATE_ANNOTATION)
