"""Helm repositories over https: `<repository>/index.yaml` (behaviour-service.md section 4).

Called by `repositories`.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from concurrent.futures import Executor
from http import HTTPStatus
from typing import Final

from yarl import URL

from dpf.kube import credentials as kubecredentials
from dpf.services.helm import index
from dpf.services.helm.port import Access, ChartError, Credentials, Source
from dpf.services.helm.transport import Answer, Conversation

MAX_BYTES: Final = 128 << 20
"""Of an index on its way; far less is kept."""
_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


async def read(web: Conversation, source: Source, access: Access, executor: Executor) -> Mapping[str, str]:
    """Annotations of exactly this version. Reading ends where those of the chart end. Raises ChartError."""
    cutter = index.Cutter(source.chart)
    answer = await web.get(
        index_url(source.repository), sink=cutter.feed, limit=MAX_BYTES, authorization=basic(access.credentials)
    )
    if answer.status != HTTPStatus.OK:
        raise unexpected(answer)
    find = functools.partial(index.find, cutter.finish(), chart=source.chart, version=source.version)
    return await asyncio.get_running_loop().run_in_executor(executor, find)


def index_url(repository: str) -> URL:
    """The index of a repository; a query of the repository's URL stays."""
    url = URL(repository)
    return url.with_path(url.raw_path.rstrip("/") + "/index.yaml", encoded=True, keep_query=True)


def basic(credentials: Credentials | None) -> str | None:
    """The Authorization header for a password; None when there is none to give."""
    if credentials is None or not (credentials.username or credentials.password):
        return None
    return kubecredentials.basic(credentials.username, credentials.password)


def unexpected(answer: Answer) -> ChartError:
    """The error for any status but 200. Whoever refuses our credentials goes on until somebody changes them."""
    return ChartError(
        f"retrieving annotations from helm chart failed: http Response: {answer}",
        retryable=answer.status not in _REFUSED,
    )
