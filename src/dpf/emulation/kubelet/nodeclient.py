"""A node's client, and the two requests that only a kubelet makes: the end of a pod, and a token for one.

Both go through the ordinary client port. What a node may see of pods is a matter of its cache (`pods_of`).
"""

from __future__ import annotations

from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.emulation.join.connection import Access
from dpf.emulation.kubelet.sources import TokenNeed
from dpf.kube import credentials, errors
from dpf.kube.client import Client
from dpf.kube.http import HTTPClient
from dpf.kube.kubeconfig import Connection


def connect(access: Access, *, node: str = "") -> HTTPClient:
    """A client for `access`, as `node` once the machine is one. Raises CredentialsError for unusable PEM texts."""
    trust = credentials.Trust(ca_pem=access.ca_pem, insecure=access.ca_pem is None)
    certificate = None
    if access.certificate_pem is not None and access.key_pem is not None:
        certificate = credentials.ClientCertificate(certificate_pem=access.certificate_pem, key_pem=access.key_pem)
    authorization = credentials.bearer(access.token, "bootstrap token") if access.token else None
    credential = credentials.Credential(
        tls=credentials.tls_context(trust, certificate), authorization=authorization
    )
    connection = Connection(server=access.server, credentials=credentials.Fixed(credential), trust=trust)
    return HTTPClient(connection, name=f"node {node}" if node else "host")


def pods_of(node: str) -> str:
    """Field selector of the pods of one node: the API server lets a node list no others."""
    return f"spec.nodeName={node}"


async def delete_pod_now(client: Client, pod: core.Pod) -> None:
    """Delete exactly this pod (by uid) with a grace period of zero: its processes are known to have ended.

    Raises NotFound, Conflict for a namesake, kube.errors.Error.
    """
    await client.delete(
        core.Pod, pod.metadata.name, pod.metadata.namespace, uid=pod.metadata.uid, grace_period_s=0
    )


async def request_token(client: Client, pod: core.Pod, need: TokenNeed) -> str:
    """A token of the pod's service account, bound to the pod. Raises kube.errors.Error."""
    account = pod.spec.serviceAccountName or "default"
    answer = await client.create_subresource(
        core.ServiceAccount, account, pod.metadata.namespace, subresource="token", body=_token_request(pod, need)
    )
    if not answer.status.token:
        raise errors.ServerError(f"the API server gave no token for ServiceAccount {pod.metadata.namespace}/{account}")
    return answer.status.token


def _token_request(pod: core.Pod, need: TokenNeed) -> core.TokenRequest:
    bound_to = {"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid}
    return core.TokenRequest(metadata=ObjectMeta(), spec=core.TokenRequestSpec(
        expirationSeconds=need.life_s, boundObjectRef=bound_to, audiences=[need.audience] if need.audience else None,
    ))
