"""Requestors make a maintenance, join it and leave it, each for itself."""

from __future__ import annotations

import msgspec
from tests.support import maintenances as some

from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import ObjectMeta
from dpf.api.provisioning import NodeEffect
from dpf.provisioning.maintenance import request
from dpf.runtime.plan import Apply, Patch

DRAIN = NodeEffect(drain=True, applyOnLabelChange=True, nodeMaintenanceAdditionalRequestors=["x"])


def existing(*requestors: str, deleting: bool = False, force: bool = False) -> DPUNodeMaintenance:
    """A maintenance of worker1, as it was read."""
    made = some.a_maintenance({"drain": True, "force": force}, *requestors)
    metadata = ObjectMeta(
        name=made.metadata.name, namespace=made.metadata.namespace, resourceVersion="7",
        deletionTimestamp="2026-01-01T00:00:00Z" if deleting else None,
    )
    return msgspec.structs.replace(made, metadata=metadata)


def patched(action: Apply | Patch | None) -> object:
    assert isinstance(action, Patch)
    assert isinstance(action.patch, dict)
    assert action.patch["metadata"] == {"resourceVersion": "7"}
    return action.patch["spec"]


def test_first_requestor_makes_it_with_everybody_once() -> None:
    action = request.ask(None, some.a_dpunode(), DRAIN, ["x", "dpu-0", "x"])
    assert isinstance(action, Apply)
    made = action.object
    assert isinstance(made, DPUNodeMaintenance)
    assert made.metadata.name == "worker1-k8sdrain"
    assert made.spec is not None
    assert (made.spec.requestor, made.spec.nodeEffect) == (["x", "dpu-0"], NodeEffect(drain=True))


def test_absent_effect_is_spelled_out() -> None:
    for node, effect in (("worker1", NodeEffect(drain=True)), (None, NodeEffect(hold=True))):
        action = request.ask(None, some.a_dpunode(node=node), None, ["dpu-0"])
        assert isinstance(action, Apply)
        assert isinstance(action.object, DPUNodeMaintenance)
        assert action.object.spec is not None
        assert action.object.spec.nodeEffect == effect


def test_next_requestor_joins_and_force_is_only_ever_set() -> None:
    forced = NodeEffect(drain=True, force=True)
    assert patched(request.ask(existing("a"), some.a_dpunode(), DRAIN, ["b"])) == {"requestor": ["a", "b"]}
    assert patched(request.ask(existing("a"), some.a_dpunode(), forced, ["a"])) == {"nodeEffect": {"force": True}}
    assert request.ask(existing("a", force=True), some.a_dpunode(), DRAIN, ["a"]) is None


def test_one_that_is_being_deleted_is_waited_for() -> None:
    assert request.ask(existing("a", deleting=True), some.a_dpunode(), DRAIN, ["b"]) is None


def test_who_leaves_takes_nobody_along() -> None:
    assert patched(request.leave(existing("a", "b"), "a")) == {"requestor": ["b"]}
    assert request.leave(existing("b"), "a") is None
