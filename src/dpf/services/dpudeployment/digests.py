"""Digests that tell one revision from another (behaviour-service.md 6.5).

Pure. Called by `services` and `chains`. A digest depends on what the fields say, not on the order of keys, nor on
whether the API server has filled in a default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from dpf.api.dpudeployment import DeploymentSwitch
from dpf.api.dpuserviceconfiguration import DPUServiceConfigurationSpec
from dpf.api.dpuservicetemplate import DPUServiceTemplateSpec
from dpf.runtime import digest

_ABOUT_THE_UPDATE: Final = ("upgradePolicy", "nodeEffect")
"""Says how an update is made, not what the service is."""


def service(configuration: DPUServiceConfigurationSpec, template: DPUServiceTemplateSpec) -> str:
    """Ten digits for a service. `configuration` is the rendered one (race 7 of behaviour-service.md section 11)."""
    said = {name: value for name, value in canonical(configuration).items() if name not in _ABOUT_THE_UPDATE}
    return digest.short(said, canonical(template))


def chain(switches: Sequence[DeploymentSwitch], service_ids: Mapping[str, str]) -> str:
    """Ten digits for a chain; a service counts by its id, which it keeps when it is updated in place."""
    resolved = [canonical(switch) for switch in switches]
    for port in (port for switch in resolved for port in switch["ports"]):
        if "service" in port:
            port["service"]["name"] = service_ids.get(port["service"]["name"], port["service"]["name"])
    return digest.short(resolved)


def canonical(value: Any) -> Any:  # noqa: ANN401 - any part of a wire type
    """Plain data of `value` without fields that equal their default, whether they were sent or not."""
    if isinstance(value, msgspec.Struct):
        return {name: canonical(field) for name, field in fields_set(value)}
    if isinstance(value, list | tuple):
        return [canonical(entry) for entry in value]
    return value


def fields_set(struct: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """Names and values of the fields that say something: those that equal their default do not."""
    defaults = _defaults(type(struct))
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if value != defaults.get(name, msgspec.NODEFAULT):
            yield name, value


@lru_cache(maxsize=256)
def _defaults(struct: type[msgspec.Struct]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        if field.default is not msgspec.NODEFAULT:
            found[field.name] = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            found[field.name] = field.default_factory()
    return found
