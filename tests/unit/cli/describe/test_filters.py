"""The comma lists of --show-conditions, --show-resources, --expand-resources (behaviour-service.md 10.1, test 58)."""

from __future__ import annotations

import pytest

from dpf.cli.describe import filters

KINDS = ("DPUService", "DPUCluster", "Application")


@pytest.mark.parametrize(
    ("text", "kind", "name", "ready", "selected"),
    [
        ("", "DPUService", "hbn", True, False),
        ("all", "DPUService", "hbn", True, True),
        ("ALL", "DPUCluster", "one", False, True),
        ("dpuservice", "DPUService", "hbn", True, True),
        ("dpuservices", "DPUService", "hbn", True, True),
        ("DPUServices", "DPUService", "hbn", True, True),
        ("dpuservice", "DPUCluster", "hbn", True, False),
        ("dpuservice/hbn", "DPUService", "hbn", True, True),
        ("DPUServices/HBN", "DPUService", "hbn", True, True),
        ("dpuservice/hbn", "DPUService", "hbn-2", True, False),
        ("dpuservice/hbn", "DPUCluster", "hbn", True, False),
        (" dpucluster , dpuservice/hbn ,", "DPUCluster", "one", True, True),
        (" dpucluster , dpuservice/hbn ,", "DPUService", "hbn", True, True),
        ("failed", "DPUService", "hbn", True, False),
        ("failed", "DPUService", "hbn", False, True),
        ("failed,dpucluster", "DPUCluster", "one", True, True),
    ],
)
def test_what_a_filter_selects(text: str, kind: str, name: str, *, ready: bool, selected: bool) -> None:
    assert filters.parse(text, KINDS).matches(kind, name, ready=ready) is selected


@pytest.mark.parametrize("text", ["all", "failed", ""])
def test_all_and_failed_name_nothing(text: str) -> None:
    assert not filters.parse(text, KINDS).names("DPUService", "hbn")


@pytest.mark.parametrize(("text", "word"), [("dpuservce", "dpuservce"), ("dpuservice,pod/x", "pod"), ("/hbn", "")])
def test_a_word_that_is_no_kind_is_named_with_what_is_accepted(text: str, word: str) -> None:
    with pytest.raises(filters.UnknownType) as caught:
        filters.parse(text, KINDS)
    assert str(caught.value) == (
        f'unknown object type "{word}"; use one of: all, failed, application, dpucluster, dpuservice'
    )
