"""A DPUCluster of type static, while an administrator gets its kubeconfig right; and types without a manager."""

from __future__ import annotations

import base64

import pytest
from tests.scenario.provisioning.stage import Stage, a_stage
from tests.support.clock import turns
from tests.support.dpuclusters import NAME, NAMESPACE, SERVER, a_dpucluster, a_kubeconfig, a_secret

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.provisioning.dpucluster.prober import Healthy


def a_static_stage(*, kubeconfig: str | None = "admin", secret: Secret | None = None) -> Stage:
    stage = a_stage(a_dpucluster("static", kubeconfig=kubeconfig))
    if secret is not None:
        stage.world.host.add(secret)
    stage.prober.set(SERVER, Healthy(version="v1.33.0"))
    return stage


async def test_one_with_a_good_kubeconfig_is_ready() -> None:
    stage = a_static_stage(secret=a_secret())
    async with stage.controllers() as manager:
        await manager.settle()
    cluster = stage.cluster
    assert cluster is not None
    assert (cluster.status.phase, cluster.status.version) == ("Ready", "v1.33.0")
    assert cluster.metadata.finalizers == ["provisioning.dpu.nvidia.com/cluster-manager-internal-clean-up"]


async def test_one_without_a_kubeconfig_waits_for_it() -> None:
    stage = a_static_stage(kubeconfig=None, secret=a_secret())
    async with stage.controllers() as manager:
        await manager.settle()
        assert (stage.phase, stage.condition("Created").reason) == ("Creating", "EmptyKubeconfig")
        assert stage.condition("Ready").message == stage.condition("Created").message
        await stage.world.host.patch(DPUCluster, NAME, NAMESPACE, patch={"spec": {"kubeconfig": "admin"}})
        await turns()
        await manager.settle()
    assert stage.phase == "Ready"


@pytest.mark.parametrize(("secret", "words"), [
    pytest.param(None, "does not exist", id="missing"),
    pytest.param(a_secret(key="config"), "data.super-admin.conf not found", id="wrong key"),
    pytest.param(a_secret(content=b"nonsense: ["), "not a kubeconfig", id="malformed"),
    pytest.param(a_secret(content=a_kubeconfig(users=2)), "one member", id="two users"),
])
async def test_a_bad_secret_is_explained_and_its_correction_seen(secret: Secret | None, words: str) -> None:
    stage = a_static_stage(secret=secret)
    async with stage.controllers() as manager:
        await manager.settle()
        assert (stage.phase, stage.condition("Created").reason) == ("NotReady", "Created")
        assert (stage.condition("Ready").status, stage.condition("Ready").reason) == ("False", "HealthCheckFailed")
        assert words in stage.condition("Ready").message
        assert "Next step: " in stage.condition("Ready").message
        good = base64.b64encode(a_kubeconfig()).decode()
        if secret is None:
            stage.world.host.add(a_secret())
        else:
            await stage.world.host.patch(Secret, "admin", NAMESPACE, patch={"data": {"super-admin.conf": good}})
        await stage.pass_time(manager, 5)
    assert stage.phase == "Ready"


async def test_a_secret_that_goes_away_makes_it_not_ready() -> None:
    stage = a_static_stage(secret=a_secret())
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.world.host.delete(Secret, "admin", NAMESPACE)
        await stage.pass_time(manager, 30)
        assert stage.phase == "NotReady"
        stage.world.host.add(a_secret())
        await stage.pass_time(manager, 5)
    assert stage.phase == "Ready"


async def test_deleting_it_leaves_the_administrators_secret_alone() -> None:
    stage = a_static_stage(secret=a_secret())
    async with stage.controllers() as manager:
        await manager.settle()
        await stage.world.host.delete(DPUCluster, NAME, NAMESPACE)
        await turns()
        await manager.settle()
    assert stage.cluster is None
    assert [s.metadata.name for s in stage.world.host.objects(Secret)] == ["admin"]


async def test_a_type_without_a_manager_fails_until_it_is_corrected() -> None:
    stage = a_stage(a_dpucluster("mykamaji"))
    async with stage.controllers() as manager:
        await manager.settle()
        assert (stage.phase, stage.condition("Ready").reason) == ("Failed", "Failure")
        assert "kamaji, static" in stage.condition("Ready").message
        writes = list(stage.world.writes)
        await stage.pass_time(manager, 600, step_s=60)
        assert stage.world.writes == writes
        await stage.world.host.patch(DPUCluster, NAME, NAMESPACE, patch={"spec": {"type": "dpf/local"}})
        await turns()
        await manager.settle()
    assert stage.phase == "Ready"


async def test_a_vendors_cluster_waits_for_the_vendors_manager() -> None:
    stage = a_stage(a_dpucluster("acme.io/planes"))
    async with stage.controllers() as manager:
        await manager.settle()
    assert stage.phase == "Creating"
    assert "No cluster manager for type 'acme.io/planes' has answered yet" in stage.condition("Ready").message
