"""Names of DPUs and labels: within limits, unique, and the same in every pass."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import dpusets as some

from dpf.api.dpuset import DPUTemplate
from dpf.provisioning.dpuset import naming

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True)
LABEL_KEY = re.compile(r"provisioning\.dpu\.nvidia\.com/collision-dpuset-[a-z0-9]([-a-z0-9._]*[a-z0-9])?")


def a_template(**spec: object) -> DPUTemplate:
    dpuset = some.a_dpuset(template=some.a_template(**spec))
    assert dpuset.spec is not None
    return dpuset.spec.dpuTemplate


@pytest.mark.parametrize(("node", "device", "name"), [
    ("worker1", "0000-2b-00", "worker1-0000-2b-00"),
    ("n" * 48, "d" * 63, "n" * 48 + "-" + "d" * 63),
    ("n" * 189, "d" * 63, "n" * 189 + "-" + "d" * 63),
])
def test_what_fits_is_the_plain_name(node: str, device: str, name: str) -> None:
    assert naming.dpu_name(node, device) == name


def test_long_hosts_that_begin_alike_have_different_names() -> None:
    one, two = (naming.dpu_name("n" * 249 + end, "mt2333") for end in "ab")
    assert one != two
    assert {len(one), len(two)} == {253}
    assert one.endswith("-mt2333")


@given(NAMES, NAMES)
def test_a_name_is_within_limits_and_legal(node: str, device: str) -> None:
    name = naming.dpu_name(node, device)
    assert len(name) <= naming.NAME_LIMIT
    assert name[0].isalnum()
    assert name[-1].isalnum()
    assert name == naming.dpu_name(node, device)


@given(NAMES)
def test_a_label_is_within_limits_and_legal(dpuset: str) -> None:
    key = naming.collision_label(dpuset)
    assert LABEL_KEY.fullmatch(key)
    assert len(key.partition("/")[2]) <= 63
    assert len(naming.label_value(dpuset)) <= 63


def test_labels_of_sets_with_long_names_differ() -> None:
    assert naming.collision_label("s" * 62 + "a") != naming.collision_label("s" * 62 + "b")


def test_the_digest_depends_on_what_the_template_says_only() -> None:
    plain = naming.template_hash(a_template(cluster={"nodeLabels": {"a": "1", "b": "2"}}))
    assert re.fullmatch("[0-9a-f]{10}", plain)
    assert naming.template_hash(a_template(cluster={"nodeLabels": {"b": "2", "a": "1"}})) == plain
    with_default = {"noEffect": True, "force": False, "applyOnLabelChange": False}
    same = naming.template_hash(a_template(cluster={"nodeLabels": {"b": "2", "a": "1"}}, nodeEffect=with_default))
    assert same == plain
    assert naming.template_hash(a_template(cluster={"nodeLabels": {"a": "1"}})) != plain
