"""Generated files: write them, or show how the tree differs from what the source says.

Used by every generator under `tools`. A folder belongs to one generator: a file in it that is no longer generated is
removed, or reported by the check.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parent.parent


class _Dumper(yaml.SafeDumper):
    """Block style, no anchors: a reader should not have to follow references."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - PyYAML's signature
        return True


def yaml_text(documents: Iterable[Mapping[str, Any]], *, source: str, command: str) -> str:
    """The documents as YAML below a line that says where they come from. Keys keep their order."""
    header = f"# Written by `{command}` from {source}; do not edit.\n"
    body = "".join("---\n" + yaml.dump(d, Dumper=_Dumper, sort_keys=False, width=116) for d in documents)
    return header + body


def drift(folder: Path, files: Mapping[str, str], *, pattern: str) -> str:
    """A unified diff from the tree to `files` (name to text); empty when they agree. `pattern` finds the old files."""
    before = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob(pattern)}
    return "".join(
        line
        for name in sorted(before.keys() | files.keys())
        for line in difflib.unified_diff(
            before.get(name, "").splitlines(keepends=True), files.get(name, "").splitlines(keepends=True),
            f"{folder.name}/{name} (tree)", f"{folder.name}/{name} (source)",
        )
    )


def write(folder: Path, files: Mapping[str, str], *, pattern: str) -> None:
    """Make `folder` hold exactly `files` among what `pattern` finds."""
    for path in folder.rglob(pattern):
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def main(folder: Path, files: Mapping[str, str], *, pattern: str, command: str) -> int:
    """The command line that all generators share: write, or with `--check` fail with a diff. Returns the exit code."""
    parser = argparse.ArgumentParser(prog=command, description=f"Write {folder.relative_to(ROOT)} from the source.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail with a diff on drift")
    if not parser.parse_args().check:
        write(folder, files, pattern=pattern)
        return 0
    difference = drift(folder, files, pattern=pattern)
    if difference:
        print(difference, end="")
        print(f"{folder.relative_to(ROOT)} does not match the source: run `make gen`", file=sys.stderr)
    return 1 if difference else 0
