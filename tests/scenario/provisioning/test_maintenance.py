"""Effects on hosts: put on, shared by the DPUs of a host, limited, taken off (behaviour-provisioning.md 6, 16)."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from tests.support import maintenances as some
from tests.support.crash import Crash, crash_at
from tests.support.maintenances import HOST, NAMESPACE
from tests.support.world import World

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig, DPFOperatorConfigSpec
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import ObjectMeta, object_key
from dpf.api.operatorprovisioning import ProvisioningController
from dpf.api.upkeep import Job, NodeMaintenance
from dpf.kube import errors
from dpf.provisioning.maintenance.admission import Admissions
from dpf.provisioning.maintenance.snapshot import Limits

TAINT = {"taint": {"key": "dpu", "effect": "NoSchedule", "value": "x"}}
LABEL = {"customLabel": {"dpu": "installing", "rack": "b"}}
HOLD = "provisioning.dpu.nvidia.com/wait-for-external-nodeeffect"
POD = "metadata: {labels: {a: b}}\nspec:\n  containers:\n  - {name: c, image: i, ports: [{containerPort: 80}]}\n"


async def test_no_effect_is_applied_and_the_host_is_left_alone() -> None:
    world = some.hosts()
    world.host.add(some.a_maintenance({"noEffect": True}))
    before = some.node(world)
    async with some.running(world):
        assert some.told(world) == ("True", "NodeEffectApplied", "The noEffect effect is on the host")
        assert some.node(world) == before


async def test_taint_is_put_on_once_and_taken_off_by_key() -> None:
    world = some.hosts()
    world.host.add(some.a_maintenance(TAINT))
    async with some.running(world) as manager:
        assert [(t.key, t.effect, t.value) for t in some.node(world).spec.taints or ()] == [("dpu", "NoSchedule", "x")]
        assert some.told(world) == ("True", "NodeEffectApplied", "The taint effect is on the host")
        await some.request(world, name=some.maintenance(world).metadata.name)
        await manager.settle()
        assert world.host.objects(DPUNodeMaintenance) == ()
        assert not some.node(world).spec.taints


async def test_who_joins_while_the_effect_is_about_to_go_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads that the effect is on the host, and relies on that from then on."""
    world = some.hosts()
    world.host.add(some.a_maintenance(TAINT))
    delete, name, joined = world.host.delete, some.maintenance(world).metadata.name, []

    async def join_first(kind: Any, *args: Any, **options: Any) -> None:
        if kind is DPUNodeMaintenance and not joined:
            joined.append("b")
            await some.request(world, "b", name=name)
        await delete(kind, *args, **options)

    async with some.running(world) as manager:
        monkeypatch.setattr(world.host, "delete", join_first)
        await some.request(world, name=name)
        await manager.settle()
        await some.pass_time(world, manager, 60)
        assert joined == ["b"]
        assert some.maintenance(world).metadata.deletionTimestamp is None
        assert [taint.key for taint in some.node(world).spec.taints or ()] == ["dpu"]
        await some.request(world, name=name)
        await manager.settle()
        assert not some.node(world).spec.taints


async def test_existing_taint_key_is_not_duplicated_and_removed_once() -> None:
    """16.41."""
    world = some.hosts()
    mine, other = core.Taint(key="dpu", effect="NoExecute"), core.Taint(key="other", effect="NoSchedule")
    world.host.add(some.a_node(taints=[mine, other]), some.a_maintenance(TAINT))
    async with some.running(world) as manager:
        assert some.node(world).spec.taints == [mine, other]
        await some.request(world, name=some.maintenance(world).metadata.name)
        await manager.settle()
        assert some.node(world).spec.taints == [other]


async def test_labels_are_put_on_and_taken_off() -> None:
    world = some.hosts()
    world.host.add(some.a_maintenance(LABEL))
    async with some.running(world) as manager:
        assert some.node(world).metadata.labels == LABEL["customLabel"]
        await some.request(world, name=some.maintenance(world).metadata.name)
        await manager.settle()
        assert not some.node(world).metadata.labels


async def test_drain_by_the_operator() -> None:
    """16.38: the selector is right, Ready is waited for, the object goes at the end."""
    world = some.hosts()
    world.host.add(some.the_operator(), some.a_maintenance({"drain": True}))
    async with some.running(world) as manager:
        (order,) = world.host.objects(NodeMaintenance)
        assert object_key(order) == some.key(HOST)
        assert order.spec.requestorID == "provisioning.dpu.nvidia.com"
        assert order.spec.drainSpec is not None
        assert order.spec.drainSpec.podSelector == "provisioning.dpu.nvidia.com/component!=hostagent"
        assert (order.spec.drainSpec.force, order.spec.drainSpec.deleteEmptyDir) == (True, True)
        message = f"Waiting for NodeMaintenance {NAMESPACE}/worker1 to be ready"
        assert some.told(world) == ("False", "NodeEffectIsProcessing", message)
        assert not some.node(world).spec.unschedulable
        await some.be_drained(world)
        await some.pass_time(world, manager, 10)
        assert some.told(world) == ("True", "NodeEffectApplied", "The drain effect is on the host")
        await some.request(world, name="worker1-k8sdrain")
        await some.pass_time(world, manager, 11)
        assert world.host.objects(NodeMaintenance) == world.host.objects(DPUNodeMaintenance) == ()


async def test_two_dpus_share_one_drain_until_the_last_one_leaves() -> None:
    """16.39: the second DPU joins while the others of the host are waited for."""
    world = some.hosts(dpus=2)
    world.host.add(some.the_operator(), some.a_maintenance({"drain": True}, "dpu-0"))
    async with some.running(world) as manager:
        message = "Waiting up to 30s for the other DPUs of DPUNode worker1"
        assert some.told(world) == ("False", "NodeEffectSyncInProgress", message)
        assert some.maintenance(world).status.nodeEffectSyncStartTime == "2026-01-01T00:00:00Z"
        await some.request(world, "dpu-0", "dpu-1", name="worker1-k8sdrain")
        await some.pass_time(world, manager, 29)
        assert world.host.objects(NodeMaintenance) == ()
        await some.pass_time(world, manager, 2)
        assert len(world.host.objects(NodeMaintenance)) == 1
        await some.be_drained(world)
        await some.pass_time(world, manager, 10)
        await some.request(world, "dpu-1", name="worker1-k8sdrain")
        await some.pass_time(world, manager, 60)
        assert some.told(world)[0] == "True"
        assert len(world.host.objects(NodeMaintenance)) == 1
        await some.request(world, name="worker1-k8sdrain")
        await some.pass_time(world, manager, 11)
        assert world.host.objects(NodeMaintenance) == world.host.objects(DPUNodeMaintenance) == ()


async def test_force_waits_for_no_other_dpu() -> None:
    world = some.hosts(dpus=2)
    world.host.add(some.a_maintenance(TAINT | {"force": True}))
    async with some.running(world):
        assert some.told(world)[0] == "True"


async def test_somebody_elses_node_maintenance_is_joined_and_left() -> None:
    world = some.hosts()
    world.host.add(some.the_operator(), some.a_maintenance({"drain": True}))
    world.host.add_raw(NodeMaintenance, {
        "metadata": {"name": HOST, "namespace": NAMESPACE},
        "spec": {"requestorID": "nic.example.com", "nodeName": HOST},
    })
    async with some.running(world) as manager:
        assert world.host.objects(NodeMaintenance)[0].spec.additionalRequestors == ["provisioning.dpu.nvidia.com"]
        await some.be_drained(world)
        await some.pass_time(world, manager, 10)
        assert some.told(world)[0] == "True"
        await some.request(world, name="worker1-k8sdrain")
        await some.pass_time(world, manager, 11)
        assert not world.host.objects(NodeMaintenance)[0].spec.additionalRequestors
        assert world.host.objects(DPUNodeMaintenance) == ()


async def test_own_drain_evicts_what_has_to_go_and_nothing_else() -> None:
    world = some.hosts()
    stays = (
        some.a_pod("daemon", owner="DaemonSet"), some.a_pod("static", mirror=True),
        some.a_pod("done", phase="Succeeded"), some.a_pod("elsewhere", node="other"),
        some.a_pod("agent", labels={"provisioning.dpu.nvidia.com/component": "hostagent"}),
    )
    daemons = core.DaemonSet(metadata=ObjectMeta(name="o", namespace="apps", uid="u"))
    goes = (some.a_pod("web"), some.a_pod("sick", ready=False))
    world.host.add(daemons, *stays, *goes, some.a_maintenance({"drain": True}))
    async with some.running(world) as manager:
        await finish_pods(world)
        await some.pass_time(world, manager, 6)
        assert {p.metadata.name for p in world.host.objects(core.Pod)} == {p.metadata.name for p in stays}
        assert some.node(world).spec.unschedulable is True
        assert some.told(world)[0] == "True"
        await some.request(world, name="worker1-k8sdrain")
        await manager.settle()
        assert not some.node(world).spec.unschedulable
        assert not some.node(world).metadata.annotations


async def test_node_that_somebody_else_cordoned_stays_cordoned() -> None:
    world = some.hosts()
    world.host.add(some.a_node(unschedulable=True), some.a_maintenance({"drain": True}))
    async with some.running(world) as manager:
        assert some.told(world)[0] == "True"
        await some.request(world, name="worker1-k8sdrain")
        await manager.settle()
        assert world.host.objects(DPUNodeMaintenance) == ()
        assert some.node(world).spec.unschedulable is True


async def test_pod_behind_a_budget_is_named_and_waited_for_without_a_write() -> None:
    world = some.hosts()
    world.host.add(some.a_pod("db-0", labels={"app": "db"}), some.a_budget(), some.a_maintenance({"drain": True}))
    async with some.running(world) as manager:
        assert some.told(world) == ("False", "NodeEffectIsProcessing", (
            "Draining Node worker1: PodDisruptionBudget apps/db-budget allows no eviction of pod apps/db-0 now. "
            "Next step: give the budget room, e.g. by more replicas"
        ))
        before = list(world.writes)
        await some.pass_time(world, manager, 60, step_s=5)
        assert world.writes == before
        world.host.add(some.a_budget(allowed=1))
        await some.pass_time(world, manager, 6)
        await finish_pods(world)
        await some.pass_time(world, manager, 6)
        assert some.told(world)[0] == "True"


async def test_eviction_that_the_server_refuses_is_explained_and_tried_again() -> None:
    """What was read of a budget may be out of date: the server has the last word."""
    world = some.hosts()
    world.host.add(some.a_pod("db-0"), some.a_maintenance({"drain": True}))
    refused = errors.TooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", status=429)
    world.host.fail_next(lambda r: r.full_verb == "create/eviction", refused)
    async with some.running(world) as manager:
        assert some.told(world)[2] == (
            "Draining Node worker1: waiting for pod apps/db-0 to end; "
            "apps/db-0: Cannot evict pod as it would violate the pod's disruption budget."
        )
        await some.pass_time(world, manager, 6)
        await finish_pods(world)
        await some.pass_time(world, manager, 6)
        assert some.told(world)[0] == "True"


async def test_hold_waits_on_true_passes_on_false_and_puts_the_key_back() -> None:
    """16.42."""
    world = some.hosts()
    world.host.add(some.a_maintenance({"hold": True}))
    async with some.running(world) as manager:
        assert (some.maintenance(world).metadata.annotations or {})[HOLD] == "true"
        assert some.told(world)[:2] == ("False", "NodeEffectIsProcessing")
        await annotate(world, None)
        await manager.settle()
        assert (some.maintenance(world).metadata.annotations or {})[HOLD] == "true"
        await annotate(world, "false")
        await manager.settle()
        assert some.told(world)[0] == "True"


async def test_hold_is_released_on_the_dpu_as_well() -> None:
    """resolutions.md row 25."""
    world = some.hosts()
    world.host.add(some.a_maintenance({"hold": True}), some.a_dpu())
    async with some.running(world) as manager:
        assert some.told(world)[0] == "False"
        world.host.add(some.a_dpu(annotations={HOLD: "false"}))
        await manager.settle()
        assert some.told(world)[0] == "True"


async def test_without_an_effect_a_host_outside_kubernetes_is_held() -> None:
    world = some.hosts()
    world.host.add(some.a_dpunode(node=None), some.a_maintenance(None, in_kubernetes=False))
    async with some.running(world):
        assert some.maintenance(world).metadata.name == "worker1-hold"
        assert (some.maintenance(world).metadata.annotations or {})[HOLD] == "true"


@pytest.mark.parametrize(("effect", "name"), [(TAINT, "taint"), (LABEL, "customLabel"), ({"drain": True}, "drain")])
async def test_effects_on_a_node_are_refused_for_a_host_that_is_none(effect: dict[str, object], name: str) -> None:
    world = some.hosts()
    world.host.add(some.a_dpunode(node=None), some.a_maintenance(effect))
    async with some.running(world):
        message = f"node effect ({name}) is not supported for non k8s environment"
        assert some.told(world) == ("False", "InvalidNodeEffect", message)


async def test_missing_dpunode_is_named_and_waited_for() -> None:
    world = some.hosts()
    await world.host.delete(DPUNode, HOST, NAMESPACE)
    world.host.add(some.a_maintenance(TAINT))
    async with some.running(world) as manager:
        assert some.told(world) == ("False", "Error", f"DPUNode {NAMESPACE}/worker1 does not exist")
        world.host.add(some.a_dpunode())
        await manager.settle()
        assert some.told(world)[0] == "True"


async def test_custom_action_runs_a_job_and_is_applied_when_that_is_complete() -> None:
    world = some.hosts()
    world.host.add(some.a_maintenance({"customAction": "act"}), config_map(POD))
    async with some.running(world) as manager:
        (job,) = world.host.objects(Job)
        assert job.metadata.name == "worker1-custom-action-act"
        assert job.spec is not None
        assert (job.spec["backoffLimit"], job.spec["activeDeadlineSeconds"]) == (0, 600)
        assert job.spec["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 80}]
        assert job.spec["template"]["spec"]["restartPolicy"] == "Never"
        await end_job(world, "Complete")
        await manager.settle()
        assert some.told(world)[0] == "True"
        await some.request(world, name=job.metadata.name)
        await manager.settle()
        assert world.host.objects(Job) == world.host.objects(DPUNodeMaintenance) == ()


async def test_failed_custom_action_is_visible_and_tried_again_when_the_job_is_deleted() -> None:
    """16.43."""
    world = some.hosts()
    world.host.add(some.a_maintenance({"customAction": "act"}), config_map(POD))
    async with some.running(world) as manager:
        await end_job(world, "Failed", "Job has reached the specified backoff limit")
        await manager.settle()
        assert some.told(world) == ("False", "NodeEffectError", (
            f"Job {NAMESPACE}/worker1-custom-action-act failed: Job has reached the specified backoff limit. "
            "Next step: correct its ConfigMap and delete the Job"
        ))
        await world.host.delete(Job, "worker1-custom-action-act", NAMESPACE)
        await manager.settle()
        assert len(world.host.objects(Job)) == 1
        assert some.told(world)[1] == "NodeEffectIsProcessing"


@pytest.mark.parametrize(("text", "why"), [
    (None, f"ConfigMap {NAMESPACE}/act with the pod to run does not exist"),
    ("spec: {}", f"ConfigMap {NAMESPACE}/act: spec.containers of the pod is missing"),
    ("a: ]", f"ConfigMap {NAMESPACE}/act: not valid YAML (line 1)"),
    ("a: &x 1\nb: *x", f"ConfigMap {NAMESPACE}/act: YAML aliases are not supported"),
])
async def test_useless_custom_action_is_explained(text: str | None, why: str) -> None:
    world = some.hosts()
    world.host.add(some.a_maintenance({"customAction": "act"}), *([config_map(text)] if text is not None else []))
    async with some.running(world) as manager:
        assert some.told(world)[2] == why
        world.host.add(config_map(POD))
        await some.pass_time(world, manager, 10)
        assert len(world.host.objects(Job)) == 1


async def test_one_of_three_hosts_at_a_time_and_force_jumps() -> None:
    """16.40."""
    world = some.hosts("worker1", "worker2", "worker3")
    world.host.add(*(some.a_maintenance(TAINT, dpunode=name) for name in ("worker1", "worker2", "worker3")))
    async with some.running(world, maximum=1) as manager:
        assert some.applied(world) == {"worker1"}
        message = (
            "MaxUnavailableExceeded: at most 1 DPUNodes may be out of service at a time; "
            "waiting for one of them to come back"
        )
        second, third = (some.a_maintenance(TAINT, dpunode=n).metadata.name for n in ("worker2", "worker3"))
        assert some.told(world, name=second) == some.told(world, name=third) == ("False", "Pending", message)
        assert events(world) == [(second, message), (third, message)]
        effect = {"nodeEffect": {"force": True}}
        await world.host.patch(DPUNodeMaintenance, third, NAMESPACE, patch={"spec": effect})
        await manager.settle()
        assert some.applied(world) == {"worker1", "worker3"}
        await some.request(world, name=third)
        await manager.settle()
        assert some.applied(world) == {"worker1"}
        await some.request(world, name=some.a_maintenance(TAINT).metadata.name)
        await manager.settle()
        assert some.applied(world) == {"worker2"}


async def test_places_that_become_free_together_are_taken_together() -> None:
    hosts = [f"worker{n}" for n in range(1, 7)]
    world = some.hosts(*hosts)
    world.host.add(*(some.a_maintenance(TAINT, dpunode=name) for name in hosts))
    async with some.running(world, maximum=3) as manager:
        assert some.applied(world) == {"worker1", "worker2", "worker3"}
        for name in some.applied(world):
            await some.request(world, name=some.a_maintenance(TAINT, dpunode=name).metadata.name)
        await manager.settle()
        assert some.applied(world) == {"worker4", "worker5", "worker6"}


async def test_hosts_that_are_not_ready_take_places() -> None:
    world = some.hosts("worker1", "worker2")
    world.host.add(some.a_dpunode("worker2", node="worker2", ready=False), some.a_maintenance(TAINT))
    async with some.running(world, maximum=1) as manager:
        assert some.told(world)[1] == "Pending"
        world.host.add(some.a_dpunode("worker2", node="worker2", ready=True))
        await manager.settle()
        assert some.told(world)[0] == "True"


async def test_limits_are_those_of_the_operator_config() -> None:
    world = some.hosts("worker1", "worker2")
    controller = ProvisioningController(maxUnavailableDPUNodes=1, multiDPUOperationsSyncWaitTime="1m30s")
    world.host.add(
        DPFOperatorConfig(
            metadata=ObjectMeta(name="dpf", namespace=NAMESPACE),
            spec=DPFOperatorConfigSpec(provisioningController=controller),
        ),
        *(some.a_maintenance(TAINT, dpunode=name) for name in ("worker1", "worker2")),
    )
    async with some.running(world):
        assert some.applied(world) == {"worker1"}
        status = some.maintenance(world, some.a_maintenance(TAINT).metadata.name).status
        assert (status.maxUnavailableDPUNodes, status.multiDPUOperationsSyncWaitTime) == (1, "1m30s")


@pytest.mark.parametrize("seed", range(8))
async def test_never_more_hosts_than_allowed_in_any_order(seed: int) -> None:
    """After every single write: hosts that may have a taint, and hosts that do."""
    hosts = [f"worker{n}" for n in range(1, 8)]
    world = some.hosts(*hosts)
    world.host.add(*(some.a_maintenance(TAINT, dpunode=name) for name in hosts))
    most = 0

    def look(_: object) -> None:
        nonlocal most
        most = max(most, sum(bool(n.spec.taints) for n in world.host.objects(core.Node)))

    world.host.after_write = look
    rng = Random(seed)
    done: set[str] = set()
    for _ in range(2):  # the second life begins in the middle
        async with some.running(world, maximum=2, settle=False) as manager:
            while len(done) < (4 if not done else 7):
                await manager.settle(rng.choice)
                name = rng.choice(sorted(some.applied(world)))
                done.add(name)
                await some.request(world, name=some.a_maintenance(TAINT, dpunode=name).metadata.name)
    assert most == 2


async def test_places_given_side_by_side_are_never_too_many() -> None:
    """Four workers over a cache that shows none of what they have decided."""
    world = some.hosts(*(f"worker{n}" for n in range(1, 11)))
    asking = [some.a_maintenance(TAINT, dpunode=f"worker{n}") for n in range(1, 11)]
    world.host.add(*asking)
    async with some.running(world, settle=False):
        admissions = Admissions(world.registry)
        seen = world.host.objects(DPUNodeMaintenance)
        answers = await asyncio.gather(*(admissions.is_full(m, Limits(max_unavailable=3)) for m in seen))
        assert answers.count(False) == 3
        assert not await admissions.is_full(seen[answers.index(False)], Limits(max_unavailable=3))


async def test_deletion_by_hand_waits_while_a_dpu_relies_on_the_effect() -> None:
    world = some.hosts()
    world.host.add(some.a_maintenance(TAINT), some.a_dpu())
    async with some.running(world) as manager:
        name = some.maintenance(world).metadata.name
        world.host.add(some.a_dpu(phase="OS Installing"))
        await world.host.delete(DPUNodeMaintenance, name, NAMESPACE)
        await manager.settle()
        assert some.node(world).spec.taints
        assert some.told(world, "NodeEffectRemoved") == (
            "False", "AwaitingDeletion",
            "The effect on DPUNode worker1 is still needed by DPU dpu-0 (OS Installing)",
        )
        world.host.add(some.a_dpu(phase="Error"))
        await manager.settle()
        assert not some.node(world).spec.taints
        assert world.host.objects(DPUNodeMaintenance) == ()


@pytest.mark.parametrize("gone", [core.Node, DPUNode])
async def test_what_has_gone_meanwhile_does_not_hold_up_the_removal(gone: type[core.Node] | type[DPUNode]) -> None:
    world = some.hosts()
    world.host.add(some.a_maintenance({"drain": True}))
    async with some.running(world) as manager:
        await world.host.delete(gone, HOST, None if gone is core.Node else NAMESPACE)
        await some.request(world, name="worker1-k8sdrain")
        await manager.settle()
        assert world.host.objects(DPUNodeMaintenance) == ()
        assert [n.spec.unschedulable for n in world.host.objects(core.Node)] in ([], [None])


async def test_settled_maintenance_causes_no_write_and_no_request() -> None:
    world = some.hosts()
    world.host.add(some.the_operator(), some.a_maintenance({"drain": True}))
    async with some.running(world) as manager:
        await some.be_drained(world)
        await some.pass_time(world, manager, 10)
        before, asked = list(world.writes), len(world.host.requests)
        for controller in manager.controllers:
            controller.enqueue_all()
        await some.pass_time(world, manager, 120, step_s=10)
        assert world.writes == before
        assert [r for r in world.host.requests[asked:] if r.verb not in ("version", "watch")] == []


@pytest.mark.parametrize("effect", [
    TAINT, LABEL, {"drain": True}, {"customAction": "act"}, {"hold": True}, {"noEffect": True},
], ids=lambda e: next(iter(e)))
@pytest.mark.parametrize("operator", [False, True])
async def test_a_kill_after_any_write_ends_the_same(effect: dict[str, object], operator: bool) -> None:
    async def live(world: World) -> None:
        async with some.running(world) as manager:
            for _ in range(3):
                await finish(world)
                await some.pass_time(world, manager, 11, step_s=5.5)
            if world.host.objects(DPUNodeMaintenance):
                assert some.told(world)[0] == "True"
                await some.request(world, name=some.maintenance(world).metadata.name)
            await some.pass_time(world, manager, 22, step_s=5.5)

    def make() -> World:
        world = some.hosts()
        world.host.add(some.a_maintenance(effect), config_map(POD), some.a_pod("web"))
        if operator:
            world.host.add(some.the_operator())
        return world

    kinds = (core.Node, core.Pod, Job, NodeMaintenance, DPUNodeMaintenance)
    undisturbed = make()
    await live(undisturbed)
    assert undisturbed.host.objects(DPUNodeMaintenance) == undisturbed.host.objects(NodeMaintenance) == ()
    killed = 0
    for n in range(1, len(undisturbed.writes) + 1):
        world = make()
        countdown = crash_at(n, world.host)
        try:
            await live(world)
        except Crash:
            await live(world)
        killed += countdown.crashed
        assert world.state(*kinds) == undisturbed.state(*kinds), f"killed after write {n}: {undisturbed.writes[n - 1]}"
    assert killed >= len(undisturbed.writes) - 1  # one may have met a newer object


async def finish(world: World) -> None:
    """Everybody else does what is waited for."""
    await finish_pods(world)
    for order in world.host.objects(NodeMaintenance):
        await some.be_drained(world, order.metadata.name)
    if world.host.objects(Job):
        await end_job(world, "Complete")
    for maintenance in world.host.objects(DPUNodeMaintenance):
        if (maintenance.metadata.annotations or {}).get(HOLD) == "true":
            await annotate(world, "false")


async def finish_pods(world: World) -> None:
    """The kubelet ends what is to be deleted."""
    for pod in world.host.objects(core.Pod):
        if pod.metadata.deletionTimestamp is not None:
            await world.host.delete(core.Pod, pod.metadata.name, pod.metadata.namespace, grace_period_s=0)


async def annotate(world: World, value: str | None) -> None:
    """Somebody sets or removes the annotation of a hold."""
    patch = {"metadata": {"annotations": {HOLD: value}}}
    await world.host.patch(DPUNodeMaintenance, some.maintenance(world).metadata.name, NAMESPACE, patch=patch)


async def end_job(world: World, type_: str, message: str = "") -> None:
    """The Job controller says how the Job ended."""
    (job,) = world.host.objects(Job)
    condition = {"type": type_, "status": "True", "message": message}
    patch = {"status": {"conditions": [condition]}}
    await world.host.patch(Job, job.metadata.name, NAMESPACE, patch=patch, subresource="status")


def config_map(text: str) -> core.ConfigMap:
    """The action of these tests."""
    return core.ConfigMap(metadata=ObjectMeta(name="act", namespace=NAMESPACE), data={"pod.yaml": text})


def events(world: World) -> list[tuple[str | None, str | None]]:
    """Whom the warnings about the limit are about, and what they say."""
    found = [e for e in world.host.objects(core.Event) if e.reason == "MaxUnavailableExceeded"]
    return sorted((e.involvedObject.name, e.message) for e in found)
