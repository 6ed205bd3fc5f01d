"""Chart repositories over the network: the real implementation of `port.Charts`.

Made once per process. A repository that hangs costs nobody else anything: a host is asked by few at a time, those
that wait for it wait on their own account, and name look-ups and parsing have threads of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from yarl import URL

from dpf.runtime import addresses
from dpf.services.helm import https, oci, transport
from dpf.services.helm.port import Access, ChartError, Charts, Source

_AT_A_TIME: Final = 4
"""Conversations with one host."""
_THREADS: Final = 8


class Repositories(Charts):
    """Asks https and OCI repositories. Tests give other limits, and their own idea of where addresses lie."""

    def __init__(
        self, *, limits: transport.Limits = transport.DEFAULT, resolve: transport.Resolve | None = None,
        reach: transport.Judge = addresses.reach,
    ) -> None:
        self._limits = limits
        self._resolve = resolve
        self._reach = reach
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="chart")
        self._hosts: dict[str, _Host] = {}

    async def annotations(self, source: Source, access: Access) -> Mapping[str, str]:
        """See `Charts.annotations`. The time limit runs from when it is this question's turn."""
        start = _start(source)
        host = self._hosts.setdefault(transport.place(start), _Host())
        host.users += 1
        try:
            async with host.slots:
                return await self._ask(start, source, access)
        finally:
            host.users -= 1
            if not host.users:
                self._hosts.pop(transport.place(start), None)

    async def _ask(self, start: URL, source: Source, access: Access) -> Mapping[str, str]:
        conversation = transport.Conversation(
            start, access, limits=self._limits, executor=self._threads, resolve=self._resolve, reach=self._reach
        )
        try:
            async with asyncio.timeout(self._limits.total_s), conversation as web:
                if source.repository.startswith("oci://"):
                    return await oci.read(web, source, access)
                return await https.read(web, source, access, self._threads)
        except TimeoutError:
            raise ChartError(
                f"{transport.place(start)} did not answer completely within {self._limits.total_s:g} s"
            ) from None


def _start(source: Source) -> URL:
    """What is asked first. Raises ChartError for a URL that no host can have; its text repeats nothing of it."""
    try:
        if source.repository.startswith("oci://"):
            return oci.registry_url(source)
        return https.index_url(source.repository)
    except ValueError:
        raise ChartError(
            "the repository's URL names no possible host; correct helmChart.source.repoURL", retryable=False
        ) from None


class _Host:
    """Who talks to a host, or waits to."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(_AT_A_TIME)
        self.users = 0
