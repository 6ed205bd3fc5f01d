"""Faults around a credential request: told in a condition, limited to what they concern, mended without help."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest
import structlog
from tests.support import credentialrequests as stage
from tests.support import dpuservices as some
from tests.support.credentialrequests import ACCOUNT, DPU, NAMESPACE, REQUEST, SECRET
from tests.support.world import World

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservicecredentialrequest import ConditionType, DPUServiceCredentialRequest
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import errors
from dpf.runtime import plan as plans
from dpf.services.credentialrequest import observe
from dpf.services.credentialrequest import plan as planner

ACCOUNT_CONDITION, SECRET_CONDITION = ConditionType.SERVICE_ACCOUNT_RECONCILED, ConditionType.SECRET_RECONCILED
OTHER = Key(NAMESPACE, "other-credential")
SECOND = Key(some.CLUSTERS, "dpu-2")


def cut_off(world: World, cluster: Key = DPU) -> None:
    """The cluster does not answer any more."""
    world.dpus[cluster].fail_next(lambda _: True, errors.Unreachable("connection refused"), times=10_000)


def connect_again(world: World, cluster: Key = DPU) -> None:
    world.dpus[cluster]._faults.clear()


async def remove_request(world: World, name: str = stage.NAME) -> None:
    await world.host.delete(DPUServiceCredentialRequest, name, NAMESPACE)


def exists(world: World, name: str = stage.NAME) -> bool:
    return any(r.metadata.name == name for r in world.host.objects(DPUServiceCredentialRequest))


async def test_a_cluster_that_is_down_is_named_and_concerns_nobody_else() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(stage.a_request(), stage.a_request("other", target=SECOND, secret=OTHER))
    async with stage.running(world) as manager:
        before = stage.secret(world)
        cut_off(world)
        await world.clock.run_for(50 * 60)
        await manager.settle()
        found = stage.condition(world, ACCOUNT_CONDITION)
        assert (found.status, found.reason) == ("False", "Error")
        assert found.message.startswith(
            "Error occurred: error while getting DPU cluster dpu-1: dpu cluster is not connected: connection refused"
        )
        assert stage.condition(world, SECRET_CONDITION).status == "True"
        ready = stage.condition(world, "Ready")
        assert (ready.status, ready.reason) == ("False", "Pending")
        assert ready.message == "The following conditions are not ready: ServiceAccountReconciled"
        assert stage.secret(world) == before, "what is there is kept: it may still be good"
        assert stage.is_ready(world, "other")
        assert len(world.dpus[SECOND].tokens.issued) == 2, "the other one was renewed meanwhile"

        connect_again(world)
        await world.clock.run_for(60)
        await manager.settle()
        assert stage.is_ready(world)
        assert stage.accepts(world.dpus[DPU], stage.credential_in(stage.secret(world)).token)


def fail_slowly(world: World, cluster: Key = DPU) -> None:
    """The cluster takes its time to refuse connections."""
    async def server_version() -> str:
        await world.clock.sleep(3)
        raise errors.Unreachable("connection refused")

    world.dpus[cluster].server_version = server_version  # type: ignore[method-assign]


async def test_a_cluster_that_turns_out_to_be_down_is_told_as_soon_as_that_is_known() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    fail_slowly(world)
    async with stage.running(world) as manager:
        assert stage.condition(world, ACCOUNT_CONDITION).status == "Unknown"
        await world.clock.run_for(10)
        await manager.settle()
        assert "not connected: connection refused" in stage.condition(world, ACCOUNT_CONDITION).message


async def test_deletion_says_that_the_cluster_is_down_as_soon_as_that_is_known() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    await stage.live(world)
    fail_slowly(world)
    async with stage.running(world) as manager:
        await remove_request(world)
        await manager.settle()
        assert stage.condition(world, ACCOUNT_CONDITION).message == f"DPU cluster {DPU} is being connected"
        await world.clock.run_for(10)
        await manager.settle()
        assert "not connected: connection refused; waiting for it" in stage.condition(world, ACCOUNT_CONDITION).message


@pytest.mark.parametrize("lost", ["mark", "data"])
async def test_a_secret_that_never_stays_as_written_costs_few_tokens(lost: str) -> None:
    """An admission plug-in that drops annotations or data must not make us issue tokens without end."""
    world = stage.a_stage()
    world.host.add(stage.a_request())
    apply = world.host.apply

    async def apply_mutated(obj: Any, **options: Any) -> Any:
        if isinstance(obj, core.Secret) and lost == "mark":
            obj = msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, annotations=None))
        elif isinstance(obj, core.Secret):
            obj = msgspec.structs.replace(obj, data={})
        return await apply(obj, **options)

    world.host.apply = apply_mutated  # type: ignore[method-assign]
    async with stage.running(world) as manager:
        for _ in range(60):
            await world.clock.run_for(1)
            await manager.settle()
        assert 5 <= len(world.dpus[DPU].tokens.issued) <= 8, "one at a time, and never given up"
        assert "was changed by somebody else" in stage.condition(world, SECRET_CONDITION).message
        world.host.apply = apply  # type: ignore[method-assign]
        await world.clock.run_for(11)
        await manager.settle()
    assert stage.is_ready(world)


async def test_a_cluster_that_does_not_exist_is_waited_for() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    missing = world.host.objects(DPUCluster)[1]
    async with stage.running(world) as manager:
        await world.host.delete(DPUCluster, "dpu-2", some.CLUSTERS)
        world.host.add(stage.a_request(target=SECOND))
        await manager.settle()
        assert stage.condition(world, ACCOUNT_CONDITION).message == (
            'Error occurred: error while getting DPU cluster dpu-2: dpuclusters.provisioning.dpu.nvidia.com "dpu-2" '
            "not found in namespace dpf-clusters; create it, or correct spec.targetCluster"
        )
        assert stage.condition(world, SECRET_CONDITION).status == "Unknown"
        world.host.add(some.a_cluster(missing.metadata.name, missing.metadata.namespace or ""))
        await world.clock.run_for(1)
        await manager.settle()
    assert stage.is_ready(world)


@pytest.mark.parametrize(("content", "told"), [
    (b"not: a: kubeconfig", "not valid YAML"), (b"{}", "auth info list should have one member"),
    (None, "secret dpf-clusters/dpu-1-admin-kubeconfig, which spec.kubeconfig names, does not exist"),
], ids=["malformed", "empty", "missing"])
async def test_a_bad_kubeconfig_is_told(content: bytes | None, told: str) -> None:
    world = stage.a_stage()
    await world.host.delete(core.Secret, "dpu-1-admin-kubeconfig", some.CLUSTERS)
    world.host.add(stage.a_request())
    if content is not None:
        world.host.add(some.a_kubeconfig_secret(DPU, content))
    await stage.live(world)
    message = stage.condition(world, ACCOUNT_CONDITION).message
    assert message.startswith("Error occurred: error while getting DPU cluster dpu-1: ")
    assert told in message


async def test_a_secret_of_somebody_elses_is_never_touched() -> None:
    world = stage.a_stage()
    theirs = core.Secret(
        metadata=ObjectMeta(name=SECRET.name, namespace=SECRET.namespace, labels={"app": "x"}), data={"a": "eA=="}
    )
    world.host.add(theirs, stage.a_request())
    async with stage.running(world) as manager:
        found = stage.condition(world, SECRET_CONDITION)
        assert (found.status, found.reason) == ("False", "Error")
        assert found.message.startswith(
            f"Error occurred: Secret {SECRET} exists and was not made for this request, so it is left alone; choose "
            "another spec.secret, delete it, or hand it over with the labels svc.dpu.nvidia.com/managed-by-controller="
        )
        assert world.dpus[DPU].tokens.issued == [], "no token without a place for it"
        kept = stage.secret(world)
        assert kept is not None
        assert (kept.data, kept.metadata.labels) == (theirs.data, theirs.metadata.labels)
        await remove_request(world)
        await manager.settle()
        assert not exists(world)
        assert stage.secret(world) == kept


async def test_a_name_that_becomes_free_is_used() -> None:
    world = stage.a_stage()
    world.host.add(core.Secret(metadata=ObjectMeta(name=SECRET.name, namespace=SECRET.namespace)), stage.a_request())
    async with stage.running(world) as manager:
        await world.host.delete(core.Secret, SECRET.name, SECRET.namespace)
        await manager.settle()
    assert stage.is_ready(world)


@pytest.mark.parametrize("target", [DPU, None], ids=["dpu", "host"])
async def test_a_service_account_of_somebody_elses_gives_us_no_token(target: Key | None) -> None:
    world = stage.a_stage()
    cluster = world.dpus[DPU] if target else world.host
    cluster.add(core.ServiceAccount(metadata=ObjectMeta(name=ACCOUNT.name, namespace=ACCOUNT.namespace)))
    world.host.add(stage.a_request(target=target))
    theirs = stage.account(cluster)
    async with stage.running(world) as manager:
        found = stage.condition(world, ACCOUNT_CONDITION)
        assert (found.status, found.reason) == ("False", "Error")
        assert f"ServiceAccount {ACCOUNT} in " in found.message
        assert "was not made for this request, so it is left alone; choose another spec.serviceAccount" in found.message
        assert cluster.tokens.issued == []
        assert stage.request(world).status.serviceAccount is None
        await remove_request(world)
        await manager.settle()
    assert not exists(world)
    assert stage.account(cluster) == theirs


async def test_a_service_account_can_be_handed_over() -> None:
    world = stage.a_stage()
    dpu = world.dpus[DPU]
    dpu.add(core.ServiceAccount(metadata=ObjectMeta(name=ACCOUNT.name, namespace=ACCOUNT.namespace)))
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        labels = dict(pair.split("=") for pair in (
            stage.condition(world, ACCOUNT_CONDITION).message.split("with the labels ")[1].split(" (")[0].split(", ")
        ))
        await dpu.patch(core.ServiceAccount, ACCOUNT.name, ACCOUNT.namespace, patch={"metadata": {"labels": labels}})
        await manager.settle()
        assert stage.is_ready(world)


async def test_a_service_account_in_the_way_is_looked_at_again() -> None:
    world = stage.a_stage()
    dpu = world.dpus[DPU]
    dpu.add(core.ServiceAccount(metadata=ObjectMeta(name=ACCOUNT.name, namespace=ACCOUNT.namespace)))
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        await dpu.delete(core.ServiceAccount, ACCOUNT.name, ACCOUNT.namespace)
        await world.clock.run_for(61)
        await manager.settle()
        assert stage.is_ready(world)


async def test_two_requests_of_a_namespace_share_a_service_account() -> None:
    """Each has its own Secret. The account goes with the request that made it, and the other one makes its own."""
    world = stage.a_stage()
    dpu = world.dpus[DPU]
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        world.host.add(stage.a_request("second", secret=OTHER))
        await manager.settle()
        assert stage.is_ready(world) and stage.is_ready(world, "second")
        assert stage.accepts(dpu, stage.credential_in(stage.secret(world, OTHER)).token)
        before = list(world.writes)
        await world.clock.run_for(600)
        await manager.settle()
        assert world.writes == before, "neither takes the account from the other"

        await remove_request(world, "second")
        await manager.settle()
        assert stage.accepts(dpu, stage.credential_in(stage.secret(world)).token)

        world.host.add(stage.a_request("third", secret=OTHER))
        await manager.settle()
        await remove_request(world)
        await manager.settle()
        await world.clock.run_for(60)
        await manager.settle()
        assert stage.is_ready(world, "third")
        assert stage.accepts(dpu, stage.credential_in(stage.secret(world, OTHER)).token)


async def test_a_service_account_of_another_namespace_is_not_shared() -> None:
    """Whoever may make requests in one namespace must not get the rights that were given in another."""
    world = stage.a_stage()
    world.host.add(stage.a_request())
    stranger = stage.a_request("second", secret=OTHER)
    metadata = msgspec.structs.replace(stranger.metadata, namespace="another-tenant")
    async with stage.running(world) as manager:
        world.host.add(msgspec.structs.replace(stranger, metadata=metadata))
        await manager.settle()
        found = [r for r in world.host.objects(DPUServiceCredentialRequest) if r.metadata.name == "second"]
        said = next(c for c in found[0].status.conditions or () if c.type == ACCOUNT_CONDITION)
        assert (
            f"belongs to DPUServiceCredentialRequest {REQUEST}; choose another spec.serviceAccount" in said.message
        )


async def test_two_requests_for_one_secret() -> None:
    """The first keeps it; the second is told, takes nothing away when it goes, and gets it when the first is gone."""
    second = {"account": Key("services", "android")}
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        world.host.add(stage.a_request("second", **second))
        await manager.settle()
        message = stage.condition(world, SECRET_CONDITION, "second").message
        assert f"belongs to DPUServiceCredentialRequest {REQUEST}; choose another spec.secret" in message
        await remove_request(world, "second")
        await manager.settle()
        assert not exists(world, "second")
        assert stage.accepts(world.dpus[DPU], stage.credential_in(stage.secret(world)).token)

        world.host.add(stage.a_request("third", **second))
        await manager.settle()
        assert not stage.is_ready(world, "third")
        await remove_request(world)
        await manager.settle()
        assert stage.is_ready(world, "third")


async def test_a_token_that_is_refused_is_told_and_asked_for_again() -> None:
    world = stage.a_stage()
    refusal = errors.Forbidden("serviceaccounts/token is forbidden")
    world.dpus[DPU].fail_next(lambda r: r.full_verb == "create/token", refusal)
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        assert stage.condition(world, ACCOUNT_CONDITION).status == "True"
        found = stage.condition(world, SECRET_CONDITION)
        assert (found.status, found.reason, found.message) == (
            "False", "Error",
            f"Error occurred: no token for ServiceAccount {ACCOUNT}: serviceaccounts/token is forbidden",
        )
        await world.clock.run_for(5)
        await manager.settle()
    assert stage.is_ready(world)


async def test_one_answer_that_fails_is_asked_for_again() -> None:
    world = stage.a_stage()
    world.dpus[DPU].fail_next(lambda r: r.full_verb == "get" and r.kind == "ServiceAccount", errors.Timeout("too late"))
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        assert stage.condition(world, ACCOUNT_CONDITION).message == (
            "Error occurred: error while getting DPU cluster dpu-1: too late"
        )
        await world.clock.run_for(11)
        await manager.settle()
        assert stage.is_ready(world)
        world.dpus[DPU].fail_next(
            lambda r: r.full_verb == "get" and r.kind == "ServiceAccount", errors.Timeout("too late")
        )
        await remove_request(world)
        await manager.settle()
        assert exists(world)
        await world.clock.run_for(11)
        await manager.settle()
    assert not exists(world)


async def test_a_namespace_that_is_missing_is_told_and_waited_for() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request(account=Key("later", "robot")))
    async with stage.running(world) as manager:
        assert 'namespaces "later" not found' in stage.condition(world, ACCOUNT_CONDITION).message
        world.dpus[DPU].add(core.Namespace(metadata=ObjectMeta(name="later")))
        await world.clock.run_for(600)
        await manager.settle()
    assert stage.is_ready(world)


async def test_deletion_waits_for_a_cluster_that_does_not_answer() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        cut_off(world)
        await world.clock.run_for(60)
        await remove_request(world)
        await manager.settle()
        found = stage.condition(world, ACCOUNT_CONDITION)
        assert (found.status, found.reason) == ("False", "AwaitingDeletion")
        assert found.message == (
            "error while getting DPU cluster dpu-1: dpu cluster is not connected: connection refused; waiting for it, "
            "to delete ServiceAccount services/robot there. If that cluster is gone for good, delete DPUCluster "
            "dpf-clusters/dpu-1"
        )
        assert stage.condition(world, "Ready").reason == "AwaitingDeletion"
        assert stage.secret(world) is not None
        connect_again(world)
        await world.clock.run_for(60)
        await manager.settle()
    assert not exists(world)
    assert stage.account(world.dpus[DPU]) is None
    assert stage.secret(world) is None


async def test_deletion_goes_on_when_the_dead_cluster_is_given_up() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        cut_off(world)
        await world.clock.run_for(60)
        await remove_request(world)
        await manager.settle()
        assert exists(world)
        await world.host.delete(DPUCluster, DPU.name, DPU.namespace)
        await manager.settle()
    assert not exists(world)
    assert stage.secret(world) is None


async def test_a_move_waits_for_the_former_cluster_and_forgets_nothing() -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        cut_off(world)
        await world.clock.run_for(60)
        await stage.edit(world, targetCluster={"name": SECOND.name})
        await manager.settle()
        found = stage.condition(world, ACCOUNT_CONDITION)
        assert (found.status, found.reason) == ("False", "Error")
        assert "waiting for it, to delete ServiceAccount services/robot there" in found.message
        assert stage.request(world).status.targetCluster == str(DPU)
        assert stage.account(world.dpus[SECOND]) is None
        connect_again(world)
        await world.clock.run_for(60)
        await manager.settle()
    assert stage.is_ready(world)
    assert stage.account(world.dpus[DPU]) is None
    assert stage.account(world.dpus[SECOND]) is not None


async def test_bad_specs_are_told_and_the_revert_helps() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        before = stage.secret(world)
        for bad, good, told in (
            ({"duration": "5m"}, {"duration": "1h"}, "spec.duration 5m is shorter than 10m"),
            ({"duration": "soon"}, {"duration": "1h"}, "spec.duration 'soon' is not a duration"),
            ({"secret": {"name": "a/b"}}, {"secret": {"name": SECRET.name}}, "spec.secret: tenant/a/b cannot be the"),
            ({"serviceAccount": {"name": ".."}}, {"serviceAccount": {"name": ACCOUNT.name}}, "spec.serviceAccount: "),
            ({"type": "pem"}, {"type": "kubeconfig"}, "spec.type 'pem' is not one of kubeconfig, tokenFile"),
        ):
            await stage.edit(world, **bad)
            await manager.settle()
            found = stage.condition(world, ACCOUNT_CONDITION)
            assert (found.status, found.reason) == ("False", "Error")
            assert found.message.startswith(f"Error occurred: {told}")
            await stage.edit(world, **good)
            await manager.settle()
            assert stage.is_ready(world)
        assert stage.secret(world) == before


async def test_a_request_without_a_spec_is_told_and_can_be_deleted() -> None:
    world = stage.a_stage()
    world.host.add(DPUServiceCredentialRequest(metadata=ObjectMeta(name=stage.NAME, namespace=NAMESPACE, generation=1)))
    async with stage.running(world) as manager:
        assert stage.condition(world, ACCOUNT_CONDITION).message.startswith("Error occurred: spec is missing")
        await remove_request(world)
        await manager.settle()
    assert not exists(world)


async def test_a_spec_that_became_bad_does_not_keep_the_service_account_from_being_deleted() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        await stage.edit(world, duration="5m")
        await remove_request(world)
        await manager.settle()
    assert not exists(world)
    assert stage.account(world.dpus[DPU]) is None
    assert stage.secret(world) is None


async def test_no_token_in_any_log_event_status_or_plan(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = stage.a_stage()
    world.host.add(stage.a_request(), stage.a_request("files", secret=OTHER, account=Key("services", "b"),
                                                      type="tokenFile", target=None))
    world.host.fail_next(
        lambda r: r.verb == "apply" and r.kind == "Secret", errors.Invalid("metadata.labels: Invalid value"), times=2
    )
    plans_made: list[str] = []
    with structlog.testing.capture_logs() as logs:
        async with stage.running(world) as manager:
            await world.clock.run_for(60)
            await manager.settle()
            world.clock.advance(3600)
            for request in world.host.objects(DPUServiceCredentialRequest):
                snapshot = await observe.snapshot(world.registry, request)
                plan = planner.plan(snapshot, world.clock.now())
                assert any(isinstance(action, plans.Drive) for step in plan.steps for action in step.actions)
                plans_made.append(repr((snapshot, plan)))
            await manager.settle()
            await remove_request(world)
            await manager.settle()
    tokens = [issued.token for cluster in world.clusters for issued in cluster.tokens.issued]
    assert len(tokens) >= 6, "refused ones count: they must not be told either"
    shown = "\n".join([
        *map(str, logs), caplog.text, *plans_made, *(repr(event) for event in world.host.objects(core.Event)),
        *(msgspec.json.encode(r).decode() for r in world.host.objects(DPUServiceCredentialRequest)),
    ])
    assert "the token is due for renewal" in shown, "Events are looked at"
    assert "Invalid value" in shown, "logs are looked at"
    assert [token for token in tokens if token in shown] == []
    assert "memory-token" not in shown
