"""Revisions of a DPUDeployment's services follow each other, with and without disruption (scenarios 31-36, 41)."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tests.support import deploymentplatform as platforms
from tests.support import dpudeployments as some
from tests.support.deploymentplatform import Platform, interfaces_of

from dpf.api.argocd import Application
from dpf.api.bfb import BFB
from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.kube import errors
from dpf.services.dpudeployment import revisions

CHAIN = [{"ports": [{"service": {"name": "producer", "interface": "eth0"}}]}]
LABEL = "dpuservice-producer-version"
POLICIES: list[dict[str, Any]] = [{"nodeEffect": True}, {"upgradePolicy": {"applyNodeEffect": True}}]


def a_platform(*others: Any, **spec: Any) -> Platform:
    """A producer that updates disruptively, in a chain."""
    configuration = some.a_configuration(interfaces=("eth0",), nodeEffect=True)
    return platforms.a_deployed("dd", configuration, *others, **{"serviceChains": CHAIN, **spec})


def paused(platform: Platform) -> dict[str, bool]:
    """DPUServices of the producer, oldest first: is it paused?"""
    return {s.metadata.name: bool(s.spec and s.spec.paused) for s in platform.services("producer")}


def newest(platform: Platform) -> str:
    return platform.services("producer")[-1].metadata.name


def requestors(platform: Platform, dpuset: str = "dd-workers") -> list[str]:
    spec = platform.one(DPUSet, dpuset).spec
    assert spec is not None
    assert spec.dpuTemplate.spec.nodeEffect is not None
    return spec.dpuTemplate.spec.nodeEffect.nodeMaintenanceAdditionalRequestors or []


async def change(platform: Platform, replicas: int) -> None:
    """An edit of the producer, a second after the one before."""
    platform.world.clock.advance(1.0)
    await platform.configure("producer", replicas=replicas)


@pytest.mark.parametrize("policy", POLICIES, ids=["seed", "2026"])
async def test_31_a_disruptive_edit_goes_node_by_node(policy: dict[str, Any]) -> None:
    platform = platforms.a_deployed("dd", some.a_configuration(interfaces=("eth0",), **policy), serviceChains=CHAIN)
    async with platform.running():
        await platform.work()
        await change(platform, 2)
        new = newest(platform)
        assert paused(platform) == {"dd-producer": True, new: False}
        assert new.startswith("dd-producer-")
        assert len(new) == len("dd-producer-") + 5
        (chain,) = set(platform.names(DPUServiceChain)) - {"dd"}
        assert platform.node_labels() == {LABEL: new, "dpuservicechain-version": chain}
        assert requestors(platform) == [f"tenant_dd_{chain}", f"tenant_dd_{new}"]
        assert platform.follows_labels()
        await platform.deliver()
        assert set(paused(platform)) == {"dd-producer", new}, "no DPU has the new labels yet"
        await platform.provision()
        assert platform.one(DPUService, "dd-producer").metadata.deletionTimestamp is not None
        assert paused(platform) == {"dd-producer": False, new: False}, "woken, or it could not go"
        assert platform.names(DPUServiceChain) == [chain]
        assert not platform.follows_labels()
        await platform.work()
        assert platform.names(DPUService) == [new]
        assert platform.names(Application) == [f"dpu-1-{new}"]
        assert platform.condition(ConditionType.READY).status == "True"
        assert await platform.look_again() == []


async def test_31_the_new_revision_has_an_id_of_its_own_on_nodes_where_both_run() -> None:
    platform = a_platform()
    async with platform.running():
        await platform.work()
        await change(platform, 2)
        new = platform.one(DPUService, newest(platform))
        digest = (new.metadata.annotations or {})["svc.dpu.nvidia.com/dpuservice-version"]
        ids = [s.spec.serviceID for s in platform.services("producer") if s.spec is not None]
        assert ids == ["dpudeployment_dd_producer", f"dpudeployment_dd_producer_{digest}"]
        assert sorted(id_ for _, id_ in interfaces_of(platform).values()) == sorted(map(str, ids))


async def test_31_while_it_lasts_it_is_looked_at_every_half_minute() -> None:
    platform = a_platform()
    async with platform.running():
        await platform.work()
        await change(platform, 2)
        queue = next(c.queue for c in platform.manager.controllers if c.reconciler.name == "dpudeployment")
        assert 0 < (queue.next_due_s() or 0) <= 30
        await platform.work()
        assert (queue.next_due_s() or 0) > 300


async def test_31_a_new_disruptive_service_reaches_running_nodes_under_the_node_effect() -> None:
    platform = platforms.a_deployed()
    consumer = some.a_configuration("consumer", nodeEffect=True)
    template = some.a_template("consumer")
    platform.set_chart(template, {})
    async with platform.running():
        await platform.work()
        await platform.apply(platforms.unsaid(template), consumer)
        second = {"consumer": {"serviceTemplate": "consumer", "serviceConfiguration": "consumer"}}
        await platform.edit(DPUDeployment, "dd", {"services": second})
        assert platform.node_labels()["dpuservice-consumer-version"] == "dd-consumer"
        assert platform.follows_labels()
        await platform.work()
        assert not platform.follows_labels()
        assert platform.condition(ConditionType.READY).status == "True"


async def test_race_8_a_dpuset_that_is_ready_with_old_labels_keeps_the_old_revision() -> None:
    """Race 8 of section 11 (and scenario 32): every DPUSet has to carry the new label before old revisions go.

    The DPUSet cannot be written for a while, so it stays Ready with the labels of the old revision.
    """
    platform = a_platform()
    async with platform.running():
        await platform.work()
        refusal = errors.ServerError("overloaded", status=500)
        platform.host.fail_next(lambda r: r.verb == "apply" and r.kind == "DPUSet", refusal, times=6)
        await change(platform, 2)
        await platform.deliver()
        assert platform.node_labels()[LABEL] == "dd-producer"
        assert revisions.is_ready(platform.one(DPUSet, "dd-workers"))
        assert revisions.is_ready(platform.one(DPUService, newest(platform)))
        assert list(paused(platform).values()) == [True, False]
        assert platform.one(DPUService, "dd-producer").metadata.deletionTimestamp is None
        await platform.wait(600)
        await platform.work()
        assert list(paused(platform)) == [newest(platform)] == [platform.node_labels()[LABEL]]


async def test_race_8_one_dpuset_of_two_is_not_enough() -> None:
    """Race 8 of section 11: the old revision stays until the last DPUSet is Ready with the new label."""
    platform = a_platform(dpus={"dpuSets": [{"nameSuffix": "a"}, {"nameSuffix": "b"}]})
    async with platform.running():
        await platform.work()
        await change(platform, 2)
        await platform.deliver()
        await platform.provision("dd-a")
        await platform.wait(120)
        assert platform.one(DPUService, "dd-producer").metadata.deletionTimestamp is None
        await platform.provision("dd-b")
        assert platform.one(DPUService, "dd-producer").metadata.deletionTimestamp is not None


async def test_race_8_the_status_of_a_template_must_be_about_its_present_source() -> None:
    """Race 8 of section 11: while the chart of an edited template is not read, nothing is made from the template."""
    platform = a_platform()
    source = {"repoURL": "https://charts.example.com", "version": "2.0.0", "chart": "producer"}
    newer = some.a_template(helmChart={"source": source})
    platform.set_chart(newer, platforms.DOWN)
    async with platform.running():
        await platform.work()
        await platform.edit(DPUServiceTemplate, "producer", {"helmChart": {"source": source}})
        await platform.wait(120)
        assert paused(platform) == {"dd-producer": False}
        assert platform.summary(ConditionType.PREREQUISITES_READY) == (
            "False", "Pending", ("Error occurred: error while getting the DPUDeployment dependencies:"
                                 " DPUServiceTemplate tenant/producer is not ready yet"),
        )
        platform.set_chart(newer, {})
        await platform.wait(600)
        assert len(paused(platform)) == 2


@pytest.mark.parametrize(("limit", "left"), [(10, 4), (3, 3), (2, 2)])
async def test_33_of_many_quick_edits_only_the_youngest_stay(limit: int, left: int) -> None:
    platform = a_platform(revisionHistoryLimit=limit)
    async with platform.running():
        await platform.work()
        for edit in (2, 3, 4):
            await change(platform, edit)
            await platform.deliver()
        assert list(paused(platform).values()) == [True] * (left - 1) + [False]
        for kind in (DPUServiceInterface, DPUServiceChain):
            assert len(platform.names(kind)) == left
        ids = {service_id for _, service_id in interfaces_of(platform).values()}
        assert ids == {s.spec.serviceID for s in platform.services("producer") if s.spec is not None}
        await platform.work()
        assert len(paused(platform)) == 1
        assert await platform.look_again() == []


async def test_race_14_with_a_limit_of_one_the_old_revision_goes_at_once() -> None:
    """Race 14 of section 11: a limit of one means downtime, as documented; but never before the new one exists."""
    platform = a_platform(revisionHistoryLimit=1)
    async with platform.running():
        await platform.work()
        platform.host.fail_next(
            lambda r: r.verb == "apply" and r.kind == "DPUService", errors.Invalid("no", status=422), times=1
        )
        await change(platform, 2)
        assert paused(platform) == {"dd-producer": False}, "what could not be made costs nothing that works"
        await platform.wait(60)
        old, new = platform.services("producer")
        assert old.metadata.deletionTimestamp is not None
        assert new.metadata.deletionTimestamp is None
        await platform.work()
        assert platform.names(DPUService) == [new.metadata.name]
        assert platform.condition(ConditionType.READY).status == "True"


@pytest.mark.parametrize("policy", [*POLICIES, {"nodeEffect": False}, {"upgradePolicy": {"applyNodeEffect": False}}])
async def test_34_an_edit_of_the_policy_alone_does_nothing(policy: dict[str, Any]) -> None:
    platform = platforms.a_deployed(serviceChains=CHAIN)
    async with platform.running():
        await platform.work()
        before = len(platform.world.writes)
        await platform.edit(DPUServiceConfiguration, "producer", policy)
        assert len(platform.world.writes) == before + 1, "the edit itself"


async def test_35_the_interface_of_a_paused_revision_stays_when_it_is_renamed() -> None:
    platform = a_platform(serviceChains=None)
    async with platform.running():
        await platform.work()
        await platform.configure("producer", interfaces=("eth1",))
        old, new = platform.services("producer")
        assert old.spec is not None
        assert new.spec is not None
        assert (old.spec.interfaces, new.spec.interfaces) == (["dd-producer-eth0"], ["dd-producer-eth1"])
        assert {name: interface for name, (interface, _) in interfaces_of(platform).items()} == {
            "dd-producer-eth0": "eth0", "dd-producer-eth1": "eth1",
        }
        owners = platform.one(DPUServiceInterface, "dd-producer-eth0").metadata.ownerReferences or []
        assert [(ref.name, ref.controller) for ref in sorted(owners, key=lambda ref: ref.name)] == [
            ("dd", True), ("dd-producer", False),
        ]
        await platform.work()
        assert list(interfaces_of(platform)) == ["dd-producer-eth1"]


async def test_36_a_service_that_is_dropped_leaves_nothing() -> None:
    platform = platforms.a_deployed(services=("producer", "consumer"))
    async with platform.running():
        await platform.work()
        await platform.edit(DPUDeployment, "dd", {"services": {"consumer": None}})
        assert platform.node_labels() == {LABEL: "dd-producer"}
        assert requestors(platform) == ["tenant_dd_dd-producer"]
        await platform.work()
        assert platform.names(DPUService) == ["dd-producer"]
        assert platform.names(DPUServiceInterface) == ["dd-producer-eth0"]
        assert platform.names(Application) == ["dpu-1-dd-producer"]
        assert some.marks(platform.one(DPUServiceTemplate, "consumer")) == (False, [])


async def test_36_dropped_in_the_middle_of_its_upgrade_all_revisions_go() -> None:
    platform = a_platform(services=("producer", "consumer"), serviceChains=None)
    async with platform.running():
        await platform.work()
        await change(platform, 2)
        await platform.edit(DPUDeployment, "dd", {"services": {"producer": None}})
        await platform.work()
        assert platform.names(DPUService) == ["dd-consumer"]
        assert platform.names(DPUServiceInterface) == ["dd-consumer-eth0"]
        assert not platform.follows_labels()


async def test_36_a_service_that_comes_back_gets_its_plain_name_again() -> None:
    platform = platforms.a_deployed(services=("producer", "consumer"))
    async with platform.running():
        await platform.work()
        expected = platform.end_state(*some.CHILDREN)
        references = {"serviceTemplate": "consumer", "serviceConfiguration": "consumer"}
        await platform.edit(DPUDeployment, "dd", {"services": {"consumer": None}})
        await platform.work()
        await platform.edit(DPUDeployment, "dd", {"services": {"consumer": references}})
        await platform.work()
        assert platform.end_state(*some.CHILDREN) == expected


async def test_race_6_services_and_interfaces_whose_names_run_into_each_other() -> None:
    """Race 6 of section 11: which child is which is read from labels, for names can be cut in several ways.

    Interface `b-x` of service `a` and interface `x` of service `a-b` would both be `dd-a-b-x`.
    """
    configurations = [
        some.a_configuration("a", interfaces=("b-x",), nodeEffect=True), some.a_configuration("a-b", interfaces=("x",)),
    ]
    platform = platforms.a_deployed("dd", *configurations, services=("a", "a-b"))
    async with platform.running():
        await platform.work()
        found = interfaces_of(platform)
        assert sorted(found.values()) == [("b-x", "dpudeployment_dd_a"), ("x", "dpudeployment_dd_a-b")]
        (mine,) = [name for name, (_, service_id) in found.items() if service_id == "dpudeployment_dd_a-b"]
        before = platform.one(DPUServiceInterface, mine)
        await platform.configure("a", replicas=2)
        assert len(interfaces_of(platform)) == 3
        await platform.work()
        (new,) = platform.services("a")
        assert new.spec is not None
        found = interfaces_of(platform)
        assert {name: found[name][0] for name in new.spec.interfaces or ()} == {(new.spec.interfaces or [""])[0]: "b-x"}
        assert len(found) == 2
        after = platform.one(DPUServiceInterface, mine)
        assert (after.metadata.uid, after.spec) == (before.metadata.uid, before.spec)
        assert await platform.look_again() == []


@pytest.mark.parametrize("there", [False, True], ids=["to the host", "to the DPUs"])
async def test_race_9_moving_between_clusters_in_place_selects_nodes_by_the_same_name(there: bool) -> None:
    """Race 9 of section 11: toggling deployInCluster without disruption makes a full selector, not an empty one."""
    configuration = some.a_configuration(serviceConfiguration={"deployInCluster": there})
    platform = platforms.a_deployed("dd", configuration, dpus={"dpuSets": [
        {"nameSuffix": "workers", "dpuNodeSelector": {"matchLabels": {"rack": "a"}}},
    ]})
    async with platform.running():
        await platform.work()
        uid = platform.one(DPUService, "dd-producer").metadata.uid
        moved = {"serviceConfiguration": {"deployInCluster": not there}}
        await platform.edit(DPUServiceConfiguration, "producer", moved)
        service = platform.one(DPUService, "dd-producer")
        assert service.metadata.uid == uid
        assert service.spec is not None
        assert bool(service.spec.deployInCluster) is not there
        assert service.spec.serviceDaemonSet is not None
        assert service.spec.serviceDaemonSet.nodeSelector is not None
        (term,) = service.spec.serviceDaemonSet.nodeSelector.nodeSelectorTerms
        version, other = term.matchExpressions or []
        assert version.values == ["dd-producer"]
        prefix = "svc.dpu.nvidia.com/"
        assert other.key == (f"{prefix}owned-by-dpudeployment" if there else "rack")
        assert platform.node_labels() == {version.key.removeprefix(prefix): "dd-producer"}
        await platform.work()
        assert platform.names(Application) == ["dpu-1-dd-producer" if there else "in-cluster-dd-producer"]
        assert await platform.look_again() == []


async def test_race_15_deleted_in_the_middle_of_an_upgrade_nothing_hangs() -> None:
    """Race 15 of section 11: paused revisions are woken, so that Argo CD and their finalizers can finish."""
    platform = a_platform()
    async with platform.running():
        await platform.work()
        await change(platform, 2)
        await change(platform, 3)
        assert list(paused(platform).values()) == [True, True, False]
        await platform.delete(DPUDeployment, "dd")
        assert list(paused(platform).values()) == [False, False, False]
        assert platform.names(DPUSet) == ["dd-workers"], "the DPUs are needed until the rest is gone"
        await platform.work()
        assert platform.left() == []
        assert some.marks(platform.one(BFB, "bfb")) == (False, [])


async def test_the_policy_is_taken_back_in_the_middle() -> None:
    platform = a_platform()
    async with platform.running():
        await platform.work()
        await change(platform, 2)
        middle = newest(platform)
        await platform.edit(DPUServiceConfiguration, "producer", {"nodeEffect": False})
        await change(platform, 3)
        assert paused(platform) == {"dd-producer": True, middle: False}, "the youngest is changed in place"
        await platform.work()
        assert paused(platform) == {middle: False}
        assert platform.node_labels()[LABEL] == middle
        assert not platform.follows_labels()
        assert await platform.look_again() == []


async def test_a_new_bfb_in_the_middle_of_an_upgrade() -> None:
    platform = a_platform(some.a_bfb("newer"))
    async with platform.running():
        await platform.work()
        await change(platform, 2)
        await platform.edit(DPUDeployment, "dd", {"dpus": {"bfb": "newer"}})
        assert some.marks(platform.one(BFB, "newer"))[0]
        assert some.marks(platform.one(BFB, "bfb")) == (False, [])
        assert platform.follows_labels()
        await platform.work()
        assert len(paused(platform)) == 1
        assert not platform.follows_labels()


async def upgrade(platform: Platform) -> None:
    """A whole life: two disruptive edits."""
    platform.may_die = False
    async with platform.running():
        await platform.work()
        platform.may_die = True
        await change(platform, 2)
        await change(platform, 3)
        await platform.work()


async def remove(platform: Platform) -> None:
    """A whole life: deleted in the middle of an upgrade."""
    platform.may_die = False
    async with platform.running():
        if any(d.metadata.deletionTimestamp is None for d in platform.host.objects(DPUDeployment)):
            await platform.work()
            await change(platform, 2)
            platform.may_die = True
            await platform.delete(DPUDeployment, "dd")
        await platform.work()


async def test_in_any_order_an_upgrade_ends_the_same_and_then_rests() -> None:
    expected = a_platform()
    await upgrade(expected)
    for seed in range(4):
        platform = a_platform()
        platform.choose = Random(seed).choice
        await upgrade(platform)
        assert platform.end_state() == expected.end_state(), f"seed {seed}"
        async with platform.running():
            assert await platform.look_again() == [], f"seed {seed}"


async def test_in_any_order_a_deletion_leaves_nothing() -> None:
    for seed in range(4):
        platform = a_platform()
        platform.choose = Random(seed).choice
        await remove(platform)
        assert platform.left() == [], f"seed {seed}"
        async with platform.running():
            assert await platform.look_again() == [], f"seed {seed}"


async def test_killed_after_any_write_an_upgrade_ends_the_same() -> None:
    assert await platforms.kill_everywhere(a_platform, upgrade) > 20


async def test_killed_after_any_write_a_deletion_leaves_nothing() -> None:
    assert await platforms.kill_everywhere(a_platform, remove) > 8
