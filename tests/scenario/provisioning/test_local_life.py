"""The life of a DPUCluster of type dpf/local: made, settled, broken, healed, deleted; killed in between."""

from __future__ import annotations

import pytest
from tests.scenario.provisioning.stage import Stage, a_stage, any_order
from tests.support.clock import turns
from tests.support.crash import crash_everywhere
from tests.support.dpuclusters import NAME, NAMESPACE, a_dpucluster, a_secret

from dpf.api.core import ConfigMap, Secret
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key
from dpf.kube import errors
from dpf.provisioning.clustermanager.local.driver import Identity
from dpf.provisioning.clustermanager.local.driver import Stage as PlaneStage
from dpf.provisioning.dpucluster.prober import Unhealthy
from dpf.runtime.manager import Manager

SECRET = f"{NAME}-admin-kubeconfig"
MANAGER_FINALIZER = "provisioning.dpu.nvidia.com/cluster-manager-clean-up"


async def created(*, slow: bool = False) -> Stage:
    """A stage on which the controllers have worked once."""
    stage = a_stage(a_dpucluster(), slow=slow)
    async with stage.controllers() as manager:
        await manager.settle()
    return stage


async def deleted(stage: Stage) -> None:
    await stage.world.host.delete(DPUCluster, NAME, NAMESPACE)


async def is_absent(stage: Stage) -> bool:
    state = await stage.planes.observe(Identity(key=Key(NAMESPACE, NAME), uid="uid-1"))
    return state.stage is PlaneStage.ABSENT


async def test_it_becomes_ready_and_hands_its_kubeconfig_over() -> None:
    stage = await created()
    cluster = stage.cluster
    assert cluster is not None
    assert (cluster.status.phase, cluster.status.version) == ("Ready", "v1.36.3")
    assert cluster.spec.kubeconfig == SECRET
    assert [stage.condition(t).status for t in ("Created", "Ready")] == ["True", "True"]
    (secret,) = stage.world.host.objects(Secret)
    assert set(secret.data or {}) == {"super-admin.conf", "admin.conf"}
    state = await stage.planes.observe(stage.identity)
    assert state.access is not None
    assert "cluster-info" in {c.metadata.name for c in (await stage.planes.client(state.access).list(ConfigMap)).items}


async def test_nothing_is_written_in_ten_quiet_minutes() -> None:
    stage = a_stage(a_dpucluster(), a_dpucluster("static", kubeconfig="admin", name="tenant2", uid="uid-2"))
    stage.world.host.add(a_secret())
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.pass_time(manager, 60, step_s=5)
        writes = list(stage.world.writes)
        await stage.pass_time(manager, 600, step_s=5)
    assert stage.world.writes == writes


async def test_the_kubeconfig_is_named_when_it_exists_and_before_created_is_true() -> None:
    stage = a_stage(a_dpucluster())
    told: list[tuple[bool, bool, bool]] = []

    def look(_: object) -> None:
        cluster = stage.cluster
        assert cluster is not None
        true = any(c.type == "Created" and c.status == "True" for c in cluster.status.conditions or ())
        told.append((bool(stage.world.host.objects(Secret)), bool(cluster.spec.kubeconfig), true))

    stage.world.host.after_write = look
    async with stage.controllers() as manager:
        await manager.settle()
    assert sorted(set(told)) == [
        (False, False, False), (True, False, False), (True, True, False), (True, True, True),
    ]


async def test_what_takes_time_is_reported_and_waited_for() -> None:
    stage = a_stage(a_dpucluster(), slow=True)
    async with stage.controllers() as manager:
        await manager.settle()
        assert stage.phase == "Creating"
        assert stage.condition("Ready").message == (
            "The control plane does not serve: kube-apiserver does not serve yet"
        )
        writes = list(stage.world.writes)
        await stage.pass_time(manager, 30)
        assert stage.world.writes == writes
        stage.planes.serve(stage.identity)
        await stage.pass_time(manager, 1)
    assert stage.phase == "Ready"


async def test_a_dead_control_plane_is_noticed_and_started_again_with_the_same_kubeconfig() -> None:
    stage = await created()
    (before,) = stage.world.host.objects(Secret)
    stage.planes.slow = True
    stage.planes.kill(stage.identity)
    async with stage.controllers() as manager:
        await manager.settle()
        assert (stage.phase, stage.condition("Created").status) == ("NotReady", "False")
        assert stage.condition("Ready").reason == "HealthCheckFailed"
        assert stage.condition("Ready").message.startswith(stage.condition("Created").message.rstrip("."))
        assert "kube-apiserver" in stage.condition("Ready").message
        stage.planes.serve(stage.identity)
        await stage.pass_time(manager, 1)
        assert stage.phase == "Ready"
    assert stage.world.host.objects(Secret) == (before,)


async def test_it_is_noticed_without_any_event() -> None:
    stage = a_stage(a_dpucluster())
    async with stage.controllers() as manager:
        await manager.settle()
        stage.planes.slow = True
        stage.planes.kill(stage.identity)
        await stage.pass_time(manager, 10)
        assert stage.phase == "NotReady"


async def test_a_server_that_cannot_be_reached_is_not_ready_and_is_asked_again_soon() -> None:
    stage = await created()
    server = "https://127.0.0.1:20000"
    async with stage.controllers() as manager:
        await manager.settle()
        stage.prober.set(server, Unhealthy(why="no route to host"))
        await stage.pass_time(manager, 30)
        assert stage.phase == "NotReady"
        assert stage.condition("Ready").reason == "HealthCheckFailed"
        assert f"The API server at {server} cannot be used: no route to host." in stage.condition("Ready").message
        assert stage.condition("Created").status == "True"
        writes = list(stage.world.writes)
        await stage.pass_time(manager, 60, step_s=5)
        assert stage.world.writes == writes, "the message stays the same while the outage lasts"
        stage.prober.set(server, None)
        await stage.pass_time(manager, 5)
    assert (stage.phase, stage.condition("Ready").reason) == ("Ready", "HealthCheckPassed")


async def test_a_deleted_kubeconfig_secret_is_made_again() -> None:
    stage = await created()
    (before,) = stage.world.host.objects(Secret)
    await stage.world.host.delete(Secret, SECRET, NAMESPACE)
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.pass_time(manager, 10)
    (after,) = stage.world.host.objects(Secret)
    assert after.data == before.data
    assert stage.phase == "Ready"


async def test_a_secret_that_cannot_be_read_says_nothing_about_the_cluster() -> None:
    stage = await created()
    stage.world.host.fail_next(lambda r: r.verb == "get", errors.Unreachable("no connection"), times=4)
    writes = list(stage.world.writes)
    async with stage.controllers() as manager:
        await manager.settle()
        assert (stage.phase, stage.world.writes) == ("Ready", writes)
        await stage.pass_time(manager, 60, step_s=5)
    assert (stage.phase, stage.world.writes) == ("Ready", writes)


async def test_what_stands_in_the_way_is_told_and_tried_again() -> None:
    stage = a_stage(a_dpucluster())
    stage.planes.fail("ensure", "port 20000 is in use by pid 7 (nginx): stop that program")
    async with stage.controllers() as manager:
        await manager.settle()
        assert stage.phase == "Creating"
        assert stage.condition("Ready").message == (
            "The control plane does not serve: port 20000 is in use by pid 7 (nginx): stop that program"
        )
        stage.planes.fail("ensure", None)
        await stage.pass_time(manager, 300, step_s=10)
    assert stage.phase == "Ready"


@pytest.mark.parametrize("phase", ["Pending", "Creating", "Ready", "NotReady", "Failed"])
async def test_it_can_be_deleted_in_every_phase(phase: str) -> None:
    stage = a_stage(a_dpucluster("nobody" if phase == "Failed" else "dpf/local"), slow=phase == "Creating")
    if phase != "Pending":
        async with stage.controllers() as manager:
            await manager.settle()
            if phase == "NotReady":
                stage.planes.slow = True
                stage.planes.kill(stage.identity)
                await stage.pass_time(manager, 10)
    assert stage.phase == phase
    async with stage.controllers() as manager:
        await deleted(stage)
        await turns()
        await manager.settle()
        await stage.pass_time(manager, 2)
    assert stage.cluster is None
    assert stage.world.host.objects(Secret) == ()
    assert await is_absent(stage)


async def test_a_removal_that_fails_keeps_the_dpucluster_and_says_why() -> None:
    stage = await created()
    stage.planes.fail("remove", "kube-apiserver (pid 7): still there after SIGKILL")
    async with stage.controllers() as manager:
        await deleted(stage)
        await turns()
        await manager.settle()
        cluster = stage.cluster
        assert cluster is not None
        assert cluster.metadata.finalizers == [MANAGER_FINALIZER]
        assert stage.condition("Created").reason == "AwaitingDeletion"
        assert "still there after SIGKILL" in stage.condition("Created").message
        assert stage.condition("Ready").status == "False"
        stage.planes.fail("remove", None)
        await stage.pass_time(manager, 300, step_s=10)
    assert stage.cluster is None
    assert await is_absent(stage)


async def test_a_namesake_starts_empty_when_its_predecessor_was_removed_by_force() -> None:
    stage = await created()
    old = stage.identity
    await deleted(stage)
    await stage.world.host.patch(DPUCluster, NAME, NAMESPACE, patch={"metadata": {"finalizers": None}})
    assert stage.cluster is None
    state = await stage.planes.observe(old)
    assert state.access is not None
    await stage.world.host.create(a_dpucluster(uid=""))
    async with stage.controllers() as manager:
        await manager.settle()
    assert stage.phase == "Ready"
    new = await stage.planes.observe(stage.identity)
    assert new.access is not None
    assert new.access.endpoint != state.access.endpoint
    (secret,) = stage.world.host.objects(Secret)
    assert [o.uid for o in secret.metadata.ownerReferences or ()] == [stage.identity.uid]


@pytest.mark.parametrize("seed", range(10))
async def test_the_order_of_controllers_does_not_matter(seed: int) -> None:
    stage = a_stage(a_dpucluster())
    async with stage.controllers() as manager:
        await manager.settle(any_order(seed))
        assert stage.phase == "Ready"
        await deleted(stage)
        await turns()
        await manager.settle(any_order(seed))
        await stage.pass_time(manager, 2)
    assert stage.cluster is None
    assert await is_absent(stage)


async def create(_: Stage, manager: Manager) -> None:
    await manager.settle()


async def heal(stage: Stage, manager: Manager) -> None:
    await manager.settle()
    if stage.cluster is not None and not stage.killed:
        stage.killed = True
        stage.planes.kill(stage.identity)
    await stage.pass_time(manager, 30, step_s=5)


async def delete(stage: Stage, manager: Manager) -> None:
    await manager.settle()
    if stage.cluster is not None:
        await deleted(stage)
        await turns()
    await stage.pass_time(manager, 30, step_s=5)


@pytest.mark.parametrize("story", [create, heal, delete])
async def test_a_crash_after_any_single_write_ends_the_same(story: object) -> None:
    async def live(stage: Stage) -> None:
        async with stage.controllers() as manager:
            await story(stage, manager)  # type: ignore[operator]

    crashes = await crash_everywhere(
        lambda: a_stage(a_dpucluster()), live, lambda stage: stage.world.state(DPUCluster, Secret)
    )
    assert crashes > 15
