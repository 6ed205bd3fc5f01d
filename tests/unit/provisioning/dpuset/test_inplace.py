"""What is changed on a DPU that stays; and that what others wrote is left alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import dpusets as some

from dpf.api.dpu import DPU
from dpf.kube import patches
from dpf.provisioning.dpuset import build, inplace, nodemetadata
from dpf.provisioning.dpuset.nodemetadata import Clash, Wanted
from dpf.provisioning.dpuset.snapshot import Snapshot

LABELS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"))
APPLIED = "provisioning.dpu.nvidia.com/last-applied-labels-on-dpu"


def seen(template: dict[str, Any], **fields: Any) -> Snapshot:
    return some.a_snapshot(some.a_dpuset(template=template, **fields), (some.a_node(), some.a_device("dev1")))


def wanted(snapshot: Snapshot) -> Wanted:
    found = nodemetadata.merge(snapshot.template.spec.cluster, snapshot.candidates[0], some.VERSION)
    assert not isinstance(found, Clash)
    return found


def made(snapshot: Snapshot, *, phase: str = "Ready") -> DPU:
    """The DPU that this DPUSet makes, installed."""
    dpu = build.dpu(snapshot, snapshot.candidates[0], wanted(snapshot))
    return msgspec.structs.replace(
        dpu, metadata=msgspec.structs.replace(dpu.metadata, resourceVersion="7"),
        status=msgspec.structs.replace(dpu.status, phase=phase),
    )


def change(snapshot: Snapshot, dpu: DPU, *, drifted: bool = False) -> dict[str, Any] | None:
    return inplace.change(snapshot, snapshot.candidates[0], dpu, wanted(snapshot), drifted=drifted)


def after(dpu: DPU, patch: dict[str, Any] | None) -> DPU:
    return msgspec.convert(patches.merge(msgspec.to_builtins(dpu), patch or {}), DPU)


def node_labels(dpu: DPU) -> dict[str, str]:
    assert dpu.spec is not None
    assert dpu.spec.cluster is not None
    return {key: value for key, value in (dpu.spec.cluster.nodeLabels or {}).items() if "/" not in key}


@pytest.mark.parametrize("phase", ["Initializing", "Ready", "Error"])
def test_a_new_dpu_needs_no_change(phase: str) -> None:
    snapshot = seen(some.a_template(cluster={"nodeLabels": {"a": "1"}}))
    assert change(snapshot, made(snapshot, phase=phase)) is None


@given(LABELS, LABELS, LABELS)
def test_labels_given_before_go_and_those_of_others_stay(
    before: dict[str, str], now: dict[str, str], foreign: dict[str, str]
) -> None:
    old = made(seen(some.a_template(cluster={"nodeLabels": before})))
    ours = {key: value for key, value in foreign.items() if key not in before}
    old = after(old, {"spec": {"cluster": {"nodeLabels": ours}}})
    snapshot = seen(some.a_template(cluster={"nodeLabels": now}))
    new = after(old, change(snapshot, old))
    assert node_labels(new) == {**ours, **now}
    assert change(snapshot, new) is None


def test_every_change_is_conditional_on_what_was_seen() -> None:
    old = made(seen(some.a_template()))
    patch = change(seen(some.a_template(cluster={"nodeLabels": {"a": "1"}})), old)
    assert patch is not None
    assert patch["metadata"]["resourceVersion"] == "7"


def test_a_note_that_cannot_be_read_removes_nothing() -> None:
    old = after(made(seen(some.a_template(cluster={"nodeLabels": {"a": "1"}}))), {
        "metadata": {"annotations": {APPLIED: "[not json"}},
    })
    new = after(old, change(seen(some.a_template(cluster={"nodeLabels": {"b": "2"}})), old))
    assert node_labels(new) == {"a": "1", "b": "2"}


def test_one_with_other_software_does_not_get_the_hash() -> None:
    old = made(seen(some.a_template()))
    snapshot = seen(some.a_template(cluster={"nodeLabels": {"a": "1"}}, bfb={"name": "bfb-b"}))
    new = after(old, change(snapshot, old, drifted=True))
    assert node_labels(new) == {"a": "1"}
    assert (new.metadata.labels or {})[some.HASH_LABEL] != snapshot.hash
    assert (new.spec.bfb if new.spec else None) == "bfb-a"


def test_a_newer_release_of_the_platform_leaves_dpus_alone() -> None:
    snapshot = seen(some.a_template())
    dpu = made(snapshot)
    newer = nodemetadata.merge(None, snapshot.candidates[0], "99.0")
    assert not isinstance(newer, Clash)
    assert inplace.change(snapshot, snapshot.candidates[0], dpu, newer, drifted=False) is None


EFFECTS: list[dict[str, Any] | None] = [
    None, {"noEffect": True}, {"hold": True, "force": True}, {"drain": True, "applyOnLabelChange": True},
    {"taint": {"key": "k", "effect": "NoSchedule"}, "nodeMaintenanceAdditionalRequestors": ["a"]},
]


@pytest.mark.parametrize("now", EFFECTS)
@pytest.mark.parametrize("before", EFFECTS)
@pytest.mark.parametrize("phase", ["Ready", "Node Effect"])
def test_the_node_effect_in_any_order(
    before: dict[str, Any] | None, now: dict[str, Any] | None, phase: str
) -> None:
    old = made(seen(some.a_template(nodeEffect=before)), phase=phase)
    snapshot = seen(some.a_template(nodeEffect=now))
    new = after(old, change(snapshot, old))
    assert old.spec is not None
    assert new.spec is not None
    template = snapshot.template.spec.nodeEffect
    is_stamped = (new.metadata.labels or {})[some.HASH_LABEL] == snapshot.hash
    assert is_stamped == (new.spec.nodeEffect == template)
    if phase == "Ready":
        assert new.spec.nodeEffect == template
    elif old.spec.nodeEffect is not None and new.spec.nodeEffect is not None and template is not None:
        assert (new.spec.nodeEffect.taint, new.spec.nodeEffect.drain, new.spec.nodeEffect.hold) == (
            old.spec.nodeEffect.taint, old.spec.nodeEffect.drain, old.spec.nodeEffect.hold
        )
        assert new.spec.nodeEffect.force == template.force
        assert new.spec.nodeEffect.applyOnLabelChange == template.applyOnLabelChange
    else:
        assert new.spec.nodeEffect == old.spec.nodeEffect
    assert change(snapshot, new) is None
