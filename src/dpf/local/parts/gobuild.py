"""Build parts from pinned Go modules. Needs `go`, and a module proxy the first time.

Called by `resolver`, for one module folder at a time: two builds would only slow each other down. Another process that
builds into the same cache is waited for, and what it built is used.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dpf.local.parts import cache, commands, recipes
from dpf.local.parts.errors import StepFailed
from dpf.local.parts.options import Options
from dpf.local.parts.table import GoFiles, GoModule, GoProgram, Part, SourcePatch

Progress = Callable[[str], None]
NEEDED_BYTES = 2 << 30
"""Less than this and not even one module can be built."""
COLD_BYTES = 9 << 30
"""Sources, compiled packages and programs of everything together, measured on a machine that had none of them."""
LOCK_POLL_S = 0.5
_DROPPED = ("GOFLAGS", "GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GODEBUG", "GO111MODULE", "GOROOT")
"""Settings of the user's own Go work that would change what is built."""
_PACKAGE_LINE = re.compile(r"[\w.~/@+-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """The go command and the environment that every call gets."""

    program: str
    environ: Mapping[str, str]


def find_go(options: Options) -> Go:
    """The go command on PATH or where its own installer puts it. Raises StepFailed."""
    program = shutil.which("go", path=options.environ.get("PATH", "")) or shutil.which("go", path="/usr/local/go/bin")
    if program is None:
        raise StepFailed("go was not found on PATH")
    kept = {name: value for name, value in options.environ.items() if name not in _DROPPED}
    # GOFLAGS is not left empty: go would then take it from the user's `go env -w`.
    fixed = {"GOFLAGS": " ".join(recipes.COMMON_FLAGS), "GOWORK": "off", "CGO_ENABLED": "0"}
    return Go(program=program, environ={**kept, **fixed})


async def build(
    module: GoModule, parts: Sequence[Part], options: Options, go: Go, progress: Progress,
) -> dict[str, Path]:
    """Build or copy these parts of one module into the cache; returns paths by part name. Raises StepFailed."""
    try:
        async with _build_lock(options.cache, progress):
            missing = [part for part in parts if _cached(part, options) is None]
            if missing:
                await _build_missing(module, missing, options, go, progress)
    except OSError as error:
        raise StepFailed(f"building in {options.cache} failed: {error.strerror or error}") from error
    return {part.name: cache.location(options.cache, part) for part in parts}


def patch_source(folder: Path, patch: SourcePatch) -> None:
    """Replace the patch's text in its file under `folder`. Raises StepFailed unless it fits exactly once."""
    path = folder / patch.file
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise StepFailed(f"{patch.file} of {patch.path} is not there: its patch has to be revised") from error
    count = text.count(patch.old)
    if count != 1:
        raise StepFailed(f"{patch.file} of {patch.path} has the line to be changed {count} times: revise its patch")
    path.write_text(text.replace(patch.old, patch.new))


def _cached(part: Part, options: Options) -> Path | None:
    return cache.find(options.cache, part, recipes.accepted(part, options.arch))


async def _build_missing(
    module: GoModule, parts: Sequence[Part], options: Options, go: Go, progress: Progress,
) -> None:
    folder = cache.build_folder(options.cache, module.name)
    try:
        for name in ("go.mod", "go.sum"):
            shutil.copyfile(recipes.MODULES / module.name / name, folder / name)
        for part in parts:
            if isinstance(part.go, GoFiles):
                await _copy_files(part, part.go, folder, options, go)
        programs = {part: part.go for part in parts if isinstance(part.go, GoProgram)}
        if programs:
            await _compile(module, programs, folder, options, go, progress)
    finally:
        # A compiler that was killed this instant may still hold something; the next build clears the rest.
        shutil.rmtree(folder, ignore_errors=True)


async def _compile(
    module: GoModule, programs: Mapping[Part, GoProgram], folder: Path, options: Options, go: Go, progress: Progress,
) -> None:
    _check_space(options.cache, progress)
    if module.patch is not None:
        await _patch(module.patch, folder, go)
    out = folder / "out"
    out.mkdir()
    packages = [program.package for program in programs.values()]
    names = ", ".join(f"{part.name} {part.version}" for part in programs)
    progress(f"building {names} with go (minutes the first time)")
    arguments = ["build", "-v", "-ldflags", recipes.linker_flags(module), "-o", f"{out}/", *packages]
    await _run(go, arguments, folder, _counter(module.name, progress))
    for part, program in programs.items():
        cache.put_program(options.cache, part, out / program.output, recipes.of_build(program, options.arch))


async def _copy_files(part: Part, source: GoFiles, folder: Path, options: Options, go: Go) -> None:
    sources = await _module_folder(source.path, folder, go)
    paths = tuple(sources / name for name in source.files)
    cache.put_files(options.cache, part, paths, recipes.of_build(source, options.arch))


async def _patch(patch: SourcePatch, folder: Path, go: Go) -> None:
    """Have the module built from a changed copy."""
    sources = await _module_folder(patch.path, folder, go)
    copy = folder / "patched"
    await asyncio.to_thread(shutil.copytree, sources, copy, copy_function=_copy_writable)
    patch_source(copy, patch)
    await _run(go, ["mod", "edit", f"-replace={patch.path}=./{copy.name}"], folder)


def _copy_writable(source: str, target: str) -> None:
    """Copy content without the write protection of the module cache."""
    shutil.copyfile(source, target)


async def _module_folder(path: str, folder: Path, go: Go) -> Path:
    """Where the sources of a pinned module are; fetched when absent."""
    version = json.loads((await _run(go, ["list", "-m", "-json", path], folder)).output)["Version"]
    answer = await _run(go, ["mod", "download", "-json", f"{path}@{version}"], folder)
    return Path(json.loads(answer.output)["Dir"])


async def _run(
    go: Go, arguments: Sequence[str], folder: Path, on_look: Callable[[str], None] = lambda _: None,
) -> commands.Result:
    result = await commands.run([go.program, *arguments], env=go.environ, cwd=folder, on_look=on_look)
    if result.code != 0:
        lines = [line for line in result.said.splitlines() if line and not _PACKAGE_LINE.fullmatch(line)]
        why = " / ".join(lines[-8:]) or result.output[-500:].strip() or f"status {result.code}"
        raise StepFailed(f"go {arguments[0]} failed: {why}")
    return result


def _counter(module: str, progress: Progress) -> Callable[[str], None]:
    """Turns what go has said until now into a line of progress."""
    began = time.monotonic()

    def on_look(said: str) -> None:
        count = sum(1 for line in said.splitlines() if _PACKAGE_LINE.fullmatch(line))
        progress(f"building {module}: {count} packages compiled in {time.monotonic() - began:.0f} s")

    return on_look


def _check_space(folder: Path, progress: Progress) -> None:
    """Say early what would otherwise end a build after minutes. What go has in its own cache is not known here."""
    free = shutil.disk_usage(folder).free
    if free >= COLD_BYTES:
        return
    what = f"only {free / (1 << 30):.1f} GiB are free at {folder}, building everything for the first time needs"
    if free < NEEDED_BYTES:
        raise StepFailed(f"{what} {COLD_BYTES >> 30}: free some space")
    progress(f"{what} {COLD_BYTES >> 30}")


@asynccontextmanager
async def _build_lock(folder: Path, progress: Progress) -> AsyncIterator[None]:
    """Be the only builder into this cache. Can be cancelled while waiting for another."""
    with (folder / "build.lock").open("ab") as file:
        announced = False
        while not _try_lock(file.fileno()):
            if not announced:
                progress(f"another build into {folder} is under way: waiting for it")
                announced = True
            await asyncio.sleep(LOCK_POLL_S)
        yield


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
