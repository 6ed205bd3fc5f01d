"""`python -m tools.docsgen [--check]`: writes what is generated of `docs`, or fails with a diff on drift."""

from __future__ import annotations

import sys
from typing import Final

from tools import generated
from tools.crdgen import manifest
from tools.docsgen import conditions, states

FOLDER: Final = generated.ROOT / "docs" / "reference"
PATTERN: Final = "conditions.md"
"""The other pages of the folder are written by hand."""
STATES: Final = generated.ROOT / "docs" / "states"
STATES_PATTERN: Final = "*.md"
COMMAND: Final = "python -m tools.docsgen"


def files() -> dict[str, str]:
    """Name to text of every generated file in `docs/reference`."""
    return {"conditions.md": conditions.page(manifest.own_kinds(), command=COMMAND)}


def state_files() -> dict[str, str]:
    """Name to text of every file in `docs/states`."""
    return states.pages(command=COMMAND)


def main() -> int:
    """Both folders; the exit code is the worse one."""
    return max(
        generated.main(FOLDER, files(), pattern=PATTERN, command=COMMAND),
        generated.main(STATES, state_files(), pattern=STATES_PATTERN, command=COMMAND),
    )


if __name__ == "__main__":
    sys.exit(main())
