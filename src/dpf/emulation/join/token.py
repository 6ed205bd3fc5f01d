"""The bootstrap token: `<id>.<secret>`. The id is public (it names a Secret), the secret never leaves this value.

Pure. Source of the form: Kubernetes, "Authenticating with bootstrap tokens".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from dpf.emulation.join import errors

_FORM: Final = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapToken:
    """A well-formed token. Its repr and str show the id only."""

    id: str
    secret: str = field(repr=False)

    @property
    def bearer(self) -> str:
        """What the API server expects in the Authorization header after `Bearer `."""
        return f"{self.id}.{self.secret}"

    def __str__(self) -> str:
        return f"{self.id}.<hidden>"


def parse(text: str) -> BootstrapToken:
    """The token in `text`, surrounding white space ignored. Raises InvalidJoinConfig without repeating the text."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise errors.InvalidJoinConfig(
            "the bootstrap token is malformed: expected 6 characters, a dot and 16 characters of a-z and 0-9"
        )
    return BootstrapToken(id=match[1], secret=match[2])
