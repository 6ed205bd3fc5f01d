"""Get a part from its official release: https only, bounded, and used only if its SHA-256 is the pinned one.

Called by `resolver` for parts whose release is pinned.
"""

from __future__ import annotations

import hashlib
import ssl as tls
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from dpf.local.parts import cache, recipes
from dpf.local.parts.errors import StepFailed
from dpf.local.parts.options import Options
from dpf.local.parts.table import Part, Release

Progress = Callable[[str], None]
SIZE_LIMIT = 512 * 1024 * 1024
_CHUNK = 1024 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=900, connect=20, sock_read=60)


async def fetch(part: Part, options: Options, progress: Progress, *, ssl: tls.SSLContext | bool = True) -> Path:
    """Download, verify and cache the part; returns where it is. Raises StepFailed."""
    release = part.release
    if release is None or options.arch not in release.sha256:
        raise StepFailed(f"no official release is pinned for linux/{options.arch}")
    url = _fill(release.url, part, options)
    checksum = release.sha256[options.arch]
    progress(f"{part.name} {part.version}: downloading {url}")
    try:
        with tempfile.TemporaryDirectory(dir=options.cache, prefix=".download-") as temporary:
            archive = Path(temporary, "download")
            found = await _download(url, archive, ssl)
            if found != checksum:
                raise StepFailed(f"{url} has SHA-256 {found}, {checksum} is expected: it is not used")
            program = _unpack(archive, release, part, options)
            return cache.put_program(options.cache, part, program, recipes.of_release(checksum))
    except OSError as error:
        raise StepFailed(f"{url} could not be stored in {options.cache}: {error.strerror or error}") from error


def _fill(template: str, part: Part, options: Options) -> str:
    return template.format(version=part.version, arch=options.arch)


async def _download(url: str, target: Path, ssl: tls.SSLContext | bool) -> str:
    """Write what `url` answers to `target`; returns its SHA-256."""
    total = hashlib.sha256()
    try:
        async with _opened(url, ssl) as response:
            with target.open("wb") as file:
                async for chunk in response.content.iter_chunked(_CHUNK):
                    total.update(chunk)
                    file.write(chunk)
                    if file.tell() > SIZE_LIMIT:
                        raise StepFailed(f"{url} is larger than {SIZE_LIMIT >> 20} MiB")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise StepFailed(f"{url} could not be downloaded: {str(error) or type(error).__name__}") from error
    return total.hexdigest()


@asynccontextmanager
async def _opened(url: str, ssl: tls.SSLContext | bool) -> AsyncIterator[aiohttp.ClientResponse]:
    connector = aiohttp.TCPConnector(ssl=ssl)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=True, auto_decompress=False) as session,
        session.get(url, max_redirects=5) as response,
    ):
        insecure = [hop.url for hop in (*response.history, response) if hop.url.scheme != "https"]
        if insecure:
            raise StepFailed(f"{url} leads to {insecure[0]}: only https is followed")
        if response.status != 200:
            raise StepFailed(f"{url} answered {response.status}")
        yield response


def _unpack(archive: Path, release: Release, part: Part, options: Options) -> Path:
    """The program: the download itself, or one member of a tar.gz."""
    if release.member is None:
        return archive
    member = _fill(release.member, part, options)
    program = archive.with_name("program")
    try:
        with tarfile.open(archive, "r:gz") as tar:
            source = tar.extractfile(member)
            if source is None:
                raise StepFailed(f"{member} in the download is not a file")
            with program.open("wb") as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
    except (KeyError, tarfile.TarError, EOFError) as error:
        raise StepFailed(f"{member} could not be taken out of the download: {error}") from error
    return program
