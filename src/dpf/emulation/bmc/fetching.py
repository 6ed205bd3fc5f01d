"""The BMC fetches an image: https://<ImageURI>, in one stream, and takes it apart.

Called by `card`, in a task of its own. The server has to prove itself to the truststore. What is kept of the image is
its digest, its inventory and the bf.cfg behind it.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import aiohttp
from yarl import URL

from dpf.emulation.bfb import NotABundle
from dpf.emulation.bmc import certificates
from dpf.emulation.bmc.splitting import Splitter

SILENCE_S: Final = 60.0
_PIECE: Final = 1 << 18


class FetchError(Exception):
    """The image did not come, or is none; the text is what the BMC puts into the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What was fetched. `versions` are those of its inventory, by the names of the firmware inventory."""

    size: int
    bundle_sha256: str
    bfcfg: bytes = field(repr=False)
    versions: dict[str, str]

    @property
    def bfcfg_sha256(self) -> str:
        """Digest of the bf.cfg."""
        return hashlib.sha256(self.bfcfg).hexdigest()


async def fetch(
    image: str, trusted: Iterable[str], progress: Callable[[int, int], None], *, pace_s: float, limit: int
) -> Image:
    """Fetch `image` (host, port and path), telling `progress` the bytes so far and in all.

    `pace_s` is what it takes at least. Raises FetchError.
    """
    splitter = Splitter()
    try:
        got = await _stream(URL(f"https://{image}", encoded=True), certificates.fetching(trusted), splitter, progress,
                            pace_s=pace_s, limit=limit)
        inventory, bfcfg = splitter.finish()
    except NotABundle as error:
        raise FetchError(f"The image is not valid: {error}") from None
    except ssl.SSLError:
        raise FetchError("The server of the image is not trusted") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FetchError(f"The image cannot be fetched: {type(error).__name__}") from None
    versions = {"DPU_BSP": inventory.bsp, "DPU_UEFI": inventory.uefi, "DPU_OS": inventory.doca} if inventory else {}
    return Image(
        size=got, bundle_sha256=splitter.bundle_sha256, bfcfg=bfcfg,
        versions={name: version for name, version in versions.items() if version},
    )


async def _stream(
    url: URL, context: ssl.SSLContext, splitter: Splitter, progress: Callable[[int, int], None], *, pace_s: float,
    limit: int,
) -> int:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=SILENCE_S)
    async with (
        aiohttp.ClientSession(timeout=timeout, auto_decompress=False, trust_env=False) as session,
        session.get(url, ssl=context, allow_redirects=False) as response,
    ):
        if response.status != HTTPStatus.OK:
            raise FetchError(f"The server of the image answers {response.status}")
        total = response.content_length or 0
        got = 0
        async for piece in response.content.iter_chunked(_PIECE):
            got += len(piece)
            if got > limit:
                raise FetchError("The image is larger than the card's storage")
            splitter.feed(piece)
            progress(got, total)
            await asyncio.sleep(pace_s * len(piece) / total if total else 0)
        return got
