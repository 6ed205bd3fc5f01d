"""Builds the ServiceAccount and the Secret of a DPUServiceCredentialRequest (behaviour-service.md section 7).

Pure. `plan` builds the ServiceAccount; `apply` builds the Secret, because a token passes through only there.
"""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

import yaml

from dpf.api import core
from dpf.api.dpuservicecredentialrequest import SecretType
from dpf.api.meta import Key, ObjectMeta
from dpf.services.credentialrequest import credential
from dpf.services.credentialrequest.credential import Mark, Times
from dpf.services.credentialrequest.snapshot import Endpoint
from dpf.services.credentialrequest.wanted import Wanted

_HTTPS_PORT = 443


def service_account(request: Key, wanted: Wanted) -> core.ServiceAccount:
    """The ServiceAccount; no pod gets its token by itself."""
    return core.ServiceAccount(
        metadata=ObjectMeta(
            name=wanted.account.name, namespace=wanted.account.namespace, labels=credential.owner_labels(request)
        ),
        automountServiceAccountToken=False,
    )


def secret_metadata(request: Key, wanted: Wanted) -> ObjectMeta:
    """Name, labels and annotations of the Secret, the mark apart. The user's cannot replace ours."""
    annotations = {key: value for key, value in wanted.annotations.items() if key != credential.MARK_ANNOTATION}
    return ObjectMeta(
        name=wanted.secret.name, namespace=wanted.secret.namespace,
        labels={**wanted.labels, **credential.owner_labels(request)}, annotations=annotations,
    )


def secret(request: Key, wanted: Wanted, data: dict[str, str], mark: Mark) -> core.Secret:
    """The Secret with these data (base64)."""
    named = secret_metadata(request, wanted)
    annotations = {**(named.annotations or {}), credential.MARK_ANNOTATION: credential.write_mark(mark)}
    return core.Secret(
        metadata=ObjectMeta(
            name=named.name, namespace=named.namespace, labels=named.labels, annotations=annotations
        ),
        type="Opaque", data=data,
    )


def mark(wanted: Wanted, data: dict[str, str], times: Times, *, requested: str, inputs: str) -> Mark:
    """What the Secret with these data says about itself."""
    return Mark(
        issued=times.issued, expires=times.expires, requested=requested, inputs=inputs,
        data=credential.data_digest(wanted.type, data), metadata=credential.metadata_digest(wanted),
        asked_s=wanted.life_s, secret=str(wanted.secret),
    )


def problem(wanted: Wanted, endpoint: Endpoint) -> str | None:
    """Why the layout that is wanted cannot say where that API server is; None when it can."""
    url = urlsplit(endpoint.server)
    if wanted.type is SecretType.KUBECONFIG or (url.scheme == "https" and url.path in {"", "/"}):
        return None
    return f"type {wanted.type} has room for a host and a port only, not for {endpoint.server}; use type kubeconfig"


def data(wanted: Wanted, endpoint: Endpoint, token: str) -> dict[str, str]:
    """The data of the Secret, as base64, in the layout that is wanted."""
    plain = _kubeconfig(wanted.account, endpoint, token) if wanted.type is SecretType.KUBECONFIG else (
        _token_file(endpoint, token)
    )
    return {key: base64.b64encode(value).decode() for key, value in plain.items()}


def _kubeconfig(account: Key, endpoint: Endpoint, token: str) -> dict[str, bytes]:
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": account.name,
        "clusters": [{"name": endpoint.cluster_name, "cluster": _cluster(endpoint)}],
        "contexts": [{"name": account.name, "context": {
            "cluster": endpoint.cluster_name, "user": account.name, "namespace": account.namespace,
        }}],
        "users": [{"name": account.name, "user": {"token": token}}],
    }
    return {"kubeconfig": yaml.safe_dump(document, sort_keys=False, width=100_000).encode()}


def _cluster(endpoint: Endpoint) -> dict[str, object]:
    cluster: dict[str, object] = {"server": endpoint.server}
    if endpoint.ca_data:
        cluster["certificate-authority-data"] = endpoint.ca_data
    if endpoint.insecure:
        cluster["insecure-skip-tls-verify"] = True
    if endpoint.tls_server_name:
        cluster["tls-server-name"] = endpoint.tls_server_name
    return cluster


def _token_file(endpoint: Endpoint, token: str) -> dict[str, bytes]:
    """What a pod needs to be in that cluster as if it ran there: two variables, `ca.crt` and `token`."""
    url = urlsplit(endpoint.server)
    return {
        "KUBERNETES_SERVICE_HOST": (url.hostname or "").encode(),
        "KUBERNETES_SERVICE_PORT": str(url.port or _HTTPS_PORT).encode(),
        "KUBERNETES_CA_DATA": base64.b64decode(endpoint.ca_data),
        "TOKEN_FILE": token.encode(),
    }
