"""DPUServices of a DPUDeployment: what they look like (behaviour-service.md 6.5 and 6.6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpudeployments as some
from tests.support.rollouts import World

from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceconfiguration import (
    ConfigurationHelmChart,
    DPUServiceConfiguration,
    DPUServiceConfigurationSpec,
    ServiceConfiguration,
)
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.meta import Key
from dpf.services.dpudeployment import children, dpusets, naming, services
from dpf.services.dpudeployment.snapshot import Snapshot

NS = some.TENANT


def world(configuration: dict[str, Any] | None = None, template: dict[str, Any] | None = None, **spec: Any) -> World:
    return World(
        some.a_deployment(**spec), some.a_configuration(**(configuration or {})), some.a_template(**(template or {}))
    )


def made(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """The spec of the only DPUService."""
    found = world(*args, **kwargs)
    found.settle()
    (service,) = found.list(DPUService)
    return dict(msgspec.to_builtins(service.spec))


def test_first_revision() -> None:
    found = world({"interfaces": ["p1_if", "p0_if"]})
    found.settle()
    (service,) = found.list(DPUService)
    metadata = service.metadata

    assert metadata.name == "dd-producer"
    assert metadata.labels == {
        "svc.dpu.nvidia.com/owned-by-dpudeployment": f"{NS}_dd",
        "svc.dpu.nvidia.com/dpudeployment-service": "producer",
    }
    assert len(metadata.annotations.pop("svc.dpu.nvidia.com/dpuservice-version")) == 10
    assert metadata.annotations == {}
    assert [(o.kind, o.name, o.controller) for o in metadata.ownerReferences] == [("DPUDeployment", "dd", True)]
    assert service.spec.serviceID == "dpudeployment_dd_producer"
    assert service.spec.interfaces == ["dd-producer-p0-if", "dd-producer-p1-if"]
    assert service.spec.security.privileged is True


def test_runs_on_nodes_that_carry_its_name_and_belong_to_the_deployment() -> None:
    (term,) = made()["serviceDaemonSet"]["nodeSelector"]["nodeSelectorTerms"]

    assert term == {"matchExpressions": [
        {"key": "svc.dpu.nvidia.com/dpuservice-producer-version", "operator": "In", "values": ["dd-producer"]},
        {"key": "svc.dpu.nvidia.com/owned-by-dpudeployment", "operator": "In", "values": [f"{NS}_dd"]},
    ]}


def test_values_of_the_configuration_win() -> None:
    """Scenario 29."""
    source = {"repoURL": "https://c", "version": "1", "path": "producer"}
    spec = made(
        {"serviceConfiguration": {"helmChart": {"values": {"a": 1, "m": {"x": None}}}}},
        {"helmChart": {"source": source, "values": {"a": 2, "b": 3, "m": {"x": 1, "y": 0.5}}}},
    )

    assert spec["helmChart"] == {"source": source, "values": {"a": 1, "b": 3, "m": {"x": None, "y": 0.5}}}


def test_settings_of_the_configuration_are_taken_over() -> None:
    ports = {"serviceType": "ClusterIP", "ports": [{"name": "http", "protocol": "TCP", "port": 80}]}
    spec = made({"serviceConfiguration": {
        "serviceDaemonSet": {
            "labels": {"tier": "1"}, "annotations": {"page": "no"}, "updateStrategy": {"type": "OnDelete"},
            "resources": {"nvidia.com/sf": 1},
        },
        "configPorts": ports,
    }})
    daemonset = spec["serviceDaemonSet"]
    del daemonset["nodeSelector"]

    assert daemonset == {
        "labels": {"tier": "1", "svc.dpu.nvidia.com/dpudeployment-service": "producer"}, "annotations": {"page": "no"},
        "updateStrategy": {"type": "OnDelete"}, "resources": {"nvidia.com/sf": 1},
    }
    assert spec["configPorts"] == ports


@pytest.mark.parametrize(("given", "wanted"), [
    (None, {"privileged": True}), ({"privileged": False}, {"privileged": False}), ({}, {"privileged": True}),
    ({"spiffe": {}}, {"privileged": True, "spiffe": {}}),
])
def test_security(given: dict[str, Any] | None, wanted: dict[str, Any]) -> None:
    assert made(template={"security": given})["security"] == wanted


def test_dpu_clusters_of_all_dpusets() -> None:
    sets = [{"nameSuffix": n, "dpuClusterSelector": {"r": n}} for n in ("b", "a")]

    assert made(dpus={"dpuSets": sets})["dpuClusterSelector"] == {
        "matchExpressions": [{"key": "r", "operator": "In", "values": ["a", "b"]}]
    }


def test_in_cluster_service() -> None:
    sets = [{"nameSuffix": "a", "dpuNodeSelector": {"matchLabels": {"rack": "1", "zone": "z"}},
             "dpuClusterSelector": {"r": "a"}}]
    spec = made({"serviceConfiguration": {"deployInCluster": True}}, {"security": {"privileged": True}},
                dpus={"dpuSets": sets})

    assert spec["deployInCluster"] is True
    assert not {"security", "dpuClusterSelector", "interfaces"} & spec.keys()
    (term,) = spec["serviceDaemonSet"]["nodeSelector"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [
        {"key": naming.in_cluster_key(Key(NS, "dd"), "producer"), "operator": "In", "values": ["dd-producer"]},
        {"key": "rack", "operator": "In", "values": ["1"]}, {"key": "zone", "operator": "In", "values": ["z"]},
    ]


def test_toggling_the_cluster_in_place_makes_a_selector_for_the_same_name() -> None:
    """Race 9."""
    found = world()
    found.converge()
    found.edit(DPUServiceConfiguration, "producer", {"spec": {"serviceConfiguration": {"deployInCluster": True}}})
    found.settle()
    (service,) = found.list(DPUService)
    (term,) = service.spec.serviceDaemonSet.nodeSelector.nodeSelectorTerms

    assert [e.values for e in term.matchExpressions] == [["dd-producer"]]
    assert service.spec.security is None
    found.edit(DPUServiceConfiguration, "producer", {"spec": {"serviceConfiguration": {"deployInCluster": False}}})
    found.settle()
    (service,) = found.list(DPUService)

    assert service.spec.security.privileged is True
    assert service.spec.serviceDaemonSet.nodeSelector.nodeSelectorTerms[0].matchExpressions[0].key == (
        "svc.dpu.nvidia.com/dpuservice-producer-version"
    )


def test_pods_without_our_label_are_not_restarted_for_it() -> None:
    found = world({"serviceConfiguration": {"serviceDaemonSet": {"labels": {"tier": "1"}}}})
    found.converge()
    label = "svc.dpu.nvidia.com/dpudeployment-service"
    found.edit(DPUService, "dd-producer", {"spec": {"serviceDaemonSet": {"labels": {label: None}}}})

    assert found.settle() == 0
    found.edit(DPUServiceTemplate, "producer", {"spec": {"helmChart": {"values": {"a": 1}}}})
    found.settle()
    assert found.get(DPUService, "dd-producer").spec.serviceDaemonSet.labels == {"tier": "1", label: "producer"}


def test_name_that_somebody_else_has() -> None:
    found = world()
    found.foreign.add((DPUService, Key(NS, "dd-producer")))
    found.settle()
    (service,) = found.list(DPUService)

    assert service.metadata.name.startswith("dd-producer-")
    assert service.spec.serviceID == "dpudeployment_dd_producer"


def test_name_that_is_still_being_given_up() -> None:
    found = World(some.a_deployment(), some.a_configuration(), finalizers=True)
    found.settle()
    found.remove(DPUService, "dd-producer")
    found.settle()
    old, new = found.list(DPUService)

    assert old.metadata.name == "dd-producer"
    assert new.metadata.name.startswith("dd-producer-")
    assert new.spec.serviceID.startswith("dpudeployment_dd_producer_")


def test_services_whose_names_would_be_the_same_get_two() -> None:
    found = World(
        some.a_deployment(services=("a_b", "a-b")),
        *(some.a_configuration(name, interfaces=("if",)) for name in ("a_b", "a-b")),
    )
    found.step()
    names = found.names(DPUService)

    assert found.log == [f"create DPUService {name}" for name in names]
    assert len(names) == 2
    assert names[0] == "dd-a-b"
    found.converge()
    assert found.names(DPUService) == names


def test_a_mangled_service_id_is_put_right() -> None:
    found = world()
    found.converge()
    found.edit(DPUService, "dd-producer", {"spec": {"serviceID": "mine"}})
    found.converge()

    assert found.get(DPUService, "dd-producer").spec.serviceID == "dpudeployment_dd_producer"


def depending(values: dict[str, Any], *, annotations: dict[str, str] | None = None) -> World:
    """Two services, of which `consumer` depends on `producer` and has these values."""
    configuration = some.a_configuration("consumer", serviceConfiguration={"helmChart": {"values": values}})
    metadata = msgspec.structs.replace(configuration.metadata, annotations=annotations)
    deployment = some.a_deployment(services=("consumer", "producer"))
    assert deployment.spec is not None
    spec = msgspec.to_builtins(deployment.spec)
    spec["services"]["consumer"]["dependsOn"] = [{"name": "producer"}]
    deployment = msgspec.structs.replace(deployment, spec=msgspec.convert(spec, type(deployment.spec)))
    return World(deployment, msgspec.structs.replace(configuration, metadata=metadata))


def test_a_service_follows_those_it_depends_on_and_knows_their_names() -> None:
    """Scenario 39."""
    found = depending({"upstream": "{{ .Services.producer.Name }}.{{ .Services.producer.Namespace }}"})
    found.settle()

    assert found.log[:2] == ["create DPUService dd-producer", "create DPUService dd-consumer"]
    assert found.get(DPUService, "dd-consumer").spec.helmChart.values == {"upstream": f"dd-producer.{NS}"}


def test_a_new_name_of_a_dependency_reaches_the_dependant() -> None:
    """Race 7: the digest is that of the rendered configuration."""
    found = depending({"upstream": "{{ .Services.producer.Name }}"})
    found.converge()
    before = found.get(DPUService, "dd-consumer").metadata.annotations
    found.edit(DPUServiceConfiguration, "producer", {"spec": {
        "nodeEffect": True, "serviceConfiguration": {"helmChart": {"values": {"a": 1}}},
    }})
    found.converge()
    consumer = found.get(DPUService, "dd-consumer")
    (producer,) = [name for name in found.names(DPUService) if name.startswith("dd-producer")]

    assert producer != "dd-producer"
    assert consumer.spec.helmChart.values == {"upstream": producer}
    assert consumer.metadata.annotations != before


def test_other_delimiters() -> None:
    found = depending(
        {"a": "[[ .Services.producer.Name ]] {{ kept }}"},
        annotations={"svc.dpu.nvidia.com/template-delimiter": "[[,]]"},
    )
    found.settle()

    assert found.get(DPUService, "dd-consumer").spec.helmChart.values == {"a": "dd-producer {{ kept }}"}


def test_without_dependencies_braces_belong_to_the_chart() -> None:
    spec = made({"serviceConfiguration": {"helmChart": {"values": {"a": "{{ .Release.Name }}"}}}})

    assert spec["helmChart"]["values"] == {"a": "{{ .Release.Name }}"}


@pytest.mark.parametrize(("values", "annotations", "text"), [
    ({"a": "{{ .Services.other.Name }}"}, None,
     (f"service consumer: failed to render the values of DPUServiceConfiguration {NS}/consumer:"
      " {{ .Services.other.Name }}: service other is not listed in dependsOn")),
    ({"a": "b"}, {"svc.dpu.nvidia.com/template-delimiter": "[["},
     (f"annotation svc.dpu.nvidia.com/template-delimiter of DPUServiceConfiguration {NS}/consumer is '[['; write two"
      " delimiters with a comma between them, such as [[,]]")),
])
def test_values_that_cannot_be_rendered(
    values: dict[str, Any], annotations: dict[str, str] | None, text: str,
) -> None:
    found = depending(values, annotations=annotations)
    found.settle()

    assert found.findings() == [text]
    assert found.names(DPUService) == ["dd-producer"]


def resolve(snapshot: Snapshot) -> services.Resolved:
    assert snapshot.deployment.spec is not None
    parent = children.parent(snapshot, snapshot.deployment.spec)
    return services.resolve(parent, dpusets.progress(parent))


def test_a_service_that_cannot_be_made_takes_its_dependants_along() -> None:
    snapshot = depending({}).snapshot()
    snapshot.configurations.pop("producer")  # type: ignore[attr-defined]

    assert resolve(snapshot).problems == (
        "service producer: there is no DPUServiceConfiguration producer",
        "DPUService producer not found in patched services",
    )
    assert resolve(snapshot).rollouts == ()


def test_values_without_a_bottom_are_told_not_raised() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = {"a": deep}
    snapshot = world().snapshot()
    spec = DPUServiceConfigurationSpec(
        deploymentServiceName="producer",
        serviceConfiguration=ServiceConfiguration(helmChart=ConfigurationHelmChart(values=deep)),
    )
    snapshot.configurations["producer"] = DPUServiceConfiguration(spec=spec)  # type: ignore[index]

    assert resolve(snapshot).problems == ("service producer: its values are nested too deeply; make them flatter",)


def test_an_interface_that_is_listed_twice() -> None:
    found = world({"interfaces": ["eth0", "eth0"]})
    found.settle()

    assert found.findings() == [f"DPUServiceConfiguration {NS}/producer lists the interface eth0 twice"]


@pytest.mark.parametrize(("settings", "disruptive"), [
    ({}, False), ({"nodeEffect": True}, True), ({"nodeEffect": False}, False),
    ({"upgradePolicy": {"applyNodeEffect": True}}, True),
    ({"upgradePolicy": {"applyNodeEffect": False}, "nodeEffect": True}, False),
    ({"upgradePolicy": {"applyNodeEffect": True}, "nodeEffect": False}, True),
])
def test_disruptive(settings: dict[str, Any], disruptive: bool) -> None:
    """resolutions.md row 1."""
    spec = some.a_configuration(**settings).spec
    assert spec is not None

    assert services.is_disruptive(spec) is disruptive
