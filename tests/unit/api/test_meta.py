"""Metadata types: what goes over the wire."""

from __future__ import annotations

import msgspec
import pytest

from dpf.api.core import ConfigMap, Namespace
from dpf.api.dpuservice import DPUService
from dpf.api.meta import Condition, Key, Object, ObjectMeta, Resource, object_key


def test_empty_message_is_sent() -> None:
    """The API server refuses a condition without `message`, and Success has an empty one."""
    condition = Condition(type="Ready", status="True", reason="Success", message="")

    assert msgspec.to_builtins(condition) == {"type": "Ready", "status": "True", "reason": "Success", "message": ""}


def test_foreign_condition_without_reason_is_readable() -> None:
    assert msgspec.json.decode(b'{"type": "Approved", "status": "True"}', type=Condition).reason == ""


def test_defaults_are_not_sent() -> None:
    assert msgspec.to_builtins(ConfigMap(metadata=ObjectMeta(name="a"))) == {"metadata": {"name": "a"}}


def test_objects_cannot_be_changed() -> None:
    config_map = ConfigMap(metadata=ObjectMeta(name="a"))

    with pytest.raises(AttributeError, match="immutable"):
        config_map.data = {}  # type: ignore[misc]


@pytest.mark.parametrize(("resource", "arguments", "path"), [
    (ConfigMap.resource, {}, "/api/v1/configmaps"),
    (ConfigMap.resource, {"namespace": "ns"}, "/api/v1/namespaces/ns/configmaps"),
    (ConfigMap.resource, {"namespace": "ns", "name": "a"}, "/api/v1/namespaces/ns/configmaps/a"),
    (Namespace.resource, {"namespace": "ignored", "name": "ns"}, "/api/v1/namespaces/ns"),
    (DPUService.resource, {"namespace": "ns", "name": "a", "subresource": "status"},
     "/apis/svc.dpu.nvidia.com/v1alpha1/namespaces/ns/dpuservices/a/status"),
])
def test_path(resource: Resource, arguments: dict[str, str], path: str) -> None:
    assert resource.path(**arguments) == path


@pytest.mark.parametrize(("obj", "key", "text"), [
    (ConfigMap(metadata=ObjectMeta(namespace="ns", name="a")), Key("ns", "a"), "ns/a"),
    (Namespace(metadata=ObjectMeta(name="ns")), Key("", "ns"), "ns"),
])
def test_key(obj: Object, key: Key, text: str) -> None:
    assert object_key(obj) == key
    assert str(key) == text
