"""The bootstrap tokens of one DPU in one cluster: one that lasts long enough, or none. Called by `joiner`.

They are found by their labels, in one list from the server per call. Whoever is killed in between leaves at worst a
token too many, which the next call removes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.provisioning.dpucluster.bootstrap import TOKEN_NAMESPACE
from dpf.provisioning.join import build, identity
from dpf.provisioning.join.build import Token
from dpf.provisioning.join.identity import TokenFor

_ATTEMPTS: Final = 5
"""Two tokens in a cluster may have the same id, once in 16 million."""


async def ensure(client: Client, dpu: DPU, purpose: TokenFor, now: datetime) -> Token:
    """The one token of `dpu`: the present one while it lasts, else a new one. The others are deleted.

    Raises kube.errors.Error.
    """
    found = await _list(client, dpu, purpose)
    token = build.best_token(found, now) or await _mint(client, dpu, purpose, now)
    await _delete(client, (secret for secret in found if secret.metadata.name != token.name))
    return token


async def prolong(client: Client, dpu: DPU, bearer: str, now: datetime) -> None:
    """Have the node's token `<id>.<secret>` last for its whole life from `now` on, if less than enough of it is left.

    Raises kube.errors.Error.
    """
    found = await _list(client, dpu, TokenFor.NODE)
    best = build.best_token(found, now)
    if best is not None and best.bearer == bearer:
        return
    token_id, _, secret = bearer.partition(".")
    made = build.token_secret(dpu, TokenFor.NODE, token_id, secret, (now + build.TTL).replace(microsecond=0))
    await _delete(client, (one for one in found if one.metadata.name == made.metadata.name))
    await client.create(made)


async def revoke(client: Client, dpu: DPU, purpose: TokenFor) -> tuple[str, ...]:
    """Delete every token of `dpu`; returns the names of their Secrets. Raises kube.errors.Error."""
    found = await _list(client, dpu, purpose)
    await _delete(client, found)
    return tuple(f"{TOKEN_NAMESPACE}/{secret.metadata.name}" for secret in found)


async def _list(client: Client, dpu: DPU, purpose: TokenFor) -> tuple[core.Secret, ...]:
    return (await client.list(core.Secret, TOKEN_NAMESPACE, labels=identity.selector(dpu, purpose))).items


async def _mint(client: Client, dpu: DPU, purpose: TokenFor, now: datetime) -> Token:
    # The server keeps whole seconds.
    expires = (now + build.TTL).replace(microsecond=0)
    for attempt in range(_ATTEMPTS):
        token_id, secret = secrets.token_hex(3), secrets.token_hex(8)
        made = build.token_secret(dpu, purpose, token_id, secret, expires)
        try:
            await client.create(made)
        except errors.AlreadyExists:
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        return Token(name=made.metadata.name, id=token_id, secret=secret, expires=expires)
    raise AssertionError("the loop returns or raises")


async def _delete(client: Client, found: Iterable[core.Secret]) -> None:
    for secret in found:
        try:
            await client.delete(core.Secret, secret.metadata.name, TOKEN_NAMESPACE, uid=secret.metadata.uid)
        except errors.NotFound:
            continue  # The token cleaner of the control plane was first.
