"""`python -m tools.docsgen [--check]`: writes `docs/reference`, or fails with a diff when the source says otherwise."""

from __future__ import annotations

import sys
from typing import Final

from tools import generated
from tools.crdgen import manifest
from tools.docsgen import conditions

FOLDER: Final = generated.ROOT / "docs" / "reference"
PATTERN: Final = "conditions.md"
"""The other pages of the folder are written by hand."""
COMMAND: Final = "python -m tools.docsgen"


def files() -> dict[str, str]:
    """Name to text of every generated file in `docs/reference`."""
    return {"conditions.md": conditions.page(manifest.own_kinds(), command=COMMAND)}


if __name__ == "__main__":
    sys.exit(generated.main(FOLDER, files(), pattern=PATTERN, command=COMMAND))
