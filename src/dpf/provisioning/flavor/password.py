"""The password of the user `ubuntu`: it stands among the lines of bf.cfg and is set by cloud-init.

Pure. Called by `checks` and `cloudinit`. Rules: behaviour-provisioning.md section 10. No function here puts a password
into an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

USER: Final = "ubuntu"
PARAMETER: Final = "ubuntu_PASSWORD"
_PREFIX: Final = f"{PARAMETER}="
_CRYPT: Final = re.compile(r"\$[0-9a-z]+\$.+|[./0-9A-Za-z]{13}")


def is_password(parameter: str) -> bool:
    """Whether this line of bf.cfg sets the password."""
    return parameter.lstrip().startswith(_PREFIX)


def is_well_formed(parameter: str) -> bool:
    """Exactly one `=`, and something behind it."""
    return parameter.count("=") == 1 and bool(_value(parameter))


def is_hash(parameter: str) -> bool:
    """Whether the value looks like crypt(3)'s: anything else lets nobody in."""
    return _CRYPT.fullmatch(_value(parameter)) is not None


def of(parameters: Sequence[str]) -> str | None:
    """The password hash without its quotes; the last line counts, as in a shell. None when no line sets it."""
    lines = [line for line in parameters if is_password(line)]
    return _value(lines[-1]) if lines else None


def without(parameters: Sequence[str]) -> tuple[str, ...]:
    """The other lines: what stays in bf.cfg."""
    return tuple(line for line in parameters if not is_password(line))


def _value(parameter: str) -> str:
    value = parameter.strip().removeprefix(_PREFIX).strip()
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
