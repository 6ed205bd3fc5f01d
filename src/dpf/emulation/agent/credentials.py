"""The agent's certificate in the host cluster: from its bootstrap token the first time, later from the one it has.

It is kept on the card's disk, so that a reboot does not need the token again, which is gone by then. Called by `agent`.
"""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Final

from dpf.emulation.agent.config import AgentConfig
from dpf.emulation.join import errors, signing
from dpf.emulation.join import identity as identities
from dpf.emulation.join.connection import Access, Connect
from dpf.emulation.join.identity import Identity
from dpf.kube import errors as kube_errors
from dpf.kube.client import Client

SIGNER: Final = "kubernetes.io/kube-apiserver-client"
_TIMEOUT_S: Final = 60.0


async def ensure(config: AgentConfig, folder: Path, connect: Connect, *, now: datetime) -> Identity:
    """The stored identity while it is usable, else a new one by the token, stored before it returns.

    Raises JoinError, kube.errors.Error, OSError.
    """
    stored = identities.load(folder)
    if stored is not None and is_usable(stored, config, now):
        return stored
    access = Access(server=config.server, ca_pem=config.ca_pem, token=config.token.bearer)
    async with aclosing(connect(access)) as client:
        try:
            identity = await _request(client, config)
        except kube_errors.Unauthorized:
            raise errors.TokenUnknown(
                f"bootstrap token {config.token.id} of the agent is unknown to {config.server} or has expired: delete "
                "the DPU, so that it is installed with a new one"
            ) from None
        except kube_errors.Forbidden as error:
            raise errors.NotPermitted(
                f"{config.server} knows bootstrap token {config.token.id} of the agent, but does not let it ask for a "
                f"certificate: {error.message}"
            ) from None
    identities.store(folder, identity)
    return identity


async def renew(config: AgentConfig, identity: Identity, folder: Path, connect: Connect) -> Identity:
    """A new key and certificate, asked for with the present one; stored before it returns. Raises as `ensure`."""
    async with aclosing(connect(identity.access)) as client:
        renewed = await _request(client, config)
    identities.store(folder, renewed)
    return renewed


def is_usable(identity: Identity, config: AgentConfig, now: datetime) -> bool:
    """Whether it is this agent's, for this server, and still valid. Pure."""
    return (
        identities.user_of(identity) == (config.user, frozenset(config.groups))
        and (identity.server, identity.ca) == (config.server, config.ca_pem.decode())
        and now < identity.expires
    )


async def _request(client: Client, config: AgentConfig) -> Identity:
    request = identities.build_user_request(config.user, config.groups)
    certificate = await signing.request_certificate(client, signing.Wanted(
        who=f"the agent of DPU {config.namespace}/{config.name}", prefix="dpu-agent-", signer=SIGNER,
        csr_pem=request.csr_pem,
    ), timeout_s=_TIMEOUT_S)
    return Identity(
        server=config.server, ca=config.ca_pem.decode(), certificate=certificate, key=request.key_pem.decode()
    )
