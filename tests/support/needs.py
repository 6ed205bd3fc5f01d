"""What a test needs of the machine.

A missing part is an error that says how to get it. A test that needs root fails in CI without it; elsewhere it is the
only one that may be skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dpf.local import parts

_CI = os.environ.get("CI") == "true"


def program(name: str) -> Path:
    """The path of a part. Raises PartsMissing, which names `dpfctl local parts`."""
    return parts.find(name)


def root() -> None:
    """The rights to make network namespaces."""
    if os.geteuid() == 0:
        return
    why = "network namespaces need root"
    if _CI:
        pytest.fail(why)
    pytest.skip(why)
