"""Letting a DPU in, over a host and a DPU cluster in memory (behaviour-provisioning.md 5.7, 5.12, 5.17 and 16: 50)."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from tests.support import crash, joins
from tests.support.dpuclusters import a_dpucluster
from tests.support.world import NAMESPACE, World, a_kubeconfig, a_world

from dpf.api import core
from dpf.api.meta import Key, Object, ObjectMeta
from dpf.kube import errors as kube_errors
from dpf.kube.client import Endpoint
from dpf.kube.memory import MemoryCluster
from dpf.kube.memory.authority import CA_PEM
from dpf.provisioning.flavor.facts import parse_join
from dpf.provisioning.join import build, endpoint
from dpf.provisioning.join.errors import ClusterUnreachable, JoinError, Reason
from dpf.provisioning.join.joiner import Joiner, Joining, JoinRequest

CLUSTER = Key(NAMESPACE, "dpu-1")
DPU_ = joins.a_dpu()
REQUEST = JoinRequest(dpu=DPU_, cluster=CLUSTER, with_agent=True)
WITHOUT_AGENT = JoinRequest(dpu=DPU_, cluster=CLUSTER, with_agent=False)
MADE = (core.Secret, core.Role, core.RoleBinding, core.ClusterRoleBinding)


def a_place() -> World:
    world = a_world(dpu_clusters=("dpu-1",))
    world.host.add(DPU_, a_dpucluster(name="dpu-1", phase="Ready"))
    return world


@asynccontextmanager
async def joining(world: World, agent_endpoint: Endpoint | None = None) -> AsyncIterator[Joiner]:
    async with world.controllers(lambda _: []):
        yield Joiner(clusters=world.registry, host=world.host, clock=world.clock, agent_endpoint=agent_endpoint)


def tokens(cluster: MemoryCluster) -> tuple[core.Secret, ...]:
    return tuple(s for s in cluster.objects(core.Secret, "kube-system") if s.metadata.name.startswith("bootstrap-"))


def secret_part(token: str) -> str:
    return token.partition(".")[2]


async def test_a_dpu_with_an_agent_gets_everything_that_it_needs() -> None:
    world = a_place()
    async with joining(world) as joiner:
        made = await joiner.prepare(REQUEST)

    (node,), (agent,) = tokens(world.dpus[CLUSTER]), tokens(world.host)
    assert made.join.token == f"{joins.plain(node, 'token-id')}.{joins.plain(node, 'token-secret')}"
    assert made.join.server == "dpf-operator-system.dpu-1.example:6443"
    assert made.join.pins == endpoint.pins(Endpoint(server="", ca_pem=CA_PEM))
    assert joins.plain(node, "expiration") == "2026-01-01T02:00:00Z"
    assert made.agent is not None
    assert made.agent.token == f"{joins.plain(agent, 'token-id')}.{joins.plain(agent, 'token-secret')}"
    assert (made.agent.server, made.agent.ca_pem) == ("https://host.example:6443", CA_PEM.decode())
    assert (made.agent.user, made.agent.groups) == (
        f"da-{joins.NAME}", ("dpf:dpu-agents", f"dpf:dpu-agent:{joins.UID}")
    )
    (join,) = world.host.objects(core.Secret, NAMESPACE)
    assert join.metadata.name == f"{joins.NAME}-kubeadm-join"
    assert parse_join(joins.plain(join, "join")) == made.join
    assert [role.metadata.name for role in world.host.objects(core.Role)] == [f"da-{joins.NAME}"]
    assert [binding.metadata.name for binding in world.host.objects(core.ClusterRoleBinding)] == ["dpf:dpu-agents"]


async def test_no_secret_is_shown_by_what_is_returned() -> None:
    async with joining(a_place()) as joiner:
        made = await joiner.prepare(REQUEST)
    assert made.agent is not None
    assert secret_part(made.join.token) not in repr(made)
    assert secret_part(made.agent.token) not in repr(made)


async def test_a_second_call_finds_everything_and_writes_nothing() -> None:
    world = a_place()
    async with joining(world) as joiner:
        first = await joiner.prepare(REQUEST)
    before = world.writes
    async with joining(world) as joiner:
        assert await joiner.prepare(REQUEST) == first
    assert world.writes == before


async def test_without_an_agent_the_host_cluster_gets_the_join_secret_only() -> None:
    world = a_place()
    async with joining(world) as joiner:
        made = await joiner.prepare(WITHOUT_AGENT)
    assert made.agent is None
    assert tokens(world.host) == ()
    assert world.host.objects(core.Role) == ()


async def test_a_token_in_its_second_half_is_replaced_everywhere() -> None:
    world = a_place()
    async with joining(world) as joiner:
        first = await joiner.prepare(REQUEST)
        world.clock.advance(3600.0)
        assert await joiner.prepare(REQUEST) == first
        world.clock.advance(1.0)
        second = await joiner.prepare(REQUEST)

    assert second.join.token != first.join.token
    assert second.agent != first.agent
    assert [len(tokens(cluster)) for cluster in world.clusters] == [1, 1]
    (join,) = world.host.objects(core.Secret, NAMESPACE)
    assert parse_join(joins.plain(join, "join")) == second.join


async def test_each_dpu_has_its_own() -> None:
    world, other = a_place(), joins.a_dpu("worker-2-x", uid="other")
    async with joining(world) as joiner:
        first = await joiner.prepare(REQUEST)
        second = await joiner.prepare(JoinRequest(dpu=other, cluster=CLUSTER, with_agent=True))
        assert first.join.token != second.join.token
        await joiner.revoke(other, CLUSTER)
        assert await joiner.prepare(REQUEST) == first


async def test_what_an_earlier_dpu_of_the_same_name_left_becomes_the_new_ones() -> None:
    world, reborn = a_place(), joins.a_dpu(uid="reborn")
    async with joining(world) as joiner:
        await joiner.prepare(REQUEST)
        world.host.add(reborn)
        made = await joiner.prepare(JoinRequest(dpu=reborn, cluster=CLUSTER, with_agent=True))

    (binding,) = world.host.objects(core.RoleBinding)
    assert [subject.name for subject in binding.subjects or ()] == ["dpf:dpu-agent:reborn"]
    (join,) = world.host.objects(core.Secret, NAMESPACE)
    assert parse_join(joins.plain(join, "join")) == made.join


async def test_a_crash_after_any_write_ends_the_same() -> None:
    async def live(world: World) -> None:
        async with joining(world) as joiner:
            await joiner.prepare(REQUEST)

    assert await crash.crash_everywhere(a_place, live, _shape) == 6


async def test_a_crash_while_tokens_are_replaced_leaves_one_of_each() -> None:
    async def live(world: World) -> None:
        async with joining(world) as joiner:
            if not tokens(world.host):
                await joiner.prepare(REQUEST)
                world.clock.advance(3700.0)
            await joiner.prepare(REQUEST)

    assert await crash.crash_everywhere(a_place, live, _shape) > 6


def _shape(world: World) -> object:
    """Everything that was made, without what is random in tokens."""
    return sorted(
        (cluster.name, *_facts(obj)) for cluster in world.clusters for kind in MADE for obj in cluster.objects(kind)
    )


def _facts(obj: Object) -> tuple[str, str, str]:
    is_token = obj.metadata.name.startswith("bootstrap-token-")
    kept = {"labels": obj.metadata.labels, "rules": getattr(obj, "rules", None), "to": getattr(obj, "subjects", None)}
    return type(obj).__name__, "token" if is_token else obj.metadata.name, msgspec.json.encode(kept).decode()


async def test_a_dead_dpu_cluster_is_told_apart_and_nothing_is_made_for_it() -> None:
    world = a_place()
    async with joining(world) as joiner:
        silence = kube_errors.Unreachable("connection refused")
        world.dpus[CLUSTER].fail_next(lambda r: r.verb == "list", silence, times=9)
        with pytest.raises(ClusterUnreachable, match="DPU cluster dpf-operator-system/dpu-1 does not answer") as caught:
            await joiner.prepare(REQUEST)
    assert caught.value.reason is Reason.FAILED_TO_GENERATE_JOIN_COMMAND
    assert [write for write in world.writes if write.startswith("host")] == []


async def test_a_dpu_cluster_that_nobody_is_connected_to_is_unreachable() -> None:
    async with joining(a_place()) as joiner:
        with pytest.raises(ClusterUnreachable, match="no connection available"):
            await joiner.prepare(JoinRequest(dpu=DPU_, cluster=Key(NAMESPACE, "another"), with_agent=False))


async def test_a_cluster_without_an_authority_is_a_mistake_to_mend() -> None:
    world = a_place()
    world.dpus[CLUSTER].endpoint = Endpoint(server="https://192.0.2.1:6443", insecure=True)
    async with joining(world) as joiner:
        with pytest.raises(JoinError, match=r"dpu-1: its kubeconfig names no certificate .* add certificate-auth"):
            await joiner.prepare(REQUEST)


async def test_what_a_cluster_publishes_stands_in_for_a_kubeconfig_without_authority() -> None:
    world = a_place()
    world.dpus[CLUSTER].endpoint = Endpoint(server="https://192.0.2.1:6443", insecure=True)
    world.dpus[CLUSTER].add(a_cluster_info("https://192.0.2.7:6443"))
    async with joining(world) as joiner:
        assert (await joiner.prepare(WITHOUT_AGENT)).join.server == "192.0.2.7:6443"


@pytest.mark.parametrize(("kind", "name", "reason"), [
    (core.Secret, f"{joins.NAME}-kubeadm-join", Reason.FAILED_TO_CREATE_KUBEADM_SECRET),
    (core.Role, f"da-{joins.NAME}", Reason.FAILED_TO_ENSURE_RBAC),
])
async def test_what_belongs_to_somebody_else_is_not_taken(kind: type[Object], name: str, reason: Reason) -> None:
    world = a_place()
    world.host.add(kind(metadata=ObjectMeta(name=name, namespace=NAMESPACE)))
    (before,) = world.host.objects(kind, NAMESPACE)
    async with joining(world) as joiner:
        with pytest.raises(JoinError, match=f"{NAMESPACE}/{name} exists and was made by somebody else") as caught:
            await joiner.prepare(REQUEST)
        assert caught.value.reason is reason
        await joiner.revoke(DPU_, CLUSTER)
        await joiner.remove_agent_access(DPU_)
    assert world.host.objects(kind, NAMESPACE) == (before,)


@pytest.mark.parametrize(("kind", "reason"), [
    ("Secret", Reason.FAILED_TO_CREATE_KUBEADM_SECRET), ("RoleBinding", Reason.FAILED_TO_ENSURE_RBAC),
    ("ClusterRoleBinding", Reason.FAILED_TO_ENSURE_RBAC),
])
async def test_a_refusal_says_which_step_it_stopped(kind: str, reason: Reason) -> None:
    world = a_place()
    world.host.fail_next(lambda r: r.verb == "apply" and r.kind == kind, kube_errors.Forbidden("no right to it"))
    async with joining(world) as joiner:
        with pytest.raises(JoinError, match="the host cluster: no right to it") as caught:
            await joiner.prepare(REQUEST)
        assert (caught.value.reason, caught.value.retryable) == (reason, True)
        assert not isinstance(caught.value, ClusterUnreachable)
        assert isinstance(await joiner.prepare(REQUEST), Joining)


async def test_an_id_that_is_taken_is_not_the_end() -> None:
    world = a_place()
    world.dpus[CLUSTER].fail_next(lambda r: r.verb == "create", kube_errors.AlreadyExists("taken"), times=2)
    async with joining(world) as joiner:
        await joiner.prepare(WITHOUT_AGENT)
    assert len(tokens(world.dpus[CLUSTER])) == 1


async def test_a_binding_to_another_role_is_made_anew() -> None:
    world = a_place()
    wrong = msgspec.structs.replace(
        build.agent_binding(DPU_), roleRef=core.RoleRef(apiGroup="rbac.authorization.k8s.io", kind="Role", name="wrong")
    )
    world.host.add(wrong)
    async with joining(world) as joiner:
        await joiner.prepare(REQUEST)
    (binding,) = world.host.objects(core.RoleBinding)
    assert binding.roleRef.name == f"da-{joins.NAME}"


@pytest.mark.parametrize(("known", "published", "server"), [
    (Endpoint(server="https://192.0.2.8:6443", ca_pem=CA_PEM), "https://192.0.2.9:6443", "https://192.0.2.8:6443"),
    (None, "https://192.0.2.9:6443", "https://192.0.2.9:6443"),
    (None, None, "https://host.example:6443"),
], ids=["setting", "published", "own connection"])
async def test_agents_are_told_where_dpus_reach_the_host_cluster(
    known: Endpoint | None, published: str | None, server: str,
) -> None:
    world = a_place()
    if published:
        world.host.add(a_cluster_info(published))
    async with joining(world, known) as joiner:
        made = await joiner.prepare(REQUEST)
    assert made.agent is not None
    assert made.agent.server == server


async def test_what_was_made_is_taken_back_and_then_nothing_is_left() -> None:
    world = a_place()
    async with joining(world) as joiner:
        await joiner.prepare(REQUEST)
        (node,), (agent,) = tokens(world.dpus[CLUSTER]), tokens(world.host)
        assert await joiner.revoke(DPU_, CLUSTER) == (
            f"Secret {NAMESPACE}/{joins.NAME}-kubeadm-join", f"Secret kube-system/{agent.metadata.name} (host)",
            f"Secret kube-system/{node.metadata.name} ({CLUSTER})",
        )
        assert await joiner.remove_agent_access(DPU_) == (
            f"RoleBinding {NAMESPACE}/da-{joins.NAME}", f"Role {NAMESPACE}/da-{joins.NAME}",
        )
        before = world.writes
        assert await joiner.revoke(DPU_, CLUSTER) == ()
        assert await joiner.remove_agent_access(DPU_) == ()
        assert world.writes == before
    assert [cluster.objects(core.Secret) for cluster in world.clusters] == [(), ()]


async def test_taking_back_does_not_touch_a_namesakes() -> None:
    world, reborn = a_place(), joins.a_dpu(uid="reborn")
    world.host.add(reborn)
    async with joining(world) as joiner:
        await joiner.prepare(JoinRequest(dpu=reborn, cluster=CLUSTER, with_agent=True))
        before = _shape(world)
        assert len(world.host.objects(core.RoleBinding)) == 1
        assert await joiner.revoke(DPU_, CLUSTER) == ()
        assert await joiner.remove_agent_access(DPU_) == ()
    assert _shape(world) == before


async def test_a_dpu_cluster_that_is_gone_took_its_tokens_along() -> None:
    world = a_place()
    async with joining(world) as joiner:
        await joiner.prepare(WITHOUT_AGENT)
        assert await joiner.revoke(DPU_, Key(NAMESPACE, "gone")) == (f"Secret {NAMESPACE}/{joins.NAME}-kubeadm-join",)
        assert await joiner.revoke(DPU_, None) == ()


@pytest.mark.parametrize("break_it", [
    lambda world: world.registry.refuse(CLUSTER, "dpuCluster is not ready"),
    lambda world: world.registry.remove(CLUSTER),
], ids=["not connected", "not known yet"])
async def test_a_silent_dpu_cluster_is_not_taken_for_one_that_is_gone(break_it: Callable[[World], None]) -> None:
    world = a_place()
    async with joining(world) as joiner:
        await joiner.prepare(REQUEST)
        break_it(world)
        with pytest.raises(ClusterUnreachable, match="dpu-1 does not answer"):
            await joiner.revoke(DPU_, CLUSTER)
        assert tokens(world.host) == ()
        assert len(tokens(world.dpus[CLUSTER])) == 1
        world.registry.ensure(CLUSTER, a_kubeconfig(CLUSTER))


async def test_a_token_that_the_cluster_cleaned_up_first_is_no_failure() -> None:
    world = a_place()
    async with joining(world) as joiner:
        await joiner.prepare(WITHOUT_AGENT)
        world.dpus[CLUSTER].fail_next(lambda r: r.verb == "delete", kube_errors.NotFound("gone"))
        assert len(await joiner.revoke(DPU_, CLUSTER)) == 2


def a_cluster_info(server: str) -> core.ConfigMap:
    content = {"clusters": [{"name": "", "cluster": {
        "server": server, "certificate-authority-data": base64.b64encode(CA_PEM).decode(),
    }}]}
    return core.ConfigMap(
        metadata=ObjectMeta(name="cluster-info", namespace="kube-public"),
        data={"kubeconfig": msgspec.json.encode(content).decode()},
    )


@pytest.mark.parametrize("cleaned", [False, True])
async def test_the_token_that_a_dpu_holds_lasts_on_also_when_its_cluster_has_removed_it(cleaned: bool) -> None:
    world = a_place()
    async with joining(world) as joiner:
        made = await joiner.prepare(WITHOUT_AGENT)
        (before,) = tokens(world.dpus[CLUSTER])
        await joiner.prolong(DPU_, CLUSTER)
        assert tokens(world.dpus[CLUSTER]) == (before,), "enough of it is left"
        world.clock.advance(3700.0)
        if cleaned:
            await world.dpus[CLUSTER].delete(core.Secret, before.metadata.name, "kube-system")
        await joiner.prolong(DPU_, CLUSTER)

    (after,) = tokens(world.dpus[CLUSTER])
    assert f"{joins.plain(after, 'token-id')}.{joins.plain(after, 'token-secret')}" == made.join.token
    assert joins.plain(after, "expiration") == "2026-01-01T03:01:40Z"


async def test_a_dpu_without_a_join_secret_gets_no_token() -> None:
    world = a_place()
    async with joining(world) as joiner:
        await joiner.prolong(DPU_, CLUSTER)

    assert tokens(world.dpus[CLUSTER]) == ()
