"""The port for health checks: does the API server of a DPU cluster answer to its administrator?

`httpprober` asks a real one, `memoryprober` is told what to answer. One suite checks both (tests/conformance/prober).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dpf.kube.kubeconfig import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthy:
    """The API server answered; `version` is its gitVersion."""

    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unhealthy:
    """No good answer: `why` says what happened, `advice` the next step ("" where it depends on the cluster's type).

    Both texts stay the same while the cause stays the same: they end up in a condition.
    """

    why: str
    advice: str = ""


Health = Healthy | Unhealthy


class Prober(Protocol):
    """Asks one API server for its version. Never raises for what the other side does; bounded in time."""

    async def probe(self, connection: Connection) -> Health:
        """GET /version with the credentials of `connection`."""
