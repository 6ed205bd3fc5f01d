"""Which pods a Node should have, and which of them work."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpureadys as some
from tests.support import dpuservices

from dpf.api.serviceworkloads import ServiceDaemonSet, ServiceDaemonSetSpec
from dpf.services.dpuready import workloads
from dpf.services.dpuready.workloads import NodeView

NODE = some.a_node("dpu-1", {"rack": "a"})
SERVICE = dpuservices.a_service("hbn", serviceID="hbn")
DAEMON_SET = some.a_daemon_set(SERVICE)
BEFORE, AFTER = "2025-12-31T00:00:00Z", "2026-01-02T00:00:00Z"


def a_daemon_set(**spec: Any) -> ServiceDaemonSet:
    template = {"metadata": {"labels": {"svc.dpu.nvidia.com/service": "hbn"}}, "spec": spec}
    return ServiceDaemonSet(spec=msgspec.convert({"template": template}, ServiceDaemonSetSpec))


def affinity(*terms: list[dict[str, Any]]) -> dict[str, Any]:
    required = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def expression(key: str, *values: str, operator: str = "In") -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(("spec", "is_for"), [
    ({}, True),
    ({"nodeSelector": {"rack": "a"}}, True),
    ({"nodeSelector": {"rack": "b"}}, False),
    ({"nodeSelector": {"rack": "a", "gpu": "yes"}}, False),
    ({"affinity": affinity([expression("rack", "a")])}, True),
    ({"affinity": affinity([expression("rack", "b")], [expression("rack", "a")])}, True),
    ({"affinity": affinity([expression("rack", "a"), expression("gpu", "yes")])}, False),
    ({"affinity": affinity([])}, False),
    ({"affinity": {}}, True),
    ({"affinity": {"nodeAffinity": {}}}, True),
    ({"nodeSelector": {"rack": "a"}, "affinity": affinity([expression("rack", "b")])}, False),
    ({"affinity": affinity([expression("rack", "a", operator="Like")])}, False),
])
def test_daemon_set_is_for_the_node(spec: dict[str, Any], is_for: bool) -> None:
    assert workloads.is_for(a_daemon_set(**spec), NODE) is is_for


@pytest.mark.parametrize(("pod", "ready"), [
    ({}, True),
    ({"ready": False}, False),
    ({"created": BEFORE, "since": BEFORE}, False),
    ({"created": BEFORE, "since": AFTER}, True),
    ({"created": AFTER, "since": BEFORE}, True),
], ids=["ready", "unready", "left-over", "adopted", "clock-of-the-dpu-is-behind"])
def test_pod_is_ready(pod: dict[str, Any], ready: bool) -> None:
    assert workloads.is_ready(some.a_pod(DAEMON_SET, "dpu-1", **pod), NODE) is ready


def test_times_that_nobody_can_read_do_not_count() -> None:
    assert workloads.is_ready(some.a_pod(DAEMON_SET, "dpu-1", created="yesterday", since="now"), NODE)


def lacking(*pods: dict[str, Any]) -> list[str]:
    view = NodeView(
        node=NODE, daemon_sets=(DAEMON_SET,), pods=tuple(some.a_pod(DAEMON_SET, "dpu-1", **pod) for pod in pods)
    )
    return list(workloads.lacking(view, "hbn"))


MISSING = "DaemonSet apps/hbn has no pod on Node dpu-1 yet"


@pytest.mark.parametrize(("pods", "texts"), [
    ([], [MISSING]),
    ([{}], []),
    ([{"ready": False}], ["Pod apps/hbn-dpu-1 is not ready: containers with unready status: [app]"]),
    ([{"phase": "Failed", "ready": False}], [MISSING]),
    ([{"phase": "Succeeded", "ready": False}], [MISSING]),
    ([{"phase": "Failed", "ready": False}, {}], []),
], ids=["none", "ready", "unready", "failed", "over", "replaced"])
def test_what_a_service_lacks(pods: list[dict[str, Any]], texts: list[str]) -> None:
    assert lacking(*pods) == texts


def test_pods_of_others_are_not_counted() -> None:
    other = some.a_daemon_set(dpuservices.a_service("other", serviceID="other"))
    own = some.a_pod(DAEMON_SET, "dpu-1")
    going = msgspec.structs.replace(own, metadata=msgspec.structs.replace(own.metadata, deletionTimestamp=AFTER))
    view = NodeView(node=NODE, daemon_sets=(DAEMON_SET,), pods=(some.a_pod(other, "dpu-1", ready=False), going))
    assert list(workloads.lacking(view, "hbn")) == [MISSING]
    assert not workloads.expects(view, "other")
