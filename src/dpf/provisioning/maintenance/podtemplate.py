"""Reads the pod that a user has put into a ConfigMap: a Pod, a PodTemplate's spec, or a bare pod spec. Pure.

Called by whoever makes a Job of it: the customAction of a DPUNodeMaintenance, the reboot script of a DPUNode. Texts say
where the mistake is and quote nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml

from dpf.api import core
from dpf.api.meta import object_key
from dpf.kube import untrustedyaml

KEY: Final = "pod-template"
_INTEGER: Final = re.compile(r"^-?(?:0|[1-9][0-9]{0,17})$")
_RESTARTS: Final = frozenset({"Never", "OnFailure"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """The ConfigMap holds no pod that can be run."""

    why: str


class _Loader(yaml.CSafeLoader):
    """As YAML 1.1, but of the numbers only plain integers, and no dates."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[-1] in ("bool", "null")]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-0123456789"))


def read(source: core.ConfigMap) -> dict[str, Any] | Unusable:
    """The pod template, with metadata and spec. It restarts nothing unless it says so."""
    where = f"ConfigMap {object_key(source)}"
    text = _text(source.data or {})
    if text is None:
        return Unusable(why=f"{where} has no key {KEY}")
    try:
        untrustedyaml.load(text)  # within limits, before anything is computed
    except untrustedyaml.Refused as error:
        return Unusable(why=f"{where}: {error}")
    return _template(yaml.load(text, Loader=_Loader), where)  # noqa: S506 - safer than SafeLoader


def _text(data: dict[str, str]) -> str | None:
    if KEY in data:
        return data[KEY]
    return next(iter(data.values())) if len(data) == 1 else None


def _template(tree: Any, where: str) -> dict[str, Any] | Unusable:  # noqa: ANN401 - any YAML
    if not isinstance(tree, dict):
        return Unusable(why=f"{where}: a pod is expected, with metadata and spec")
    spec = tree.get("spec", tree)
    if not isinstance(spec, dict) or not isinstance(spec.get("containers"), list) or not spec["containers"]:
        return Unusable(why=f"{where}: spec.containers of the pod is missing")
    metadata = tree.get("metadata")
    kept = {
        name: dict(value) for name in ("labels", "annotations")
        if isinstance(metadata, dict) and isinstance(value := metadata.get(name), dict)
    }
    restart = spec.get("restartPolicy")
    return {"metadata": kept, "spec": {**spec, "restartPolicy": restart if restart in _RESTARTS else "Never"}}
