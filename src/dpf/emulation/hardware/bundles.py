"""Serves software bundles over http on loopback: any name that ends with .bfb, with the versions that are in the name.

It takes the place of a site's file server. `bf-bundle-2.9.1.bfb` and `bfb-2.9.0-33_ubuntu.bfb` hold DOCA 2.9.1 and
2.9.0; a name without a version holds the default of `emulation.bfb`. A bundle is made when it is asked for the first
time, the same bytes for the same name, and is kept in a folder. There is no software in it.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from pathlib import Path
from typing import Final

from aiohttp import web

from dpf.emulation import bfb
from dpf.emulation.bfb import Versions
from dpf.local import files

SIZE: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,199}\.bfb")
_VERSION: Final = re.compile(r"(?<![0-9.])(\d{1,2})\.(\d{1,2})\.(\d)(?![0-9])")
_BSP_AHEAD: Final = 2
"""The board support package of DOCA 2.9 is 4.9."""


class BundleServer:
    """One listening server over one folder."""

    def __init__(self, folder: Path, *, port: int, host: str = "127.0.0.1") -> None:
        self._folder = folder
        self._host = host
        self._port = port
        app = web.Application()
        app.add_routes([web.get("/{path:.*}", self._answer)])
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.5)

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        files.ensure_private_folder(self._folder)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    @property
    def port(self) -> int:
        """Where it listens, also when it was told to choose (0)."""
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """End."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Folders before the name do not count, so that every URL with that name is served."""
        name = request.match_info["path"].rsplit("/", 1)[-1]
        if not _NAME.fullmatch(name):
            return web.Response(status=404, text="there are only bundles here: NAME.bfb\n")
        path = self._folder / name
        if not path.exists():
            await asyncio.to_thread(_make, path, name)
        return web.FileResponse(path)


def versions_in(name: str) -> Versions:
    """The versions that a bundle of this name has."""
    found = _VERSION.search(name)
    if found is None:
        return bfb.DEFAULT
    major, minor, patch = (int(part) for part in found.groups())
    base = f"{major + _BSP_AHEAD}.{minor}.{patch}"
    return Versions(
        doca=f"{major}.{minor}.{patch}008-1", bsp=f"{base}.13617", uefi=f"{base}-25-gf0aa3d6a62",
        atf=f"v2.2(release):{base}-2-g2b5c0fa",
    )


def _make(path: Path, name: str) -> None:
    content = bfb.build(versions_in(name), size=SIZE, seed=zlib.crc32(name.encode()))
    files.write_atomic(path, content, mode=0o644)
