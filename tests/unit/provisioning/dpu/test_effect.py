"""Node Effect and Node Effect Removal: what is asked of the maintenance of the host, and what is waited for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.provisioning.dpu import snapshots as given
from tests.unit.provisioning.dpu.snapshots import a_condition, a_dpu, a_maintenance, a_snapshot

from dpf.api.dpu import ConditionType, Phase
from dpf.provisioning.dpu.phases import effect
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.runtime.plan import Apply, Patch

KEY = f"{given.NAMESPACE}/worker1-k8sdrain"


def entering(*maintenances: Any, spec: dict[str, Any] | None = None, **changes: Any) -> Snapshot:
    return a_snapshot(a_dpu(Phase.NODE_EFFECT, spec=spec), maintenances=maintenances, **changes)


def leaving(*maintenances: Any, age_s: float | None = None, **settings: Any) -> Snapshot:
    seen = (a_condition("NodeEffectRemoved", "False", seconds=age_s),) if age_s is not None else ()
    return a_snapshot(
        a_dpu(Phase.NODE_EFFECT_REMOVAL, *seen), maintenances=maintenances,
        settings=replace(given.SETTINGS, **settings),
    )


GUARDS = {
    "host is gone": (
        entering(dpunode=None), "DPUNodeNotFound", "DPUNode dpf-operator-system/worker1 does not exist any more",
    ),
    "no Node to drain": (
        entering(spec={"nodeEffect": {"drain": True}}, dpunode=given.a_dpunode(node=None)), "InvalidNodeEffect",
        "node effect (drain) is not supported for non k8s environment",
    ),
    "asked for": (entering(), "NodeEffectInProgress", f"DPUNodeMaintenance {KEY} is asked for the effect"),
    "former one is going": (
        entering(a_maintenance(deleted=given.ago(minutes=1))), "NodeEffectInProgress",
        f"DPUNodeMaintenance {KEY} of an earlier installation is going",
    ),
    "not yet": (
        entering(a_maintenance(applied="False", message="apps/db-0: a budget")), "NodeEffectInProgress",
        f"DPUNodeMaintenance {KEY} has not put the effect on the host yet: apps/db-0: a budget",
    ),
}


@pytest.mark.parametrize(("snapshot", "reason", "message"), GUARDS.values(), ids=GUARDS)
def test_node_effect_waits_for(snapshot: Snapshot, reason: str, message: str) -> None:
    assert given.reason(snapshot) == (reason, message)


def test_the_maintenance_is_made_with_additional_requestors_first() -> None:
    wanted = {"drain": True, "nodeMaintenanceAdditionalRequestors": ["ns_dd_x"]}
    (apply,) = given.decided(entering(spec={"nodeEffect": wanted})).actions
    assert isinstance(apply, Apply)
    assert apply.object.spec.requestor == ["ns_dd_x", given.NAME]  # type: ignore[attr-defined]


def test_a_sibling_joins_the_maintenance() -> None:
    (patch,) = given.decided(entering(a_maintenance("sibling"))).actions
    assert isinstance(patch, Patch)
    assert patch.patch["spec"] == {"requestor": ["sibling", given.NAME]}
    assert patch.patch["metadata"] == {"resourceVersion": "3"}


def test_without_an_effect_the_host_stays_in_service() -> None:
    snapshot = entering(spec={"nodeEffect": {"noEffect": True}})
    assert (given.written(snapshot).phase, given.decided(snapshot).actions) == (Phase.INITIALIZE_INTERFACE, ())


def test_a_change_of_labels_ends_its_own_effect() -> None:
    snapshot = a_snapshot(
        a_dpu(Phase.NODE_EFFECT, postProvisioningNodeEffect=True), maintenances=(a_maintenance(),)
    )
    assert given.written(snapshot).fields == {"postProvisioningNodeEffect": None}


def test_removal_lets_go_and_names_who_holds_it() -> None:
    snapshot = leaving(a_maintenance(given.NAME, "b", "a"))
    assert given.reason(snapshot) == (
        "NodeEffectRemovalInProgress", f"DPUNodeMaintenance {KEY} is still needed by a, b",
    )
    (patch,) = given.decided(snapshot).actions
    assert isinstance(patch, Patch)
    assert patch.patch["spec"] == {"requestor": ["b", "a"]}


def test_removal_waits_for_what_is_undone_without_another_write() -> None:
    snapshot = leaving(a_maintenance("other", deleted=given.ago(minutes=1)))
    assert given.decided(snapshot).actions == ()
    nobody = replace(snapshot, maintenances=(given.a_maintenance(given.NAME, deleted=given.ago(minutes=1)),))
    assert given.reason(nobody)[1] == f"DPUNodeMaintenance {KEY} is being undone"


def test_removal_has_a_limit_where_one_is_set() -> None:
    late = leaving(a_maintenance("other"), age_s=601.0, removal_timeout_s=600.0)
    assert given.told(late, "Error") == (
        "True", "NodeEffectRemovalTimeout",
        f"The effect is still on the host after 600 s: DPUNodeMaintenance {KEY} is still needed by other",
    )
    assert given.written(leaving(a_maintenance("other"), age_s=10**7)).phase is None


def test_removal_looks_again_when_the_limit_is_over() -> None:
    assert given.decided(leaving(a_maintenance("o"), age_s=590.0, removal_timeout_s=600.0)).wake_after_s == 11.0
    assert given.decided(leaving(a_maintenance("o"), removal_timeout_s=600.0)).wake_after_s == 600.0
    assert given.decided(leaving(a_maintenance("o"))).wake_after_s is None


def test_labels_that_changed_meanwhile_come_first_and_the_limit_begins_anew() -> None:
    snapshot = replace(leaving(a_maintenance()), node=given.a_node())
    update = given.written(snapshot)
    assert (update.phase, update.dropped) == (Phase.DPU_CLUSTER_CONFIG, {ConditionType.NODE_EFFECT_REMOVED})


def test_an_error_lets_go_of_the_host() -> None:
    snapshot = a_snapshot(a_dpu(Phase.ERROR), maintenances=(a_maintenance(given.NAME),))
    assert effect.leaving(snapshot) == given.decided(snapshot).actions != ()
