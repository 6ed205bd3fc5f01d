"""The summary of operational conditions, and long lists of what is missing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.support import dpureadys as some
from tests.support import dpuservices

from dpf.api.dpu import OperationalConditionType as Type
from dpf.api.meta import Key
from dpf.runtime import conditions
from dpf.runtime.conditions import State, Status
from dpf.services.dpuready import status
from dpf.services.dpuready.snapshot import Snapshot
from dpf.services.dpuready.workloads import NodeView, Silent

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRUE, FALSE = conditions.true("X"), conditions.false("Pending", "why")
UNKNOWN = State(status=Status.UNKNOWN, reason="Lost", message="why")
NODE, CHAINS = Type.NODE_PROBLEMS_READY, Type.DPU_SERVICE_CHAINS_READY
LIST = "The following conditions are not ready: "


@pytest.mark.parametrize(("parts", "expected"), [
    ({NODE: TRUE, CHAINS: TRUE}, ("True", "OperationalReady", "")),
    ({NODE: TRUE, CHAINS: FALSE}, ("False", "Pending", f"{LIST}{CHAINS}")),
    ({NODE: UNKNOWN, CHAINS: FALSE}, ("False", "Pending", f"{LIST}{NODE}, {CHAINS}")),
    ({NODE: UNKNOWN, CHAINS: TRUE}, ("Unknown", "Lost", f"{LIST}{NODE}")),
])
def test_summary(parts: dict[Type, State], expected: tuple[str, str, str]) -> None:
    found = status.summary(parts)
    assert (found.status, found.reason, found.message) == expected


def test_a_long_list_is_cut() -> None:
    daemon_sets = tuple(
        some.a_daemon_set(dpuservices.a_service(f"s-{n:02}", serviceID=f"s-{n:02}")) for n in range(40)
    )
    snapshot = Snapshot(
        dpu=some.a_dpu(phase="Ready"), cluster=Key("tenant", "dpus"),
        view=NodeView(node=some.a_node("dpu-1"), daemon_sets=daemon_sets),
    )
    told = status.compute(snapshot, NOW).fields["operationalConditions"]
    (message,) = [c.message for c in told if c.type == Type.DPU_SERVICE_NON_CRITICAL_PODS_READY]
    assert message.startswith("DaemonSet apps/s-00 has no pod on Node dpu-1 yet; DaemonSet apps/s-01")
    assert message.endswith("apps/s-09 has no pod on Node dpu-1 yet; and 30 more")


def test_as_long_as_nobody_knows_nothing_is_said() -> None:
    snapshot = Snapshot(
        dpu=some.a_dpu(phase="Ready"), cluster=Key("tenant", "dpus"), view=Silent(why="not asked", settles=True)
    )
    assert status.compute(snapshot, NOW).fields == {}


def test_a_node_that_says_nothing_is_not_ready() -> None:
    node = some.a_node("dpu-1")
    assert list(status.node_problems(type(node)(metadata=node.metadata))) == [
        "Node dpu-1 has not said yet that it is ready"
    ]
