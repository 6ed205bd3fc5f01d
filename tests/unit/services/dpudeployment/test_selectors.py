"""Which nodes and DPUClusters the children are for (behaviour-service.md 6.6 and 6.10)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dpf.api.dpudeployment import DPUSetEntry
from dpf.services.dpudeployment import selectors

KEY = "svc.dpu.nvidia.com/dpuservice-web-version"
VERSION = {"key": KEY, "operator": "In", "values": ["dd-web"]}


def entries(*given: dict[str, Any]) -> list[DPUSetEntry]:
    return [msgspec.convert({"nameSuffix": f"s{i}", **fields}, DPUSetEntry) for i, fields in enumerate(given)]


def pair(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": [value]}


def test_revision_runs_on_nodes_of_the_deployment_that_carry_its_label() -> None:
    owner = {"key": "svc.dpu.nvidia.com/owned-by-dpudeployment", "operator": "In", "values": ["ns_dd"]}

    assert msgspec.to_builtins(selectors.revision_nodes(KEY, "dd-web", "ns_dd")) == {
        "matchExpressions": [VERSION, owner]
    }
    assert msgspec.to_builtins(selectors.revision_node_terms(KEY, "dd-web", "ns_dd")) == {
        "nodeSelectorTerms": [{"matchExpressions": [VERSION, owner]}]
    }


@pytest.mark.parametrize(("given", "terms"), [
    ([], [[]]),
    ([{"dpuNodeSelector": {"matchLabels": {"rack": "1"}}}], [[pair("rack", "1")]]),
    ([{"nodeSelector": {"matchLabels": {"rack": "1"}}}], [[pair("rack", "1")]]),
    ([{"dpuNodeSelector": {"matchLabels": {"zone": "z", "rack": "1"}}}], [[pair("rack", "1"), pair("zone", "z")]]),
    ([{"dpuNodeSelector": {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}}],
     [[{"key": "gpu", "operator": "Exists"}]]),
    ([{"nodeSelector": {"matchLabels": {"rack": "1"}}}, {"nodeSelector": {"matchLabels": {"rack": "2"}}}],
     [[pair("rack", "1")], [pair("rack", "2")]]),
    ([{"nodeSelector": {"matchLabels": {"rack": "1"}}}] * 2, [[pair("rack", "1")]]),
    ([{"nodeSelector": {"matchLabels": {"rack": "1"}}}, {}], [[]]),
    ([{"nodeSelector": {}}], [[]]),
], ids=["no sets", "one pair", "older name", "all pairs at once", "expressions", "ored", "same twice", "one for all",
        "empty"])
def test_host_nodes(given: list[dict[str, Any]], terms: list[list[dict[str, Any]]]) -> None:
    """Race 10: every pair and every expression of a DPUSet has to hold, under its newer name too."""
    found = msgspec.to_builtins(selectors.host_node_terms(KEY, "dd-web", entries(*given)))

    assert found == {"nodeSelectorTerms": [{"matchExpressions": [VERSION, *term]} for term in terms]}


@pytest.mark.parametrize(("given", "expressions"), [
    ([], None),
    ([{"r": "a"}], [("r", ["a"])]),
    ([{"r": "a"}, {"r": "b"}], [("r", ["a", "b"])]),
    ([{"r": "b"}, {"r": "a"}, {"r": "b"}], [("r", ["a", "b"])]),
    ([{"r": "a", "z": "1"}, {"r": "b", "z": "2"}], [("r", ["a", "b"]), ("z", ["1", "2"])]),
    ([{"r": "a"}, {}], None),
    ([{"r": "a"}, None], None),
    ([{"r": "a"}, {"z": "1"}], None),
    ([{"r": "a", "z": "1"}, {"r": "b"}], [("r", ["a", "b"])]),
], ids=["no sets", "one", "two values", "sorted, each once", "two keys", "one empty", "one unset", "nothing shared",
        "one key shared"])
def test_clusters(given: list[dict[str, str] | None], expressions: list[tuple[str, list[str]]] | None) -> None:
    """Scenario 42."""
    found = selectors.clusters(entries(*({"dpuClusterSelector": labels} for labels in given)))

    if expressions is None:
        assert found is None
    else:
        assert msgspec.to_builtins(found) == {
            "matchExpressions": [{"key": key, "operator": "In", "values": values} for key, values in expressions]
        }
