"""Delete what one cluster has written into the shared etcd, through etcd's own JSON gateway on its unix socket.

Called by `dpucontrolplane` when a DPU cluster goes and before one of the same name starts, never while its API server
runs. Nothing else may write to etcd behind an API server's back.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from dpf.local.errors import LocalError

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


class EtcdError(LocalError):
    """etcd did not do it; the message names the socket."""


class _Deleted(msgspec.Struct):
    """The gateway writes 64-bit numbers as strings and leaves zero out."""

    deleted: str = "0"


async def delete_prefix(socket: Path, prefix: str) -> int:
    """Delete every key that begins with `prefix`; returns how many there were. Raises EtcdError.

    `prefix` ends with a slash, so that `/a/` never means the keys of `/ab/`.
    """
    if not prefix.startswith("/") or not prefix.endswith("/") or len(prefix) < 3:
        raise ValueError(f"{prefix!r} is not the prefix of one cluster")
    first = prefix.encode()
    behind_last = first[:-1] + bytes([first[-1] + 1])
    body = {"key": base64.b64encode(first).decode(), "range_end": base64.b64encode(behind_last).decode()}
    connector = aiohttp.UnixConnector(path=str(socket))
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=False) as session,
            session.post("http://etcd/v3/kv/deleterange", json=body) as response,
        ):
            answer = await response.read()
            if response.status != 200:
                raise EtcdError(f"etcd at {socket} refused to delete the keys under {prefix} ({response.status})")
            return int(msgspec.json.decode(answer, type=_Deleted).deleted)
    except (aiohttp.ClientError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise EtcdError(
            f"etcd at {socket} does not answer ({reason}), so the keys under {prefix} cannot be deleted. "
            "Start it with `dpfctl local up`; this is then tried again",
        ) from error
    except msgspec.DecodeError as error:
        raise EtcdError(f"what answers at {socket} is not etcd") from error
