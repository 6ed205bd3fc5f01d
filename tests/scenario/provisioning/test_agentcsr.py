"""Signing requests of agents, from the token to the approval, over a host cluster in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support import joins
from tests.support.world import World, a_world

from dpf.api import core
from dpf.api.meta import Key
from dpf.kube import errors
from dpf.provisioning.agentcsr.controller import AgentCSRController
from dpf.provisioning.join import identity
from dpf.provisioning.join.joiner import Joiner, JoinRequest
from dpf.runtime.manager import Manager

CLUSTER = Key(joins.NAMESPACE, "dpu-1")
DPU_ = joins.a_dpu()
GROUPS = [*identity.agent_groups(joins.UID), "system:authenticated"]


@asynccontextmanager
async def running(world: World) -> AsyncIterator[tuple[Manager, Joiner]]:
    async with world.controllers(lambda w: [AgentCSRController(clusters=w.registry)]) as manager:
        yield manager, Joiner(clusters=world.registry, host=world.host, clock=world.clock)


def a_place() -> World:
    world = a_world(dpu_clusters=("dpu-1",))
    world.host.add(DPU_)
    return world


async def token_id(joiner: Joiner) -> str:
    made = await joiner.prepare(JoinRequest(dpu=DPU_, cluster=CLUSTER, with_agent=True))
    assert made.agent is not None
    return made.agent.token.partition(".")[0]


def answers(world: World) -> dict[str, list[tuple[str, str, str]]]:
    return {
        csr.metadata.name: [(c.type, c.status, c.reason) for c in csr.status.conditions or ()]
        for csr in world.host.objects(core.CertificateSigningRequest)
    }


async def test_an_agent_with_its_token_is_approved_once() -> None:
    world = a_place()
    async with running(world) as (manager, joiner):
        world.host.add(joins.a_csr(DPU_, username=f"system:bootstrap:{await token_id(joiner)}"))
        await manager.settle()
        before = world.writes
        await manager.settle()

    assert answers(world) == {"csr-1": [("Approved", "True", "DPUAgentApproved")]}
    assert world.writes == before
    assert before.count("host: patch/approval CertificateSigningRequest csr-1") == 1


async def test_a_request_that_came_while_nobody_looked_is_approved_later() -> None:
    world = a_place()
    async with running(world) as (_, joiner):
        world.host.add(joins.a_csr(DPU_, username=f"system:bootstrap:{await token_id(joiner)}"))
    async with running(world) as (manager, _):
        await manager.settle()
    assert answers(world) == {"csr-1": [("Approved", "True", "DPUAgentApproved")]}


async def test_a_nodes_token_gets_no_agents_certificate() -> None:
    """The token of a DPU cluster that is the host cluster as well: labelled with the DPU, but for its node."""
    world = a_place()
    async with running(world) as (manager, joiner):
        await token_id(joiner)
        (node,) = world.dpus[CLUSTER].objects(core.Secret, "kube-system")
        world.host.add(node)
        world.host.add(joins.a_csr(DPU_, username=f"system:bootstrap:{joins.plain(node, 'token-id')}"))
        await manager.settle()
    assert answers(world) == {"csr-1": []}


async def test_a_revoked_token_and_a_strangers_are_left_alone() -> None:
    world = a_place()
    async with running(world) as (manager, joiner):
        known = await token_id(joiner)
        await joiner.revoke_agent(DPU_)
        world.host.add(
            joins.a_csr(DPU_, name="revoked", username=f"system:bootstrap:{known}"),
            joins.a_csr(DPU_, name="stranger", username="system:bootstrap:abcdef"),
            joins.a_csr(DPU_, name="account", username="system:serviceaccount:a:b"),
        )
        await manager.settle()
    assert answers(world) == {"revoked": [], "stranger": [], "account": []}


async def test_a_token_speaks_for_its_own_dpu_only() -> None:
    world, other = a_place(), joins.a_dpu("worker-2-x", uid="other")
    world.host.add(other)
    async with running(world) as (manager, joiner):
        world.host.add(joins.a_csr(other, username=f"system:bootstrap:{await token_id(joiner)}"))
        await manager.settle()
    assert answers(world) == {"csr-1": []}


async def test_an_agent_renews_its_certificate_and_no_other() -> None:
    world, other = a_place(), joins.a_dpu("worker-2-x", uid="other")
    world.host.add(other)
    user = identity.agent_name(joins.NAME)
    world.host.add(
        joins.a_csr(DPU_, name="own", username=user, groups=GROUPS),
        joins.a_csr(other, name="another", username=user, groups=GROUPS),
        joins.a_csr(DPU_, name="impostor", username="da-worker-2-x", groups=GROUPS),
        joins.a_csr(DPU_, name="two", username=user, groups=[*GROUPS, identity.agent_group("other")]),
    )
    async with running(world) as (manager, _):
        await manager.settle()
    assert answers(world) == {
        "own": [("Approved", "True", "DPUAgentApproved")], "another": [], "impostor": [], "two": [],
    }


async def test_the_certificate_of_an_earlier_dpu_of_that_name_is_worth_nothing() -> None:
    world = a_world()
    world.host.add(joins.a_dpu(uid="reborn"))
    world.host.add(joins.a_csr(DPU_, username=identity.agent_name(joins.NAME), groups=GROUPS))
    async with running(world) as (manager, _):
        await manager.settle()
    assert answers(world) == {"csr-1": []}


async def test_a_failed_read_is_no_answer() -> None:
    world = a_place()
    async with running(world) as (manager, joiner):
        known = await token_id(joiner)
        world.host.fail_next(lambda r: r.verb == "get" and r.kind == "Secret", errors.ServerError("etcd is away"))
        world.host.add(joins.a_csr(DPU_, username=f"system:bootstrap:{known}"))
        await manager.settle()
        assert answers(world) == {"csr-1": []}
        world.clock.advance(1.0)
        await manager.settle()
    assert answers(world) == {"csr-1": [("Approved", "True", "DPUAgentApproved")]}
