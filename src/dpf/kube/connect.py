"""A client for the length of a block, from a kubeconfig file. For programs; controllers use the cluster registry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dpf.kube import kubeconfig
from dpf.kube.http import HTTPClient


@asynccontextmanager
async def client(path: Path | str | None = None, *, name: str = "host") -> AsyncIterator[HTTPClient]:
    """Client of the kubeconfig at `path` (None: the usual places), closed at the end. Raises CredentialsError."""
    connected = HTTPClient(kubeconfig.load(path), name=name)
    try:
        yield connected
    finally:
        await connected.aclose()
