"""Labels and annotations of a DPU's Node: given, taken back, and nobody else's touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.provisioning.dpu import snapshots as given
from tests.unit.provisioning.dpu.snapshots import a_dpu, a_node, a_snapshot

from dpf.api import core, names
from dpf.api.dpu import DPU, Phase
from dpf.provisioning.dpu import nodesync
from dpf.provisioning.dpu.snapshot import Snapshot, Unknown

OURS = names.DPU_NODE_LABEL
LABELS, ANNOTATIONS = names.LAST_APPLIED_LABELS_ANNOTATION, names.LAST_APPLIED_ANNOTATIONS_ANNOTATION


def of(
    node: core.Node | Unknown | None = None, *, labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Snapshot:
    cluster = {"name": "tenant1", "nodeLabels": labels, "nodeAnnotations": annotations}
    return a_snapshot(a_dpu(Phase.READY, spec={"cluster": cluster}), node=node)


def applied(node: core.Node, snapshot: Snapshot) -> core.Node:
    """The Node after the patch."""
    metadata = (nodesync.patch(snapshot, node) or {"metadata": {}})["metadata"]
    return a_node(
        labels=_merged(node.metadata.labels, metadata.get("labels", {})),
        annotations=_merged(node.metadata.annotations, metadata.get("annotations", {})),
    )


def _merged(have: dict[str, str] | None, changes: dict[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in {**(have or {}), **changes}.items() if value is not None}


def noted(node: core.Node, name: str = LABELS) -> Any:
    return json.loads((node.metadata.annotations or {})[name])


def test_labels_are_given_and_noted() -> None:
    node = applied(a_node(), of(labels={"bfb": "dk"}))
    assert node.metadata.labels == {"bfb": "dk", OURS: "true"} == noted(node)


def test_annotations_are_given_and_noted() -> None:
    node = applied(a_node(), of(annotations={"note": "anything / at all"}))
    assert (node.metadata.annotations or {})["note"] == "anything / at all"
    assert noted(node, ANNOTATIONS) == {"note": "anything / at all"}


def test_what_is_right_is_not_written() -> None:
    snapshot = of(labels={"bfb": "dk"}, annotations={"a": "b"})
    node = applied(a_node(), snapshot)
    assert nodesync.patch(snapshot, node) is None
    assert nodesync.is_drifted(of(node, labels={"bfb": "dk"}, annotations={"a": "b"})) is False


def test_what_was_dropped_is_taken_back_and_foreign_keys_stay() -> None:
    node = applied(a_node(labels={"theirs": "x"}, annotations={"theirs": "y"}), of(labels={"bfb": "dk", "keep": "1"}))
    after = applied(node, of(labels={"keep": "1"}))
    assert after.metadata.labels == {"theirs": "x", "keep": "1", OURS: "true"}
    assert (after.metadata.annotations or {})["theirs"] == "y"
    assert noted(after) == {"keep": "1", OURS: "true"}


def test_the_last_annotation_is_taken_back() -> None:
    node = applied(a_node(), of(annotations={"a": "b"}))
    after = applied(node, of())
    assert "a" not in (after.metadata.annotations or {})
    assert nodesync.patch(of(), after) is None


def test_a_key_that_somebody_took_off_is_given_again() -> None:
    node = applied(a_node(), of(labels={"bfb": "dk"}))
    lost = a_node(labels={OURS: "true"}, annotations=node.metadata.annotations)
    assert nodesync.patch(of(labels={"bfb": "dk"}), lost) == {"metadata": {"labels": {"bfb": "dk"}}}


def test_a_key_of_ours_that_is_gone_already_is_not_taken_back_again() -> None:
    node = applied(a_node(), of(labels={"bfb": "dk"}))
    lost = a_node(labels={OURS: "true"}, annotations=node.metadata.annotations)
    assert nodesync.patch(of(), lost) == {"metadata": {"annotations": {LABELS: f'{{"{OURS}":"true"}}'}}}


@pytest.mark.parametrize("note", ["", "odd", "[]", '{"a": 1}', "null", '{"a": null}'])
def test_a_note_that_cannot_be_read_counts_as_none(note: str) -> None:
    node = a_node(labels={OURS: "true", "a": "theirs"}, annotations={LABELS: note})
    after = applied(node, of())
    assert after.metadata.labels == {OURS: "true", "a": "theirs"}
    assert noted(after) == {OURS: "true"}


@pytest.mark.parametrize("node", [None, Unknown(why="no answer")], ids=["none", "unknown"])
def test_without_a_node_nothing_has_drifted(node: Unknown | None) -> None:
    snapshot = of(node, labels={"bfb": "dk"})
    assert (nodesync.is_drifted(snapshot), nodesync.is_users_change(snapshot)) == (False, False)


@pytest.mark.parametrize(("labels", "annotations", "expected"), [
    ({"bfb": "dk"}, None, True), (None, {"a": "b"}, True), (None, None, False),
    ({"operator.dpu.nvidia.com/x": "y"}, None, False),
], ids=["label", "annotation", "nothing", "a label of ours"])
def test_whose_change_it_is(
    labels: dict[str, str] | None, annotations: dict[str, str] | None, *, expected: bool,
) -> None:
    assert nodesync.is_users_change(of(given.settled_node(), labels=labels, annotations=annotations)) is expected


class TestThroughTheHost:
    """Labels that older releases gave, as far as a label can have the value."""

    def labels(self, *, host: str | None = "worker1", url: str = "https://example.com/b/bf-bundle-2.9.1.bfb") -> Any:
        dpu: DPU = given.by_host(Phase.READY)
        bfb = given.a_bfb()
        assert bfb.spec is not None
        made = type(bfb)(metadata=bfb.metadata, spec=type(bfb.spec)(url=url), status=bfb.status)
        return nodesync.node_labels(a_snapshot(dpu, dpunode=given.a_dpunode(node=host), bfb=made))

    def test_host_and_bundle(self) -> None:
        assert self.labels() == {
            OURS: "true", names.HOST_LABEL: "worker1", names.DOCA_BFB_VERSION_LABEL: "bf-bundle-2.9.1",
        }

    def test_not_by_redfish(self) -> None:
        assert nodesync.node_labels(a_snapshot(Phase.READY)) == {OURS: "true"}

    @pytest.mark.parametrize("host", [None, "", "w" * 64, f"{'w' * 60}.example"])
    def test_a_name_that_is_no_value_of_a_label(self, host: str | None) -> None:
        assert names.HOST_LABEL not in self.labels(host=host)

    @pytest.mark.parametrize("url", [
        "https://example.com/", "https://example.com/a%20b.bfb", f"https://example.com/{'b' * 64}.bfb",
        "https://example.com/b%C3%BCndel.bfb", "https://example.com/-b.bfb", "odd", "",
    ])
    def test_a_bundle_that_is_no_value_of_a_label(self, url: str) -> None:
        found = self.labels(url=url).get(names.DOCA_BFB_VERSION_LABEL)
        assert found == ("odd" if url == "odd" else None)

    def test_a_query_is_no_part_of_the_name(self) -> None:
        assert self.labels(url="https://example.com/a.bfb?token=secret")[names.DOCA_BFB_VERSION_LABEL] == "a"
