"""Where an API server is for a DPU, and by which CA it is known: from an endpoint, or from what a cluster publishes.

Pure. Called by `joiner`. Sources: behaviour-provisioning.md 12 (`HOST:PORT`, CA hash); Kubernetes, ConfigMap
`kube-public/cluster-info`, which kubeadm and its like publish for machines that join.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from dpf.api import core
from dpf.kube import untrustedyaml
from dpf.kube.client import Endpoint

CLUSTER_INFO: Final = "cluster-info"
PUBLIC_NAMESPACE: Final = "kube-public"
_HTTPS_PORT: Final = 443


class EndpointError(ValueError):
    """Nobody could join by this; `str()` says why, in words that fit behind the name of a cluster."""


def published(info: core.ConfigMap) -> Endpoint | None:
    """What `cluster-info` says; None when it says nothing usable."""
    try:
        loaded = untrustedyaml.load((info.data or {}).get("kubeconfig", ""))
        cluster: dict[str, Any] = loaded["clusters"][0]["cluster"]
        server = str(cluster["server"])
        authority = base64.b64decode(str(cluster["certificate-authority-data"]), validate=True)
    except (untrustedyaml.Refused, KeyError, IndexError, TypeError, ValueError):
        return None
    return Endpoint(server=server.rstrip("/"), ca_pem=authority)


def host_port(endpoint: Endpoint) -> str:
    """`host:port`, the only form that `kubeadm join` takes. Raises EndpointError."""
    url = urlsplit(endpoint.server)
    if url.scheme != "https" or not url.hostname or url.path not in {"", "/"}:
        raise EndpointError(f"its API server {endpoint.server} is not of the form https://HOST:PORT")
    try:
        port = url.port or _HTTPS_PORT
    except ValueError:
        raise EndpointError(f"the port of its API server {endpoint.server} is no port") from None
    return f"[{url.hostname}]:{port}" if ":" in url.hostname else f"{url.hostname}:{port}"


def pins(endpoint: Endpoint) -> tuple[str, ...]:
    """`sha256:<hex>` over the public key of each CA of the server. Raises EndpointError."""
    return tuple(_pin(certificate) for certificate in _authorities(endpoint))


def ca_text(endpoint: Endpoint) -> str:
    """The CAs as PEM. Raises EndpointError when there is none, or what is there is none."""
    _authorities(endpoint)
    return (endpoint.ca_pem or b"").decode()


def _authorities(endpoint: Endpoint) -> list[x509.Certificate]:
    if not endpoint.ca_pem:
        raise EndpointError(
            "its kubeconfig names no certificate authority, so that a DPU could not tell its API server from another: "
            "add certificate-authority-data"
        )
    try:
        return x509.load_pem_x509_certificates(endpoint.ca_pem)
    except ValueError:
        raise EndpointError("the certificate authority in its kubeconfig is no PEM certificate") from None


def _pin(certificate: x509.Certificate) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = certificate.public_key().public_bytes(serialization.Encoding.DER, form)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"
