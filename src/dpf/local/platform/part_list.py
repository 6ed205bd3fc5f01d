"""`dpfctl local parts`: get every engine and say where each came from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from dpf.local import parts as local_parts


async def resolve(output: str, progress: Callable[[str], None]) -> str:
    """Resolve all parts; returns a table, or JSON for `output="json"`. Raises PartsMissing naming what is left."""
    found = await local_parts.resolve(local_parts.from_environment(os.environ), progress)
    if output == "json":
        return json.dumps([
            {"name": p.name, "version": p.version, "source": p.source, "path": str(p.path), "seconds": p.seconds}
            for p in found.resolved.values()
        ])
    rows = [("PART", "VERSION", "SOURCE", "PATH")]
    rows += [(p.name, p.version or "", p.source, str(p.path)) for p in found.resolved.values()]
    width = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width[i]) for i, cell in enumerate(row)).rstrip() for row in rows]
    return "\n".join([*lines, *(f"{p.name}: {note}" for p in found.resolved.values() for note in p.notes)])
