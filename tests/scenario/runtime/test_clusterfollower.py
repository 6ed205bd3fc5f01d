"""Following DPUClusters and their kubeconfig Secrets: connecting, reconnecting, refusing, leaving."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from tests.support.clock import turns
from tests.support.world import NAMESPACE, World, a_kubeconfig, a_world

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster, DPUClusterSpec, DPUClusterStatus, Phase
from dpf.api.meta import Key, ObjectMeta
from dpf.kube.clusters import Cluster, Connected, Unreachable

KEY = Key(NAMESPACE, "dpu-1")


def a_dpucluster(phase: str = Phase.READY, kubeconfig: str | None = "kc", **meta: Any) -> DPUCluster:
    return DPUCluster(
        metadata=ObjectMeta(name=KEY.name, namespace=NAMESPACE, **meta),
        spec=DPUClusterSpec(type="static", kubeconfig=kubeconfig), status=DPUClusterStatus(phase=Phase(phase)),
    )


def a_secret(content: bytes | None = None, key: str = "super-admin.conf") -> Secret:
    encoded = base64.b64encode(content if content is not None else a_kubeconfig(KEY)).decode()
    return Secret(metadata=ObjectMeta(name="kc", namespace=NAMESPACE), data={key: encoded})


def a_world_with(*objects: DPUCluster | Secret) -> World:
    world = a_world(dpu_clusters=(KEY.name,))
    world.host.add(*objects)
    return world


def why(world: World) -> str | None:
    """Why the cluster cannot be used; None when it can."""
    found = world.registry.get(KEY)
    return found.why if isinstance(found, Unreachable) else None


@pytest.mark.parametrize("phase", [Phase.READY, Phase.NOT_READY])
@pytest.mark.parametrize("key", ["super-admin.conf", "admin.conf"])
async def test_a_usable_cluster_is_connected(phase: Phase, key: str) -> None:
    world = a_world_with(a_dpucluster(phase), a_secret(key=key))
    async with world.controllers(lambda _: [], follow=True):
        assert why(world) is None
        assert b'dpf_cluster_connected{cluster="dpf-operator-system/dpu-1"} 1.0' in world.metrics.exposition()


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.CREATING, Phase.FAILED])
async def test_other_phases_are_not_connected(phase: Phase) -> None:
    world = a_world_with(a_dpucluster(phase), a_secret())
    async with world.controllers(lambda _: [], follow=True):
        assert why(world) == "dpu cluster is not connected: dpuCluster is not ready"


@pytest.mark.parametrize(("objects", "text"), [
    pytest.param([a_dpucluster(kubeconfig=None)], "spec.kubeconfig is not set", id="no Secret named"),
    pytest.param([a_dpucluster()], f"secret {NAMESPACE}/kc, which spec.kubeconfig names, does not exist", id="missing"),
    pytest.param(
        [a_dpucluster(), a_secret(key="other")],
        f"secret {NAMESPACE}/kc not in the expected format: data.super-admin.conf not found", id="wrong key",
    ),
    pytest.param([a_dpucluster(), a_secret(b"[1, 2]")], "not a kubeconfig", id="not a kubeconfig"),
])
async def test_what_is_wrong_with_the_secret_is_said(objects: list[Any], text: str) -> None:
    world = a_world_with(*objects)
    async with world.controllers(lambda _: [], follow=True):
        assert text in (why(world) or "")


async def test_a_secret_that_appears_connects() -> None:
    world = a_world_with(a_dpucluster())
    async with world.controllers(lambda _: [], follow=True):
        assert why(world) is not None
        await world.host.create(a_secret())
        await turns()
        assert why(world) is None


async def test_a_secret_that_is_repaired_connects_and_one_that_breaks_disconnects() -> None:
    world = a_world_with(a_dpucluster(), a_secret(b"broken: ["))
    async with world.controllers(lambda _: [], follow=True):
        assert why(world) is not None
        await world.host.patch(Secret, "kc", NAMESPACE, patch={"data": a_secret().data or {}})
        await turns()
        assert why(world) is None
        await world.host.delete(Secret, "kc", NAMESPACE)
        await turns()
        assert "does not exist" in (why(world) or "")


async def test_a_changed_kubeconfig_reconnects_and_the_same_one_does_not() -> None:
    world = a_world_with(a_dpucluster(), a_secret())
    async with world.controllers(lambda _: [], follow=True):
        moves: list[str] = []
        world.registry.subscribe_health(lambda key, old, new: moves.append(type(new).__name__))
        await world.host.patch(Secret, "kc", NAMESPACE, patch={"metadata": {"labels": {"touched": "yes"}}})
        await turns()
        assert moves == []
        tree = msgspec.json.decode(a_kubeconfig(KEY))
        tree["users"][0]["user"]["token"] = "another-made-up-token"
        encoded = base64.b64encode(msgspec.json.encode(tree)).decode()
        await world.host.patch(Secret, "kc", NAMESPACE, patch={"data": {"super-admin.conf": encoded}})
        await turns()
        assert moves[-1] == "Connected"
        assert len(moves) > 1
        assert why(world) is None


async def test_a_cluster_stays_connected_while_it_is_being_deleted_and_is_left_when_it_is_gone() -> None:
    world = a_world_with(a_dpucluster(finalizers=["test.dpu.nvidia.com/keep"]), a_secret())
    async with world.controllers(lambda _: [], follow=True):
        await world.host.delete(DPUCluster, KEY.name, NAMESPACE)
        await turns()
        assert why(world) is None
        await world.host.patch(DPUCluster, KEY.name, NAMESPACE, patch={"metadata": {"finalizers": None}})
        await turns()
        assert why(world) == "no connection available"
        assert KEY not in world.registry.clusters()


async def test_a_secret_that_cannot_be_read_changes_nothing() -> None:
    world = a_world_with(a_dpucluster(), a_secret())
    async with world.controllers(lambda _: [], follow=True):
        world.registry.host.cache.store(Secret).fail("lost contact")
        await world.host.patch(DPUCluster, KEY.name, NAMESPACE, patch={"metadata": {"labels": {"touched": "yes"}}})
        await turns()
        assert why(world) is None


async def test_following_writes_nothing() -> None:
    world = a_world_with(a_dpucluster(), a_secret())
    async with world.controllers(lambda _: [], follow=True):
        await world.clock.run_for(600)
    assert world.writes == []


async def test_another_cluster_is_not_concerned_by_a_broken_one() -> None:
    world = a_world(dpu_clusters=("dpu-1", "dpu-2"))
    broken = msgspec.structs.replace(
        a_dpucluster(kubeconfig="broken"), metadata=ObjectMeta(name="dpu-2", namespace=NAMESPACE)
    )
    world.host.add(a_dpucluster(), a_secret(), broken)
    async with world.controllers(lambda _: [], follow=True):
        assert isinstance(world.registry.get(KEY), Cluster)
        assert isinstance(world.registry.health(KEY), Connected)
        assert isinstance(world.registry.get(Key(NAMESPACE, "dpu-2")), Unreachable)
