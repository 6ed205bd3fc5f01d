"""Where the files are that come with this project: CRDs, RBAC and charts.

An installed wheel carries them inside the package; a checkout has them in `deploy/`.
"""

from __future__ import annotations

from pathlib import Path

from dpf.local import errors

_PACKAGE = Path(__file__).resolve().parents[1]


def folder(name: str) -> Path:
    """`crds`, `rbac`, `charts` or `host-agent`. Raises LocalError when the installation is incomplete."""
    for candidate in (_PACKAGE / "deploy" / name, _PACKAGE.parents[1] / "deploy" / name):
        if candidate.is_dir():
            return candidate
    raise errors.LocalError(f"deploy/{name} is missing from this installation; install the package again")
