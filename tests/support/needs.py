"""What a test needs of the machine. Where it is missing the test is skipped, except in CI, where it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dpf.local import parts

_CI = os.environ.get("CI") == "true"


def program(name: str) -> Path:
    """The path of a part."""
    try:
        return parts.find(name)
    except parts.PartsMissing as missing:
        if _CI:
            raise
        pytest.skip(str(missing))


def root() -> None:
    """The rights to make network namespaces."""
    if os.geteuid() != 0:
        (pytest.fail if _CI else pytest.skip)("network namespaces need root")
