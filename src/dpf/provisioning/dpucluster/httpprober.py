"""The health check over the network: GET /version on a connection of its own."""

from __future__ import annotations

from typing import Final

from dpf.kube import errors
from dpf.kube.http import HTTPClient
from dpf.kube.kubeconfig import Connection
from dpf.provisioning.dpucluster.prober import Health, Healthy, Unhealthy

TIMEOUT_S: Final = 5.0
_REPLACE: Final = "put a kubeconfig with valid administrator's credentials for this server into its Secret"


class HTTPProber:
    """A new connection for each probe: what is checked is that one can connect, not that an old connection lives."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s

    async def probe(self, connection: Connection) -> Health:
        """See `Prober.probe`."""
        client = HTTPClient(connection, name="health check", timeout_s=self._timeout_s)
        try:
            return Healthy(version=await client.server_version())
        except (errors.Unauthorized, errors.Forbidden, errors.CredentialsError) as error:
            return Unhealthy(why=error.message, advice=_REPLACE)
        except errors.Error as error:
            return Unhealthy(why=error.message)
        finally:
            await client.aclose()
