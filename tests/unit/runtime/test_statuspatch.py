"""The one status patch of a pass: what is in it, and when there is none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.scenario.runtime.toy import Toy, ToyStatus

from dpf.api.dpucluster import DPUCluster, DPUClusterSpec, DPUClusterStatus, Phase
from dpf.api.meta import Condition, ObjectMeta
from dpf.runtime import statuspatch
from dpf.runtime.conditions import false, true
from dpf.runtime.reconciler import Verdict

NOW = "2026-01-01T00:00:00Z"
TYPES = ("Ready", "A")


def a_root(status: dict[str, Any] | None = None, generation: int = 1) -> Toy:
    return Toy(
        metadata=ObjectMeta(name="toy", namespace="toys", resourceVersion="7", generation=generation),
        status=msgspec.convert(status or {}, ToyStatus),
    )


def compute(root: Toy, verdict: Verdict, types: tuple[str, ...] = TYPES, **options: Any) -> dict[str, Any] | None:
    return statuspatch.compute(root, verdict, types=types, observes_generation=True, now=NOW, **options)


def after(root: Toy, verdict: Verdict, types: tuple[str, ...] = TYPES) -> Toy:
    """`root` as it is once the patch was written."""
    patch = compute(root, verdict, types)
    assert patch is not None
    status = msgspec.to_builtins(root.status) | {k: v for k, v in patch["status"].items() if v is not None}
    return a_root(status, root.metadata.generation or 1)


FINE = Verdict(states={"A": true()}, fields={"parts": {"a": "1"}})


def test_the_first_patch_says_everything() -> None:
    patch = compute(a_root(), FINE)
    condition = {
        "status": "True", "reason": "Success", "message": "", "lastTransitionTime": NOW, "observedGeneration": 1,
    }
    assert patch == {
        "metadata": {"resourceVersion": "7"},
        "status": {
            "conditions": [{"type": "Ready", **condition}, {"type": "A", **condition}],
            "observedGeneration": 1, "parts": {"a": "1"},
        },
    }


def test_the_same_again_is_no_patch() -> None:
    assert compute(after(a_root(), FINE), FINE) is None


def test_another_order_of_conditions_is_no_reason_to_write() -> None:
    root = after(a_root(), FINE)
    turned = msgspec.structs.replace(
        root, status=msgspec.structs.replace(root.status, conditions=list(reversed(root.status.conditions or [])))
    )
    assert compute(turned, FINE) is None


def test_only_what_changed_is_sent() -> None:
    root = after(a_root(), FINE)
    patch = compute(root, Verdict(states={"A": true()}, fields={"parts": {"b": "2"}}))
    assert patch is not None
    assert patch["status"] == {"parts": {"a": None, "b": "2"}}


def test_none_removes_a_field_and_absent_leaves_it() -> None:
    root = after(a_root(), FINE)
    assert compute(root, Verdict(states={"A": true()})) is None
    removed = compute(root, Verdict(states={"A": true()}, fields={"parts": None}))
    assert removed is not None
    assert removed["status"] == {"parts": None}


def test_a_new_generation_is_written_even_when_nothing_else_changed() -> None:
    root = msgspec.structs.replace(
        after(a_root(), FINE), metadata=ObjectMeta(name="toy", resourceVersion="9", generation=2)
    )
    patch = compute(root, FINE)
    assert patch is not None
    assert patch["status"]["observedGeneration"] == 2
    assert {c["observedGeneration"] for c in patch["status"]["conditions"]} == {2}


def test_ready_is_the_summary_unless_it_is_given() -> None:
    failing = Verdict(states={"A": false("Error", "no")})
    assert _ready(compute(a_root(), failing))["message"] == "The following conditions are not ready: A"
    given = Verdict(states={"A": false("Error", "no"), "Ready": true("Own", "own words")})
    assert _ready(compute(a_root(), given))["message"] == "own words"


def test_a_controller_that_does_not_declare_ready_does_not_write_it() -> None:
    patch = compute(a_root(), Verdict(states={"A": true()}), ("A",))
    assert patch is not None
    assert [c["type"] for c in patch["status"]["conditions"]] == ["A"]


def test_two_writers_with_their_own_conditions_do_not_chase_each_other() -> None:
    first, second = Verdict(states={"A": true()}), Verdict(states={"B": true()})
    root = after(after(a_root(), first, ("A",)), second, ("B",))
    assert compute(root, first, ("A",)) is None
    assert compute(root, second, ("B",)) is None
    assert {c.type for c in root.status.conditions or ()} == {"A", "B"}


def test_a_kind_without_conditions_gets_none() -> None:
    patch = compute(a_root(), Verdict(states={}, fields={"parts": {"a": "1"}}), ())
    assert patch is not None
    assert "conditions" not in patch["status"]


def test_a_field_that_the_kind_does_not_have_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="status has no field colour"):
        compute(a_root(), Verdict(states={}, fields={"colour": "red"}))


def test_a_status_with_annotations_is_understood() -> None:
    root = DPUCluster(
        metadata=ObjectMeta(name="dpu", generation=1), spec=DPUClusterSpec(type="static"),
        status=DPUClusterStatus(phase=Phase.CREATING),
    )
    options: dict[str, Any] = {"types": (), "observes_generation": False, "now": NOW}
    patch = statuspatch.compute(root, Verdict(states={}, fields={"phase": Phase.READY}), **options)
    assert patch is not None
    assert patch["status"] == {"phase": "Ready"}
    assert statuspatch.compute(root, Verdict(states={}, fields={"phase": "Creating"}), **options) is None
    with pytest.raises(TypeError, match="status has no field nodes"):
        statuspatch.compute(root, Verdict(states={}, fields={"nodes": 1}), **options)


def test_foreign_conditions_are_sent_along_unchanged() -> None:
    foreign = Condition(type="F", status="True", reason="R", message="m", lastTransitionTime="t", observedGeneration=9)
    patch = compute(a_root({"conditions": [msgspec.to_builtins(foreign)]}), FINE)
    assert patch is not None
    assert patch["status"]["conditions"][-1] == msgspec.to_builtins(foreign)


def _ready(patch: dict[str, Any] | None) -> dict[str, Any]:
    assert patch is not None
    return next(c for c in patch["status"]["conditions"] if c["type"] == "Ready")
