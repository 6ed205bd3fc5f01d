"""How `bootstrap` and the kubelet reach an API server: who they claim to be, and whom they trust.

The only place of this package that knows how a client is made. Tests hand in another `Connect`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dpf.kube.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One way to a server. Without `ca_pem` the server is not verified: only for reading what is verified otherwise.

    At most one of token and certificate is set; neither means anonymous. Secrets are not part of the repr.
    """

    server: str
    ca_pem: bytes | None = None
    token: str | None = field(default=None, repr=False)
    certificate_pem: bytes | None = None
    key_pem: bytes | None = field(default=None, repr=False)


Connect = Callable[[Access], Client]
