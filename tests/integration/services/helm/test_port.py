"""What the DPUServiceTemplate controller may rely on, whichever implementation of the Charts port answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import pytest
from tests.support import chartservers
from tests.support.chartservers import ANNOTATIONS, Registry, Site

from dpf.services.helm.memory import MemoryCharts
from dpf.services.helm.port import Access, ChartError, Charts, Source
from dpf.services.helm.repositories import Repositories


class Rig(Protocol):
    """A repository with a chart, and who asks it."""

    charts: Charts
    source: Source
    access: Access

    def offer(self, annotations: Mapping[str, str]) -> None:
        """The chart has these annotations."""

    def refuse(self) -> None:
        """Our credentials are not accepted."""

    def hang(self) -> None:
        """No answer comes."""


class InMemory:
    def __init__(self) -> None:
        self.memory = MemoryCharts()
        self.charts: Charts = self.memory
        self.source = Source(repository="https://charts.example", chart="producer", version="v0.0.1")
        self.access = Access()

    def offer(self, annotations: Mapping[str, str]) -> None:
        self.memory.set(self.source, annotations)

    def refuse(self) -> None:
        self.memory.set(self.source, ChartError("401", retryable=False))

    def hang(self) -> None:
        self.memory.set(self.source, None)


class OverHTTPS:
    path = "/index.yaml"

    def __init__(self, site: Site) -> None:
        self.site = site
        self.charts: Charts = Repositories()
        self.source = site.source()
        self.access = site.access("me", "hunter2")

    def offer(self, annotations: Mapping[str, str]) -> None:
        lines = "".join(f"      {key}: '{value}'\n" for key, value in annotations.items())
        text = f"entries:\n  producer:\n  - version: v0.0.1\n    annotations:\n{lines}"
        self.site.pages[self.path] = chartservers.page(text.encode())

    def refuse(self) -> None:
        self.site.pages[self.path] = chartservers.status(401)

    def hang(self) -> None:
        self.site.pages[self.path] = chartservers.hanging()


class OverOCI(OverHTTPS):
    path = "/v2/charts/producer/manifests/v0.0.1"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.source = Source(
            repository=f"oci://{site.host}:{site.port}/charts", chart="producer", version="v0.0.1"
        )

    def offer(self, annotations: Mapping[str, str]) -> None:
        Registry(self.site).push("charts/producer", "v0.0.1", annotations)


@pytest.fixture(params=["memory", "https", "oci"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "memory":
        yield InMemory()
        return
    async with chartservers.a_site() as site:
        yield OverHTTPS(site) if request.param == "https" else OverOCI(site)


async def test_annotations_are_what_the_chart_says(rig: Rig) -> None:
    rig.offer(ANNOTATIONS)
    found = await rig.charts.annotations(rig.source, rig.access)
    assert ANNOTATIONS.items() <= found.items()


async def test_a_chart_that_is_not_there_is_an_error_and_may_come(rig: Rig) -> None:
    with pytest.raises(ChartError) as caught:
        await rig.charts.annotations(rig.source, rig.access)
    assert caught.value.retryable
    rig.offer(ANNOTATIONS)
    assert await rig.charts.annotations(rig.source, rig.access)


async def test_the_same_cause_has_the_same_words(rig: Rig) -> None:
    rig.refuse()
    words = set()
    for _ in range(2):
        with pytest.raises(ChartError) as caught:
            await rig.charts.annotations(rig.source, rig.access)
        words.add(str(caught.value))
        assert not caught.value.retryable
    assert len(words) == 1
    assert "hunter2" not in words.pop()


async def test_who_asks_may_give_up(rig: Rig) -> None:
    rig.hang()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await rig.charts.annotations(rig.source, rig.access)
