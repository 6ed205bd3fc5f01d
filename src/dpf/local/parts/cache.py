"""Our folder of parts: what was downloaded or built, and what is known about programs found elsewhere.

Layout: `<cache>/<name>-<version>/<name>` beside its links and a stamp, `<cache>/known/<name>.json` about a program on
PATH, `<cache>/links/` for names of programs that are not ours, `<cache>/build/` for builds under way. A stamp makes a
look cost one `stat` instead of running the program. Called by `search` and by everything that gets a part.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from dpf.local import files
from dpf.local.parts.table import Part

PROGRAM_MODE = 0o755
_STAMP = "stamp.json"


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one file: it is the same as long as size and time of change are.

    `recipe` is a digest of everything that went into it, `version` what the program said about itself.
    """

    path: str
    size: int
    mtime_ns: int
    recipe: str = ""
    version: str = ""


def folder(cache: Path, part: Part) -> Path:
    """Where the part lives in the cache."""
    return cache / f"{part.name}-{part.version}"


def location(cache: Path, part: Part) -> Path:
    """The part itself: a program, or a folder of files."""
    return folder(cache, part) / ("files" if part.is_folder else part.name)


def find(cache: Path, part: Part, recipes: tuple[str, ...]) -> Path | None:
    """The cached part, if it is complete and made after one of `recipes`."""
    path = location(cache, part)
    stamp = _read(folder(cache, part) / _STAMP)
    if stamp is None or stamp.recipe not in recipes:
        return None
    return path if _describes(stamp, path) else None


def put_program(cache: Path, part: Part, program: Path, recipe: str) -> Path:
    """Move a finished program into the cache. It appears whole, and counts only with the stamp written after it."""
    target = location(cache, part)
    target.parent.mkdir(parents=True, exist_ok=True)
    program.chmod(PROGRAM_MODE)
    program.replace(target)
    _write(folder(cache, part) / _STAMP, _stamp(target, recipe=recipe))
    return target


def put_files(cache: Path, part: Part, sources: tuple[Path, ...], recipe: str) -> Path:
    """Copy files into the cache, side by side; returns their folder."""
    target = location(cache, part)
    target.mkdir(parents=True, exist_ok=True)
    for source in sources:
        files.write_atomic(target / source.name, source.read_bytes(), mode=0o644)
    _write(folder(cache, part) / _STAMP, _stamp(target, recipe=recipe))
    return target


def known_version(cache: Path, part: Part, program: Path) -> str | None:
    """The version that `program` told when it was last asked, unless it has changed since."""
    stamp = _read(_known(cache, part, program))
    return stamp.version if stamp is not None and _describes(stamp, program) else None


def remember_version(cache: Path, part: Part, program: Path, version: str) -> None:
    """Keep what `program` said about itself."""
    _write(_known(cache, part, program), _stamp(program, version=version))


def ensure_link(cache: Path, part: Part, program: Path, name: str) -> Path:
    """A path called `name` that leads to `program`: beside a cached program, else in a folder of our own."""
    if program.name == name:
        return program
    cached = program.parent == folder(cache, part)
    link = (program.parent if cached else cache / "links" / files.digest(str(program).encode())[:16]) / name
    if link.is_symlink() and link.readlink() == program:
        return link
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(program)
    temporary.replace(link)
    return link


def build_folder(cache: Path, name: str) -> Path:
    """An empty folder for one build; what a killed build left there is removed. The caller holds the build lock."""
    path = cache / "build" / name
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def _known(cache: Path, part: Part, program: Path) -> Path:
    return cache / "known" / f"{part.name}-{files.digest(str(program).encode())[:16]}.json"


def _stamp(path: Path, *, recipe: str = "", version: str = "") -> Stamp:
    seen = path.stat()
    return Stamp(
        path=str(path.resolve()), size=seen.st_size, mtime_ns=seen.st_mtime_ns, recipe=recipe, version=version,
    )


def _describes(stamp: Stamp, path: Path) -> bool:
    try:
        seen = path.stat()
    except OSError:
        return False
    return (stamp.size, stamp.mtime_ns, stamp.path) == (seen.st_size, seen.st_mtime_ns, str(path.resolve()))


def _read(path: Path) -> Stamp | None:
    """The stamp; None when it is absent or unreadable: then its part is got again, which is always right."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Stamp)
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, stamp: Stamp) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomic(path, msgspec.json.encode(stamp) + b"\n", mode=0o644)
