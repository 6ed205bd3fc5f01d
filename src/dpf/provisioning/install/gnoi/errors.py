"""What can go wrong between us and a DMS.

    GNOIError
    ├── Unreachable      no answer, or none in time; `sent`: the request may have been carried out
    ├── Untrusted        whatever answered cannot prove that it is the DMS of this host
    ├── Unreadable       it answers, and it is no DMS; `sent` as above
    ├── Rejected         it does not accept our client certificate
    └── Refused          it did not do what was asked
        └── Unsupported  it does not know the call

Texts are for people, name the DMS, stay the same while the cause does, and hold no key or certificate.
"""

from __future__ import annotations

import re
from typing import Final

import grpc

from dpf.provisioning.install.port import Cause, InstallError, Silence

LONGEST: Final = 1024
"""Characters of a text that goes into a condition."""

_LONGEST_DETAIL: Final = 512
_UNPROVEN: Final = "CERTIFICATE_VERIFY_FAILED"
_OTHER_NAME: Final = "Hostname Verification"
_NO_TLS: Final = "handshake failed"
_NO_CONNECTION: Final = "failed to connect to all addresses"
_CUT_OFF: Final = ("Socket closed", "reset by peer", "CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "ALERT")
_ENDED: Final = "Internal error from Core"
_SYSTEM: Final = re.compile(r"Failed to connect to remote host: (?:\w+: )?([A-Z][a-z ]{1,60}?)(?: \(\d+\))?$")
_UNPRINTABLE: Final = re.compile(r"[^ -~]+")


class GNOIError(Exception):
    """Base of all errors of this folder."""

    cause = Cause.UNREADABLE
    sent = False

    @property
    def silence(self) -> Silence:
        """The error as the answer to a look that could not be had."""
        return Silence(cause=self.cause, why=str(self))


class Unreachable(GNOIError):
    """No answer."""

    cause = Cause.UNREACHABLE

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class Untrusted(GNOIError):
    """Its certificate is not that of this host's DMS."""

    cause = Cause.UNTRUSTED


class Unreadable(GNOIError):
    """Its answer makes no sense."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class Rejected(GNOIError):
    """It does not let us."""

    cause = Cause.REJECTED


class Refused(GNOIError):
    """It did not do what was asked. `busy`: it is at work on something else. `retryable`: it may do it later."""

    def __init__(self, message: str, *, busy: bool = False, retryable: bool = True) -> None:
        super().__init__(message[:LONGEST])
        self.busy = busy
        self.retryable = retryable


class Unsupported(Refused):
    """It does not know the call."""


def of_call(error: grpc.aio.AioRpcError, dms: str, *, connected: bool) -> GNOIError:
    """What the error of a call means. `connected`: there was a connection, so the request may have arrived."""
    code, detail = error.code(), one_line(error.details() or "")
    if code is grpc.StatusCode.UNAVAILABLE:
        return _unavailable(detail, dms, connected=connected)
    if code is grpc.StatusCode.INTERNAL and detail.startswith(_ENDED):  # we wrote, and the call had just ended
        return Unreachable(f"{dms} broke the connection off", sent=connected)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unreachable(f"{dms} does not answer in time", sent=connected)
    if code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}:
        return Rejected(f"{dms} does not accept our client certificate{said(detail)}")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Unsupported(f"{dms} does not know this call: its version is another one than we expect", retryable=False)
    return Refused(f"{dms} answers {code.name}{said(detail)}", retryable=code is not grpc.StatusCode.INVALID_ARGUMENT)


def install_error(error: GNOIError, what: str, *, repeatable: bool = False) -> InstallError:
    """`error` as what an Installer raises; `what` says what was wanted, e.g. "setting the mode DPU".

    `repeatable`: a second order of this kind does no harm, so nobody needs to know whether the first one arrived.
    """
    text = f"{what}: {error}"[:LONGEST]
    if isinstance(error, Refused):
        return InstallError(text, busy=error.busy, retryable=error.retryable)
    return InstallError(text, doubtful=error.sent and not repeatable, silence=error.silence)


def one_line(text: str) -> str:
    """What the other side says, fit for a condition."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())[:_LONGEST_DETAIL]


def said(detail: str) -> str:
    """`detail` as the end of a sentence."""
    return f": {detail}" if detail else ""


def _unavailable(detail: str, dms: str, *, connected: bool) -> GNOIError:
    """No connection, or none any more. The texts are those of gRPC, addresses in them come and go."""
    if connected:
        return Unreachable(f"{dms} broke the connection off", sent=True)
    if _UNPROVEN in detail:
        return Untrusted(f"{dms} is not trusted: its certificate is not issued by our CA, or has expired")
    if _OTHER_NAME in detail:
        return Untrusted(f"{dms} is not trusted: its certificate is for another address")
    if _NO_CONNECTION in detail and any(mark in detail for mark in _CUT_OFF):
        return Rejected(f"{dms} ends the connection at once: it may not accept our client certificate")
    if _NO_TLS in detail:
        return Unreadable(f"{dms} does not speak TLS as it should: something else listens there")
    found = _SYSTEM.search(detail)
    why = found[1] if found else "no such host" if "lookup" in detail else "no connection"
    return Unreachable(f"{dms} cannot be reached: {why}; is the DMS pod of this host running?")
