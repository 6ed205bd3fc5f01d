"""A DPUServiceCredentialRequest is served, renewed, changed and removed (behaviour-service.md 13, tests 43 to 45)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
import yaml
from tests.support import credentialrequests as stage
from tests.support import dpuservices as some
from tests.support.credentialrequests import ACCOUNT, DPU, NAMESPACE, REQUEST, SECRET
from tests.support.world import World

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest
from dpf.api.meta import Key, ObjectMeta
from dpf.kube.memory import Request
from dpf.runtime.manager import Manager

LABELS = {
    "svc.dpu.nvidia.com/managed-by-controller": "dpuservicecredentialrequestcontroller",
    "svc.dpu.nvidia.com/credential-request-name": REQUEST.name,
    "svc.dpu.nvidia.com/credential-request-namespace": REQUEST.namespace,
}
MINUTE_S = 60.0


async def test_43_a_kubeconfig_for_a_dpu_cluster() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    await stage.live(world)

    dpu = world.dpus[DPU]
    account, secret = stage.account(dpu), stage.secret(world)
    assert account is not None
    assert secret is not None
    assert account.automountServiceAccountToken is False
    assert (account.metadata.labels, secret.metadata.labels, secret.type) == (LABELS, LABELS, "Opaque")
    config = yaml.safe_load(stage.plain(secret)["kubeconfig"])
    assert set(secret.data or ()) == {"kubeconfig"}
    assert config["clusters"] == [{"name": "c", "cluster": {
        "server": "https://dpu-1.dpf-clusters.example:6443", "insecure-skip-tls-verify": True,
    }}]
    assert config["contexts"] == [
        {"name": "robot", "context": {"cluster": "c", "user": "robot", "namespace": "services"}}
    ]
    assert config["current-context"] == "robot"
    assert [user["name"] for user in config["users"]] == ["robot"]
    grant = stage.accepts(dpu, config["users"][0]["user"]["token"])
    assert grant is not None
    assert grant.account == ACCOUNT
    assert stage.account(world.host) is None


async def test_43_the_status_says_what_was_made() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    await stage.live(world)

    status = stage.request(world).status
    cluster = world.host.objects(DPUCluster)[0]
    assert (status.serviceAccount, status.secret) == (str(ACCOUNT), str(SECRET))
    assert (status.targetCluster, status.targetClusterUID) == (str(DPU), cluster.metadata.uid)
    assert (status.issuedAt, status.expirationTimestamp) == ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")
    assert [(c.type, c.status, c.reason, c.message) for c in status.conditions or ()] == [
        ("Ready", "True", "Success", ""), ("ServiceAccountReconciled", "True", "Success", ""),
        ("SecretReconciled", "True", "Success", ""),
    ]


async def test_43_without_a_target_it_is_the_host_cluster() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request(target=None))
    await stage.live(world)

    config = yaml.safe_load(stage.plain(stage.secret(world))["kubeconfig"])
    (named,) = config["clusters"]
    assert named["name"] == "incluster"
    assert named["cluster"]["server"] == world.host.endpoint.server
    assert named["cluster"]["certificate-authority-data"]
    assert stage.accepts(world.host, config["users"][0]["user"]["token"])
    status = stage.request(world).status
    assert (status.targetCluster, status.targetClusterUID) == (None, None)
    assert stage.is_ready(world)


async def test_43_token_file_has_four_keys() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request(type="tokenFile", target=None))
    await stage.live(world)

    data = stage.plain(stage.secret(world))
    token = data.pop("TOKEN_FILE")
    assert data == {
        "KUBERNETES_SERVICE_HOST": "host.example", "KUBERNETES_SERVICE_PORT": "6443",
        "KUBERNETES_CA_DATA": (world.host.endpoint.ca_pem or b"").decode(),
    }
    assert stage.accepts(world.host, token)


async def test_namespaces_that_are_not_named_are_default() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request(account=Key("", "robot"), secret=Key("", "s"), target=None))
    await stage.live(world)
    status = stage.request(world).status
    assert (status.serviceAccount, status.secret) == ("default/robot", "default/s")
    assert stage.account(world.host, Key("default", "robot")) is not None


async def test_metadata_is_for_the_secret_and_cannot_replace_our_labels() -> None:
    world = stage.a_stage()
    mine = "svc.dpu.nvidia.com/credential-request-name"
    world.host.add(stage.a_request(metadata={
        "labels": {"team": "a", mine: "x"}, "annotations": {"note": "b", "svc.dpu.nvidia.com/credential": "{}"},
    }))
    async with stage.running(world) as manager:
        secret = stage.secret(world)
        assert secret is not None
        assert secret.metadata.labels == {**LABELS, "team": "a"}
        assert (secret.metadata.annotations or {})["note"] == "b"
        data = secret.data
        await stage.edit(world, metadata={"labels": {"team": None, "unit": "c"}, "annotations": None})
        await manager.settle()
        secret = stage.secret(world)
        assert secret is not None
        assert secret.metadata.labels == {**LABELS, "unit": "c"}
        assert set(secret.metadata.annotations or {}) == {"svc.dpu.nvidia.com/credential"}
        assert secret.data == data, "no new token for a new label"
    assert stage.is_ready(world)


async def test_race_12_ready_is_not_true_before_there_is_something_to_use() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    seen: list[str] = []

    def look(_: Request) -> None:
        status = stage.request(world).status
        ready = next((c.status for c in status.conditions or () if c.type == "Ready"), "absent")
        seen.append(ready)
        if ready == "True":
            assert stage.accepts(world.dpus[DPU], stage.credential_in(stage.secret(world)).token)
            assert status.expirationTimestamp

    for cluster in world.clusters:
        cluster.after_write = look
    await stage.live(world)
    assert seen[-1] == "True"
    assert {"absent", "False"} <= set(seen)


async def test_a_settled_request_causes_no_write_and_no_read() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request(), stage.a_request("other", target=None, secret=Key(NAMESPACE, "other")))
    async with stage.running(world) as manager:
        written, read = list(world.writes), [len(c.requests) for c in world.clusters]
        for _ in range(5):
            manager.controllers[0].enqueue_all()
            await manager.settle()
        assert world.writes == written
        assert [len(c.requests) for c in world.clusters] == read


async def test_a_restart_writes_nothing() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    await stage.live(world)
    written = list(world.writes)
    await stage.live(world)
    assert world.writes == written


async def test_44_an_hour_is_renewed_after_48_minutes() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        first = stage.credential_in(stage.secret(world)).token
        await pass_time(world, manager, 47.5)
        assert stage.credential_in(stage.secret(world)).token == first
        await pass_time(world, manager, 0.6)
        second = stage.credential_in(stage.secret(world)).token
        assert second != first
        assert stage.is_ready(world)
        issued = stage.request(world).status.issuedAt or ""
        assert "2026-01-01T00:47:50Z" <= issued <= "2026-01-01T00:48:06Z"
        await pass_time(world, manager, 6 * 60)
        assert len(world.dpus[DPU].tokens.issued) - 2 in {7, 8}


async def test_44_a_token_of_25_hours_ago_is_renewed() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request(duration="24h"))
    await stage.live(world)
    first = stage.credential_in(stage.secret(world)).token
    world.clock.advance(25 * 60 * MINUTE_S)
    await stage.live(world)
    assert stage.credential_in(stage.secret(world)).token != first
    assert stage.request(world).status.issuedAt == "2026-01-02T01:00:00Z"


async def test_44_a_status_that_was_made_old_by_hand_leads_to_a_new_token() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        first = stage.credential_in(stage.secret(world)).token
        old = {"status": {"issuedAt": "2025-12-30T23:00:00Z", "expirationTimestamp": "2025-12-31T23:00:00Z"}}
        await world.host.patch(DPUServiceCredentialRequest, REQUEST.name, NAMESPACE, patch=old, subresource="status")
        await manager.settle()
        assert stage.credential_in(stage.secret(world)).token != first
        assert stage.request(world).status.issuedAt == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(("asked", "life"), [
    ("10m", "00:10:00"), (None, "01:00:00"), ("48h", None), ("1h30m", "01:30:00"),
])
async def test_the_life_of_a_token(asked: str | None, life: str | None) -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request(duration=asked))
    await stage.live(world)
    expected = f"2026-01-01T{life}Z" if life else "2026-01-02T00:00:00Z"
    assert stage.request(world).status.expirationTimestamp == expected


async def test_a_server_that_grants_less_is_not_asked_again_and_again() -> None:
    world = stage.a_stage()
    world.dpus[DPU].tokens.max_life_s = 3600
    world.host.add(stage.a_request(duration="12h"))
    async with stage.running(world) as manager:
        assert stage.request(world).status.expirationTimestamp == "2026-01-01T01:00:00Z"
        assert len(world.dpus[DPU].tokens.issued) == 1
        await pass_time(world, manager, 49)
        assert len(world.dpus[DPU].tokens.issued) == 2


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_cluster_whose_clock_is_hours_off_is_served_like_any_other(hours: int) -> None:
    world = stage.a_stage()
    dpu = world.dpus[DPU]
    dpu._now = lambda: world.clock.now() + timedelta(hours=hours)
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        assert stage.accepts(dpu, stage.credential_in(stage.secret(world)).token)
        assert len(dpu.tokens.issued) == 1
        await pass_time(world, manager, 49)
        assert stage.accepts(dpu, stage.credential_in(stage.secret(world)).token)
        assert len(dpu.tokens.issued) == 2
        status = stage.request(world).status
        assert (status.issuedAt or "") > "2026-01-01T03" if hours > 0 else (status.issuedAt or "") < "2025-12-31T23"


async def test_a_new_duration_leads_to_a_new_token_at_once() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        await stage.edit(world, duration="2h")
        await manager.settle()
    assert stage.request(world).status.expirationTimestamp == "2026-01-01T02:00:00Z"


@pytest.mark.parametrize(("before", "after"), [("2h", None), (None, "1h"), ("60m", "1h")])
async def test_a_token_that_lives_as_long_as_is_asked_for_is_kept(before: str | None, after: str | None) -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request(duration=before))
    async with stage.running(world) as manager:
        await stage.edit(world, duration=after)
        await manager.settle()
        assert len(world.dpus[DPU].tokens.issued) == 1
        assert stage.is_ready(world)
        await world.clock.run_for(2 * 3600)
        await manager.settle()
        assert stage.accepts(world.dpus[DPU], stage.credential_in(stage.secret(world)).token)
    status = stage.request(world).status
    life = datetime.fromisoformat(status.expirationTimestamp or "") - datetime.fromisoformat(status.issuedAt or "")
    assert life == timedelta(hours=1), "the next one follows the spec"


@pytest.mark.parametrize("target", [DPU, None], ids=["dpu", "host"])
async def test_45_another_service_account(target: Key | None) -> None:
    world = stage.a_stage()
    cluster = world.dpus[DPU] if target else world.host
    world.host.add(stage.a_request(target=target))
    async with stage.running(world) as manager:
        old = stage.credential_in(stage.secret(world)).token
        await stage.edit(world, serviceAccount={"name": "android"})
        await manager.settle()
        assert stage.account(cluster) is None
        assert stage.accepts(cluster, old) is None
        grant = stage.accepts(cluster, stage.credential_in(stage.secret(world)).token)
        assert grant is not None
        assert grant.account == Key(ACCOUNT.namespace, "android")
        assert stage.request(world).status.serviceAccount == "services/android"
        assert stage.is_ready(world)


async def test_45_another_name_of_the_secret_keeps_the_token() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        before = stage.secret(world)
        assert before is not None
        await stage.edit(world, secret={"name": "renamed"})
        await manager.settle()
        after = stage.secret(world, Key(NAMESPACE, "renamed"))
        assert stage.secret(world) is None
        assert after is not None
        assert after.data == before.data
        assert stage.request(world).status.secret == f"{NAMESPACE}/renamed"
        assert len(world.dpus[DPU].tokens.issued) == 1
        assert stage.is_ready(world)


@pytest.mark.parametrize("target", [{"name": "dpu-2"}, None], ids=["another DPU cluster", "the host"])
async def test_another_target(target: dict[str, str] | None) -> None:
    world = stage.a_stage("dpu-1", "dpu-2")
    cluster = world.dpus[Key(some.CLUSTERS, "dpu-2")] if target else world.host
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        await stage.edit(world, targetCluster=target)
        await manager.settle()
    assert stage.account(world.dpus[DPU]) is None
    assert stage.accepts(cluster, stage.credential_in(stage.secret(world)).token)
    assert stage.request(world).status.targetCluster == ("dpf-clusters/dpu-2" if target else None)
    assert stage.is_ready(world)


async def test_race_12_another_type_rewrites_the_secret_at_once() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request(target=None))
    async with stage.running(world) as manager:
        await stage.edit(world, type="tokenFile")
        await manager.settle()
        secret = stage.secret(world)
        assert secret is not None
        assert set(secret.data or ()) == {
            "TOKEN_FILE", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBERNETES_CA_DATA",
        }
        await stage.edit(world, type="kubeconfig")
        await manager.settle()
        secret = stage.secret(world)
        assert secret is not None
        assert set(secret.data or ()) == {"kubeconfig"}
        assert stage.accepts(world.host, stage.credential_in(secret).token)


async def test_race_12_a_secret_that_is_deleted_by_hand_comes_back_with_its_data() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        await world.host.delete(core.Secret, SECRET.name, SECRET.namespace)
        await manager.settle()
        assert stage.accepts(world.dpus[DPU], stage.credential_in(stage.secret(world)).token)
        assert stage.is_ready(world)


@pytest.mark.parametrize("patch", [
    {"data": {"kubeconfig": "eA=="}},
    {"data": {"kubeconfig": None}},
    {"metadata": {"labels": {"svc.dpu.nvidia.com/credential-request-name": "somebody"}}},
    {"metadata": {"labels": None}},
    {"metadata": {"annotations": {"svc.dpu.nvidia.com/credential": "{"}}},
    {"immutable": True, "data": {"kubeconfig": "eA=="}},
], ids=["changed", "removed", "label", "labels", "mark", "immutable"])
async def test_a_secret_that_is_edited_by_hand_is_put_right(patch: dict[str, object]) -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        taken_away = patch.get("metadata") == {"labels": {"svc.dpu.nvidia.com/credential-request-name": "somebody"}}
        await world.clock.run_for(MINUTE_S)
        await world.host.patch(core.Secret, SECRET.name, SECRET.namespace, patch=patch)
        await manager.settle()
        if taken_away:
            assert "belongs to DPUServiceCredentialRequest" in stage.condition(world, "SecretReconciled").message
            return
        secret = stage.secret(world)
        assert secret is not None
        assert secret.metadata.labels == LABELS
        assert not secret.immutable
        assert stage.accepts(world.dpus[DPU], stage.credential_in(secret).token)
        assert stage.is_ready(world)


async def test_a_copy_that_somebody_makes_of_the_secret_stays() -> None:
    """As `kubectl get -o yaml | kubectl apply` and programs that distribute Secrets make it, labels and all."""
    world = stage.a_stage()
    world.host.add(stage.a_request())
    copy = Key("services", "copy")
    async with stage.running(world) as manager:
        original = stage.secret(world)
        assert original is not None
        world.host.add(core.Secret(
            metadata=ObjectMeta(name=copy.name, namespace=copy.namespace, labels=original.metadata.labels,
                                annotations=original.metadata.annotations),
            type=original.type, data=original.data,
        ))
        await manager.settle()
        assert stage.secret(world, copy) is not None
        await stage.edit(world, secret={"name": "renamed", "namespace": NAMESPACE})
        await manager.settle()
        assert stage.secret(world, Key(NAMESPACE, "renamed")) is not None
        assert stage.secret(world) is None
        await world.host.delete(DPUServiceCredentialRequest, stage.NAME, NAMESPACE)
        await manager.settle()
        assert world.host.objects(DPUServiceCredentialRequest) == ()
    assert {s.metadata.name for s in world.host.objects(core.Secret) if s.data and "kubeconfig" in s.data} == {"copy"}


async def test_what_others_add_to_the_secret_stays() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        patch = {"data": {"extra": "eA=="}, "metadata": {"labels": {"theirs": "x"}, "annotations": {"theirs": "y"}}}
        await world.host.patch(core.Secret, SECRET.name, SECRET.namespace, patch=patch)
        await manager.settle()
        secret = stage.secret(world)
        assert secret is not None
        assert set(secret.data or ()) == {"kubeconfig", "extra"}
        assert (secret.metadata.labels or {})["theirs"] == "x"
        assert len(world.dpus[DPU].tokens.issued) == 1


async def test_a_service_account_that_is_deleted_by_hand_comes_back_and_gets_a_new_token() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    dpu = world.dpus[DPU]
    async with stage.running(world) as manager:
        old = stage.credential_in(stage.secret(world)).token
        await dpu.delete(core.ServiceAccount, ACCOUNT.name, ACCOUNT.namespace)
        await manager.settle()
        assert stage.accepts(dpu, old) is None
        assert stage.accepts(dpu, stage.credential_in(stage.secret(world)).token)


@pytest.mark.parametrize("patch", [{"metadata": {"labels": None}}, {"automountServiceAccountToken": True}])
async def test_a_service_account_that_is_edited_by_hand_is_put_right(patch: dict[str, object]) -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    dpu = world.dpus[DPU]
    async with stage.running(world) as manager:
        await dpu.patch(core.ServiceAccount, ACCOUNT.name, ACCOUNT.namespace, patch=patch)
        await manager.settle()
        account = stage.account(dpu)
        assert account is not None
        assert (account.metadata.labels, account.automountServiceAccountToken) == (LABELS, False)
        assert len(dpu.tokens.issued) == 1


async def test_a_new_address_of_the_target_reaches_the_secret() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        moved = yaml.safe_dump({
            "clusters": [{"name": "moved", "cluster": {"server": "https://192.0.2.9:6443"}}],
            "users": [{"name": "u", "user": {"token": "not-a-real-token"}}],
        }).encode()
        data = some.a_kubeconfig_secret(DPU, moved).data
        await world.host.patch(core.Secret, "dpu-1-admin-kubeconfig", some.CLUSTERS, patch={"data": data})
        await manager.settle()
        await world.clock.run_for(1)
        await manager.settle()
    config = yaml.safe_load(stage.plain(stage.secret(world))["kubeconfig"])
    assert config["clusters"][0]["cluster"]["server"] == "https://192.0.2.9:6443"
    assert stage.is_ready(world)


async def test_deletion_removes_both() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        await world.host.delete(DPUServiceCredentialRequest, REQUEST.name, NAMESPACE)
        await manager.settle()
    assert world.host.objects(DPUServiceCredentialRequest) == ()
    assert stage.secret(world) is None
    assert stage.account(world.dpus[DPU]) is None


async def test_45_deletion_after_the_dpucluster_is_gone() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        await world.host.delete(DPUCluster, DPU.name, DPU.namespace)
        await manager.settle()
        await world.host.delete(DPUServiceCredentialRequest, REQUEST.name, NAMESPACE)
        await manager.settle()
    assert world.host.objects(DPUServiceCredentialRequest) == ()
    assert stage.secret(world) is None


async def test_deletion_before_anything_was_made() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request(target=Key(some.CLUSTERS, "nowhere")))
    async with stage.running(world) as manager:
        await world.host.delete(DPUServiceCredentialRequest, REQUEST.name, NAMESPACE)
        await manager.settle()
    assert world.host.objects(DPUServiceCredentialRequest) == ()


async def test_a_recreated_target_cluster_gets_a_new_service_account() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    async with stage.running(world) as manager:
        old = stage.request(world).status.targetClusterUID
        await world.host.delete(DPUCluster, DPU.name, DPU.namespace)
        await manager.settle()
        dpu = type(world.host)(str(DPU), now=world.clock.now)
        dpu.add(core.Namespace(metadata=ObjectMeta(name=ACCOUNT.namespace)))
        world.dpus[DPU] = dpu
        world.host.add(some.a_cluster(DPU.name, DPU.namespace))
        await world.clock.run_for(1)
        await manager.settle()
        assert stage.request(world).status.targetClusterUID not in {None, old}
        assert stage.accepts(dpu, stage.credential_in(stage.secret(world)).token)
        assert stage.is_ready(world)


async def test_a_request_that_24_10_left_behind_is_taken_over() -> None:
    """Without labels and annotations, but with a status that names what was made."""
    world = stage.a_stage()
    dpu = world.dpus[DPU]
    dpu.add(core.ServiceAccount(metadata=ObjectMeta(name=ACCOUNT.name, namespace=ACCOUNT.namespace)))
    world.host.add(stage.a_request(status={
        "serviceAccount": str(ACCOUNT), "targetCluster": str(DPU), "secret": str(SECRET),
        "issuedAt": "2025-12-31T23:50:00Z", "expirationTimestamp": "2026-01-01T00:50:00Z",
    }))
    await stage.live(world)
    assert stage.is_ready(world)
    assert stage.request(world).status.targetClusterUID
    account = stage.account(dpu)
    assert account is not None
    assert account.metadata.labels == LABELS


async def test_the_mark_gives_nothing_away() -> None:
    world = stage.a_stage()
    world.host.add(stage.a_request())
    await stage.live(world)
    secret = stage.secret(world)
    assert secret is not None
    mark = json.loads((secret.metadata.annotations or {})["svc.dpu.nvidia.com/credential"])
    assert set(mark) == {"asked_s", "data", "expires", "inputs", "issued", "metadata", "requested", "secret"}
    assert all(len(mark[name]) == 10 for name in ("data", "inputs", "metadata"))


async def pass_time(world: World, manager: Manager, minutes: float) -> None:
    """Live through that time, half a minute at a step."""
    for _ in range(round(minutes * 2)):
        await world.clock.run_for(MINUTE_S / 2)
        await manager.settle()


