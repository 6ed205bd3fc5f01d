"""The programs of other projects that the local platform runs: found, downloaded, built or installed.

`table` lists them with their versions; `resolver` gets them all or tells what is missing.
"""

from __future__ import annotations

import os
from pathlib import Path

from dpf.local.parts.errors import PartsMissing, Problem
from dpf.local.parts.options import Options, from_environment
from dpf.local.parts.resolver import Parts, ResolvedPart, missing, resolve
from dpf.local.parts.search import Found, Source
from dpf.local.parts.search import find as _search
from dpf.local.parts.table import PARTS

__all__ = [
    "PARTS", "Options", "Parts", "PartsMissing", "Problem", "ResolvedPart", "Source", "find", "from_environment",
    "missing", "resolve",
]


def find(name: str, options: Options | None = None) -> Path:
    """Where one part is now, without getting it. Raises KeyError for an unknown name, PartsMissing when absent."""
    part = next((part for part in PARTS if part.name == name), None)
    if part is None:
        raise KeyError(name)
    result = _search(part, options or from_environment(os.environ))
    if isinstance(result, Found):
        return result.path
    remedy = f"dpfctl local up, or set {part.variable}"
    raise PartsMissing((Problem(part=name, version=part.version, tried=result.tried, remedy=remedy),))
