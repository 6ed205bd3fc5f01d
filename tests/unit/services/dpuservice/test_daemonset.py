"""Helm values of a DPUService (behaviour-service.md 3.5; section 13, tests 4 and 5)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import dpuservices as some

from dpf.api.meta import Key
from dpf.services.argocd import build
from dpf.services.dpuservice import daemonset

HERE = build.Destination(name="dpu-1", cluster=Key("clusters", "dpu-1"))
LABEL = "svc.dpu.nvidia.com/service"
SOURCE = {"repoURL": "https://charts.example", "version": "1", "chart": "web"}


def values_of(values: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    service = some.a_service(**{"serviceID": "sid", "helmChart": {"source": SOURCE, "values": values}, **spec})
    assert service.spec is not None
    return daemonset.compute_values(service, service.spec, HERE)


def test_without_values_only_the_service_label() -> None:
    """Scenario 4."""
    assert values_of({}) == {"serviceDaemonSet": {"labels": {LABEL: "sid"}}}


def test_typed_settings_beat_values_and_maps_are_joined() -> None:
    """Scenario 5."""
    found = values_of(
        {"image": {"tag": "1"}, "serviceDaemonSet": {
            "updateStrategy": {"type": "OnDelete"}, "labels": {"from": "values", "both": "values"},
        }},
        serviceDaemonSet={"updateStrategy": {"type": "RollingUpdate"}, "labels": {"both": "spec"}},
    )
    assert found == {
        "image": {"tag": "1"},
        "serviceDaemonSet": {
            "updateStrategy": {"type": "RollingUpdate"}, "labels": {"from": "values", "both": "spec", LABEL: "sid"},
        },
    }


def test_everything_typed_arrives_as_it_was_written() -> None:
    wanted = {
        "nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "bfb", "operator": "In", "values": ["dk"]},
        ]}]},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
        "annotations": {"some-annotation": "some-value"},
        "resources": {"memory": "6Gi", "nvidia.com/bf_sf": 3},
    }
    assert values_of(serviceDaemonSet=wanted)["serviceDaemonSet"] == {**wanted, "labels": {LABEL: "sid"}}


def test_a_null_of_the_user_stays() -> None:
    assert values_of({"probe": None})["probe"] is None


def test_exposed_ports() -> None:
    """Race 4: what the user says about a port wins."""
    ports = {"serviceType": "NodePort", "ports": [
        {"name": "web", "protocol": "TCP"}, {"name": "udp", "protocol": "UDP"},
    ]}
    found = values_of({"exposedPorts": {"ports": {"udp": False, "own": True}}}, configPorts=ports)["exposedPorts"]
    assert found == {
        "labels": build.match_labels(Key(some.TENANT, "blueman")), "ports": {"web": True, "udp": False, "own": True},
    }


def test_a_system_component_gets_global_settings() -> None:
    service = some.a_service("flannel", some.DPF, labels={"dpu.nvidia.com/component": "flannel"}, serviceID="sid")
    assert service.spec is not None
    assert daemonset.compute_values(service, service.spec, HERE) == {"global": {"serviceDaemonSet": {
        "labels": {LABEL: "sid"},
        "annotations": {"dpu.nvidia.com/cluster": "dpu-1", "dpu.nvidia.com/cluster-namespace": some.DPF},
    }}}


def test_service_id() -> None:
    derived = daemonset.service_id(some.a_service())
    assert len(derived) == 10
    assert derived == daemonset.service_id(some.a_service(paused=True))
    assert derived != daemonset.service_id(some.a_service(namespace="other"))
    assert daemonset.service_id(some.a_service(serviceID="mine")) == "mine"


@pytest.mark.parametrize(("written", "flat"), [
    ({"memory": "6Gi"}, {"memory": "6Gi"}),
    ({"resources": {"memory": "6Gi", "nvidia.com/bf_sf": 3}}, {"memory": "6Gi", "nvidia.com/bf_sf": 3}),
    ({"resources": {"memory": "6Gi"}, "memory": "1Gi", "cpu": 1}, {"memory": "1Gi", "cpu": 1}),
    ({"resources": {"resources": {"memory": "6Gi"}}}, {"resources": {"memory": "6Gi"}}),
    ({"resources": "6Gi"}, {"resources": "6Gi"}),
    (None, {}),
], ids=["flat", "nested", "outer-wins", "only-one-level", "a-resource-of-that-name", "none"])
def test_flatten_resources(written: dict[str, Any] | None, flat: dict[str, Any]) -> None:
    assert daemonset.flatten_resources(written) == flat


@pytest.mark.parametrize("quantity", ["6Gi", "500m", "1.5", "1e3", "-1", 3, 0])
def test_quantities(quantity: Any) -> None:
    assert _problems(quantity) == []


@pytest.mark.parametrize("quantity", ["6 Gi", "", "lots", 0.5, True, None, ["1"], {"requests": {"cpu": 1}}])
def test_what_is_no_quantity_is_named(quantity: Any) -> None:
    (problem,) = _problems(quantity)
    assert "memory" in problem
    assert "500m" in problem


def _problems(quantity: Any) -> list[str]:
    service = some.a_service(serviceDaemonSet={"resources": {"memory": quantity}})
    assert service.spec is not None
    return list(daemonset.resource_problems(service.spec))
