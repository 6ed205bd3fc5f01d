"""Lets a DPU in: a token for its node in the DPU cluster, and for its agent an identity in the host cluster.

Called by the driver of the DPU controller: `prepare` before an installation, `revoke` when the node is in or the DPU
goes. Everything is found again by labels with the uid of the DPU, so that a call may be repeated after a crash at any
point; a call that finds everything as it should be writes nothing. Sources: behaviour-provisioning.md 5.7, 5.12, 5.17
and 12.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key
from dpf.kube import errors as kube_errors
from dpf.kube.client import Client, Endpoint
from dpf.kube.clusters import ClusterRegistry, Unreachable
from dpf.provisioning.flavor.facts import AgentAccess, Join
from dpf.provisioning.join import build, endpoint, identity, owned, tokens
from dpf.provisioning.join.endpoint import EndpointError
from dpf.provisioning.join.errors import ClusterUnreachable, JoinError, Reason
from dpf.provisioning.join.identity import TokenFor
from dpf.runtime.clock import Clock

_HOST: Final = "the host cluster"
_SILENT: Final = (kube_errors.Unreachable, kube_errors.Timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """What `prepare` is asked for. `cluster` is the DPUCluster that the DPU joins."""

    dpu: DPU
    cluster: Key
    with_agent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """What the DPU has to be told; neither part shows its token in its repr."""

    join: Join
    agent: AgentAccess | None = None


class Joiner:
    """Stateless. `agent_endpoint` is the host's API server as DPUs reach it, where that is known beforehand.

    Without it the host's `cluster-info` counts, and where nobody published one, the connection of this process.
    """

    def __init__(
        self, *, clusters: ClusterRegistry, host: Client, clock: Clock, agent_endpoint: Endpoint | None = None,
    ) -> None:
        self._clusters = clusters
        self._host = host
        self._clock = clock
        self._agent_endpoint = agent_endpoint

    async def prepare(self, request: JoinRequest) -> Joining:
        """Have everything in place that lets the DPU in. Raises JoinError, of which ClusterUnreachable is one."""
        with _failing(Reason.FAILED_TO_GENERATE_JOIN_COMMAND, f"DPU cluster {request.cluster}"):
            join = await self._join(request)
        with _failing(Reason.FAILED_TO_CREATE_KUBEADM_SECRET, _HOST):
            await owned.ensure(self._host, build.join_secret(request.dpu, join))
        if not request.with_agent:
            return Joining(join=join)
        with _failing(Reason.FAILED_TO_ENSURE_RBAC, _HOST):
            return Joining(join=join, agent=await self._agent(request.dpu))

    async def revoke(self, dpu: DPU, cluster: Key | None) -> tuple[str, ...]:
        """Delete the node's tokens, the join Secret and the agent's tokens; returns what there was of them.

        Empty: nothing was left. A DPUCluster that is gone took its tokens along. Raises JoinError; what can be deleted
        is deleted before a silent DPU cluster raises ClusterUnreachable.
        """
        with _failing(Reason.FAILED_TO_CREATE_KUBEADM_SECRET, _HOST):
            secret = await owned.remove(self._host, build.join_secret(dpu, Join(server="", token="", pins=())))
        of_agent = await self.revoke_agent(dpu)
        if cluster is None:
            return (*secret, *of_agent)
        return (*secret, *of_agent, *await self._revoke_node(dpu, cluster))

    async def prolong(self, dpu: DPU, cluster: Key) -> None:
        """Have the token that stands in the join Secret last on; it is in a configuration that was installed already.

        Made again if its cluster has removed it. Raises JoinError.
        """
        with _failing(Reason.FAILED_TO_CREATE_KUBEADM_SECRET, _HOST):
            empty = build.join_secret(dpu, Join(server="", token="", pins=()))
            bearer = build.joining_token(await owned.find(self._host, core.Secret, empty))
        if bearer is None:
            return
        with _failing(Reason.FAILED_TO_GENERATE_JOIN_COMMAND, f"DPU cluster {cluster}"):
            await tokens.prolong(self._client(cluster), dpu, bearer, self._clock.now())

    async def revoke_agent(self, dpu: DPU) -> tuple[str, ...]:
        """Delete the agent's tokens in the host cluster; returns what there was of them. Raises JoinError."""
        with _failing(Reason.DELETE_DPU_AGENT_BOOTSTRAP_TOKENS_ERROR, _HOST):
            return _secrets(await tokens.revoke(self._host, dpu, TokenFor.AGENT), "host")

    async def remove_agent_access(self, dpu: DPU) -> tuple[str, ...]:
        """Take the rights of the agent away; returns what there was of them. Raises JoinError."""
        with _failing(Reason.FAILED_TO_ENSURE_RBAC, _HOST):
            binding = await owned.remove(self._host, build.agent_binding(dpu))
            return (*binding, *await owned.remove(self._host, build.agent_role(dpu)))

    async def _join(self, request: JoinRequest) -> Join:
        client = self._client(request.cluster)
        known = client.endpoint
        if not known.ca_pem:
            known = await _published(client) or known
        server, pins = endpoint.host_port(known), endpoint.pins(known)
        token = await tokens.ensure(client, request.dpu, TokenFor.NODE, self._clock.now())
        return Join(server=server, token=token.bearer, pins=pins)

    async def _agent(self, dpu: DPU) -> AgentAccess:
        known = self._agent_endpoint or await _published(self._host) or self._host.endpoint
        authority = endpoint.ca_text(known)
        uid = dpu.metadata.uid or ""
        await owned.ensure(self._host, build.asking_binding())
        await owned.ensure(self._host, build.agent_role(dpu))
        await owned.ensure(self._host, build.agent_binding(dpu))
        token = await tokens.ensure(self._host, dpu, TokenFor.AGENT, self._clock.now())
        return AgentAccess(
            server=known.server, ca_pem=authority, token=token.bearer,
            user=identity.agent_name(dpu.metadata.name), groups=identity.agent_groups(uid),
        )

    async def _revoke_node(self, dpu: DPU, cluster: Key) -> tuple[str, ...]:
        if isinstance(self._clusters.get(cluster), Unreachable) and await self._is_gone(cluster):
            return ()
        with _failing(Reason.FAILED_TO_GENERATE_JOIN_COMMAND, f"DPU cluster {cluster}"):
            return _secrets(await tokens.revoke(self._client(cluster), dpu, TokenFor.NODE), str(cluster))

    async def _is_gone(self, cluster: Key) -> bool:
        """Whether there is no such DPUCluster. The server is asked: the registry may only not know it yet."""
        with _failing(Reason.FAILED_TO_GENERATE_JOIN_COMMAND, _HOST):
            try:
                await self._host.get(DPUCluster, cluster.name, cluster.namespace)
            except kube_errors.NotFound:
                return True
        return False

    def _client(self, cluster: Key) -> Client:
        found = self._clusters.get(cluster)
        if isinstance(found, Unreachable):
            raise kube_errors.Unreachable(found.why)
        return found.client


async def _published(client: Client) -> Endpoint | None:
    """What the cluster tells machines that join it."""
    try:
        info = await client.get(core.ConfigMap, endpoint.CLUSTER_INFO, endpoint.PUBLIC_NAMESPACE)
    except kube_errors.NotFound:
        return None
    return endpoint.published(info)


def _secrets(found: tuple[str, ...], where: str) -> tuple[str, ...]:
    return tuple(f"Secret {name} ({where})" for name in found)


@contextmanager
def _failing(reason: Reason, where: str) -> Iterator[None]:
    """What goes wrong inside becomes a JoinError of this reason, which names the cluster."""
    try:
        yield
    except _SILENT as error:
        raise ClusterUnreachable(reason, f"{where} does not answer: {error}") from None
    except (kube_errors.Error, EndpointError, owned.NotOurs) as error:
        raise JoinError(reason, f"{where}: {error}") from None
