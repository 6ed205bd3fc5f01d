"""A DPUDeployment comes up and is changed in place, down to what Argo CD gets (scenarios 29, 30, 39, 40, 42)."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from tests.support import deploymentplatform as platforms
from tests.support import dpudeploymentnodes as nodes
from tests.support import dpudeployments as some
from tests.support.deploymentplatform import Platform

from dpf.api import core
from dpf.api.argocd import Application
from dpf.api.dpudeployment import ConditionType, DPUDeployment, ServiceReferences
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.api.meta import LabelSelectorRequirement

VERSION = "svc.dpu.nvidia.com/dpuservice-version"
CHAIN = [{"ports": [
    {"service": {"name": "producer", "interface": "eth0"}}, {"service": {"name": "consumer", "interface": "eth0"}},
]}]
CHAIN_OF_ONE = [{"ports": [{"service": {"name": "producer", "interface": "eth0"}}]}]
FULL: dict[str, Any] = {
    "services": ("producer", "consumer"), "serviceChains": CHAIN,
    "dpus": {"dpuSets": [{"nameSuffix": "a"}, {"nameSuffix": "b"}]},
}
AFTER = {"dependsOn": [{"name": "producer"}]}
RECONCILED = ConditionType.DPU_SERVICES_RECONCILED


def values_of(platform: Platform, application: str) -> dict[str, Any]:
    """The values with which Argo CD installs a chart."""
    source = platform.one(Application, application, "dpf-operator-system").spec.source
    assert source is not None
    assert source.helm is not None
    return source.helm.valuesObject or {}


def depending(values: dict[str, Any], **annotations: str) -> Platform:
    """A consumer that has to come after the producer, with these values; `delimiter` is an annotation."""
    deployment = some.a_deployment(services=("consumer", "producer"))
    assert deployment.spec is not None
    references = {**deployment.spec.services, "consumer": msgspec.convert(
        {"serviceTemplate": "consumer", "serviceConfiguration": "consumer", **AFTER}, ServiceReferences
    )}
    spec = msgspec.structs.replace(deployment.spec, services=references)
    configuration = some.a_configuration("consumer", serviceConfiguration={"helmChart": {"values": values}})
    metadata = msgspec.structs.replace(configuration.metadata, annotations={
        f"svc.dpu.nvidia.com/template-{name}": value for name, value in annotations.items()
    })
    needed = [d for d in some.dependencies_of(deployment) if d.metadata.name != "consumer"]
    return platforms.a_platform(
        msgspec.structs.replace(deployment, spec=spec), *needed, some.a_template("consumer"),
        msgspec.structs.replace(configuration, metadata=metadata),
    )


async def test_22_the_whole_way_to_argo_cd_and_back() -> None:
    platform = platforms.a_deployed(**FULL)
    async with platform.running():
        assert platform.summary(ConditionType.READY)[:2] == ("False", "Pending")
        await platform.work()
        assert platform.names(Application) == ["dpu-1-dd-consumer", "dpu-1-dd-producer"]
        for type_ in ConditionType:
            assert platform.summary(type_) == ("True", "Success", ""), type_
        daemonset = values_of(platform, "dpu-1-dd-producer")["serviceDaemonSet"]
        assert daemonset["labels"] == {
            "svc.dpu.nvidia.com/service": "dpudeployment_dd_producer",
            "svc.dpu.nvidia.com/dpudeployment-service": "producer",
        }
        assert daemonset["nodeSelector"] == {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "svc.dpu.nvidia.com/dpuservice-producer-version", "operator": "In", "values": ["dd-producer"]},
            {"key": "svc.dpu.nvidia.com/owned-by-dpudeployment", "operator": "In", "values": ["tenant_dd"]},
        ]}]}
        assert await platform.look_again() == []


async def test_29_where_both_say_something_the_configuration_wins() -> None:
    template = some.a_template(helmChart={
        "source": {"repoURL": "https://charts.example.com", "version": "1.0.0", "chart": "producer"},
        "values": {"replicas": 1, "limits": {"cpu": 1, "memory": "1Gi"}, "list": [1, 2]},
    })
    configuration = some.a_configuration(serviceConfiguration={
        "helmChart": {"values": {"limits": {"cpu": 2}, "list": [3], "more": None}},
    })
    platform = platforms.a_deployed("dd", template, configuration)
    async with platform.running():
        values = values_of(platform, "dpu-1-dd-producer")
        values.pop("serviceDaemonSet")
        assert values == {"replicas": 1, "limits": {"cpu": 2, "memory": "1Gi"}, "list": [3], "more": None}


async def test_30_an_edit_that_does_not_disrupt_keeps_everything_in_place() -> None:
    platform = platforms.a_deployed(**FULL)
    async with platform.running():
        await platform.work()
        before = platform.one(DPUService, "dd-producer")
        identities = [obj.metadata.uid for kind in some.CHILDREN for obj in platform.host.objects(kind)]
        labels = platform.node_labels("dd-a")
        await platform.configure("producer", replicas=2)
        after = platform.one(DPUService, "dd-producer")
        assert after.metadata.annotations is not None
        assert after.metadata.annotations[VERSION] != (before.metadata.annotations or {})[VERSION]
        assert before.spec is not None
        assert after.spec is not None
        assert after.spec.serviceID == before.spec.serviceID
        assert after.spec.serviceDaemonSet == before.spec.serviceDaemonSet
        assert [obj.metadata.uid for kind in some.CHILDREN for obj in platform.host.objects(kind)] == identities
        assert platform.node_labels("dd-a") == labels
        assert not platform.follows_labels("dd-a")
        assert values_of(platform, "dpu-1-dd-producer")["replicas"] == 2
        await platform.work()
        assert platform.condition(ConditionType.READY).status == "True"


async def test_30_an_edit_of_the_template_counts_as_soon_as_its_chart_is_read() -> None:
    platform = platforms.a_deployed()
    async with platform.running():
        await platform.work()
        source = platform.one(DPUServiceTemplate, "producer").spec
        assert source is not None
        newer = {"repoURL": "https://charts.example.com", "version": "2.0.0", "chart": "producer"}
        platform.set_chart(some.a_template(helmChart={"source": newer}), {})
        await platform.edit(DPUServiceTemplate, "producer", {"helmChart": {"source": newer}})
        assert platform.names(DPUService) == ["dd-producer"]
        app = platform.one(Application, "dpu-1-dd-producer", "dpf-operator-system").spec.source
        assert app is not None
        assert app.targetRevision == "2.0.0"


async def test_30_only_the_order_of_keys_is_no_edit() -> None:
    platform = platforms.a_deployed()
    async with platform.running():
        await platform.configure("producer", a=1, b={"c": 1, "d": 2})
        await platform.work()
        before = len(platform.world.writes)
        values = {"serviceConfiguration": {"helmChart": {"values": {"b": {"d": 2, "c": 1}, "a": 1}}}}
        await platform.edit(DPUServiceConfiguration, "producer", values)
        assert len(platform.world.writes) == before + 1, "the edit itself"


async def test_39_a_service_is_made_after_what_it_depends_on_and_knows_its_name() -> None:
    platform = depending({"peer": "{{ .Services.producer.Name }}.{{ .Services.producer.Namespace }}"})
    async with platform.running():
        made = [write.key.name for write in platform.host.writes if (write.verb, write.kind) == ("apply", "DPUService")]
        assert made == ["dd-producer", "dd-consumer"]
        assert values_of(platform, "dpu-1-dd-consumer")["peer"] == "dd-producer.tenant"
        assert platform.summary(RECONCILED) == ("True", "Success", "")


async def test_39_a_later_revision_of_the_dependency_reaches_the_dependant() -> None:
    platform = depending({"peer": "{{ .Services.producer.Name }}"})
    async with platform.running():
        await platform.work()
        await platform.edit(DPUServiceConfiguration, "producer", {"nodeEffect": True})
        await platform.configure("producer", replicas=2)
        newer = platform.services("producer")[-1].metadata.name
        assert newer != "dd-producer"
        assert values_of(platform, "dpu-1-dd-consumer")["peer"] == newer
        await platform.work()
        assert platform.names(DPUService) == ["dd-consumer", newer]
        assert await platform.look_again() == []


async def test_39_other_delimiters() -> None:
    platform = depending({"peer": "[[ .Services.producer.Name ]] {{ kept }}"}, delimiter="[[,]]")
    async with platform.running():
        assert values_of(platform, "dpu-1-dd-consumer")["peer"] == "dd-producer {{ kept }}"


@pytest.mark.parametrize(("depends_on", "text"), [
    ({"producer": "other"}, "service producer depends on other which is not defined in the DPUDeployment"),
    ({"producer": "producer"}, "service producer cannot depend on itself"),
    ({"producer": "consumer", "consumer": "producer"},
     "failed to sort Service: consumer -> producer -> consumer is a cycle of dependencies"),
], ids=["missing", "itself", "cycle"])
async def test_39_dependencies_that_make_no_sense(depends_on: dict[str, str], text: str) -> None:
    platform = platforms.a_deployed(services=("producer", "consumer"))
    async with platform.running():
        await platform.work()
        expected = platform.end_state(*some.CHILDREN)
        wrong = {name: {"dependsOn": [{"name": other}]} for name, other in depends_on.items()}
        await platform.edit(DPUDeployment, "dd", {"services": wrong})
        assert platform.summary(RECONCILED) == ("False", "Error", f"Error occurred: {text}")
        assert platform.names(DPUService) == ["dd-consumer", "dd-producer"], "what works is left alone"
        right: dict[str, Any] = {name: {"dependsOn": None} for name in depends_on}
        await platform.edit(DPUDeployment, "dd", {"services": right})
        assert platform.end_state(*some.CHILDREN) == expected
        assert platform.condition(ConditionType.READY).status == "True"


async def test_39_an_unknown_name_is_an_error_and_its_correction_converges() -> None:
    platform = depending({"peer": "{{ .Services.other.Name }}"})
    async with platform.running():
        assert platform.summary(RECONCILED) == (
            "False", "Error",
            ("Error occurred: service consumer: failed to render the values of DPUServiceConfiguration tenant/consumer:"
             " {{ .Services.other.Name }}: service other is not listed in dependsOn"),
        )
        assert platform.names(DPUService) == ["dd-producer"]
        assert platform.names(DPUSet) == [], "nobody tells the nodes about half a deployment"
        await platform.configure("consumer", peer="{{ .Services.producer.Name }}")
        await platform.work()
        assert platform.condition(ConditionType.READY).status == "True"


async def test_race_7_rendered_values_and_interfaces_do_not_flap() -> None:
    """Race 7 of section 11: the digest is that of the rendered configuration, for services and interfaces alike."""
    platform = depending({"peer": "{{ .Services.producer.Name }}"})
    async with platform.running():
        await platform.edit(DPUServiceConfiguration, "consumer", {"interfaces": [{"name": "eth0", "network": "n"}]})
        await platform.work()
        interface = platform.one(DPUServiceInterface, "dd-consumer-eth0")
        service = platform.one(DPUService, "dd-consumer")
        assert (interface.metadata.annotations or {})[VERSION] == (service.metadata.annotations or {})[VERSION]
        for _ in range(3):
            assert await platform.look_again() == []
        # Written in another way, it is the same.
        await platform.configure("consumer", peer='{{ index .Services "producer" "Name" }}')
        assert platform.one(DPUService, "dd-consumer").metadata.resourceVersion == service.metadata.resourceVersion


def in_cluster(name: str = "dd", selector: dict[str, Any] | None = None) -> list[Any]:
    """A deployment with a service for host nodes, and what it names."""
    entry = {"nameSuffix": "workers", **({"dpuNodeSelector": selector} if selector else {})}
    deployment = some.a_deployment(name, services=("agent",), dpus={"dpuSets": [entry]})
    needed = [d for d in some.dependencies_of(deployment) if not isinstance(d, DPUServiceConfiguration)]
    configuration = some.a_configuration("agent", serviceConfiguration={"deployInCluster": True})
    return [deployment, *needed, configuration]


async def test_40_a_service_in_the_host_cluster() -> None:
    platform = platforms.a_platform(
        *in_cluster(selector={"matchLabels": {"rack": "a"}}), nodes.a_node("host-1"), nodes.a_node("host-2"),
        nodes.a_dpunode("worker-1", node="host-1"), nodes.a_dpunode("worker-2", node="host-2", rack="b"),
    )
    async with platform.running():
        assert platform.names(Application) == ["in-cluster-dd-agent"]
        key = nodes.key("dd", "agent")
        assert values_of(platform, "in-cluster-dd-agent")["serviceDaemonSet"]["nodeSelector"] == {
            "nodeSelectorTerms": [{"matchExpressions": [
                {"key": key, "operator": "In", "values": ["dd-agent"]},
                {"key": "rack", "operator": "In", "values": ["a"]},
            ]}]
        }
        labelled = {n.metadata.name: (n.metadata.labels or {}).get(key) for n in platform.host.objects(core.Node)}
        assert labelled == {"host-1": "dd-agent", "host-2": None}
        assert platform.node_labels() == {key.removeprefix("svc.dpu.nvidia.com/"): "dd-agent"}
        await platform.work()
        assert platform.condition(ConditionType.READY).status == "True"
        await platform.delete(DPUDeployment, "dd")
        await platform.work()
        assert platform.names(DPUDeployment) == []
        assert [n.metadata.labels for n in platform.host.objects(core.Node)] == [None, None]


async def test_race_10_all_that_a_dpuset_asks_of_a_node_has_to_hold() -> None:
    """Race 10 of section 11: the labels of one selector stand together, and expressions and dpuNodeSelector count."""
    expression = {"key": "zone", "operator": "NotIn", "values": ["dmz"]}
    sets = [
        {"nameSuffix": "one", "dpuNodeSelector": {
            "matchLabels": {"rack": "a", "tier": "1"}, "matchExpressions": [expression],
        }},
        {"nameSuffix": "two", "nodeSelector": {"matchLabels": {"rack": "b"}}},
    ]
    platform = platforms.a_platform(*in_cluster())
    async with platform.running():
        await platform.edit(DPUDeployment, "dd", {"dpus": {"dpuSets": sets}})
        terms = values_of(platform, "in-cluster-dd-agent")["serviceDaemonSet"]["nodeSelector"]["nodeSelectorTerms"]
        version = {"key": nodes.key("dd", "agent"), "operator": "In", "values": ["dd-agent"]}
        assert terms == [
            {"matchExpressions": [
                version, {"key": "rack", "operator": "In", "values": ["a"]},
                {"key": "tier", "operator": "In", "values": ["1"]}, expression,
            ]},
            {"matchExpressions": [version, {"key": "rack", "operator": "In", "values": ["b"]}]},
        ]


async def test_race_10_nodes_get_the_labels_of_their_own_deployment_only() -> None:
    """Race 10 of section 11: the node labeller looks at the services of the deployment that the node belongs to."""
    platform = platforms.a_platform(
        *in_cluster("one", {"matchLabels": {"rack": "a"}}), *in_cluster("two", {"matchLabels": {"rack": "b"}})[:1],
        nodes.a_node("host-1"), nodes.a_node("host-2"),
        nodes.a_dpunode("worker-1", node="host-1"), nodes.a_dpunode("worker-2", node="host-2", rack="b"),
    )
    async with platform.running():
        await platform.work()
        assert [n.metadata.labels for n in platform.host.objects(core.Node)] == [
            {nodes.key("one", "agent"): "one-agent"}, {nodes.key("two", "agent"): "two-agent"},
        ]


@pytest.mark.parametrize(("selectors", "expected"), [
    ([{"r": "a"}, {"r": "b"}], [("r", ["a", "b"])]), ([{"r": "b"}, {"r": "b"}], [("r", ["b"])]),
    ([{"r": "a"}, {}], None), ([{"r": "a"}, None], None),
    ([{"r": "a", "s": "x"}, {"r": "b"}], [("r", ["a", "b"])]), ([{"r": "a"}, {"s": "b"}], None),
], ids=["two values", "one value", "empty", "absent", "a key of one only", "nothing in common"])
async def test_42_children_go_to_the_clusters_of_all_dpusets(
    selectors: list[dict[str, str] | None], expected: list[tuple[str, list[str]]] | None,
) -> None:
    sets = [{"nameSuffix": f"s{number}", "dpuClusterSelector": wanted} for number, wanted in enumerate(selectors)]
    platform = platforms.a_deployed(
        serviceChains=[{"ports": [{"service": {"name": "producer", "interface": "eth0"}}]}], dpus={"dpuSets": sets}
    )
    async with platform.running():
        wanted = None if expected is None else [
            LabelSelectorRequirement(key=key, operator="In", values=values) for key, values in expected
        ]
        (service,) = platform.host.objects(DPUService)
        (interface,) = platform.host.objects(DPUServiceInterface)
        (chain,) = platform.host.objects(DPUServiceChain)
        for spec in (service.spec, interface.spec, chain.spec):
            selector = spec.dpuClusterSelector if spec is not None else None
            assert (selector.matchExpressions if selector is not None else None) == wanted
        for dpuset, given in zip(platform.host.objects(DPUSet), selectors, strict=True):
            assert dpuset.spec is not None
            cluster = dpuset.spec.dpuTemplate.spec.cluster
            assert cluster is not None
            assert (cluster.selector.matchLabels if cluster.selector else None) == (given or None)


async def come_up(platform: Platform) -> None:
    """A whole life: comes up, is edited in place, grows, shrinks."""
    async with platform.running():
        await platform.work()
        await platform.configure("producer", replicas=2, interfaces=("eth1",))
        await platform.edit(DPUDeployment, "dd", {"dpus": {"dpuSets": [{"nameSuffix": "a"}]}})
        await platform.work()


async def test_in_any_order_it_ends_the_same_and_then_rests() -> None:
    expected = platforms.a_deployed(**FULL)
    await come_up(expected)
    for seed in range(4):
        platform = platforms.a_deployed(**FULL)
        platform.choose = Random(seed).choice
        await come_up(platform)
        assert platform.end_state() == expected.end_state(), f"seed {seed}"
        async with platform.running():
            assert await platform.look_again() == [], f"seed {seed}"


async def test_killed_after_any_write_it_ends_the_same() -> None:
    tried = await platforms.kill_everywhere(
        lambda: platforms.a_deployed(**{**FULL, "services": ("producer",), "serviceChains": CHAIN_OF_ONE}), come_up
    )
    assert tried > 20
