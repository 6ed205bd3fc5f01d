"""Look for a part where it may already be: explicit setting, PATH, cache. Nothing is fetched.

Called by `resolver`. Runs a program found on PATH at most once to ask for its version; the answer is kept.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dpf.local.parts import cache, recipes
from dpf.local.parts.options import Options
from dpf.local.parts.table import Part

PROBE_TIMEOUT_S = 10.0


class Source(StrEnum):
    """Where a part came from."""

    SETTING = "setting"
    PATH = "path"
    CACHE = "cache"
    DOWNLOAD = "download"
    BUILD = "build"
    DEBIAN = "debian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A part and where it was found; `notes` say what was passed over on the way."""

    part: Part
    path: Path
    source: Source
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFound:
    """A part that is nowhere; `tried` says where it was looked for. A `final` one must not be got another way."""

    part: Part
    tried: tuple[str, ...]
    final: bool = False


def find(part: Part, options: Options) -> Found | NotFound:
    """Look in the order of the design: setting, KUBEBUILDER_ASSETS and PATH, cache."""
    setting = options.settings.get(part.name)
    if setting is not None:
        return _from_setting(part, Path(setting).expanduser())
    path, passed_over = _on_path(part, options)
    if path is not None:
        return Found(part=part, path=path, source=Source.PATH, notes=passed_over)
    on_path = passed_over or tuple(f"no {name} on PATH" for name in part.executables[:1])
    tried = (f"{part.variable} is not set", *on_path)
    if part.go is None and part.release is None:
        return NotFound(part=part, tried=tried)
    cached = cache.find(options.cache, part, recipes.accepted(part, options.arch))
    if cached is not None:
        return Found(part=part, path=cached, source=Source.CACHE, notes=passed_over)
    return NotFound(part=part, tried=(*tried, f"not in the cache ({cache.folder(options.cache, part)})"))


def _from_setting(part: Part, path: Path) -> Found | NotFound:
    usable = path.is_dir() if part.is_folder else path.is_file() and os.access(path, os.X_OK)
    if usable:
        return Found(part=part, path=path.absolute(), source=Source.SETTING)
    what = "a folder" if part.is_folder else "an executable file"
    return NotFound(part=part, tried=(f"it is set to {path}, which is not {what}",), final=True)


def _on_path(part: Part, options: Options) -> tuple[Path | None, tuple[str, ...]]:
    """The first program of the right version, and notes about those of another."""
    if not part.executables:
        return None, ()
    notes: list[str] = []
    for program in _candidates(part, options):
        version = _version(part, program, options)
        if version == part.version:
            return program, tuple(notes)
        notes.append(f"{program} is passed over: it is {version or 'of unknown version'}, {part.version} is needed")
    return None, tuple(notes)


def _candidates(part: Part, options: Options) -> list[Path]:
    paths = [folder / name for name in part.executables for folder in options.folders]
    return [path for path in paths if path.is_file() and os.access(path, os.X_OK)]


def _version(part: Part, program: Path, options: Options) -> str | None:
    """What `program` says about itself; the wanted version where any will do; None when it does not answer."""
    if part.probe is None:
        return part.version
    known = cache.known_version(options.cache, part, program)
    if known is None:
        known = _ask(program, part.probe.arguments, part.probe.pattern)
        _remember(part, program, known, options)
    return known or None


def _remember(part: Part, program: Path, version: str, options: Options) -> None:
    try:
        cache.remember_version(options.cache, part, program, version)
    except OSError:
        # A cache that cannot be written costs only that the program is asked again.
        return


def _ask(program: Path, arguments: tuple[str, ...], pattern: str) -> str:
    environ = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    try:
        answer = subprocess.run(
            [program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False,
            env=environ, text=True, errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(pattern, answer.stdout + answer.stderr)
    return match.group(1) if match else ""
