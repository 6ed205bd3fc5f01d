"""index.yaml: what is found in it, in whichever form and pieces it comes, and what is refused."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dpf.services.helm import index
from dpf.services.helm.port import ChartError

HELM = b"""apiVersion: v1
entries:
  alpha:
  - annotations:
      dpu.nvidia.com/doca-version: '>= 2.9'
    name: alpha
    version: 1.0.0
  beta:
  # a comment
  - apiVersion: v2
    description: |
      beta:
      - version: 1.0.0
    name: beta
    version: "2.0"
    annotations:
      dpu.nvidia.com/doca-version: "~2.9"
      category: Infrastructure
      nothing: null
      empty: ""
      number: 1.10
      nested: {a: b}
  - name: beta
    version: 2.0.1
  beta-longer:
  - name: beta-longer
    version: "2.0"
    annotations: {dpu.nvidia.com/doca-version: wrong}
  gamma: []
  delta:
  epsilon: null
generated: "2026-01-01T00:00:00Z"
"""
WANTED = {
    "dpu.nvidia.com/doca-version": "~2.9", "category": "Infrastructure", "empty": "", "number": "1.10",
}

FORMS = {
    "as helm writes it": HELM,
    "other indentation": HELM.replace(b"\n  ", b"\n    "),
    "lists indented": re.sub(rb"\n(?=  [ -])", b"\n  ", HELM),
    "windows lines": HELM.replace(b"\n", b"\r\n"),
    "a document mark": b"---\n" + HELM,
    "quoted keys": HELM.replace(b"\n  beta:", b"\n  \"beta\":"),
    "generated first": b"generated: x\n" + HELM,
    "a comment after entries": HELM.replace(b"entries:\n", b"entries: # all of them\n\n# so many\n"),
    "json": json.dumps(yaml.safe_load(HELM.replace(b"1.10", b"'1.10'"))).encode(),
    "indented json": json.dumps(yaml.safe_load(HELM.replace(b"1.10", b"'1.10'")), indent=2).encode(),
    "flow form": yaml.safe_dump(yaml.safe_load(HELM.replace(b"1.10", b"'1.10'")), default_flow_style=True).encode(),
    "nothing after": HELM[: HELM.index(b"  gamma")],
}


@pytest.mark.parametrize("raw", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_annotations_are_found_in_every_form_and_in_pieces_of_any_size(raw: bytes, size: int) -> None:
    cutter = index.Cutter("beta")
    for start in range(0, len(raw), size):
        if cutter.feed(raw[start:start + size]):
            break
    assert index.find(cutter.finish(), chart="beta", version="2.0") == WANTED


def test_reading_stops_after_the_chart() -> None:
    cutter = index.Cutter("alpha")
    assert cutter.feed(HELM[: HELM.index(b"beta-longer")])
    assert index.find(cutter.finish(), chart="alpha", version="1.0.0") == {"dpu.nvidia.com/doca-version": ">= 2.9"}


def test_a_version_without_annotations_has_none() -> None:
    assert index.read(HELM, chart="beta", version="2.0.1") == {}


@pytest.mark.parametrize("chart", ["omega", "bet", "be.a", "generated", "entries", "name", "", "gamma]"])
def test_a_chart_that_is_not_there(chart: str) -> None:
    with pytest.raises(ChartError, match="not found in index") as caught:
        index.read(HELM, chart=chart, version="1.0.0")
    assert str(caught.value) == f"chart {chart} not found in index"


@pytest.mark.parametrize("chart", ["delta", "epsilon"])
def test_a_chart_without_a_list_is_not_there(chart: str) -> None:
    with pytest.raises(ChartError, match=f"^chart {chart} not found in index$"):
        index.read(HELM, chart=chart, version="1")


@pytest.mark.parametrize(("chart", "version"), [
    ("beta", "2"), ("beta", "v2.0"), ("beta", "1.0.0"), ("alpha", "1.0"), ("gamma", "1.0.0"),
])
def test_a_version_that_is_not_there_exactly(chart: str, version: str) -> None:
    with pytest.raises(ChartError) as caught:
        index.read(HELM, chart=chart, version=version)
    assert str(caught.value) == f"version {version} for chart {chart} not found"


@pytest.mark.parametrize("raw", [
    pytest.param(b"apiVersion: v1\n", id="no entries"),
    pytest.param(b"apiVersion: v1\nentries:\n", id="null entries"),
    pytest.param(b"apiVersion: v1\nentries: {}\n", id="no charts"),
    pytest.param(b"apiVersion: v1\nentries: []\n", id="a list of entries"),
    pytest.param(b'{"beta": [{"version": "1"}], "entries": {}}', id="beside the entries"),
    pytest.param(b"entries:\n  alpha: []\ngenerated:\n  beta:\n  - version: 1\n", id="below something else"),
    pytest.param(b"entries:\n  alpha:\n    beta:\n    - version: 1\n", id="deeper"),
])
def test_an_index_without_the_chart(raw: bytes) -> None:
    with pytest.raises(ChartError, match=r"^chart beta not found in index$"):
        index.read(raw, chart="beta", version="1")


@pytest.mark.parametrize("raw", [
    pytest.param(b"", id="nothing"),
    pytest.param(b"<html><body>Please log in</body></html>", id="a page"),
    pytest.param(b"\x00\x01\x02\xff\xfe" * 100, id="bytes"),
    pytest.param(b"entries:\n  beta:\n  - version: [1\n", id="an open bracket"),
    pytest.param(b"entries:\n  beta:\n  - version: '1\n", id="an open quote"),
    pytest.param(b"entries:\n  beta:\n  - \xff\xff: 1\n", id="not UTF-8"),
    pytest.param(b"entries:\n  beta:\n  - version: 1\n\tx: 2\n", id="a tab"),
    pytest.param(b"- a\n- b\n", id="a list"),
    pytest.param(b"text", id="a word"),
    pytest.param(b"null", id="null"),
    pytest.param(b"{" * 100_000, id="braces"),
    pytest.param(b"[" * 100_000, id="brackets"),
    pytest.param(b"entries:\n  beta:\n  - x: " + b"[" * 1000 + b"\n", id="depth"),
])
def test_what_is_no_index_is_an_error_for_people(raw: bytes) -> None:
    with pytest.raises(ChartError, match=r"index\.yaml"):
        index.read(raw, chart="beta", version="1")


LAUGHS = b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((c, c) + (c - 1,) * 10) for c in range(ord("b"), ord("k"))
)


@pytest.mark.parametrize("raw", [
    pytest.param(LAUGHS + b"entries: {beta: *j}\n", id="before the entries"),
    pytest.param(b"entries:\n  beta:\n  - &a {version: '2'}\n  - *a\n  - version: '1'\n", id="in the chart"),
    pytest.param(b"entries:\n  beta:\n  - &a {version: x}\n  - <<: *a\n    version: '1'\n", id="a merge key"),
])
def test_aliases_are_refused_and_never_followed(raw: bytes) -> None:
    with pytest.raises(ChartError, match="aliases"):
        index.read(raw, chart="beta", version="1")


def test_aliases_elsewhere_are_passed_over() -> None:
    raw = b"entries:\n  alpha:\n  - *what\n  beta:\n  - version: 1\n    annotations: {a: b}\n  gamma: *what\n"
    assert index.read(raw, chart="beta", version="1") == {"a": "b"}


def test_what_cannot_be_cut_is_read_up_to_a_limit() -> None:
    with pytest.raises(ChartError, match="in one piece more than 8 MiB"):
        index.read(b'{"x": "' + b"y" * index.MAX_KEPT + b'"}', chart="beta", version="1")


def test_one_chart_may_take_so_much_and_no_more() -> None:
    with pytest.raises(ChartError, match="in one piece more than 8 MiB"):
        index.read(b"entries:\n  beta:\n" + b"  - version: 1\n" * 1_000_000, chart="beta", version="2")


def test_a_line_without_end_is_refused_early() -> None:
    cutter = index.Cutter("beta")
    cutter.feed(b"entries:\n  alpha: ")
    with pytest.raises(ChartError, match="a line of more than 1 MiB"):
        for _ in range(20):
            cutter.feed(b"x" * (64 << 10))


def test_too_many_small_things_are_refused() -> None:
    raw = b"entries:\n  beta:\n  - x: [" + b"," .join([b"1"] * (index.MAX_EVENTS + 1)) + b"]\n"
    with pytest.raises(ChartError, match="too complex"):
        index.read(raw, chart="beta", version="1")


def test_nesting_without_end_is_refused() -> None:
    raw = b"entries:\n  beta:\n  - x: " + b"[" * 900 + b"]" * 900 + b"\n    version: '1'\n"
    with pytest.raises(ChartError, match="too complex"):
        index.read(raw, chart="beta", version="1")


def test_others_may_be_large_and_are_not_kept() -> None:
    cutter = index.Cutter("zeta")
    cutter.feed(b"apiVersion: v1\nentries:\n")
    other = b"  alpha:\n" + b"  - name: alpha\n    version: 1.2.3\n" * 2000
    for _ in range(300):
        cutter.feed(other)
    cutter.feed(b"  zeta:\n  - version: 1\n    annotations:\n      a: b\ngenerated: x\n")
    text = cutter.finish()
    assert len(text) < 100
    assert index.find(text, chart="zeta", version="1") == {"a": "b"}


NAMES = st.text("abz-09.", min_size=1, max_size=6).filter(lambda name: name.strip("-.0123456789"))
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
CHARTS = st.dictionaries(NAMES, st.lists(st.fixed_dictionaries({
    "version": NAMES, "annotations": st.dictionaries(NAMES, TEXTS, max_size=3), "description": TEXTS,
}), min_size=1, max_size=3), min_size=1, max_size=4)


@given(charts=CHARTS, data=st.data(), flow=st.sampled_from([None, False, True]), size=st.integers(1, 40))
def test_the_same_is_found_as_by_reading_everything(
    charts: dict[str, list[dict[str, object]]], data: st.DataObject, flow: bool | None, size: int
) -> None:
    chart = data.draw(st.sampled_from(sorted(charts)))
    item = data.draw(st.sampled_from(charts[chart]))
    first = next(i for i in charts[chart] if i["version"] == item["version"])
    raw = yaml.safe_dump({"apiVersion": "v1", "entries": charts, "generated": "x"}, default_flow_style=flow).encode()
    cutter = index.Cutter(chart)
    for start in range(0, len(raw), size):
        if cutter.feed(raw[start:start + size]):
            break
    found = index.find(cutter.finish(), chart=chart, version=str(item["version"]))
    assert found == first["annotations"]


@given(st.binary(max_size=300))
def test_no_bytes_break_it(raw: bytes) -> None:
    for text in (raw, b"entries:\n  beta:\n" + raw):
        try:
            index.read(text, chart="beta", version="1")
        except ChartError as error:
            assert str(error)
