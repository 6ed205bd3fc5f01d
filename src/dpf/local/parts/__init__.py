"""The programs of other projects that the local platform runs: found, downloaded, built or installed.

`table` lists them with their versions; `resolver` gets them all or tells what is missing.
"""

from __future__ import annotations

import os
from pathlib import Path

from dpf.local.parts import resolver
from dpf.local.parts.errors import PartsMissing, Problem
from dpf.local.parts.options import Options, from_environment
from dpf.local.parts.resolver import Parts, ResolvedPart, missing, resolve
from dpf.local.parts.search import Source
from dpf.local.parts.table import PARTS

__all__ = [
    "PARTS", "Options", "Parts", "PartsMissing", "Problem", "ResolvedPart", "Source", "find", "from_environment",
    "missing", "resolve",
]


def find(name: str, options: Options | None = None) -> Path:
    """Where one part is for this user (see `resolver.find`)."""
    return resolver.find(name, options or from_environment(os.environ))
