"""Put all parts together: find what is there, then download, build and install the rest at the same time.

Called by `dpfctl local up` and `dpfctl local parts`. Every part that cannot be had is reported in one error, with what
was tried for it and what would help.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dpf.local import errors
from dpf.local.parts import cache, debian, gobuild, search, table
from dpf.local.parts.errors import PartsMissing, Problem, StepFailed
from dpf.local.parts.options import Options
from dpf.local.parts.search import Found, NotFound, Source
from dpf.local.parts.table import GO_MODULES, GoModule, Part

Progress = Callable[[str], None]
GO_VERSION = "1.26"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPart:
    """A part that is there. `seconds` is how long getting it took, `notes` say what was passed over."""

    name: str
    version: str | None
    path: Path
    source: Source
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts(Mapping[str, Path]):
    """Where everything is: paths by the name of a part or of a program it contains (`argocd-repo-server`)."""

    resolved: Mapping[str, ResolvedPart]
    links: Mapping[str, Path] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Path:
        return self.links[name] if name in self.links else self.resolved[name].path

    def __iter__(self) -> Iterator[str]:
        return iter({**self.resolved, **self.links})

    def __len__(self) -> int:
        return len({*self.resolved, *self.links})


def missing(options: Options) -> tuple[str, ...]:
    """Names of parts that `resolve` would have to get. Looks at files only, unless a new program is on PATH."""
    return tuple(part.name for part in options.wanted if isinstance(search.find(part, options), NotFound))


def find(name: str, options: Options) -> Path:
    """Where one part, or a program of it, is now; nothing is fetched.

    Raises KeyError for an unknown name, PartsMissing when it is not there.
    """
    part = table.by_name(name)
    result = search.find(part, options)
    if isinstance(result, Found):
        return cache.ensure_link(options.cache, part, result.path, name) if name in part.links else result.path
    remedy = f"dpfctl local parts, or set {part.variable}"
    raise PartsMissing((Problem(part=part.name, version=part.version, tried=result.tried, remedy=remedy),))


async def resolve(options: Options, progress: Progress = lambda _: None) -> Parts:
    """All parts of the wanted features; what is not there is got as far as `options` allow.

    Raises PartsMissing, and LocalError when the cache cannot be written.
    """
    _prepare_cache(options.cache)
    looked = await asyncio.gather(*(_look(part, options) for part in options.wanted))
    found = {one.name: one for one in looked if isinstance(one, ResolvedPart)}
    absent = [one for one in looked if isinstance(one, NotFound)]
    got = await _get([one for one in absent if not one.final], options, progress)
    refused = [_problem(one) for one in absent if one.final]
    problems = (*refused, *(one for one in got if isinstance(one, Problem)))
    if problems:
        raise PartsMissing(problems)
    found |= {one.name: one for one in got if isinstance(one, ResolvedPart)}
    resolved = {part.name: found[part.name] for part in options.wanted}
    return Parts(resolved=resolved, links=_links(options, resolved))


def _prepare_cache(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        remedy = "set XDG_CACHE_HOME to a folder that can"
        raise errors.LocalError(f"the folder for parts, {folder}, cannot be written; {remedy}")


async def _look(part: Part, options: Options) -> ResolvedPart | NotFound:
    began = time.monotonic()
    result = await asyncio.to_thread(search.find, part, options)
    return _resolved(result, began) if isinstance(result, Found) else result


async def _get(
    absent: Sequence[NotFound], options: Options, progress: Progress,
) -> tuple[ResolvedPart | Problem, ...]:
    packaged = [one for one in absent if one.part.debian is not None]
    others = [one for one in absent if one.part.debian is None]
    async with asyncio.TaskGroup() as group:
        installing = group.create_task(_install(packaged, options, progress))
        fetching = group.create_task(_download_or_build(others, options, progress))
    return (*fetching.result(), *installing.result())


async def _install(
    absent: Sequence[NotFound], options: Options, progress: Progress,
) -> tuple[ResolvedPart | Problem, ...]:
    if not absent:
        return ()
    began = time.monotonic()
    packages = sorted({one.part.debian for one in absent if one.part.debian is not None})
    failure = await _try_install(packages, options, progress)
    results: list[ResolvedPart | Problem] = []
    for one in absent:
        again = search.find(one.part, options)
        if isinstance(again, Found):
            found = Found(part=one.part, path=again.path, source=Source.DEBIAN, notes=again.notes)
            results.append(_resolved(found, began))
        else:
            results.append(_problem(one, failure or f"package {one.part.debian} does not contain it"))
    return tuple(results)


async def _try_install(packages: Sequence[str], options: Options, progress: Progress) -> str | None:
    if not options.install:
        return "installing packages is not allowed here"
    try:
        await debian.install(packages, options, progress)
    except StepFailed as error:
        return str(error)
    return None


async def _download_or_build(
    absent: Sequence[NotFound], options: Options, progress: Progress,
) -> tuple[ResolvedPart | Problem, ...]:
    tried = await asyncio.gather(*(_download(one, options, progress) for one in absent))
    done = [one for one in tried if isinstance(one, ResolvedPart)]
    left = [one for one in tried if isinstance(one, NotFound)]
    return (*done, *await _build(left, options, progress))


async def _download(one: NotFound, options: Options, progress: Progress) -> ResolvedPart | NotFound:
    if not options.download:
        return _also_tried(one, "downloading is not allowed here")
    # Only who downloads pays for the HTTP client, which takes longer to import than a look at a full cache.
    from dpf.local.parts import download

    began = time.monotonic()
    try:
        path = await download.fetch(one.part, options, progress)
    except StepFailed as error:
        return _also_tried(one, str(error))
    return _resolved(Found(part=one.part, path=path, source=Source.DOWNLOAD), began)


async def _build(
    absent: Sequence[NotFound], options: Options, progress: Progress,
) -> tuple[ResolvedPart | Problem, ...]:
    """Build module by module, in the table's order; a failure of one does not keep the others from being built."""
    if not absent:
        return ()
    try:
        go = _allowed_go(options)
    except StepFailed as error:
        return tuple(_problem(one, str(error)) for one in absent)
    results: list[ResolvedPart | Problem] = []
    for module in GO_MODULES:
        of_module = [one for one in absent if one.part.go is not None and one.part.go.module == module.name]
        if of_module:
            results += await _build_module(module, of_module, options, go, progress)
    return tuple(results)


async def _build_module(
    module: GoModule, absent: Sequence[NotFound], options: Options, go: gobuild.Go, progress: Progress,
) -> list[ResolvedPart | Problem]:
    began = time.monotonic()
    try:
        paths = await gobuild.build(module, [one.part for one in absent], options, go, progress)
    except StepFailed as error:
        return [_problem(one, str(error)) for one in absent]
    progress(f"built {', '.join(paths)} in {time.monotonic() - began:.0f} s")
    return [_resolved(Found(part=one.part, path=paths[one.part.name], source=Source.BUILD), began) for one in absent]


def _allowed_go(options: Options) -> gobuild.Go:
    if not options.build:
        raise StepFailed("building is not allowed here")
    return gobuild.find_go(options)


def _links(options: Options, resolved: Mapping[str, ResolvedPart]) -> dict[str, Path]:
    try:
        return {
            name: cache.ensure_link(options.cache, part, resolved[part.name].path, name)
            for part in options.wanted
            for name in part.links
        }
    except OSError as error:
        raise errors.LocalError(f"a link in {options.cache} could not be made: {error.strerror or error}") from error


def _resolved(found: Found, began: float) -> ResolvedPart:
    return ResolvedPart(
        name=found.part.name, version=found.part.version, path=found.path, source=found.source, notes=found.notes,
        seconds=time.monotonic() - began,
    )


def _also_tried(one: NotFound, what: str) -> NotFound:
    return NotFound(part=one.part, tried=(*one.tried, what))


def _problem(one: NotFound, *more: str) -> Problem:
    part = one.part
    kind = "folder" if part.is_folder else part.name
    setting = f"set {part.variable}=/path/to/{kind}"
    if one.final:
        remedy = f"correct or unset {part.variable}"
    elif part.debian is not None:
        remedy = f"{debian.command([part.debian])}, or {setting}"
    else:
        remedy = f"install Go {GO_VERSION} or newer (https://go.dev/dl), or {setting}"
    return Problem(part=part.name, version=part.version, tried=(*one.tried, *more), remedy=remedy)
