"""Hosts are rebooted by somebody outside, or by a script (behaviour-provisioning.md 7, 16.45 and 16.46)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support import maintenances as some
from tests.support.crash import Crash, crash_at
from tests.support.lagging import LaggingCluster
from tests.support.maintenances import HOST, NAMESPACE
from tests.support.world import World, a_world

from dpf.api import core
from dpf.api.dpu import DPU, DPUSpec, DPUStatus, RebootStatus
from dpf.api.dpunode import DPUNode, DPUNodeSpec, DPURef, NodeRebootMethod, RebootScript
from dpf.api.meta import ObjectMeta
from dpf.api.upkeep import Job
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.dpunode.controller import DPUNodeController
from dpf.runtime.manager import Manager

REQUIRED = "provisioning.dpu.nvidia.com/dpunode-external-reboot-required"
EXTERNAL = NodeRebootMethod(external={})
SCRIPT = NodeRebootMethod(script=RebootScript(name="reboot"))
POD = (
    "spec:\n  containers:\n  - name: c\n    image: i\n"
    "    env: [{name: DPUNODE_NAME, value: x}, {name: A, value: '1'}]\n"
)


def a_dpu(name: str, phase: str = "Rebooting", *, method: str | None = "SystemReboot", told: str | None = None) -> DPU:
    """A DPU of the host; in phase Rebooting it says by which method."""
    reboot = RebootStatus(phase=told, method=method) if phase == "Rebooting" else None
    return DPU(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE),
        spec=DPUSpec(dpuNodeName=HOST, dpuDeviceName=f"d-{name}", serialNumber=name, bfb="b", dpuFlavor="f"),
        status=DPUStatus(phase=phase, rebootStatus=reboot),
    )


def a_stage(method: NodeRebootMethod, *dpus: DPU, script: str | None = POD) -> World:
    """A host that is rebooted by `method`, and its DPUs."""
    world = a_world()
    node = core.Node(metadata=ObjectMeta(name=HOST, labels={"rack": "a"}, annotations={"bmc": "b"}))
    refs = [DPURef(name=f"d-{dpu.metadata.name}") for dpu in dpus]
    spec = DPUNodeSpec(dpus=refs, nodeRebootMethod=method)
    world.host.add(node, DPUNode(metadata=ObjectMeta(name=HOST, namespace=NAMESPACE), spec=spec), *dpus)
    if script is not None:
        source = core.ConfigMap(metadata=ObjectMeta(name="reboot", namespace=NAMESPACE), data={"pod-template": script})
        world.host.add(source)
    return world


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Manager]:
    """One life of the process."""
    async with world.controllers(lambda w: [DPUNodeController(clusters=w.registry, clock=w.clock)]) as manager:
        await manager.settle()
        yield manager


def dpunode(world: World) -> DPUNode:
    (found,) = world.host.objects(DPUNode)
    return found


def told(world: World) -> tuple[str, str, str]:
    (found,) = [c for c in dpunode(world).status.conditions or () if c.type == "DPUNodeRebootInProgress"]
    return found.status, found.reason, found.message


def reboots(world: World) -> dict[str, tuple[str | None, str | None]]:
    """Phase and reason by DPU."""
    statuses = {d.metadata.name: d.status.rebootStatus for d in world.host.objects(DPU)}
    return {name: (status.phase, status.reason) for name, status in statuses.items() if status is not None}


def is_required(world: World) -> bool:
    return (dpunode(world).metadata.annotations or {}).get(REQUIRED) == "true"


async def be_rebooted(world: World) -> None:
    """Somebody has rebooted the host."""
    patch = {"metadata": {"annotations": {REQUIRED: None}}}
    await world.host.patch(DPUNode, HOST, NAMESPACE, patch=patch)


async def end_job(world: World, type_: str) -> None:
    """The Job controller says how the Job ended."""
    patch: dict[str, Any] = {"status": {"conditions": [{"type": type_, "status": "True"}]}}
    await world.host.patch(Job, f"{HOST}-script-job", NAMESPACE, patch=patch, subresource="status")


async def test_external_reboot_annotation_before_status_and_removal_completes() -> None:
    """16.45."""
    world = a_stage(EXTERNAL, a_dpu("a"), a_dpu("b", method="PowerCycle"))
    async with running(world) as manager:
        writes = [w for w in world.writes if "DPUNode" not in w or "patch DPUNode" in w]
        assert writes[-3:] == [
            f"host: patch DPUNode {NAMESPACE}/{HOST}", f"host: patch/status DPU {NAMESPACE}/a",
            f"host: patch/status DPU {NAMESPACE}/b",
        ]
        message = "required reboot method: PowerCycle (driven by DPU b)"
        assert told(world) == ("True", "WaitForExternalReboot", message)
        assert is_required(world)
        assert set(reboots(world).values()) == {("Pending", "WaitingForManualPowerCycleOrReboot")}
        assert (dpunode(world).status.rebootInProgress, dpunode(world).status.rebootMethod) == (True, "PowerCycle")
        await be_rebooted(world)
        await manager.settle()
        assert {phase for phase, _ in reboots(world).values()} == {"Succeeded"}
        assert told(world)[0] == "True", "the DPUs are still in their phase"
        for name in ("a", "b"):
            world.host.add(a_dpu(name, "Host Network Configuration"))
        await manager.settle()
        assert told(world)[0] == "False"
        assert dpunode(world).status.rebootInProgress is False


async def test_a_watch_of_hosts_that_lags_is_not_taken_for_somebody_who_has_rebooted_one() -> None:
    """The DPU is known to have been told before the annotation on its host is seen."""
    world = a_stage(EXTERNAL, a_dpu("a", "DPU Config"))
    slow = LaggingCluster(now=world.clock.now)
    slow.add(*world.host.objects(core.Node), *world.host.objects(DPUNode), *world.host.objects(DPU))
    world.host = slow
    async with running(world) as manager:
        slow.hold_up(DPUNode)
        slow.add(a_dpu("a"))
        await manager.settle()
        await some.pass_time(world, manager, 60)
        assert is_required(world)
        assert reboots(world) == {"a": ("Pending", "WaitingForManualPowerCycleOrReboot")}
        await be_rebooted(world)
        await slow.let_through(DPUNode)
        await manager.settle()
        assert reboots(world) == {"a": ("Succeeded", "RebootSucceeded")}


class _Quick(MemoryCluster):
    """Before a DPU is told that somebody was asked, the host is rebooted, and somebody else writes to the DPU."""

    def __init__(self, change: dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self._change: dict[str, Any] | None = change

    async def patch(self, kind: Any, name: str, namespace: str | None = None, **options: Any) -> Any:
        change = self._change
        if change is not None and kind is DPU:
            self._change = None
            await super().patch(DPU, name, namespace, patch={"status": change}, subresource="status")
            await super().patch(DPUNode, HOST, NAMESPACE, patch={"metadata": {"annotations": {REQUIRED: None}}})
        return await super().patch(kind, name, namespace, **options)


@pytest.mark.parametrize(("change", "expected"), [
    ({"agentStatus": {"rebootSequenceCount": 1}}, ("Succeeded", "RebootSucceeded")), ({"phase": "Error"}, (None, None)),
], ids=["something else", "it waits no longer"])
async def test_a_reboot_that_came_at_once_is_not_asked_for_again_because_others_write_to_the_dpu(
    change: dict[str, Any], expected: tuple[str | None, str | None]
) -> None:
    world = a_stage(EXTERNAL, a_dpu("a"))
    quick = _Quick(change, now=world.clock.now)
    quick.add(*world.host.objects(core.Node), *world.host.objects(DPUNode), *world.host.objects(DPU))
    world.host = quick
    async with running(world):
        assert (reboots(world), is_required(world)) == ({"a": expected}, False)


async def test_sibling_that_is_being_installed_is_waited_for() -> None:
    world = a_stage(EXTERNAL, a_dpu("a"), a_dpu("b", "OS Installing"))
    async with running(world) as manager:
        assert not is_required(world)
        assert told(world)[2] == (
            "required reboot method: SystemReboot (driven by DPU a); "
            "Waiting for DPU b (OS Installing) before the host is rebooted"
        )
        world.host.add(a_dpu("b"))
        await manager.settle()
        assert is_required(world)


async def test_request_that_nobody_needs_any_more_is_taken_back() -> None:
    """Or somebody would reboot the host during the next installation."""
    world = a_stage(EXTERNAL, a_dpu("a"))
    async with running(world) as manager:
        assert is_required(world)
        await world.host.delete(DPU, "a", NAMESPACE)
        await manager.settle()
        assert not is_required(world)
        assert told(world)[0] == "False"


async def test_hosts_that_are_rebooted_by_their_agent_are_left_alone() -> None:
    world = a_stage(NodeRebootMethod(hostAgent={}), a_dpu("a"))
    async with running(world):
        assert reboots(world) == {"a": (None, None)}
        assert not is_required(world)


async def test_nobody_is_asked_to_reboot_what_has_no_host() -> None:
    """The card resets itself."""
    world = a_stage(EXTERNAL, a_dpu("a", method="HostlessDPUReboot", told="Pending"))
    label = {"metadata": {"labels": {"provisioning.dpu.nvidia.com/hostless": "true"}}}
    await world.host.patch(DPUNode, HOST, NAMESPACE, patch=label)
    async with running(world):
        assert not is_required(world)
        types = [c.type for c in dpunode(world).status.conditions or ()]
        assert "DPUNodeRebootInProgress" not in types
        assert reboots(world) == {"a": ("Pending", None)}


async def test_script_gets_the_methods_and_completes() -> None:
    """16.46: the environment for methods that differ; what is not known becomes SystemLevelReset."""
    world = a_stage(SCRIPT, a_dpu("a"), a_dpu("b", method="Unknown"))
    async with running(world) as manager:
        (job,) = world.host.objects(Job)
        assert job.metadata.name == f"{HOST}-script-job"
        assert job.spec is not None
        assert (job.spec["backoffLimit"], job.spec["ttlSecondsAfterFinished"]) == (3, 3600)
        template = job.spec["template"]
        env = {e["name"]: e["value"] for e in template["spec"]["containers"][0]["env"]}
        assert json.loads(env.pop("DPUNODE_REBOOT_METHODS_PER_DPU")) == {"a": "SystemReboot", "b": "SystemLevelReset"}
        assert env == {"A": "1", "DPUNODE_NAME": HOST, "DPUNODE_REBOOT_METHOD": "SystemReboot"}
        mounts = template["spec"]["containers"][0]["volumeMounts"]
        assert [mount["mountPath"] for mount in mounts] == ["/etc/dpf-pod-info"]
        assert template["metadata"]["labels"] == {"rack": "a"}
        assert template["metadata"]["annotations"]["bmc"] == "b"
        assert template["spec"]["tolerations"][0]["key"] == "node-role.kubernetes.io/control-plane"
        assert set(reboots(world).values()) == {("Pending", "RebootScriptWaiting")}
        assert told(world)[:2] == ("True", "RebootScriptWaiting")
        await end_job(world, "Complete")
        await manager.settle()
        assert {phase for phase, _ in reboots(world).values()} == {"Succeeded"}
        before = list(world.writes)
        for controller in manager.controllers:
            controller.enqueue_all()
        await manager.settle()
        assert world.writes == before, "all have succeeded: the Job is not touched"


async def test_failed_script_is_told_with_its_exit_code_and_tried_again_when_its_job_is_deleted() -> None:
    world = a_stage(SCRIPT, a_dpu("a"))
    async with running(world) as manager:
        ended = core.ContainerStateTerminated(exitCode=7, finishedAt="2026-01-01T00:00:00Z")
        state = core.ContainerState(terminated=ended)
        status = core.ContainerStatus(name="c", image="i", imageID="i", ready=False, restartCount=0, state=state)
        world.host.add(core.Pod(
            metadata=ObjectMeta(name="p", namespace=NAMESPACE, labels={"job-name": f"{HOST}-script-job"}),
            status=core.PodStatus(containerStatuses=[status]),
        ))
        await end_job(world, "Failed")
        await manager.settle()
        assert reboots(world) == {"a": ("Failed", "RebootScriptFailed")}
        (dpu,) = world.host.objects(DPU)
        assert dpu.status.rebootStatus is not None
        assert dpu.status.rebootStatus.message == (
            f"Job {NAMESPACE}/{HOST}-script-job failed with exit code 7. "
            "Next step: correct the script and delete the Job"
        )
        await world.host.delete(Job, f"{HOST}-script-job", NAMESPACE)
        await manager.settle()
        assert len(world.host.objects(Job)) == 1
        assert reboots(world) == {"a": ("Pending", "RebootScriptWaiting")}


async def test_job_of_an_earlier_reboot_is_replaced_and_an_active_one_is_not() -> None:
    world = a_stage(SCRIPT, a_dpu("a"))
    async with running(world) as manager:
        world.host.add(a_dpu("b"))
        await manager.settle()
        (first,) = world.host.objects(Job)
        assert reboots(world)["b"] == (None, None)
        await end_job(world, "Complete")
        await manager.settle()
        (second,) = world.host.objects(Job)
        assert second.metadata.uid != first.metadata.uid
        assert reboots(world) == {"a": ("Succeeded", "RebootSucceeded"), "b": ("Pending", "RebootScriptWaiting")}


@pytest.mark.parametrize(("script", "why"), [
    (None, f"ConfigMap {NAMESPACE}/reboot with the script does not exist"),
    ("spec: 1", f"ConfigMap {NAMESPACE}/reboot: spec.containers of the pod is missing"),
])
async def test_script_that_cannot_run_is_explained(script: str | None, why: str) -> None:
    world = a_stage(SCRIPT, a_dpu("a"), script=script)
    async with running(world) as manager:
        assert told(world)[2] == f"required reboot method: SystemReboot (driven by DPU a); {why}"
        source = core.ConfigMap(metadata=ObjectMeta(name="reboot", namespace=NAMESPACE), data={"pod-template": POD})
        world.host.add(source)
        await some.pass_time(world, manager, 31)
        assert len(world.host.objects(Job)) == 1


@pytest.mark.parametrize("method", [EXTERNAL, SCRIPT], ids=["external", "script"])
async def test_a_kill_after_any_write_reboots_once(method: NodeRebootMethod) -> None:
    """Counted by whoever reboots: annotations that were removed, Jobs that ended."""
    counted: list[int] = []

    async def live(world: World) -> None:
        async with running(world) as manager:
            for _ in range(2):
                if is_required(world):
                    await count(world, be_rebooted)
                if any(not job.status.conditions for job in world.host.objects(Job)):
                    await count(world, lambda w: end_job(w, "Complete"))
                await manager.settle()

    async def count(world: World, act: Callable[[World], Awaitable[None]]) -> None:
        counted[-1] += 1
        hook, world.host.after_write = world.host.after_write, None
        await act(world)
        world.host.after_write = hook

    def make() -> World:
        counted.append(0)
        return a_stage(method, a_dpu("a"), a_dpu("b", method="PowerCycle"))

    undisturbed = make()
    await live(undisturbed)
    for n in range(1, len(undisturbed.writes)):
        world = make()
        crash_at(n, world.host)
        try:
            await live(world)
        except Crash:
            await live(world)
        assert {phase for phase, _ in reboots(world).values()} == {"Succeeded"}, n
    assert set(counted) == {1}
    assert len(counted) > 8
