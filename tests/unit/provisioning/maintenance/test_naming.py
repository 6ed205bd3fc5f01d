"""Names of maintenances, durations, and what a drain has to move."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import maintenances as some

from dpf.api.provisioning import NodeEffect
from dpf.provisioning.maintenance import drain, durations, naming


@pytest.mark.parametrize(("effect", "name"), [
    (None, "worker1-k8sdrain"), ({"drain": True}, "worker1-k8sdrain"), ({"hold": True}, "worker1-hold"),
    ({"noEffect": False}, "worker1-no-effect"), ({"customAction": "act"}, "worker1-custom-action-act"),
])
def test_name_says_node_and_effect(effect: dict[str, Any] | None, name: str) -> None:
    wanted = msgspec.convert(effect, NodeEffect) if effect is not None else None
    assert naming.maintenance_name("worker1", wanted, in_kubernetes=True) == name


def test_taints_that_differ_have_names_that_differ_within_the_limit() -> None:
    taints = [msgspec.convert({"taint": {"key": key, "effect": "NoSchedule"}}, NodeEffect) for key in ("a", "b", "a")]
    one, two, again = (naming.maintenance_name("n" * 48, taint, in_kubernetes=True) for taint in taints)
    assert one == again != two
    assert one.startswith("n" * 48 + "-taint-")
    assert len(one) <= 63


def test_long_action_is_cut_and_stays_unique() -> None:
    names = {
        naming.maintenance_name("n" * 48, NodeEffect(customAction="a" * 100 + tail), in_kubernetes=True)
        for tail in ("x", "y")
    }
    assert len(names) == 2
    assert max(map(len, names)) <= 63


@pytest.mark.parametrize(("text", "seconds"), [
    ("30s", 30.0), ("1m30s", 90.0), ("0", 0.0), ("1h", 3600.0), ("1.5m", 90.0), ("250ms", 0.25), ("soon", None),
    ("", None),
])
def test_durations(text: str, seconds: float | None) -> None:
    assert durations.seconds(text) == seconds


def test_budget_holds_ready_pods_only() -> None:
    """A pod that is not ready may be evicted against a budget; the server decides."""
    ready, sick = some.a_pod("a", labels={"app": "db"}), some.a_pod("b", labels={"app": "db"}, ready=False)
    found = drain.left([sick, ready], [some.a_budget()])
    assert [(p.metadata.name, b.metadata.name) for p, b in found.held] == [("a", "db-budget")]
    assert [p.metadata.name for p in found.movable] == ["b"]


def test_many_held_pods_are_counted() -> None:
    pods = [some.a_pod(f"p{n}", labels={"app": "db"}) for n in range(7)]
    assert "; 2 more pods are held by PodDisruptionBudgets" in drain.describe("n", drain.left(pods, [some.a_budget()]))
