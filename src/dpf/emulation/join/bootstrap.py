"""The bootstrap itself: (server, token, CA pins, node name) to an Identity, the way `kubeadm join` does it.

Called by the emulated kubelet before it starts a node, and again when the node's certificate is about to expire. It
creates no Node object and knows nothing about pods. Secrets: the token is sent only to a server whose CA has been
verified against the pins; neither token nor key is ever part of an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dpf.api import core
from dpf.emulation.join import discovery, errors, signing
from dpf.emulation.join import identity as identities
from dpf.emulation.join import token as tokens
from dpf.emulation.join.connection import Access, Connect
from dpf.emulation.join.identity import Identity
from dpf.kube import errors as kube_errors
from dpf.kube.client import Client

SIGNER: Final = "kubernetes.io/kube-apiserver-client-kubelet"
_FIRST_POLL_S: Final = 0.05
_LAST_POLL_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinConfig:
    """What a machine is told before it joins: exactly the arguments of `kubeadm join`, parsed.

    `pins` are `sha256:<hex>`. The timeouts bound the wait for the token's signature and for the certificate.
    """

    node: str
    server: str
    token: tokens.BootstrapToken
    pins: frozenset[str]
    discovery_timeout_s: float = 15.0
    certificate_timeout_s: float = 60.0


def parse_config(*, node: str, server: str, token: str, pins: list[str]) -> JoinConfig:
    """A checked JoinConfig. Raises InvalidJoinConfig."""
    if not pins:
        raise errors.InvalidJoinConfig(f"node {node}: no CA pin given; joining without one would trust any server")
    if not server.startswith("https://"):
        raise errors.InvalidJoinConfig(f"node {node}: the server address {server!r} must start with https://")
    return JoinConfig(
        node=node, server=server.rstrip("/"), token=tokens.parse(token),
        pins=frozenset(discovery.parse_pin(pin) for pin in pins),
    )


async def ensure_identity(config: JoinConfig, folder: Path, connect: Connect, *, now: datetime) -> Identity:
    """The stored identity while it is usable, else a new one from a full join, stored in `folder` before it returns."""
    stored = identities.load(folder)
    if stored and identities.is_usable(stored, node=config.node, server=config.server, pins=config.pins, now=now):
        return stored
    identity = await join(config, connect)
    identities.store(folder, identity)
    return identity


async def join(config: JoinConfig, connect: Connect) -> Identity:
    """Discover, verify and ask for a certificate. Raises JoinError, or kube.errors.Transient when nobody answers."""
    info = await discover(config, connect)
    access = Access(server=config.server, ca_pem=info.ca_pem, token=config.token.bearer)
    async with _opened(connect, access) as client:
        try:
            await _check_welcome(client, config)
            return await _request_certificate(
                client, config.node, config.server, info.ca_pem, config.certificate_timeout_s
            )
        except kube_errors.Unauthorized as error:
            raise _token_unknown(config, "the API server does not accept it") from error
        except kube_errors.Forbidden as error:
            raise errors.NotPermitted(
                f"{config.server} knows bootstrap token {config.token.id} but does not let it join node {config.node}: "
                f"{error.message}. Check that the token has the auth-extra-groups and the cluster the role bindings "
                "that `kubeadm init` makes"
            ) from error


async def discover(config: JoinConfig, connect: Connect) -> discovery.ClusterInfo:
    """Read cluster-info anonymously, verify it, and read it again over TLS that its CA verifies.

    The second reading must give the same text: it proves that the server that answered holds a certificate of that CA.
    """
    async with _opened(connect, Access(server=config.server)) as client:
        data = await _signed_cluster_info(client, config)
    info = discovery.verify(data, config.token, config.pins)
    async with _opened(connect, Access(server=config.server, ca_pem=info.ca_pem)) as client:
        again = await client.get(core.ConfigMap, "cluster-info", "kube-public")
    if (again.data or {}).get(discovery.KUBECONFIG_KEY) != info.kubeconfig:
        raise errors.UntrustedCluster(
            f"{config.server} gave two different answers for cluster-info: another machine answers in between"
        )
    return info


async def renew(node: str, identity: Identity, folder: Path, connect: Connect, *, timeout_s: float = 60.0) -> Identity:
    """A new key and certificate, asked for with the node's own certificate; stored before it returns."""
    async with _opened(connect, identity.access) as client:
        renewed = await _request_certificate(client, node, identity.server, identity.ca.encode(), timeout_s)
    identities.store(folder, renewed)
    return renewed


async def _signed_cluster_info(client: Client, config: JoinConfig) -> dict[str, str]:
    """cluster-info once it carries our token's signature.

    Polled: an anonymous caller may get this one object, but neither list nor watch it.
    """
    pause_s, seen = _FIRST_POLL_S, False
    try:
        async with asyncio.timeout(config.discovery_timeout_s):
            while True:
                try:
                    data = (await client.get(core.ConfigMap, "cluster-info", "kube-public")).data or {}
                    seen = True
                    if discovery.is_signed(data, config.token):
                        return data
                except (kube_errors.NotFound, kube_errors.Forbidden, kube_errors.Unauthorized):
                    pass  # The control plane is up before the objects that joiners need are: keep asking.
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LAST_POLL_S)
    except TimeoutError:
        if seen:
            raise _token_unknown(config, "cluster-info carries no signature for it") from None
        raise errors.JoinTimeout(
            f"{config.server} does not offer ConfigMap kube-public/cluster-info to joining nodes: check that the "
            "cluster was prepared for joining"
        ) from None


async def _check_welcome(client: Client, config: JoinConfig) -> None:
    """With the token: the cluster was prepared for us, and no living node has our name."""
    await client.get(core.ConfigMap, "kubelet-config", "kube-system")
    try:
        node = await client.get(core.Node, config.node)
    except kube_errors.NotFound:
        return
    if any(c.type == "Ready" and c.status == "True" for c in node.status.conditions or ()):
        raise errors.NodeExists(
            f"a Ready node named {config.node} is already in the cluster: choose another name, or stop that node and "
            f"run `kubectl delete node {config.node}`"
        )


async def _request_certificate(client: Client, node: str, server: str, ca_pem: bytes, timeout_s: float) -> Identity:
    """A new key, and the certificate of `node` for it."""
    request = identities.build_key_request(node)
    certificate = await signing.request_certificate(client, signing.Wanted(
        who=f"node {node}", prefix="node-csr-", signer=SIGNER, csr_pem=request.csr_pem
    ), timeout_s=timeout_s)
    return Identity(server=server, ca=ca_pem.decode(), certificate=certificate, key=request.key_pem.decode())


def _token_unknown(config: JoinConfig, why: str) -> errors.TokenUnknown:
    return errors.TokenUnknown(
        f"bootstrap token {config.token.id} is unknown to {config.server} or has expired ({why}): make a new one"
    )


@asynccontextmanager
async def _opened(connect: Connect, access: Access) -> AsyncIterator[Client]:
    client = connect(access)
    try:
        yield client
    finally:
        await client.aclose()
