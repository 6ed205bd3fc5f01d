"""Which chart of which repository a helmChart.source means."""

from __future__ import annotations

import pytest

from dpf.api.dpuservice import HelmChartSource
from dpf.runtime import mirrors
from dpf.services.helm import sources
from dpf.services.helm.port import ChartError, Source


def a_source(url: str = "https://example.com/charts", **fields: str) -> HelmChartSource:
    return HelmChartSource(repoURL=url, version=fields.pop("version", "v0.0.1"), **fields)


@pytest.mark.parametrize(("fields", "name"), [
    ({"chart": "producer"}, "producer"),
    ({"path": "producer"}, "producer"),
    ({"path": "deploy/charts/producer/"}, "producer"),
    ({"chart": "producer", "path": "elsewhere"}, "producer"),
    ({"chart": "", "path": "producer"}, "producer"),
    ({}, ""),
    ({"path": "/"}, ""),
])
def test_the_chart_is_named_by_chart_or_else_by_the_end_of_path(fields: dict[str, str], name: str) -> None:
    assert sources.chart_name(a_source(**fields)) == name


def test_the_producer_of_the_documents() -> None:
    found = sources.locate(a_source(path="producer"), mirrors.NONE)
    assert found == Source(repository="https://example.com/charts", chart="producer", version="v0.0.1")


def test_a_mirror_is_asked_instead() -> None:
    mirrored = mirrors.parse(["https://example.com=oci://127.0.0.1:5000/mirror"])
    found = sources.locate(a_source("https://example.com/charts/", chart="producer"), mirrored)
    assert found.repository == "oci://127.0.0.1:5000/mirror/charts"


@pytest.mark.parametrize(("url", "text"), [
    ("https://me:hunter2@example.com", "repoURL has credentials"),
    ("https://hunter2@example.com", "repoURL has credentials"),
    ("https://example.com/#hunter2", "repoURL has a fragment"),
    ("https://exam ple.com/", "white space"),
    ("https://example.com/\r\nHost: x", "white space"),
    ("https://example.com/\x7f", "control characters"),
    ("https://", "is not a https:// or oci:// URL"),
    ("https://[", "is not a https:// or oci:// URL"),
    ("https://example.com:port/", "is not a https:// or oci:// URL"),
    ("https://example.com:0/", "is not a https:// or oci:// URL"),
    ("http://example.com/", "is not a https:// or oci:// URL"),
    ("file:///etc/passwd", "is not a https:// or oci:// URL"),
])
def test_what_cannot_be_asked_is_said_without_repeating_it(url: str, text: str) -> None:
    with pytest.raises(ChartError) as caught:
        sources.locate(a_source(url, chart="producer"), mirrors.NONE)
    assert text in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert not caught.value.retryable


def test_a_source_without_a_chart_says_what_to_set() -> None:
    with pytest.raises(ChartError, match=r"helmChart\.source names no chart; set `chart`"):
        sources.locate(a_source(), mirrors.NONE)
