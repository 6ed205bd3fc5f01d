"""Carries out the intents of a DPUServiceCredentialRequest: the only place through which a token passes.

Called by the runtime's executor through the controller. A token goes from the API server that gives it into the Secret
and nowhere else: no value, error or log line here holds one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, assert_never

import msgspec

from dpf.api import core
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.kube.clusters import HOST, ClusterRegistry, Unreachable
from dpf.runtime.clock import rfc3339
from dpf.runtime.reconciler import DriverError
from dpf.services.credentialrequest import build, credential
from dpf.services.credentialrequest.credential import Mark, Times
from dpf.services.credentialrequest.plan import Intent, IssueCredential, MoveCredential
from dpf.services.credentialrequest.wanted import Wanted

FIELD_OWNER: Final = "dpuservicecredentialrequestcontroller"


async def carry_out(intent: Intent, registry: ClusterRegistry) -> Times | None:
    """Begin and end of the token, where one was issued. Raises DriverError, with words for the user."""
    match intent:
        case IssueCredential():
            return await _issue(intent, registry)
        case MoveCredential():
            await _move(intent, registry.host.client)
            return None
        case _:
            assert_never(intent)


async def _issue(intent: IssueCredential, registry: ClusterRegistry) -> Times:
    wanted, given = intent.wanted, await _request_token(intent, registry)
    times = _times(given, wanted)
    data = build.data(wanted, intent.endpoint, given.status.token)
    mark = build.mark(wanted, data, times, requested=intent.requested, inputs=intent.inputs)
    await _write(registry.host.client, build.secret(intent.request, wanted, data, mark), exists=intent.exists)
    return times


async def _move(intent: MoveCredential, host: Client) -> None:
    source = await _held(host, intent.source)
    data, mark = source.data or {}, credential.read_mark(source)
    kept = {key: data[key] for key in credential.KEYS[intent.wanted.type] if key in data}
    if mark is None or mark.data != credential.data_digest(intent.wanted.type, kept):
        raise DriverError(f"Secret {intent.source} has just been changed by somebody else; looking again")
    relabelled: Mark = msgspec.structs.replace(
        mark, metadata=credential.metadata_digest(intent.wanted), secret=str(intent.wanted.secret)
    )
    await _write(host, build.secret(intent.request, intent.wanted, kept, relabelled), exists=intent.exists)


async def _request_token(intent: IssueCredential, registry: ClusterRegistry) -> core.TokenRequest:
    account = intent.wanted.account
    spec = core.TokenRequestSpec(expirationSeconds=intent.wanted.life_s)
    client = _client(registry, intent.cluster)
    try:
        return await client.create_subresource(
            core.ServiceAccount, account.name, account.namespace, subresource="token",
            body=core.TokenRequest(metadata=ObjectMeta(), spec=spec),
        )
    except errors.Error as error:
        raise DriverError(f"no token for ServiceAccount {account}: {error}") from None


def _client(registry: ClusterRegistry, cluster: Key) -> Client:
    found = registry.get(cluster)
    if isinstance(found, Unreachable):
        name = "the host cluster" if cluster == HOST else f"DPU cluster {cluster.name}"
        raise DriverError(f"error while getting {name}: {found.why}")
    return found.client


def _times(given: core.TokenRequest, wanted: Wanted) -> Times:
    """Begin and end as the server tells them; what it grants may be less than what was asked for."""
    text, life_s = given.status.expirationTimestamp, given.spec.expirationSeconds
    try:
        expires = datetime.fromisoformat(text or "")
    except ValueError:
        expires = None
    if expires is None or expires.tzinfo is None or not life_s or not given.status.token:
        raise DriverError(
            f"the answer to the request of a token for ServiceAccount {wanted.account} cannot be used: "
            "expiration or issued at time is not set"
        )
    expires = expires.astimezone(UTC)
    return Times(issued=rfc3339(expires - timedelta(seconds=life_s)), expires=rfc3339(expires))


async def _held(host: Client, key: Key) -> core.Secret:
    try:
        return await host.get(core.Secret, key.name, key.namespace)
    except errors.Error as error:
        raise DriverError(f"cannot read Secret {key}: {error}") from None


async def _write(host: Client, secret: core.Secret, *, exists: bool) -> None:
    """Write the Secret. Where none was seen, nothing is forced upon one that somebody has made meanwhile."""
    try:
        await host.apply(secret, field_owner=FIELD_OWNER, force=exists)
    except errors.Error as error:
        where = f"{secret.metadata.namespace}/{secret.metadata.name}"
        raise DriverError(f"cannot write Secret {where}: {error}") from None
