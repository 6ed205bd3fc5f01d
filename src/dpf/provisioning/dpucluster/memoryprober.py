"""The health check without a network, for tests: it answers what it was told, per API server."""

from __future__ import annotations

from dpf.kube.kubeconfig import Connection
from dpf.provisioning.dpucluster.prober import Health, Unhealthy

REFUSED = "connection refused"


class MemoryProber:
    """Servers that were not `set` refuse the connection."""

    def __init__(self) -> None:
        self._health: dict[str, Health] = {}

    def set(self, server: str, health: Health) -> None:
        """From now on `server` (URL) answers like this."""
        self._health[server] = health

    async def probe(self, connection: Connection) -> Health:
        """See `Prober.probe`."""
        return self._health.get(connection.server, Unhealthy(why=REFUSED))
