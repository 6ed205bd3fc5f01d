"""Make bootstrap tokens: the random part of a join, and the one write it needs.

Called by `dpfctl local up` for its emulated DPUs. Objects and command line are built in `bootstrap`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from dpf.kube.client import Client
from dpf.provisioning.dpucluster import bootstrap

TTL_S: Final = 7200.0
"""Long enough to outlive flashing (behaviour-provisioning.md section 12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapToken:
    """A token that the cluster knows. `id` is public, it names the Secret; `repr` and `str` hide the rest."""

    id: str
    secret: str = field(repr=False)
    expires: datetime

    @property
    def bearer(self) -> str:
        """The token as a joining node sends it: `<id>.<secret>`."""
        return f"{self.id}.{self.secret}"


async def mint_token(
    client: Client, ttl_s: float = TTL_S, *, description: str = "Joins a DPU to this cluster.",
    now: datetime | None = None,
) -> BootstrapToken:
    """A new token in the cluster of `client`, valid for `ttl_s` seconds. Raises kube.errors.Error."""
    expires = (now or datetime.now(UTC)) + timedelta(seconds=ttl_s)
    token = BootstrapToken(id=secrets.token_hex(3), secret=secrets.token_hex(8), expires=expires)
    await client.create(bootstrap.build_bootstrap_token(token.id, token.secret, expires, description))
    return token
