"""DPUDeployments among people's hands, failing servers and dead clusters: what is meant comes back, and then rests."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tests.support import deploymentplatform as platforms
from tests.support import dpudeployments as some
from tests.support import dpuservices
from tests.support.crash import Crash
from tests.support.deploymentplatform import Platform

from dpf.api.argocd import Application
from dpf.api.bfb import BFB
from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object
from dpf.kube import errors
from dpf.kube.memory import MemoryCluster, Request

OWNED = "svc.dpu.nvidia.com/owned-by-dpudeployment"
CHAIN = [{"ports": [{"service": {"name": "producer", "interface": "eth0"}}]}]
PLAIN: dict[type[Object], str] = {
    DPUService: "dd-producer", DPUServiceInterface: "dd-producer-eth0", DPUServiceChain: "dd", DPUSet: "dd-workers",
}


def a_platform(*others: Any, **spec: Any) -> Platform:
    """A deployment with a child of every kind."""
    return platforms.a_deployed("dd", *others, **{"serviceChains": CHAIN, **spec})


async def patch(platform: Platform, kind: type[Object], name: str, patch: dict[str, Any]) -> None:
    """Somebody writes, and everybody reacts."""
    await platform.host.patch(kind, name, some.TENANT, patch=patch)
    await platform.settle()


NODES = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "mine", "operator": "Exists"}]}]}
HANDS: list[tuple[type[Object], dict[str, Any]]] = [
    (DPUService, {"helmChart": {"source": {"version": "9.9.9"}}}),
    (DPUService, {"helmChart": {"values": {"added": {"by": "hand"}}}}),
    (DPUService, {"serviceID": "other"}),
    (DPUService, {"interfaces": []}),
    (DPUService, {"interfaces": ["dd-producer-eth0", "other"]}),
    (DPUService, {"serviceDaemonSet": {"nodeSelector": NODES}}),
    (DPUService, {"serviceDaemonSet": {"nodeSelector": None}}),
    (DPUService, {"serviceDaemonSet": {"labels": {"added": "by-hand"}}}),
    (DPUService, {"serviceDaemonSet": {"resources": {"cpu": 1}}}),
    (DPUService, {"paused": True}),
    (DPUService, {"deployInCluster": True}),
    (DPUService, {"dpuClusterSelector": {"matchLabels": {"a": "b"}}}),
    (DPUService, {"security": {"privileged": False}}),
    (DPUServiceInterface, {"template": {"spec": {"nodeSelector": {"matchLabels": {"added": "by-hand"}}}}}),
    (DPUServiceInterface, {"template": {"spec": {"nodeSelector": None}}}),
    (DPUServiceInterface, {"template": {"spec": {"template": {"spec": {"service": {"network": "other"}}}}}}),
    (DPUServiceInterface, {"template": {"spec": {"template": {"metadata": {"labels": {
        "svc.dpu.nvidia.com/service": "other",
    }}}}}}),
    (DPUServiceChain, {"template": {"spec": {"template": {"spec": {"switches": []}}}}}),
    (DPUServiceChain, {"template": {"spec": {"nodeSelector": None}}}),
    (DPUServiceChain, {"dpuClusterSelector": {"matchLabels": {"a": "b"}}}),
    (DPUSet, {"dpuTemplate": {"spec": {"cluster": {"nodeLabels": {
        "svc.dpu.nvidia.com/dpuservice-producer-version": "other",
    }}}}}),
    (DPUSet, {"dpuTemplate": {"spec": {"cluster": {"nodeLabels": {"added": "by-hand"}}}}}),
    (DPUSet, {"dpuTemplate": {"spec": {"cluster": {"nodeLabels": None}}}}),
    (DPUSet, {"dpuTemplate": {"spec": {"nodeEffect": {"applyOnLabelChange": True}}}}),
    (DPUSet, {"dpuTemplate": {"spec": {"nodeEffect": None}}}),
    (DPUSet, {"dpuTemplate": {"spec": {"bfb": {"name": "other"}}}}),
    (DPUSet, {"strategy": {"type": "OnDelete"}}),
    (DPUSet, {"dpuNodeSelector": {"matchLabels": {"added": "by-hand"}}}),
]


@pytest.mark.parametrize(("kind", "change"), HANDS, ids=lambda value: getattr(value, "__name__", None))
async def test_children_that_were_edited_by_hand_are_put_right(kind: type[Object], change: dict[str, Any]) -> None:
    platform = a_platform()
    async with platform.running():
        await platform.work()
        expected = platform.end_state()
        before = platform.one(kind, PLAIN[kind])
        await patch(platform, kind, PLAIN[kind], {"spec": change})
        await platform.work()
        after = platform.one(kind, PLAIN[kind])
        assert after.metadata.uid == before.metadata.uid
        assert (after.metadata.generation or 0) >= (before.metadata.generation or 0) + 2, "there was something to do"
        assert platform.end_state() == expected
        assert await platform.look_again() == []


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("fields", [
    ("labels",), ("annotations",), ("ownerReferences",), ("finalizers",), ("labels", "annotations"),
    ("annotations", "ownerReferences"),
], ids=" and ".join)
async def test_marks_that_were_stripped_by_hand_come_back(kind: type[Object], fields: tuple[str, ...]) -> None:
    platform = a_platform()
    async with platform.running():
        await platform.work()
        expected = platform.end_state()
        await patch(platform, kind, PLAIN[kind], {"metadata": dict.fromkeys(fields)})
        await platform.work()
        assert platform.end_state() == expected
        assert await platform.look_again() == []


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.__name__)
async def test_a_child_with_no_mark_left_is_somebody_elses(kind: type[Object]) -> None:
    platform = a_platform()
    async with platform.running():
        await platform.work()
        await patch(platform, kind, PLAIN[kind], {"metadata": {"labels": None, "ownerReferences": None}})
        await platform.work()
        assert len(platform.names(kind)) == 2
        assert platform.one(kind, PLAIN[kind]).metadata.labels is None
        if kind is DPUService:
            # The stray one still has the interface, and says so.
            (service,) = platform.services("producer")
            told = next(c.message for c in service.status.conditions or () if c.type == "DPUServiceInterfaceReconciled")
            assert told.endswith("dpuServiceInterface dd-producer-eth0 is in use by another DPUService")
            await platform.delete(DPUService, "dd-producer")
            await platform.work()
        assert platform.condition(ConditionType.READY).status == "True"
        assert await platform.look_again() == []


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.__name__)
async def test_children_that_were_deleted_by_hand_are_made_again(kind: type[Object]) -> None:
    platform = a_platform()
    async with platform.running():
        await platform.work()
        before = platform.one(kind, PLAIN[kind])
        await platform.delete(kind, PLAIN[kind])
        await platform.work()
        (name,) = platform.names(kind)
        assert platform.one(kind, name).metadata.uid != before.metadata.uid
        assert platform.condition(ConditionType.READY).status == "True"
        # All others know the new one.
        (service,) = platform.host.objects(DPUService)
        (interface,) = platform.host.objects(DPUServiceInterface)
        assert service.spec is not None
        assert service.spec.interfaces == [interface.metadata.name]
        assert service.metadata.uid in [ref.uid for ref in interface.metadata.ownerReferences or ()]
        assert platform.node_labels() == {
            "dpuservice-producer-version": service.metadata.name,
            "dpuservicechain-version": platform.names(DPUServiceChain)[0],
        }
        assert await platform.look_again() == []


async def test_an_old_revision_that_was_woken_by_hand_sleeps_again() -> None:
    platform = a_platform(some.a_configuration(interfaces=("eth0",), nodeEffect=True))
    async with platform.running():
        await platform.work()
        await platform.configure("producer", replicas=2)
        await patch(platform, DPUService, "dd-producer", {"spec": {"paused": False}})
        old = platform.one(DPUService, "dd-producer")
        assert old.spec is not None
        assert old.spec.paused
        await platform.work()
        assert len(platform.names(DPUService)) == 1


async def test_two_revisions_of_one_service_that_were_made_to_look_the_same() -> None:
    platform = a_platform(some.a_configuration(interfaces=("eth0",), nodeEffect=True))
    async with platform.running():
        await platform.work()
        await platform.configure("producer", replicas=2)
        (new,) = set(platform.names(DPUService)) - {"dd-producer"}
        annotations = platform.one(DPUService, new).metadata.annotations
        await patch(platform, DPUService, "dd-producer", {"metadata": {"annotations": annotations}})
        await platform.work()
        assert len(platform.names(DPUService)) == len(platform.names(DPUServiceInterface)) == 1
        assert platform.condition(ConditionType.READY).status == "True"
        assert await platform.look_again() == []


BAD: list[tuple[type[Object], str, dict[str, Any], dict[str, Any], ConditionType, str]] = [
    (DPUDeployment, "dd", {"dpus": {"bfb": "missing"}}, {"dpus": {"bfb": "bfb"}}, ConditionType.PREREQUISITES_READY,
     ("error while getting the DPUDeployment dependencies: error while getting provisioning.dpu.nvidia.com/v1alpha1,"
      ' Kind=BFB tenant/missing: bfbs.provisioning.dpu.nvidia.com "missing" not found')),
    (DPUDeployment, "dd", {"dpus": {"flavor": "missing"}}, {"dpus": {"flavor": "flavor"}},
     ConditionType.PREREQUISITES_READY,
     ("error while getting the DPUDeployment dependencies: error while getting provisioning.dpu.nvidia.com/v1alpha1,"
      ' Kind=DPUFlavor tenant/missing: dpuflavors.provisioning.dpu.nvidia.com "missing" not found')),
    (DPUServiceConfiguration, "producer", {"deploymentServiceName": "other"}, {"deploymentServiceName": "producer"},
     ConditionType.PREREQUISITES_READY,
     ("error while getting the DPUDeployment dependencies: service in DPUServiceConfiguration tenant/producer doesn't"
      " match requested service in DPUDeployment")),
    (DPUServiceTemplate, "producer", {"resourceRequirements": {"cpu": 9}}, {"resourceRequirements": None},
     ConditionType.RESOURCE_FITTING_READY,
     ("there are not enough resources for DPUServices to fit in this DPUDeployment:  Additional resources needed:"
      " [cpu: 1]")),
    (DPUServiceConfiguration, "producer",
     {"interfaces": [{"name": "eth0", "network": "mynad"}, {"name": "eth0", "network": "mynad"}]},
     {"interfaces": [{"name": "eth0", "network": "mynad"}]}, ConditionType.DPU_SERVICES_RECONCILED,
     "DPUServiceConfiguration tenant/producer lists the interface eth0 twice"),
    (DPUDeployment, "dd", {"dpus": {"dpuSets": [{"nameSuffix": "workers", "dpuSelector": {"pciAddr": "a b"}}]}},
     {"dpus": {"dpuSets": [{"nameSuffix": "workers"}]}}, ConditionType.DPU_SETS_RECONCILED,
     ("dpuSet workers: dpuSelector pciAddr: 'a b' cannot be the value of a label; select the DPUs by labels that"
      " DPUDevices carry")),
    (DPUDeployment, "dd", {"dpus": {"nodeEffect": {"drain": True, "hold": True}}}, {"dpus": {"nodeEffect": None}},
     ConditionType.DPU_SETS_RECONCILED,
     ("exactly one of taint, noEffect=true, drain=true, non-empty customLabel, non-empty customAction, hold=true must"
      " be set")),
]


@pytest.mark.parametrize(("kind", "name", "bad", "good", "type_", "text"), BAD, ids=[
    "bfb", "flavor", "other service", "too big", "interface twice", "selector", "node effect",
])
async def test_a_bad_configuration_costs_nothing_and_its_revert_converges(
    kind: type[Object], name: str, bad: dict[str, Any], good: dict[str, Any], type_: ConditionType, text: str,
) -> None:
    platform = a_platform(some.a_flavor(dpuResources={"cpu": 10}, systemReservedResources={"cpu": 2}))
    async with platform.running():
        await platform.work()
        expected = platform.end_state(*some.CHILDREN)
        await platform.edit(kind, name, bad)
        assert platform.condition(type_).message == f"Error occurred: {text}"
        assert platform.condition(type_).status == platform.condition(ConditionType.READY).status == "False"
        await platform.wait(3600)
        await platform.deliver()
        assert platform.end_state(*some.CHILDREN) == expected, "what works goes on working"
        await platform.edit(kind, name, good)
        await platform.work()
        assert platform.end_state(*some.CHILDREN) == expected
        assert platform.condition(ConditionType.READY).status == "True"
        assert await platform.look_again() == []


async def test_several_things_that_are_wrong_are_told_together() -> None:
    platform = platforms.a_platform(some.a_deployment())
    async with platform.running():
        parts = [
            ("provisioning", "BFB", "bfb", "bfbs"), ("provisioning", "DPUFlavor", "flavor", "dpuflavors"),
            ("svc", "DPUServiceTemplate", "producer", "dpuservicetemplates"),
            ("svc", "DPUServiceConfiguration", "producer", "dpuserviceconfigurations"),
        ]
        texts = [
            f"error while getting {group}.dpu.nvidia.com/v1alpha1, Kind={kind} tenant/{name}:"
            f' {plural}.{group}.dpu.nvidia.com "{name}" not found' for group, kind, name, plural in parts
        ]
        assert platform.summary(ConditionType.PREREQUISITES_READY) == (
            "False", "Pending",
            f"Error occurred: error while getting the DPUDeployment dependencies: [{', '.join(texts)}]",
        )


async def test_an_edit_that_the_server_refuses_costs_the_running_revision_nothing() -> None:
    platform = a_platform(some.a_configuration(interfaces=("eth0",), nodeEffect=True), revisionHistoryLimit=1)
    async with platform.running():
        await platform.work()
        refusal = errors.Invalid("spec.helmChart.values: too long", status=422)
        platform.host.fail_next(lambda r: r.verb == "apply" and r.kind == "DPUService", refusal, times=100)
        await platform.configure("producer", replicas=2)
        await platform.wait(3600)
        status, reason, message = platform.summary(ConditionType.DPU_SERVICES_RECONCILED)
        assert (status, reason) == ("False", "Error")
        assert "spec.helmChart.values: too long" in message
        assert platform.names(DPUService) == ["dd-producer"]
        assert platform.node_labels()["dpuservice-producer-version"] == "dd-producer"
        service = platform.one(DPUService, "dd-producer")
        assert service.metadata.deletionTimestamp is None
        # The edit is taken back.
        await patch(platform, DPUServiceConfiguration, "producer", {"spec": {"serviceConfiguration": None}})
        await platform.work()
        assert platform.names(DPUService) == ["dd-producer"]
        assert platform.condition(ConditionType.READY).status == "True"


@pytest.mark.parametrize("verb", ["apply", "patch", "patch/status", "delete"])
async def test_a_server_that_fails_now_and_then_delays_but_changes_nothing(verb: str) -> None:
    async def story(platform: Platform) -> None:
        await platform.work()
        await platform.configure("producer", replicas=2)
        for _ in range(4):
            await platform.work()
            await platform.wait(600)

    expected = a_platform(some.a_configuration(interfaces=("eth0",), nodeEffect=True))
    async with expected.running():
        await story(expected)
    platform = a_platform(some.a_configuration(interfaces=("eth0",), nodeEffect=True))
    asked = 0

    def fail_every_second(request: Request) -> None:
        nonlocal asked
        if request.full_verb == verb and platform.at_work is not None and request.kind != "Event":
            asked += 1
            if asked % 2 == 1:
                raise errors.ServerError("overloaded", status=500)

    platform.host.on_request = fail_every_second
    async with platform.running():
        await platform.wait(60)
        await story(platform)
        assert asked > 1
        assert platform.end_state() == expected.end_state()
        platform.host.on_request = None
        assert await platform.look_again() == []


class Outage:
    """A cluster that answers nothing and breaks its connections, until it is over."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._over = False
        cluster.fail_next(lambda _: not self._over, errors.Unreachable("connection refused"), times=100_000)
        cluster.end_watches(errors.Unreachable("connection reset"))

    def end(self) -> None:
        self._over = True


async def test_race_14_a_dead_dpu_cluster_beside_two_healthy_ones() -> None:
    """Race 14 of section 11: the healthy clusters get an update, the dead one catches up alone, deletion goes on."""
    deployment = some.a_deployment()
    platform = platforms.a_platform(
        deployment, *some.dependencies_of(deployment), clusters=("dpu-1", "dpu-2", "dpu-3")
    )
    async with platform.running():
        await platform.work()
        outage = Outage(platform.world.dpus[Key(dpuservices.CLUSTERS, "dpu-2")])
        await platform.world.clock.run_for(30)
        await platform.configure("producer", replicas=2)
        await platform.deliver()

        def replicas(cluster: str) -> int | None:
            source = platform.one(Application, f"{cluster}-dd-producer", "dpf-operator-system").spec.source
            assert source is not None
            assert source.helm is not None
            return (source.helm.valuesObject or {}).get("replicas")

        assert [replicas(f"dpu-{n}") for n in (1, 2, 3)] == [2, None, 2]
        assert platform.summary(ConditionType.DPU_SERVICES_READY) == (
            "False", "Pending", "Objects are not ready:\n* tenant/dd-producer"
        )
        assert platform.summary(ConditionType.DPU_SERVICES_RECONCILED) == ("True", "Success", "")
        elsewhere = [len(cluster.writes) for key, cluster in platform.world.dpus.items() if key.name != "dpu-2"]
        outage.end()
        await platform.world.clock.run_for(60)
        await platform.settle()
        await platform.work()
        assert replicas("dpu-2") == 2
        assert platform.condition(ConditionType.READY).status == "True"
        assert elsewhere == [
            len(cluster.writes) for key, cluster in platform.world.dpus.items() if key.name != "dpu-2"
        ]


async def test_race_14_with_a_dead_dpu_cluster_the_deployment_can_still_be_deleted() -> None:
    """Race 14 of section 11: what Argo CD has removed in the dead cluster's name is not waited for."""
    deployment = some.a_deployment()
    platform = platforms.a_platform(deployment, *some.dependencies_of(deployment), clusters=("dpu-1", "dpu-2"))
    async with platform.running():
        await platform.work()
        Outage(platform.world.dpus[Key(dpuservices.CLUSTERS, "dpu-2")])
        await platform.world.clock.run_for(60)
        await platform.settle()
        await platform.delete(DPUDeployment, "dd")
        await platform.work()
        await platform.wait(120)
        assert platform.left() == []


async def test_two_deployments_that_share_everything_but_their_names() -> None:
    first, second = some.a_deployment("one", serviceChains=CHAIN), some.a_deployment("two", serviceChains=CHAIN)
    platform = platforms.a_platform(first, second, *some.dependencies_of(first))
    shared: list[tuple[type[Object], str]] = [(BFB, "bfb"), (DPUFlavor, "flavor"), (DPUServiceTemplate, "producer"),
              (DPUServiceConfiguration, "producer")]
    async with platform.running():
        await platform.work()
        await platform.configure("producer", replicas=2)
        revisions = {
            (s.metadata.annotations or {})["svc.dpu.nvidia.com/dpuservice-version"]
            for s in platform.host.objects(DPUService)
        }
        assert len(revisions) == 1, "both follow"
        expected = platform.end_state(*some.CHILDREN)
        for kind, name in shared:
            assert len(some.marks(platform.one(kind, name))[1]) == 2
            await platform.delete(kind, name)
            assert platform.names(kind) == [name], "it is in use"
        await platform.work()
        assert platform.end_state(*some.CHILDREN) == expected
        await platform.delete(DPUDeployment, "one")
        await platform.work()
        for kind, name in shared:
            protected, labels = some.marks(platform.one(kind, name))
            assert protected
            assert len(labels) == 1
        assert platform.end_state(*some.CHILDREN) == {
            name: tree for name, tree in expected.items() if "/two" in name
        }
        await platform.delete(DPUDeployment, "two")
        await platform.work()
        assert [platform.names(kind) for kind, _ in shared] == [[]] * 4


async def test_a_dependency_of_another_deployment_that_is_edited_is_no_business_of_ours() -> None:
    first = some.a_deployment("one")
    second = some.a_deployment("two", services=("consumer",))
    needed = {(type(d), d.metadata.name): d for dd in (first, second) for d in some.dependencies_of(dd)}
    platform = platforms.a_platform(first, second, *needed.values())
    async with platform.running():
        await platform.work()
        before = platform.end_state(*some.CHILDREN)
        await platform.configure("consumer", replicas=2)
        await platform.work()
        after = platform.end_state(*some.CHILDREN)
        assert {name for name in before if before[name] != after[name]} == {
            "host: DPUService tenant/two-consumer", "host: DPUServiceInterface tenant/two-consumer-eth0",
        }


async def test_chart_repositories_that_fail_touch_only_those_who_need_them() -> None:
    first, second = some.a_deployment("one"), some.a_deployment("two", services=("consumer",))
    needed = {(type(d), d.metadata.name): d for dd in (first, second) for d in some.dependencies_of(dd)}
    platform = platforms.a_platform(first, second, *needed.values())
    source = {"repoURL": "https://charts.example.com", "version": "2.0.0", "chart": "producer"}
    newer = some.a_template(helmChart={"source": source})
    platform.set_chart(newer, platforms.DOWN)
    async with platform.running():
        await platform.work()
        await platform.edit(DPUServiceTemplate, "producer", {"helmChart": {"source": source}})
        assert platform.condition(ConditionType.PREREQUISITES_READY, "one").status == "False"
        assert platform.condition(ConditionType.READY, "two").status == "True"
        await platform.configure("consumer", replicas=2)
        await platform.work()
        assert platform.condition(ConditionType.READY, "two").status == "True"
        # It can be deleted while the repository is down.
        await platform.delete(DPUDeployment, "one")
        await platform.work()
        assert platform.names(DPUDeployment) == ["two"]


async def edit_values(platform: Platform, random: Random) -> None:
    await platform.configure(random.choice(SERVICES), replicas=random.randint(1, 3))


async def edit_policy(platform: Platform, random: Random) -> None:
    await platform.edit(DPUServiceConfiguration, random.choice(SERVICES), {"nodeEffect": random.random() < 0.7})


async def edit_interfaces(platform: Platform, random: Random) -> None:
    wanted = random.choice([("eth0",), ("eth0", "eth1"), ("eth0", "app_sf")])
    await platform.configure(random.choice(SERVICES), interfaces=wanted)


async def edit_chain(platform: Platform, random: Random) -> None:
    chains = random.choice([CHAIN, None, {"switches": CHAIN, "upgradePolicy": {"applyNodeEffect": True}}, [*CHAIN] * 2])
    await platform.edit(DPUDeployment, "dd", {"serviceChains": chains})


async def edit_dpusets(platform: Platform, random: Random) -> None:
    entries = [{"nameSuffix": suffix} for suffix in random.choice(["a", "b", "ab", "abc"])]
    await platform.edit(DPUDeployment, "dd", {"dpus": {"dpuSets": entries}})


async def drop_or_add(platform: Platform, random: Random) -> None:
    spec = platform.one(DPUDeployment, "dd").spec
    assert spec is not None
    is_there = "consumer" in spec.services
    references = None if is_there else {"serviceTemplate": "consumer", "serviceConfiguration": "consumer"}
    await platform.edit(DPUDeployment, "dd", {"services": {"consumer": references}})


async def deliver(platform: Platform, random: Random) -> None:
    await platform.deliver()


async def provision(platform: Platform, random: Random) -> None:
    await platform.provision(random.choice(platform.names(DPUSet) or [""]))


async def delete_a_child(platform: Platform, random: Random) -> None:
    kind = random.choice(some.CHILDREN)
    for name in random.sample(platform.names(kind), min(1, len(platform.names(kind)))):
        await platform.delete(kind, name)


async def strip_a_child(platform: Platform, random: Random) -> None:
    kind = random.choice(some.CHILDREN)
    field = random.choice(["labels", "annotations", "ownerReferences"])
    for name in random.sample(platform.names(kind), min(1, len(platform.names(kind)))):
        await patch(platform, kind, name, {"metadata": {field: None}})


async def pause_or_wake(platform: Platform, random: Random) -> None:
    for name in random.sample(platform.names(DPUService), min(1, len(platform.names(DPUService)))):
        await patch(platform, DPUService, name, {"spec": {"paused": random.random() < 0.5}})


SERVICES = ("producer", "consumer")
DEEDS = (
    edit_values, edit_values, edit_values, edit_policy, edit_interfaces, edit_chain, edit_dpusets, drop_or_add, deliver,
    provision, provision, delete_a_child, strip_a_child, pause_or_wake,
)


async def live_at_random(platform: Platform, random: Random) -> list[str]:
    """One life of the process, with deeds of users, hands, Argo CD and DPUs; what was done. A kill may end it."""
    done: list[str] = []
    if random.random() < 0.7:
        platforms.Kill(platform, random.randint(1, 8))
    try:
        async with platform.running():
            for _ in range(random.randint(1, 8)):
                platform.world.clock.advance(random.choice([0.0, 1.0, 40.0]))
                deed = random.choice(DEEDS)
                done.append(deed.__name__)
                await deed(platform, random)
    except Crash:
        done.append("killed")
    platform.at_work = platform.host.after_write = None
    return done


@pytest.mark.parametrize("seed", range(10))
async def test_a_life_at_random_ends_well(seed: int) -> None:
    """Edits, hands, kills and delays in any order: in the end one revision of everything, and rest."""
    random = Random(seed)
    platform = platforms.a_deployed(
        "dd", *(some.a_configuration(name, interfaces=("eth0",), nodeEffect=True) for name in SERVICES),
        services=SERVICES, serviceChains=CHAIN, revisionHistoryLimit=random.choice([1, 2, 3, 10]),
    )
    platform.choose = random.choice
    done = [deed for _ in range(3) for deed in await live_at_random(platform, random)]
    async with platform.running():
        for _ in range(2):
            await platform.work()
            await platform.wait(120)
        spec = platform.one(DPUDeployment, "dd").spec
        assert spec is not None
        wanted = [platform.one(DPUServiceConfiguration, service).spec for service in spec.services]
        assert platform.condition(ConditionType.READY).status == "True", done
        assert len(platform.names(DPUService)) == len(spec.services), done
        assert len(platform.names(DPUServiceInterface)) == sum(len(w.interfaces or ()) for w in wanted if w), done
        assert len(platform.names(DPUServiceChain)) == (spec.serviceChains is not None), done
        assert not any(platform.follows_labels(name) for name in platform.names(DPUSet)), done
        assert await platform.look_again() == [], done
        await platform.delete(DPUDeployment, "dd")
        await platform.work()
        assert platform.left() == [], done
