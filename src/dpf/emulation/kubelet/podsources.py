"""Fetches what a pod refers to, with its node's own credentials, and says when to fetch again.

Called by `podworker`. ConfigMaps and Secrets are read again every minute, as long as the pod has any of its own, so
that its volumes follow; tokens are renewed after 80 % of their life.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, TypeVar

from dpf.api import core
from dpf.api.meta import Object
from dpf.emulation.kubelet import nodeclient, sources
from dpf.emulation.kubelet.sources import References, Sources
from dpf.kube import errors
from dpf.kube.client import Client

T = TypeVar("T", bound=Object)

REFRESH_S: Final = 60.0
_TOKEN_LIFE_USED: Final = 0.8
_ROOT_CA: Final = frozenset({"kube-root-ca.crt"})
"""In every pod, and as constant as the cluster: no reason to read it every minute."""


class PodSources:
    """What one pod refers to, as last fetched."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.value: Sources | None = None
        self.refresh_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether `refresh` should be called."""
        return self.value is None or (self.refresh_at is not None and self.refresh_at <= now)

    def expire(self) -> None:
        """What was fetched did not suffice: fetch again at the next look."""
        self.value = None

    async def refresh(self, pod: core.Pod, now: datetime) -> Sources:
        """Fetch everything. What does not exist is left out. Raises kube.errors.Error, keeping what was there."""
        needed = sources.find_references(pod)
        namespace = pod.metadata.namespace or ""
        config_maps = [await self._get(core.ConfigMap, name, namespace) for name in sorted(needed.config_maps)]
        secrets = [await self._get(core.Secret, name, namespace) for name in sorted(needed.secrets)]
        tokens = {need: await nodeclient.request_token(self._client, pod, need) for need in needed.tokens}
        self.value = Sources(
            config_maps={found.metadata.name: found for found in config_maps if found},
            secrets={found.metadata.name: found for found in secrets if found}, tokens=tokens,
        )
        self.refresh_at = _next_refresh(needed, now)
        return self.value

    async def _get(self, kind: type[T], name: str, namespace: str) -> T | None:
        try:
            return await self._client.get(kind, name, namespace)
        except errors.NotFound:
            return None


def _next_refresh(needed: References, now: datetime) -> datetime | None:
    delays = [need.life_s * _TOKEN_LIFE_USED for need in needed.tokens]
    if needed.secrets or needed.config_maps - _ROOT_CA:
        delays.append(REFRESH_S)
    return now + timedelta(seconds=min(delays)) if delays else None
