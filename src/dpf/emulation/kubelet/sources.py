"""The ConfigMaps, Secrets and tokens that a pod refers to: which ones, and looking into them.

Pure. `podworker` fetches what `find_references` names; `environment` and `volumes` read it through `Sources`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dpf.api.core import ConfigMap, Container, Pod, Secret

DEFAULT_TOKEN_LIFE_S: Final = 3600
MIN_TOKEN_LIFE_S: Final = 600


class MissingReference(Exception):
    """Something that the pod needs is not there, or not in a usable form; the message names it. It may appear later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenNeed:
    """A service account token for one audience (None: the API server) and life, in seconds."""

    audience: str | None
    life_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Names of everything that a pod reads, in its own namespace."""

    config_maps: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    tokens: frozenset[TokenNeed] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What was fetched; a name that is not in a mapping does not exist in the cluster."""

    config_maps: Mapping[str, ConfigMap] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    tokens: Mapping[TokenNeed, str] = field(default_factory=dict, repr=False)

    def config_map(self, name: str, *, optional: bool) -> dict[str, bytes]:
        """Its data; empty when it is missing and `optional`. Raises MissingReference."""
        found = self.config_maps.get(name)
        if found is None:
            return _absent(f"configmap {name!r}", optional)
        return {key: value.encode() for key, value in (found.data or {}).items()}

    def secret(self, name: str, *, optional: bool) -> dict[str, bytes]:
        """Its data, decoded; empty when it is missing and `optional`. Raises MissingReference."""
        found = self.secrets.get(name)
        if found is None:
            return _absent(f"secret {name!r}", optional)
        try:
            return {key: base64.b64decode(value, validate=True) for key, value in (found.data or {}).items()}
        except binascii.Error as error:
            raise MissingReference(f"secret {name!r} is not base64") from error


def find_references(pod: Pod) -> References:
    """Everything that the containers' environments and the volumes of `pod` name."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    tokens: set[TokenNeed] = set()
    for container in (*(pod.spec.initContainers or ()), *pod.spec.containers):
        _add_environment(container, config_maps, secrets)
    for source in _volume_sources(pod):
        if "configMap" in source:
            config_maps.add(str(source["configMap"].get("name", "")))
        if "secret" in source:
            secrets.add(secret_name(source["secret"]))
        if "serviceAccountToken" in source:
            tokens.add(token_need(source["serviceAccountToken"]))
    return References(config_maps=frozenset(config_maps), secrets=frozenset(secrets), tokens=frozenset(tokens))


def secret_name(source: Mapping[str, Any]) -> str:
    """A secret volume says `secretName`, a projected source says `name`."""
    return str(source.get("secretName") or source.get("name") or "")


def token_need(source: Mapping[str, Any]) -> TokenNeed:
    """What a projected serviceAccountToken asks for; shorter lives than the API server gives are raised."""
    life_s = max(int(source.get("expirationSeconds") or DEFAULT_TOKEN_LIFE_S), MIN_TOKEN_LIFE_S)
    return TokenNeed(audience=source.get("audience") or None, life_s=life_s)


def _add_environment(container: Container, config_maps: set[str], secrets: set[str]) -> None:
    references = [source for variable in container.env or () if (source := variable.valueFrom)]
    for source in (*references, *(container.envFrom or ())):
        for key in ("configMapKeyRef", "configMapRef"):
            if key in source:
                config_maps.add(str(source[key].get("name", "")))
        for key in ("secretKeyRef", "secretRef"):
            if key in source:
                secrets.add(str(source[key].get("name", "")))


def _volume_sources(pod: Pod) -> Iterator[Mapping[str, Any]]:
    for volume in pod.spec.volumes or ():
        yield volume
        yield from (volume.get("projected") or {}).get("sources") or ()


def _absent(what: str, optional: bool) -> dict[str, bytes]:
    if optional:
        return {}
    raise MissingReference(f"{what} not found")
