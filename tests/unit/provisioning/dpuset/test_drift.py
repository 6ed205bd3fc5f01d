"""In what a DPU differs from the template, and how that is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpusets as some
from tests.support.world import NAMESPACE

from dpf.api.dpu import Outdated
from dpf.api.dpuset import DPUTemplateSpec
from dpf.api.meta import Key
from dpf.provisioning.dpuset import drift

NOW = "2026-01-01T00:00:00Z"


def a_template(**spec: Any) -> DPUTemplateSpec:
    return msgspec.convert(some.a_template(**spec), DPUTemplateSpec)


@pytest.mark.parametrize(("spec", "reasons"), [
    ({}, []),
    ({"cluster": {"nodeLabels": {"a": "b"}}, "nodeEffect": {"hold": True}, "automaticNodeReboot": False}, []),
    ({"bfb": {"name": "b"}}, ["OutdatedBFB"]),
    ({"dpuFlavor": "f"}, ["OutdatedDPUFlavor"]),
    ({"secureBoot": True}, ["OutdatedSecureBoot"]),
    ({"secureBoot": False}, ["OutdatedSecureBoot"]),
    ({"secureBoot": True, "dpuFlavor": "f", "bfb": {"name": "b"}},
     ["OutdatedBFB", "OutdatedDPUFlavor", "OutdatedSecureBoot"]),
    ({"bfb": None, "blueFieldSoftware": {"name": "s"}}, ["OutdatedBFB", "OutdatedBlueFieldSoftware"]),
])
def test_reasons_in_their_order(spec: dict[str, Any], reasons: list[str]) -> None:
    found = drift.differences(some.a_dpu(), a_template(**spec))
    assert [difference.reason for difference in found] == reasons


def test_the_time_stays_while_the_reason_does() -> None:
    found = drift.differences(some.a_dpu(), a_template(bfb={"name": "b"}, dpuFlavor="f"))
    earlier = {"timeStamp": "2025-01-01T00:00:00Z", "reason": "OutdatedBFB", "message": "x"}
    other = {**earlier, "reason": "OutdatedDPUFlavor"}
    times = [
        mark.timeStamp for old in (None, earlier, other)
        if (mark := drift.outdated(some.a_dpu(outdated=old), found, NOW)) is not None
    ]
    assert times == [NOW, "2025-01-01T00:00:00Z", NOW]
    assert drift.outdated(some.a_dpu(outdated=earlier), (), NOW) is None


def test_the_message_lists_everything() -> None:
    found = drift.differences(some.a_dpu(secureBoot=True), a_template(bfb={"name": "b"}))
    assert drift.outdated(some.a_dpu(), found, NOW) == Outdated(timeStamp=NOW, reason="OutdatedBFB", message=(
        "OutdatedBFB: the DPU has BFB bfb-a, its DPUSet wants b; OutdatedSecureBoot: the DPU has secureBoot true, its "
        "DPUSet wants none"
    ))


@pytest.mark.parametrize(("selector", "assigned", "left"), [
    (None, "one", False), ({"matchLabels": {"t": "a"}}, "one", False), ({"matchLabels": {"t": "b"}}, "one", True),
    ({"matchLabels": {"t": "b"}}, None, False), ({"matchLabels": {"t": "b"}}, "unknown", False), ({}, "one", False),
])
def test_a_cluster_is_left_when_its_labels_say_so(
    selector: dict[str, Any] | None, assigned: str | None, left: bool
) -> None:
    dpu = some.a_dpu(cluster={"name": assigned, "namespace": NAMESPACE})
    clusters = {Key(NAMESPACE, "one"): some.a_cluster("one", t="a")}
    assert drift.has_left_cluster(dpu, a_template(cluster={"selector": selector}), clusters) is left
