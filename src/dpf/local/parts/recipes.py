"""What a cached part was made from, as a digest: another recipe, and it is made again.

Called by `search`, `download` and `gobuild`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from dpf.local import files
from dpf.local.parts.table import GO_MODULES, GoFiles, GoModule, GoProgram, Part

MODULES = Path(__file__).parent / "go"
COMMON_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false")


def accepted(part: Part, arch: str) -> tuple[str, ...]:
    """The recipes whose result may be used for this part on this architecture."""
    found = [of_build(part.go, arch)] if part.go is not None else []
    if part.release is not None and arch in part.release.sha256:
        found.append(of_release(part.release.sha256[arch]))
    return tuple(found)


def of_release(sha256: str) -> str:
    """The recipe of a download: its checksum."""
    return f"release {sha256}"


def of_build(source: GoProgram | GoFiles, arch: str) -> str:
    """The recipe of a build: pinned modules, flags, patch and target."""
    folder = MODULES / source.module
    described = msgspec.json.encode((source, go_module(source.module), COMMON_FLAGS, arch))
    return f"build {files.digest((folder / 'go.mod').read_bytes(), (folder / 'go.sum').read_bytes(), described)}"


def go_module(name: str) -> GoModule:
    """The table's entry for a folder under `go/`."""
    return next(module for module in GO_MODULES if module.name == name)


def linker_flags(module: GoModule) -> str:
    """`-ldflags`: no symbol tables, and the variables by which programs know their version."""
    variables = [f"-X {name}={value}" for name, value in module.variables.items()]
    return " ".join(["-s -w", *variables])
