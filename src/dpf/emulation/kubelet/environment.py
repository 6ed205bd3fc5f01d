"""A container's environment variables.

Pure. Called by `podworker` just before a container starts. Source of the order: Kubernetes, "Define environment
variables": envFrom first, then env, where a later value may refer to earlier ones with $(NAME).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dpf.api.core import Container, EnvVar, Pod
from dpf.emulation.kubelet import downward, expansion
from dpf.emulation.kubelet.downward import Placement
from dpf.emulation.kubelet.sources import MissingReference, Sources


def build(
    pod: Pod, container: Container, sources: Sources, placement: Placement, standard: Mapping[str, str]
) -> dict[str, str]:
    """All variables; `standard` are those every container gets and may override. Raises MissingReference."""
    env = dict(standard)
    for source in container.envFrom or ():
        env.update(_from_source(source, sources))
    for variable in container.env or ():
        value = _value(variable, pod, container, sources, placement, env)
        if value is not None:
            env[variable.name] = value
    return env


def _from_source(source: Mapping[str, Any], sources: Sources) -> dict[str, str]:
    prefix = str(source.get("prefix") or "")
    data: dict[str, bytes] = {}
    if "configMapRef" in source:
        reference = source["configMapRef"]
        data = sources.config_map(str(reference.get("name", "")), optional=bool(reference.get("optional")))
    elif "secretRef" in source:
        reference = source["secretRef"]
        data = sources.secret(str(reference.get("name", "")), optional=bool(reference.get("optional")))
    return {prefix + key: _text(value, prefix + key) for key, value in data.items() if _is_name(prefix + key)}


def _value(
    variable: EnvVar, pod: Pod, container: Container, sources: Sources, placement: Placement, env: Mapping[str, str]
) -> str | None:
    """The variable's value, or None when it comes from an optional source that is not there."""
    source = variable.valueFrom
    if source is None:
        return expansion.expand(variable.value or "", env)
    if "fieldRef" in source:
        return downward.field_value(pod, str(source["fieldRef"].get("fieldPath", "")), placement)
    if "resourceFieldRef" in source:
        return downward.resource_value(container, source["resourceFieldRef"], placement)
    if "configMapKeyRef" in source:
        reference = source["configMapKeyRef"]
        data = sources.config_map(str(reference.get("name", "")), optional=bool(reference.get("optional")))
        return _key(data, reference, "configmap", variable.name)
    if "secretKeyRef" in source:
        reference = source["secretKeyRef"]
        data = sources.secret(str(reference.get("name", "")), optional=bool(reference.get("optional")))
        return _key(data, reference, "secret", variable.name)
    raise MissingReference(f"variable {variable.name!r} takes its value from {sorted(source)}, which is not emulated")


def _key(data: Mapping[str, bytes], reference: Mapping[str, Any], kind: str, variable: str) -> str | None:
    key = str(reference.get("key", ""))
    if key in data:
        return _text(data[key], variable)
    if reference.get("optional"):
        return None
    raise MissingReference(f"couldn't find key {key} in {kind} {reference.get('name')!r}")


def _text(value: bytes, variable: str) -> str:
    """Without repeating the value: it may be a secret."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise MissingReference(f"the value for variable {variable!r} is not UTF-8 text") from None
    if "\0" in text:
        raise MissingReference(f"the value for variable {variable!r} contains a zero byte")
    return text


def _is_name(name: str) -> bool:
    """A key that cannot be a variable is left out, as the kubelet does."""
    return bool(name) and "=" not in name and "\0" not in name
