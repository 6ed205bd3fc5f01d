"""From a helmChart.source to what is asked for: which chart is meant, and in which repository.

Pure. Called by the controllers of DPUServiceTemplates and DPUServices. Sources: behaviour-service.md section 4 and, for
a chart named by `path` alone, the users' producer and consumer example.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from dpf.api.dpuservice import HelmChartSource
from dpf.runtime import mirrors
from dpf.services.helm.port import ChartError, Source


def chart_name(source: HelmChartSource) -> str:
    """The chart: `chart`, else the last segment of `path`; empty when neither names one."""
    if source.chart:
        return source.chart
    return (source.path or "").rstrip("/").rpartition("/")[2]


def locate(source: HelmChartSource, mirrored: mirrors.Mirrors) -> Source:
    """What to ask for, at the mirror if there is one. Raises ChartError for a source that cannot be asked for."""
    chart = chart_name(source)
    if not chart:
        raise _wrong(" names no chart; set `chart`, or a `path` that ends with its name")
    parts = _split(source.repoURL)
    if parts.username is not None or parts.password is not None:
        raise _wrong(".repoURL has credentials in it; put them into a repository Secret of Argo CD")
    if parts.fragment:
        raise _wrong(".repoURL has a fragment ('#...'); remove it")
    repository = mirrored.apply(source.repoURL).rstrip("/")
    return Source(repository=repository, chart=chart, version=source.version)


def _split(url: str) -> SplitResult:
    if any(character.isspace() or not character.isprintable() for character in url):
        raise _wrong(".repoURL has white space or control characters in it")
    try:
        parts = urlsplit(url)
        known = parts.scheme in mirrors.REPOSITORY.schemes
        usable = known and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise _wrong(".repoURL is not a https:// or oci:// URL with a host")
    return parts


def _wrong(what: str) -> ChartError:
    return ChartError(f"helmChart.source{what}", retryable=False)
