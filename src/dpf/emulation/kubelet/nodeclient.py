"""A node's client: the ordinary client port, and the two requests that only a kubelet makes.

They are not in the port because no controller may make them: deleting a pod at once (its processes are known to have
ended) and asking for a token for a pod that runs here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from dpf.api import core
from dpf.api.meta import Object
from dpf.emulation.join.connection import Access
from dpf.emulation.kubelet.sources import TokenNeed
from dpf.kube import address, credentials, errors
from dpf.kube.client import Client, Event, Listing
from dpf.kube.http import HTTPClient
from dpf.kube.kubeconfig import Connection

T = TypeVar("T", bound=Object)


class NodeClient(Client, Protocol):
    """What the kubelet needs of a cluster. Both methods raise `kube.errors.Error`."""

    async def delete_pod_now(self, pod: core.Pod) -> None:
        """Delete exactly this pod (by uid) with a grace period of zero. Raises NotFound, Conflict for a namesake."""

    async def request_token(self, pod: core.Pod, need: TokenNeed) -> str:
        """A token of the pod's service account, bound to the pod."""


class HTTPNodeClient(HTTPClient):
    """NodeClient for a real API server. `node` is empty until the machine has joined."""

    def __init__(self, connection: Connection, *, node: str = "") -> None:
        super().__init__(connection, name=f"node {node}" if node else "host")
        self._pods_here = f"spec.nodeName={node}" if node else None

    def pages(
        self, kind: type[T], namespace: str | None = None, *, labels: str | None = None, fields: str | None = None,
        page_size: int = 500,
    ) -> AsyncIterator[Listing[T]]:
        """See Client. Pods are always those of this node: the API server lets a node list no others."""
        fields = fields or self._scope(kind)
        return super().pages(kind, namespace, labels=labels, fields=fields, page_size=page_size)

    def watch(
        self, kind: type[T], namespace: str | None = None, *, resource_version: str, labels: str | None = None,
        fields: str | None = None, timeout_s: float = 300.0,
    ) -> AsyncIterator[Sequence[Event[T]]]:
        """See Client and `pages`."""
        return super().watch(
            kind, namespace, resource_version=resource_version, labels=labels, fields=fields or self._scope(kind),
            timeout_s=timeout_s,
        )

    async def delete_pod_now(self, pod: core.Pod) -> None:
        """See NodeClient."""
        path = address.single(core.Pod, pod.metadata.name, pod.metadata.namespace)
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.metadata.uid}}
        await self._request("DELETE", path, body=msgspec.json.encode(options), content_type="application/json")

    async def request_token(self, pod: core.Pod, need: TokenNeed) -> str:
        """See NodeClient."""
        account = pod.spec.serviceAccountName or "default"
        path = address.single(core.ServiceAccount, account, pod.metadata.namespace, "token")
        body = msgspec.json.encode(_token_request(pod, need))
        raw = await self._request("POST", path, body=body, content_type="application/json")
        try:
            return msgspec.json.decode(raw, type=_TokenAnswer).status.token
        except msgspec.DecodeError:
            # The answer is not part of the error: it may hold a token.
            raise errors.ServerError(f"the answer to POST {path} holds no token", request=f"POST {path}") from None

    def _scope(self, kind: type[T]) -> str | None:
        return self._pods_here if kind is core.Pod else None


class _TokenStatus(msgspec.Struct):
    token: str

    def __repr__(self) -> str:
        return "TokenStatus(<hidden>)"


class _TokenAnswer(msgspec.Struct):
    status: _TokenStatus


def connect(access: Access, *, node: str = "") -> HTTPNodeClient:
    """A client for `access`, as `node` once the machine is one. Raises CredentialsError for unusable PEM texts."""
    trust = credentials.Trust(ca_pem=access.ca_pem, insecure=access.ca_pem is None)
    certificate = None
    if access.certificate_pem is not None and access.key_pem is not None:
        certificate = credentials.ClientCertificate(certificate_pem=access.certificate_pem, key_pem=access.key_pem)
    authorization = credentials.bearer(access.token, "bootstrap token") if access.token else None
    credential = credentials.Credential(
        tls=credentials.tls_context(trust, certificate), authorization=authorization
    )
    connection = Connection(server=access.server, credentials=credentials.Fixed(credential))
    return HTTPNodeClient(connection, node=node)


def _token_request(pod: core.Pod, need: TokenNeed) -> dict[str, Any]:
    bound_to = {"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid}
    spec: dict[str, Any] = {"expirationSeconds": need.life_s, "boundObjectRef": bound_to}
    if need.audience:
        spec["audiences"] = [need.audience]
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
