"""Environment variables from every source, and what is missing in words."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from dpf.api.core import ConfigMap, Container, EnvVar, Pod, PodSpec, ResourceRequirements, Secret
from dpf.api.meta import ObjectMeta
from dpf.emulation.kubelet import downward, environment, sources
from dpf.emulation.kubelet.downward import Placement
from dpf.emulation.kubelet.sources import MissingReference, Sources

PLACE = Placement(pod_ip="198.19.0.2", host_ip="198.18.0.2", allocatable={"cpu": "8"})
SOURCES = Sources(
    config_maps={"settings": ConfigMap(metadata=ObjectMeta(name="settings"), data={"color": "red", "bad=name": "x"})},
    secrets={"login": Secret(metadata=ObjectMeta(name="login"), data={
        "password": base64.b64encode(b"hunter2").decode(), "binary": base64.b64encode(b"\xff").decode(),
    })},
)


def _build(*env: EnvVar, env_from: list[dict[str, Any]] | None = None) -> dict[str, str]:
    container = Container(
        name="c", env=list(env), envFrom=env_from,
        resources=ResourceRequirements(limits={"memory": "1Gi"}, requests={"cpu": "250m"}),
    )
    pod = Pod(
        metadata=ObjectMeta(name="p", namespace="ns", uid="u", labels={"a": "1"}, annotations={"b/c": 'say "x"'}),
        spec=PodSpec(nodeName="n", containers=[container]),
    )
    return environment.build(pod, container, SOURCES, PLACE, {"HOSTNAME": "p"})


@pytest.mark.parametrize(("source", "value"), [
    ({"fieldRef": {"fieldPath": "metadata.name"}}, "p"),
    ({"fieldRef": {"fieldPath": "metadata.labels['a']"}}, "1"),
    ({"fieldRef": {"fieldPath": "metadata.labels['absent']"}}, ""),
    ({"fieldRef": {"fieldPath": "metadata.annotations"}}, 'b/c="say \\"x\\""'),
    ({"fieldRef": {"fieldPath": "spec.nodeName"}}, "n"),
    ({"fieldRef": {"fieldPath": "status.podIP"}}, "198.19.0.2"),
    ({"fieldRef": {"fieldPath": "status.hostIP"}}, "198.18.0.2"),
    ({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}, "1024"),
    ({"resourceFieldRef": {"resource": "limits.cpu"}}, "8"),
    ({"resourceFieldRef": {"resource": "requests.cpu"}}, "1"),
    ({"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}, "250"),
    ({"configMapKeyRef": {"name": "settings", "key": "color"}}, "red"),
    ({"secretKeyRef": {"name": "login", "key": "password"}}, "hunter2"),
])
def test_a_variable_from_each_source(source: dict[str, Any], value: str) -> None:
    assert _build(EnvVar(name="V", valueFrom=source))["V"] == value


def test_later_variables_see_earlier_ones_and_override_what_was_taken_whole() -> None:
    env = _build(
        EnvVar(name="color", value="blue"), EnvVar(name="SAY", value="$(color) $(HOSTNAME) $(unknown)"),
        env_from=[{"configMapRef": {"name": "settings"}}, {"prefix": "L_", "secretRef": {"name": "login"}}][:1],
    )
    assert env == {"HOSTNAME": "p", "color": "blue", "SAY": "blue p $(unknown)"}


@pytest.mark.parametrize(("source", "words"), [
    ({"configMapKeyRef": {"name": "absent", "key": "x"}}, "configmap 'absent' not found"),
    ({"secretKeyRef": {"name": "absent", "key": "x"}}, "secret 'absent' not found"),
    ({"configMapKeyRef": {"name": "settings", "key": "size"}}, "couldn't find key size in configmap 'settings'"),
    ({"secretKeyRef": {"name": "login", "key": "binary"}}, "the value for variable 'V' is not UTF-8 text"),
    ({"fieldRef": {"fieldPath": "spec.containers"}}, "is not a field that a pod can be told"),
    ({"resourceFieldRef": {"resource": "size"}}, "must be limits.<name> or requests.<name>"),
    ({"fileKeyRef": {}}, "which is not emulated"),
])
def test_what_is_missing_is_named(source: dict[str, Any], words: str) -> None:
    with pytest.raises(MissingReference) as caught:
        _build(EnvVar(name="V", valueFrom=source))
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("source", [
    {"configMapKeyRef": {"name": "absent", "key": "x", "optional": True}},
    {"secretKeyRef": {"name": "login", "key": "absent", "optional": True}},
])
def test_an_optional_source_may_be_missing(source: dict[str, Any]) -> None:
    assert "V" not in _build(EnvVar(name="V", valueFrom=source))


@pytest.mark.parametrize(("text", "number"), [
    ("1", "1"), ("1500m", "1.5"), ("2Ki", "2048"), ("1e3", "1000"), ("0.5G", "500000000"), (3, "3"),
])
def test_quantities(text: str | int, number: str) -> None:
    assert downward.parse_quantity(text) == downward.Decimal(number)


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "1 Gi", "-1"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(MissingReference, match="is not a quantity"):
        downward.parse_quantity(text)


def test_everything_a_pod_refers_to_is_found() -> None:
    container = Container(
        name="c", env=[EnvVar(name="A", valueFrom={"secretKeyRef": {"name": "s1", "key": "k"}})],
        envFrom=[{"configMapRef": {"name": "c1"}}],
    )
    init = Container(name="i", env=[EnvVar(name="A", valueFrom={"configMapKeyRef": {"name": "c2", "key": "k"}})])
    volumes = [
        {"name": "a", "secret": {"secretName": "s2"}}, {"name": "b", "configMap": {"name": "c3"}},
        {"name": "c", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 60}}, {"secret": {"name": "s3"}},
        ]}},
    ]
    pod = Pod(spec=PodSpec(containers=[container], initContainers=[init], volumes=volumes))
    found = sources.find_references(pod)
    assert found.config_maps == {"c1", "c2", "c3"}
    assert found.secrets == {"s1", "s2", "s3"}
    assert {need.life_s for need in found.tokens} == {600}
