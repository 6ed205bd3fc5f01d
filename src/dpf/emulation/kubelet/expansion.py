"""`$(NAME)` in commands, arguments and environment values.

Pure. Source of the rule: Kubernetes, "Define a command and arguments for a container": an unknown name stays as it is
written, and `$$(NAME)` is the literal `$(NAME)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_REFERENCE: Final = re.compile(r"\$\$|\$\(([^)]*)\)")


def expand(text: str, env: Mapping[str, str]) -> str:
    """`text` with every known reference replaced once; replaced text is not looked at again."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return env.get(match[1], match[0])

    return _REFERENCE.sub(value, text)
