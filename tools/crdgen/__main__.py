"""`python -m tools.crdgen [--check]`: writes `deploy/crds`, or fails with a diff when it does not match `dpf.api`."""

from __future__ import annotations

import sys
from typing import Final

from tools import generated
from tools.crdgen import manifest

FOLDER: Final = generated.ROOT / "deploy" / "crds"
COMMAND: Final = "python -m tools.crdgen"


def files() -> dict[str, str]:
    """Name to text of every file in `deploy/crds`."""
    return {
        manifest.file_name(kind): generated.yaml_text(
            [manifest.build(kind)], source=f"src/{kind.__module__.replace('.', '/')}.py", command=COMMAND
        )
        for kind in manifest.own_kinds()
    }


if __name__ == "__main__":
    sys.exit(generated.main(FOLDER, files(), pattern="*.yaml", command=COMMAND))
