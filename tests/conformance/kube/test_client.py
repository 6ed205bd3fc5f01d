"""What every implementation of the client port promises: reads, writes, their conditions and their errors."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dpf.api import core
from dpf.api.core import ConfigMap, Namespace, Secret, ServiceAccount, TokenRequest, TokenRequestSpec
from dpf.api.meta import Condition, Key, ObjectMeta, OwnerReference, object_key
from dpf.kube import errors
from dpf.kube.client import Client, PatchType

from .widget import Gadget, StrictWidget, Unserved, Widget, WidgetSpec, WidgetStatus


def a_config_map(namespace: str, name: str = "one", **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace), data=data or {"a": "1"})


def a_widget(namespace: str, name: str = "w", spec: WidgetSpec | None = None, **metadata: Any) -> Widget:
    meta = ObjectMeta(name=name, namespace=namespace, **metadata)
    return Widget(metadata=meta, spec=spec or WidgetSpec(size=1))


async def test_created_objects_carry_what_the_server_fills_in(cluster: Client, namespace: str) -> None:
    made = await cluster.create(a_config_map(namespace))
    assert (made.apiVersion, made.kind, object_key(made)) == ("v1", "ConfigMap", Key(namespace, "one"))
    assert made.metadata.uid
    assert made.metadata.resourceVersion
    assert made.metadata.creationTimestamp
    assert await cluster.get(ConfigMap, "one", namespace) == made


async def test_a_list_item_equals_the_object_that_get_returns(cluster: Client, namespace: str) -> None:
    await cluster.create(a_config_map(namespace))
    listing = await cluster.list(ConfigMap, namespace)
    (item,) = (item for item in listing.items if item.metadata.name == "one")
    assert item == await cluster.get(ConfigMap, "one", namespace)


async def test_generate_name(cluster: Client, namespace: str) -> None:
    obj = ConfigMap(metadata=ObjectMeta(generateName="made-", namespace=namespace))
    names = {(await cluster.create(obj)).metadata.name for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("made-") and len(name) == len("made-") + 5 for name in names)


async def test_an_object_needs_a_name(cluster: Client, namespace: str) -> None:
    with pytest.raises(errors.Invalid):
        await cluster.create(ConfigMap(metadata=ObjectMeta(namespace=namespace)))


async def test_creating_what_exists(cluster: Client, namespace: str) -> None:
    await cluster.create(a_config_map(namespace))
    with pytest.raises(errors.AlreadyExists) as caught:
        await cluster.create(a_config_map(namespace, a="2"))
    assert caught.value.status == 409
    assert (await cluster.get(ConfigMap, "one", namespace)).data == {"a": "1"}


async def test_creating_with_a_resource_version(cluster: Client, namespace: str) -> None:
    with pytest.raises(errors.ServerError, match="should not be set"):
        await cluster.create(ConfigMap(metadata=ObjectMeta(name="x", namespace=namespace, resourceVersion="1")))


async def test_creating_in_a_namespace_that_does_not_exist(cluster: Client) -> None:
    with pytest.raises(errors.NotFound, match="nowhere"):
        await cluster.create(a_config_map("nowhere"))


async def test_applying_in_a_namespace_that_does_not_exist(cluster: Client) -> None:
    with pytest.raises(errors.NotFound, match="nowhere"):
        await cluster.apply(a_config_map("nowhere"), field_owner="a")


async def test_creating_in_a_namespace_that_is_deleted(cluster: Client, namespace: str) -> None:
    held = ConfigMap(metadata=ObjectMeta(name="held", namespace=namespace, finalizers=["dpf.example/hold"]))
    await cluster.create(held)
    await cluster.delete(Namespace, namespace)
    assert (await cluster.get(Namespace, namespace)).status.phase == "Terminating"
    with pytest.raises(errors.Forbidden, match="terminated"):
        await cluster.create(a_config_map(namespace))
    with pytest.raises(errors.Forbidden, match="terminated"):
        await cluster.apply(a_config_map(namespace), field_owner="a")


async def test_a_name_never_addresses_something_else(cluster: Client, namespace: str) -> None:
    await cluster.create(a_config_map(namespace))
    for name in ("", ".", "..", "one/status", "a%2fb"):
        with pytest.raises(errors.BadRequest):
            await cluster.delete(ConfigMap, name, namespace)
    with pytest.raises(errors.BadRequest):
        await cluster.get(ConfigMap, "one")
    with pytest.raises(errors.BadRequest):
        await cluster.list(ConfigMap, "..")
    assert (await cluster.get(ConfigMap, "one", namespace)).data == {"a": "1"}


@pytest.mark.parametrize("verb", ["get", "patch", "delete"])
async def test_what_does_not_exist(cluster: Client, namespace: str, verb: str) -> None:
    with pytest.raises(errors.NotFound) as caught:
        if verb == "get":
            await cluster.get(ConfigMap, "none", namespace)
        elif verb == "patch":
            await cluster.patch(ConfigMap, "none", namespace, patch={"data": {}})
        else:
            await cluster.delete(ConfigMap, "none", namespace)
    assert caught.value.status == 404
    assert "none" in str(caught.value)


async def test_dry_run_changes_nothing(cluster: Client, namespace: str) -> None:
    made = await cluster.create(a_config_map(namespace), dry_run=True)
    assert made.metadata.uid
    assert all(item.metadata.name != "one" for item in (await cluster.list(ConfigMap, namespace)).items)
    before = await cluster.create(a_config_map(namespace))
    shown = await cluster.apply(a_config_map(namespace, a="2"), field_owner="a", dry_run=True)
    assert shown.data == {"a": "2"}
    shown = await cluster.patch(ConfigMap, "one", namespace, patch={"data": {"b": "3"}}, dry_run=True)
    assert shown.data == {"a": "1", "b": "3"}
    await cluster.delete(ConfigMap, "one", namespace, dry_run=True)
    assert await cluster.get(ConfigMap, "one", namespace) == before


async def test_list_is_narrowed_by_namespace_labels_and_fields(cluster: Client, namespace: str) -> None:
    other = f"{namespace}-other"
    await cluster.create(Namespace(metadata=ObjectMeta(name=other)))
    for where, name, labels in (
        (namespace, "a", {"app": "x"}), (namespace, "b", {"app": "y"}), (namespace, "c", {}),
        (other, "a", {"app": "x"}),
    ):
        await cluster.create(Secret(metadata=ObjectMeta(name=name, namespace=where, labels=labels)))

    async def names(**query: str) -> list[str]:
        listing = await cluster.list(Secret, namespace, **query)
        return [item.metadata.name for item in listing.items]

    assert await names() == ["a", "b", "c"]
    assert await names(labels="app=x") == ["a"]
    assert await names(labels="app!=x") == ["b", "c"]
    assert await names(labels="app in (x,y)") == ["a", "b"]
    assert await names(labels="app notin (x)") == ["b", "c"]
    assert await names(labels="app") == ["a", "b"]
    assert await names(labels="!app") == ["c"]
    assert await names(labels="app,app!=y") == ["a"]
    assert await names(fields="metadata.name=b") == ["b"]
    assert await names(fields="metadata.name!=b") == ["a", "c"]
    everywhere = await cluster.list(Secret, labels="app=x", fields="metadata.name=a")
    assert {item.metadata.namespace for item in everywhere.items} >= {namespace, other}


async def test_illegal_selectors(cluster: Client, namespace: str) -> None:
    with pytest.raises(errors.BadRequest):
        await cluster.list(ConfigMap, namespace, labels="app in (")
    with pytest.raises(errors.BadRequest):
        await cluster.list(ConfigMap, namespace, fields="data.a=1")


async def test_pages_make_one_list(cluster: Client, namespace: str) -> None:
    for number in range(7):
        await cluster.create(Secret(metadata=ObjectMeta(name=f"s{number}", namespace=namespace)))
    listing = await cluster.list(Secret, namespace, page_size=2)
    assert [item.metadata.name for item in listing.items] == [f"s{number}" for number in range(7)]
    assert listing.resource_version


async def test_an_object_that_does_not_fit_our_type_hides_no_other(cluster: Client, namespace: str) -> None:
    await cluster.create(a_widget(namespace, "bad", WidgetSpec(size=1)))
    await cluster.create(Widget(metadata=ObjectMeta(name="good", namespace=namespace)))
    await cluster.patch(StrictWidget, "good", namespace, patch={"spec": {"size": "1"}})
    listing = await cluster.list(StrictWidget, namespace)
    assert [item.metadata.name for item in listing.items] == ["good"]
    (unreadable,) = listing.unreadable
    assert unreadable.key == Key(namespace, "bad")
    assert "size" in unreadable.why
    with pytest.raises(errors.Invalid, match="cannot be read"):
        await cluster.get(StrictWidget, "bad", namespace)


# Merge and JSON patch.


async def test_merge_patch_adds_changes_and_removes(cluster: Client, namespace: str) -> None:
    await cluster.create(a_config_map(namespace, a="1", b="2"))
    patched = await cluster.patch(ConfigMap, "one", namespace, patch={"data": {"a": None, "b": "3", "c": "4"}})
    assert patched.data == {"b": "3", "c": "4"}
    assert await cluster.get(ConfigMap, "one", namespace) == patched


async def test_a_patch_that_changes_nothing_keeps_the_resource_version(cluster: Client, namespace: str) -> None:
    made = await cluster.create(a_config_map(namespace))
    same = await cluster.patch(ConfigMap, "one", namespace, patch={"data": {"a": "1"}})
    assert same.metadata.resourceVersion == made.metadata.resourceVersion


async def test_a_conditional_patch(cluster: Client, namespace: str) -> None:
    made = await cluster.create(a_config_map(namespace))
    version = made.metadata.resourceVersion
    patch = {"metadata": {"resourceVersion": version}, "data": {"a": "2"}}
    await cluster.patch(ConfigMap, "one", namespace, patch=patch)
    with pytest.raises(errors.Conflict) as caught:
        await cluster.patch(ConfigMap, "one", namespace, patch={**patch, "data": {"a": "3"}})
    assert caught.value.status == 409
    assert (await cluster.get(ConfigMap, "one", namespace)).data == {"a": "2"}


async def test_json_patch(cluster: Client, namespace: str) -> None:
    await cluster.create(a_config_map(namespace))
    patched = await cluster.patch(ConfigMap, "one", namespace, type=PatchType.JSON, patch=[
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "add", "path": "/metadata/annotations", "value": {}},
        {"op": "add", "path": "/metadata/annotations/dpf.example~1x", "value": "2"},
        {"op": "remove", "path": "/data/a"},
    ])
    assert (patched.data or {}, patched.metadata.annotations) == ({}, {"dpf.example/x": "2"})
    with pytest.raises(errors.Invalid):
        await cluster.patch(ConfigMap, "one", namespace, type=PatchType.JSON, patch=[
            {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}},
            {"op": "test", "path": "/metadata/annotations/dpf.example~1x", "value": "3"},
        ])
    assert await cluster.get(ConfigMap, "one", namespace) == patched


async def test_a_patch_cannot_change_identity(cluster: Client, namespace: str) -> None:
    made = await cluster.create(a_widget(namespace))
    patch = {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 99, "labels": {"a": "b"}}}
    patched = await cluster.patch(Widget, "w", namespace, patch=patch)
    assert patched.metadata.labels == {"a": "b"}
    assert patched.metadata.creationTimestamp == made.metadata.creationTimestamp
    assert patched.metadata.generation == made.metadata.generation


async def test_secret_string_data_is_stored_encoded(cluster: Client, namespace: str) -> None:
    made = await cluster.create(
        Secret(metadata=ObjectMeta(name="s", namespace=namespace), data={"a": "MQ=="}, stringData={"b": "two"})
    )
    assert made.data == {"a": "MQ==", "b": base64.b64encode(b"two").decode()}
    assert made.stringData is None


# Status subresource and generation.


async def test_status_and_spec_have_separate_doors(cluster: Client, namespace: str) -> None:
    made = await cluster.create(Widget(
        metadata=ObjectMeta(name="w", namespace=namespace), spec=WidgetSpec(size=1), status=WidgetStatus(phase="X"),
    ))
    assert made.status.phase is None
    both = {"spec": {"size": 2}, "status": {"phase": "Ready"}}
    by_main = await cluster.patch(Widget, "w", namespace, patch=both)
    assert (by_main.spec.size, by_main.status.phase) == (2, None)
    both["spec"] = {"size": 3}
    by_status = await cluster.patch(Widget, "w", namespace, patch=both, subresource="status")
    assert (by_status.spec.size, by_status.status.phase) == (2, "Ready")


async def test_generation_counts_changes_of_spec_only(cluster: Client, namespace: str) -> None:
    assert (await cluster.create(a_widget(namespace))).metadata.generation == 1
    changed = await cluster.patch(Widget, "w", namespace, patch={"spec": {"size": 2}})
    assert changed.metadata.generation == 2
    labelled = await cluster.patch(Widget, "w", namespace, patch={"metadata": {"labels": {"a": "b"}}})
    assert labelled.metadata.generation == 2
    status = await cluster.patch(Widget, "w", namespace, patch={"status": {"phase": "x"}}, subresource="status")
    assert status.metadata.generation == 2


async def test_without_a_status_subresource_status_is_a_field(cluster: Client, namespace: str) -> None:
    gadget = Gadget(metadata=ObjectMeta(name="g", namespace=namespace), status=WidgetStatus(phase="X"))
    assert (await cluster.create(gadget)).status.phase == "X"
    patched = await cluster.patch(Gadget, "g", namespace, patch={"status": {"phase": "Y"}})
    assert patched.status.phase == "Y"
    assert patched.metadata.generation == 2


async def test_conditions_are_written_through_status(cluster: Client, namespace: str) -> None:
    await cluster.create(a_widget(namespace))
    condition = {
        "type": "Ready", "status": "True", "reason": "Success", "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    patch = {"status": {"conditions": [condition]}}
    await cluster.patch(Widget, "w", namespace, patch=patch, subresource="status", field_owner="a")
    assert (await cluster.get(Widget, "w", namespace)).status.conditions == [
        Condition(type="Ready", status="True", reason="Success", observedGeneration=1,
                  lastTransitionTime="2026-01-01T00:00:00Z"),
    ]


# Deletion.


async def test_delete(cluster: Client, namespace: str) -> None:
    await cluster.create(a_config_map(namespace))
    await cluster.delete(ConfigMap, "one", namespace)
    with pytest.raises(errors.NotFound):
        await cluster.get(ConfigMap, "one", namespace)


async def test_delete_with_preconditions(cluster: Client, namespace: str) -> None:
    made = await cluster.create(a_config_map(namespace))
    await cluster.patch(ConfigMap, "one", namespace, patch={"data": {"a": "2"}})
    with pytest.raises(errors.Conflict):
        await cluster.delete(ConfigMap, "one", namespace, uid="00000000-dead-4000-8000-000000000000")
    with pytest.raises(errors.Conflict):
        await cluster.delete(ConfigMap, "one", namespace, resource_version=made.metadata.resourceVersion)
    await cluster.delete(ConfigMap, "one", namespace, uid=made.metadata.uid)


async def test_finalizers_hold_an_object(cluster: Client, namespace: str) -> None:
    await cluster.create(a_widget(namespace, finalizers=["dpf.example/a", "dpf.example/b"]))
    await cluster.delete(Widget, "w", namespace)
    held = await cluster.get(Widget, "w", namespace)
    assert held.metadata.deletionTimestamp
    assert held.metadata.generation == 2
    await cluster.delete(Widget, "w", namespace)
    assert await cluster.get(Widget, "w", namespace) == held
    with pytest.raises(errors.Invalid):
        await cluster.patch(Widget, "w", namespace, patch={"metadata": {"finalizers": ["dpf.example/new"]}})
    await cluster.patch(Widget, "w", namespace, patch={"metadata": {"finalizers": ["dpf.example/b"]}})
    assert (await cluster.get(Widget, "w", namespace)).metadata.finalizers == ["dpf.example/b"]
    await cluster.patch(Widget, "w", namespace, patch={"metadata": {"finalizers": None}})
    with pytest.raises(errors.NotFound):
        await cluster.get(Widget, "w", namespace)


async def test_an_object_that_is_being_deleted_can_still_be_changed(cluster: Client, namespace: str) -> None:
    await cluster.create(a_widget(namespace, finalizers=["dpf.example/a"]))
    await cluster.delete(Widget, "w", namespace)
    patched = await cluster.patch(Widget, "w", namespace, patch={"status": {"phase": "Gone"}}, subresource="status")
    assert patched.status.phase == "Gone"


# Pods that run somewhere, and what is posted to subresources.


async def a_pod(cluster: Client, namespace: str, node: str | None = None) -> core.Pod:
    """A pod that may stay for twenty seconds; on a node, which has no kubelet, nothing else happens to it."""
    account = ServiceAccount(metadata=ObjectMeta(name="default", namespace=namespace))
    await cluster.apply(account, field_owner="conformance")
    return await cluster.create(core.Pod(metadata=ObjectMeta(name="p", namespace=namespace), spec=core.PodSpec(
        nodeName=node, containers=[core.Container(name="c", image="none")], terminationGracePeriodSeconds=20,
    )))


async def test_a_pod_on_a_node_waits_for_its_kubelet(cluster: Client, namespace: str) -> None:
    await a_pod(cluster, namespace, "nowhere")
    await cluster.delete(core.Pod, "p", namespace)
    held = await cluster.get(core.Pod, "p", namespace)
    assert held.metadata.deletionTimestamp
    await cluster.patch(core.Pod, "p", namespace, patch={"metadata": {"labels": {"a": "b"}}})
    await cluster.delete(core.Pod, "p", namespace)
    assert (await cluster.get(core.Pod, "p", namespace)).metadata.labels == {"a": "b"}
    with pytest.raises(errors.Conflict):
        await cluster.delete(core.Pod, "p", namespace, grace_period_s=0, uid="00000000-dead-4000-8000-000000000000")
    await cluster.delete(core.Pod, "p", namespace, grace_period_s=0, uid=held.metadata.uid)
    with pytest.raises(errors.NotFound):
        await cluster.get(core.Pod, "p", namespace)


async def test_a_pod_can_be_removed_at_once(cluster: Client, namespace: str) -> None:
    await a_pod(cluster, namespace, "nowhere")
    await cluster.delete(core.Pod, "p", namespace, grace_period_s=0)
    with pytest.raises(errors.NotFound):
        await cluster.get(core.Pod, "p", namespace)


async def test_a_pod_without_a_node_waits_for_nobody(cluster: Client, namespace: str) -> None:
    await a_pod(cluster, namespace)
    await cluster.delete(core.Pod, "p", namespace)
    with pytest.raises(errors.NotFound):
        await cluster.get(core.Pod, "p", namespace)


async def test_a_grace_period_concerns_pods_only(cluster: Client, namespace: str) -> None:
    await cluster.create(a_config_map(namespace))
    await cluster.delete(ConfigMap, "one", namespace, grace_period_s=20)
    with pytest.raises(errors.NotFound):
        await cluster.get(ConfigMap, "one", namespace)


async def test_an_eviction_deletes_as_gently_as_a_deletion(cluster: Client, namespace: str) -> None:
    await a_pod(cluster, namespace, "nowhere")
    eviction = core.Eviction(metadata=ObjectMeta(name="p", namespace=namespace))
    await cluster.create_subresource(core.Pod, "p", namespace, subresource="eviction", body=eviction, dry_run=True)
    assert (await cluster.get(core.Pod, "p", namespace)).metadata.deletionTimestamp is None
    await cluster.create_subresource(core.Pod, "p", namespace, subresource="eviction", body=eviction)
    assert (await cluster.get(core.Pod, "p", namespace)).metadata.deletionTimestamp
    await cluster.delete(core.Pod, "p", namespace, grace_period_s=0)
    with pytest.raises(errors.NotFound):
        await cluster.create_subresource(core.Pod, "p", namespace, subresource="eviction", body=eviction)


async def test_an_eviction_at_once(cluster: Client, namespace: str) -> None:
    await a_pod(cluster, namespace, "nowhere")
    now = core.Eviction(
        metadata=ObjectMeta(name="p", namespace=namespace), deleteOptions={"gracePeriodSeconds": 0},
    )
    await cluster.create_subresource(core.Pod, "p", namespace, subresource="eviction", body=now)
    with pytest.raises(errors.NotFound):
        await cluster.get(core.Pod, "p", namespace)


async def test_an_eviction_names_its_pod(cluster: Client, namespace: str) -> None:
    await a_pod(cluster, namespace)
    other = core.Eviction(metadata=ObjectMeta(name="q", namespace=namespace))
    with pytest.raises(errors.BadRequest):
        await cluster.create_subresource(core.Pod, "p", namespace, subresource="eviction", body=other)


async def a_token(cluster: Client, namespace: str, life_s: int | None = None, name: str = "sa") -> TokenRequest:
    return await cluster.create_subresource(
        ServiceAccount, name, namespace, subresource="token",
        body=TokenRequest(metadata=ObjectMeta(), spec=TokenRequestSpec(expirationSeconds=life_s)),
    )


async def test_a_token_is_given_for_a_service_account(cluster: Client, namespace: str) -> None:
    made = await cluster.create(ServiceAccount(metadata=ObjectMeta(name="sa", namespace=namespace)))
    before = datetime.now(UTC)
    first, second = await a_token(cluster, namespace, 1200), await a_token(cluster, namespace, 1200)
    assert first.status.token
    assert first.spec.expirationSeconds == 1200
    expires = datetime.fromisoformat(first.status.expirationTimestamp or "")
    assert timedelta(seconds=1198) <= expires - before <= timedelta(seconds=1260)
    assert first.status.token not in repr(first)
    assert second.status.token
    assert await cluster.get(ServiceAccount, "sa", namespace) == made


async def test_a_token_lives_an_hour_when_nothing_is_said(cluster: Client, namespace: str) -> None:
    await cluster.create(ServiceAccount(metadata=ObjectMeta(name="sa", namespace=namespace)))
    assert (await a_token(cluster, namespace)).spec.expirationSeconds == 3600


async def test_a_token_that_is_too_short_is_refused(cluster: Client, namespace: str) -> None:
    await cluster.create(ServiceAccount(metadata=ObjectMeta(name="sa", namespace=namespace)))
    with pytest.raises(errors.Invalid, match="10 minutes"):
        await a_token(cluster, namespace, 599)


async def test_a_token_needs_its_service_account(cluster: Client, namespace: str) -> None:
    with pytest.raises(errors.NotFound, match="nobody"):
        await a_token(cluster, namespace, name="nobody")


async def test_a_subresource_that_is_not_there(cluster: Client, namespace: str) -> None:
    await cluster.create(a_config_map(namespace))
    body = TokenRequest(metadata=ObjectMeta())
    with pytest.raises(errors.NotFound):
        await cluster.create_subresource(ConfigMap, "one", namespace, subresource="token", body=body)
    with pytest.raises(errors.BadRequest):
        await cluster.create_subresource(ServiceAccount, "a/b", namespace, subresource="token", body=body)


async def test_a_client_tells_where_its_server_is(cluster: Client) -> None:
    assert cluster.endpoint.server.startswith("https://")
    assert cluster.endpoint.ca_pem is not None
    assert cluster.endpoint.ca_pem.startswith(b"-----BEGIN CERTIFICATE-----")


# Server-side apply.


async def test_apply_creates_changes_and_repeats(cluster: Client, namespace: str) -> None:
    first = await cluster.apply(a_config_map(namespace, a="1"), field_owner="me")
    assert first.metadata.uid
    second = await cluster.apply(a_config_map(namespace, a="2"), field_owner="me")
    assert (second.data, second.metadata.uid) == ({"a": "2"}, first.metadata.uid)
    again = await cluster.apply(a_config_map(namespace, a="2"), field_owner="me")
    assert again.metadata.resourceVersion == second.metadata.resourceVersion


async def test_apply_removes_what_it_owned_and_keeps_what_others_own(cluster: Client, namespace: str) -> None:
    await cluster.apply(a_config_map(namespace, a="1", b="2"), field_owner="me")
    await cluster.apply(a_config_map(namespace, c="3"), field_owner="other")
    await cluster.patch(ConfigMap, "one", namespace, patch={"data": {"d": "4"}})
    applied = await cluster.apply(a_config_map(namespace, a="1"), field_owner="me")
    assert applied.data == {"a": "1", "c": "3", "d": "4"}


async def test_a_field_with_two_owners_stays_when_one_lets_go(cluster: Client, namespace: str) -> None:
    await cluster.apply(a_config_map(namespace, a="1", b="2"), field_owner="me")
    await cluster.apply(a_config_map(namespace, a="1"), field_owner="other")
    applied = await cluster.apply(a_config_map(namespace, b="2"), field_owner="me")
    assert applied.data == {"a": "1", "b": "2"}
    applied = await cluster.apply(a_config_map(namespace, x="9"), field_owner="other")
    assert applied.data == {"b": "2", "x": "9"}


async def test_apply_without_force_respects_others(cluster: Client, namespace: str) -> None:
    await cluster.apply(a_config_map(namespace, a="1"), field_owner="other")
    with pytest.raises(errors.Conflict, match="other"):
        await cluster.apply(a_config_map(namespace, a="2"), field_owner="me", force=False)
    taken = await cluster.apply(a_config_map(namespace, a="2"), field_owner="me", force=True)
    assert taken.data == {"a": "2"}
    left = await cluster.apply(a_config_map(namespace, z="1"), field_owner="other")
    assert left.data == {"a": "2", "z": "1"}


async def test_apply_without_force_may_agree(cluster: Client, namespace: str) -> None:
    await cluster.apply(a_config_map(namespace, a="1"), field_owner="other")
    agreed = await cluster.apply(a_config_map(namespace, a="1"), field_owner="me", force=False)
    assert agreed.data == {"a": "1"}


async def test_a_patch_takes_ownership(cluster: Client, namespace: str) -> None:
    await cluster.apply(a_config_map(namespace, a="1", b="1"), field_owner="me")
    await cluster.patch(ConfigMap, "one", namespace, patch={"data": {"a": "2"}}, field_owner="human")
    with pytest.raises(errors.Conflict, match="human"):
        await cluster.apply(a_config_map(namespace, a="1", b="1"), field_owner="me", force=False)
    applied = await cluster.apply(a_config_map(namespace, b="1"), field_owner="me")
    assert applied.data == {"a": "2", "b": "1"}


async def test_lists_are_replaced_as_a_whole(cluster: Client, namespace: str) -> None:
    await cluster.apply(a_widget(namespace, spec=WidgetSpec(parts=["a", "b"])), field_owner="me")
    applied = await cluster.apply(a_widget(namespace, spec=WidgetSpec(parts=["c"])), field_owner="me")
    assert applied.spec.parts == ["c"]


async def test_finalizers_and_owners_are_applied_one_by_one(cluster: Client, namespace: str) -> None:
    owner = await cluster.create(a_config_map(namespace, "owner"))
    reference = OwnerReference(apiVersion="v1", kind="ConfigMap", name="owner", uid=owner.metadata.uid or "")
    await cluster.apply(a_widget(namespace, finalizers=["dpf.example/a"]), field_owner="a")
    both = await cluster.apply(
        a_widget(namespace, finalizers=["dpf.example/b"], ownerReferences=[reference]), field_owner="b"
    )
    assert sorted(both.metadata.finalizers or ()) == ["dpf.example/a", "dpf.example/b"]
    one = await cluster.apply(a_widget(namespace), field_owner="b")
    assert one.metadata.finalizers == ["dpf.example/a"]
    assert not one.metadata.ownerReferences


async def test_labels_of_several_owners(cluster: Client, namespace: str) -> None:
    await cluster.apply(a_widget(namespace, labels={"a": "1"}), field_owner="a")
    await cluster.apply(a_widget(namespace, labels={"b": "2"}), field_owner="b")
    left = await cluster.apply(a_widget(namespace), field_owner="a")
    assert left.metadata.labels == {"b": "2"}


async def test_applying_spec_does_not_touch_status(cluster: Client, namespace: str) -> None:
    applied = Widget(
        metadata=ObjectMeta(name="w", namespace=namespace), spec=WidgetSpec(size=1), status=WidgetStatus(phase="X")
    )
    assert (await cluster.apply(applied, field_owner="a")).status.phase is None
    await cluster.apply(applied, field_owner="a", subresource="status")
    again = await cluster.apply(a_widget(namespace, spec=WidgetSpec(size=2)), field_owner="a")
    assert (again.spec.size, again.status.phase, again.metadata.generation) == (2, "X", 2)


async def test_status_of_what_does_not_exist_cannot_be_applied(cluster: Client, namespace: str) -> None:
    with pytest.raises(errors.NotFound):
        await cluster.apply(a_widget(namespace), field_owner="a", subresource="status")


async def test_a_conditional_apply(cluster: Client, namespace: str) -> None:
    made = await cluster.apply(a_config_map(namespace), field_owner="a")
    await cluster.patch(ConfigMap, "one", namespace, patch={"data": {"b": "1"}})
    stale = ConfigMap(
        metadata=ObjectMeta(name="one", namespace=namespace, resourceVersion=made.metadata.resourceVersion),
        data={"a": "2"},
    )
    with pytest.raises(errors.Conflict):
        await cluster.apply(stale, field_owner="a")


async def test_server_version(cluster: Client) -> None:
    assert (await cluster.server_version()).startswith("v1.")


async def test_a_kind_that_is_not_served(cluster: Client, namespace: str) -> None:
    """The memory cluster serves every kind, so for it the missing object is what is not found."""
    with pytest.raises(errors.NotFound):
        await cluster.get(Unserved, "one", namespace)


async def test_approving_a_signing_request_changes_its_conditions_and_nothing_else(cluster: Client) -> None:
    request = base64.b64encode(signing_request("approved")).decode()
    made = await cluster.create(core.CertificateSigningRequest(
        metadata=ObjectMeta(generateName="conformance-"), spec=core.CertificateSigningRequestSpec(
            request=request, signerName="example.com/nobody", usages=["client auth"],
        ),
    ))
    approved = {"type": "Approved", "status": "True", "reason": "Test", "message": "Yes."}
    changes = {
        "metadata": {"resourceVersion": made.metadata.resourceVersion},
        "status": {"certificate": "bm8=", "conditions": [approved]},
    }

    with pytest.raises(errors.NotFound):
        await cluster.patch(
            core.CertificateSigningRequest, "conformance-none", patch={"status": {}}, subresource="approval"
        )
    answered = await cluster.patch(
        core.CertificateSigningRequest, made.metadata.name, patch=changes, subresource="approval"
    )

    assert [(c.type, c.status, c.reason, c.message) for c in answered.status.conditions or ()] == [
        ("Approved", "True", "Test", "Yes.")
    ]
    assert answered.status.certificate is None
    with pytest.raises(errors.Conflict):
        await cluster.patch(
            core.CertificateSigningRequest, made.metadata.name, patch=changes, subresource="approval"
        )
    await cluster.delete(core.CertificateSigningRequest, made.metadata.name)


def signing_request(name: str) -> bytes:
    """PEM of a PKCS #10 request."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(
        ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()
    )
    return signed.public_bytes(serialization.Encoding.PEM)
