"""Which devices are selected, with the selectors of every release; and that the index never hides one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import dpusets as some

from dpf.api.dpuset import DPUSetSpec
from dpf.api.meta import LabelSelector, LabelSelectorRequirement
from dpf.provisioning.dpuset import selection

FEATURE = "feature.node.kubernetes.io/dpu-{}-{}"


def a_spec(**spec: Any) -> DPUSetSpec:
    return msgspec.convert(spec, DPUSetSpec)


@pytest.mark.parametrize(("text", "address"), [
    ("0000:0e:00.0", "0000-0e-00"), ("0000-0e-00", "0000-0e-00"), ("0E:00.1", "0e-00"), ("2b-00", "2b-00"),
    ("0000:0e:00.8", None), ("pci", None), ("", None), (None, None),
])
def test_pci_addresses(text: str | None, address: str | None) -> None:
    assert selection.pci_address(text) == address


@pytest.mark.parametrize(("selector", "selected"), [
    (None, ["d0", "d1"]), ({}, ["d0", "d1"]),
    ({"pciAddr": "0000:2b:00.0"}, ["d0"]), ({"pciAddr": "0000-2B-00"}, ["d0"]), ({"pciAddr": "nonsense"}, []),
    ({"rack": "r1"}, ["d1"]), ({"rack": "r1", "pciAddr": "0000-2b-00"}, []),
    ({FEATURE.format(0, "pci-address"): "0000-2b-00"}, ["d0"]),
    ({FEATURE.format(1, "pf0-name"): "ens2f0np0"}, ["d1"]),
    ({FEATURE.format(1, "pf0-name"): "another"}, []), ({FEATURE.format(2, "pci-address"): "0000-2b-00"}, []),
    ({FEATURE.format(0, "pci-address"): "0000-2b-00", FEATURE.format(1, "pf0-name"): "ens2f0np0"}, []),
])
def test_the_older_device_selector(selector: dict[str, str] | None, selected: list[str]) -> None:
    node = some.a_node("n", **{
        FEATURE.format(0, "pci-address"): "0000-2b-00", FEATURE.format(1, "pci-address"): "0000-3c-00",
        FEATURE.format(1, "pf0-name"): "ens2f0np0",
    })
    devices = [some.a_device("d0", "n"), some.a_device("d1", "n", pci="0000-3c-00", labels={"rack": "r1"})]
    spec = a_spec(dpuSelector=selector)
    assert [d.metadata.name for d in devices if selection.selects(spec, node, d)] == selected


def test_what_is_on_its_way_out_or_elsewhere_is_not_selected() -> None:
    node, device, spec = some.a_node("n"), some.a_device("d", "n"), a_spec()
    assert selection.selects(spec, node, device)
    for obj in (node, device):
        going = msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, deletionTimestamp="now"))
        pair = (going, device) if obj is node else (node, going)
        assert not selection.selects(spec, *pair)  # type: ignore[arg-type]
    assert not selection.selects(spec, some.a_node("m"), device)


def test_a_selector_that_means_nothing_is_told() -> None:
    bad = {"matchExpressions": [{"key": "a", "operator": "In", "values": []}]}
    cluster = {"cluster": {"selector": bad}}
    assert selection.problem(a_spec(dpuNodeSelector={"matchLabels": {"a": "b"}})) is None
    for spec, field in (
        ({"nodeSelector": bad}, "nodeSelector"), ({"dpuDeviceSelector": bad}, "dpuDeviceSelector"),
        ({"dpuTemplate": {"spec": cluster}}, "dpuTemplate.spec.cluster.selector"),
    ):
        assert selection.problem(a_spec(**spec)) == f"spec.{field}: selector on 'a': In needs at least one value"


KEYS = st.sampled_from(["zone", "rack", "feature.node.kubernetes.io/cpu", FEATURE.format(0, "pf0-name")])
VALUES = st.sampled_from(["1", "2"])
EXPRESSIONS = st.one_of(
    st.builds(LabelSelectorRequirement, key=KEYS, operator=st.sampled_from(["In", "NotIn"]),
              values=st.lists(VALUES, min_size=1, max_size=2)),
    st.builds(LabelSelectorRequirement, key=KEYS, operator=st.sampled_from(["Exists", "DoesNotExist"])),
)
SELECTORS = st.builds(
    LabelSelector, matchLabels=st.none() | st.dictionaries(KEYS, VALUES, max_size=2),
    matchExpressions=st.none() | st.lists(EXPRESSIONS, max_size=2),
)


@given(SELECTORS, st.dictionaries(KEYS, VALUES))
def test_a_selected_host_is_filed_under_each_group(selector: LabelSelector, labels: dict[str, str]) -> None:
    spec = DPUSetSpec(dpuNodeSelector=selector)
    node = some.a_node("n")
    node = msgspec.structs.replace(node, metadata=msgspec.structs.replace(node.metadata, labels=labels))
    filed = set(selection.indexed(labels))
    if selection.selects_node(spec, node):
        assert all(filed & set(group) for group in selection.node_groups(spec))


def test_the_many_other_features_of_a_host_are_not_filed() -> None:
    labels = {"feature.node.kubernetes.io/cpu-model.id": "7", "feature.node.kubernetes.io/dpu-enabled": "true"}
    assert list(selection.indexed(labels)) == [
        "feature.node.kubernetes.io/dpu-enabled", "feature.node.kubernetes.io/dpu-enabled=true",
    ]
