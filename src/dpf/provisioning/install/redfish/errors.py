"""What can go wrong between us and a BMC.

    RedfishError
    ├── Unreachable              no answer, none in time, or 503; `sent`: the request may have been carried out
    ├── Untrusted                whatever answered cannot prove that it is this BMC
    ├── Unreadable               it answers, and it is not Redfish
    ├── Rejected                 401, 403, or it refuses our client certificate
    │   └── PasswordMustChange   403 until the password is another one
    └── Refused                  any other status that the request does not expect
        └── Missing              404

Texts are for people, name the BMC, stay the same while the cause does, and hold no password, key or header.
"""

from __future__ import annotations

from typing import Final

from dpf.provisioning.install.port import Cause, InstallError, Silence

LONGEST: Final = 1024
"""Characters of a text that goes into a condition (behaviour-provisioning.md section 9)."""


class RedfishError(Exception):
    """Base of all errors of this folder."""

    cause = Cause.UNREADABLE

    @property
    def silence(self) -> Silence:
        """The error as the answer to a look that could not be had."""
        return Silence(cause=self.cause, why=str(self))


class Unreachable(RedfishError):
    """No answer."""

    cause = Cause.UNREACHABLE

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Untrusted(RedfishError):
    """Its certificate is not that of this BMC."""

    cause = Cause.UNTRUSTED


class Unreadable(RedfishError):
    """Its answer makes no sense."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class Rejected(RedfishError):
    """It knows us not, or does not let us."""

    cause = Cause.REJECTED


class PasswordMustChange(Rejected):
    """The password is right and good for nothing but its own change."""


class Refused(RedfishError):
    """It did not do what was asked. `status` is the HTTP code, `ids` are the MessageIds of its complaint."""

    def __init__(self, message: str, *, status: int, ids: tuple[str, ...] = (), complaint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.ids = ids
        self.complaint = complaint


class Missing(Refused):
    """It has no such resource."""


def install_error(error: RedfishError, what: str, *, asked_only: bool = False) -> InstallError:
    """`error` as what an Installer raises; `what` says what was wanted, e.g. "restarting the Arm cores".

    `asked_only`: nothing but questions was sent so far.
    """
    sent = isinstance(error, Unreachable | Unreadable) and error.sent and not asked_only
    silence = None if isinstance(error, Refused) else error.silence
    return InstallError(f"{what}: {error}"[:LONGEST], doubtful=sent, silence=silence)
