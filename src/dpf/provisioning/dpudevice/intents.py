"""What the planner of a DPUDevice wants done to its BMC, and the answers. Values only; `driver` carries them out.

Each may be repeated: it looks first whether it is done already, or its repetition changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dpf.provisioning.dpudevice.snapshot import Access, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareCertificates:
    """Have a CA, its bundle, and a certificate of our own; made once for all devices, and renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlePassword:
    """Make the Secret's password the BMC's. Answer: None, or a Refusal."""

    reach: Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncTrust:
    """Make the BMC trust our CAs and no others. Answer: whether anything changed."""

    reach: Reach
    access: Access
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallCertificate:
    """Have the BMC make a key, and give it a certificate for it. Answer: an Installed."""

    reach: Reach
    access: Access
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnTLSLoginOn:
    """Have the BMC accept our client certificate."""

    reach: Reach
    access: Access
    user: str


Intent = PrepareCertificates | SettlePassword | SyncTrust | InstallCertificate | TurnTLSLoginOn


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The BMC accepts no password that we know; the text is for people."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A certificate is in its place."""

    not_after: datetime
