"""Trust: is this cluster-info signed with our token, and is its CA one of the pinned ones?

Pure. Called by `bootstrap` on what an anonymous, unverified request returned; nothing in that answer may be used before
`verify` has accepted it. Source: Kubernetes, "Authenticating with bootstrap tokens", ConfigMap signing (detached JWS,
HS256), and kubeadm's `--discovery-token-ca-cert-hash`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml
from cryptography import x509

from dpf.emulation.join import errors
from dpf.emulation.join.token import BootstrapToken
from dpf.local.pki import certificates

KUBECONFIG_KEY: Final = "kubeconfig"
_SIGNATURE_PREFIX: Final = "jws-kubeconfig-"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterInfo:
    """What cluster-info says, after verification: the API server's URL and the cluster's CA (PEM)."""

    server: str
    ca_pem: bytes
    kubeconfig: str


def is_signed(data: Mapping[str, str], token: BootstrapToken) -> bool:
    """Whether the token signer has already signed for this token (it follows a new token within a second)."""
    return _SIGNATURE_PREFIX + token.id in data and KUBECONFIG_KEY in data


def verify(data: Mapping[str, str], token: BootstrapToken, pins: Collection[str]) -> ClusterInfo:
    """The cluster that `data` of cluster-info describes, once signature and pin agree. Raises UntrustedCluster.

    `pins` are `sha256:<hex>` over the CA's SubjectPublicKeyInfo; one match is enough, none given trusts nothing.
    """
    kubeconfig = data[KUBECONFIG_KEY]
    if not _signature_matches(data[_SIGNATURE_PREFIX + token.id], kubeconfig, token):
        raise errors.UntrustedCluster(
            f"cluster-info is not signed with bootstrap token {token.id}: either the token's secret part is wrong, or "
            "another cluster answered. Check the server address and make a new token"
        )
    server, ca_pem = _parse_kubeconfig(kubeconfig)
    authorities = _certificates(ca_pem)
    if not any(certificates.spki_pin(certificate) in pins for certificate in authorities):
        found = ", ".join(certificates.spki_pin(certificate) for certificate in authorities)
        raise errors.UntrustedCluster(
            f"the CA of {server} does not match any pinned CA: found {found}, expected {', '.join(sorted(pins))}. "
            "Check that the server address and the pin belong to the same cluster"
        )
    return ClusterInfo(server=server, ca_pem=ca_pem, kubeconfig=kubeconfig)


def parse_pin(text: str) -> str:
    """The normalised pin. Raises InvalidJoinConfig."""
    algorithm, _, digest = text.strip().lower().partition(":")
    if algorithm != "sha256" or len(digest) != hashlib.sha256().digest_size * 2 or not _is_hex(digest):
        raise errors.InvalidJoinConfig(f"CA pin {text!r} is malformed: expected sha256: and 64 hexadecimal digits")
    return f"sha256:{digest}"


def ca_pins(ca_pem: bytes) -> frozenset[str]:
    """Pins of every certificate in a PEM bundle. Raises UntrustedCluster on anything else."""
    return frozenset(certificates.spki_pin(certificate) for certificate in _certificates(ca_pem))


def _signature_matches(jws: str, payload: str, token: BootstrapToken) -> bool:
    """Check a detached JWS: `<header>..<signature>` over `<header>.<base64url(payload)>`."""
    header, _, rest = jws.partition(".")
    detached, _, signature = rest.partition(".")
    if detached or not _header_fits(header, token.id):
        return False
    signed = f"{header}.{_base64url(payload.encode())}".encode()
    expected = _base64url(hmac.new(token.secret.encode(), signed, hashlib.sha256).digest())
    return hmac.compare_digest(expected.encode(), signature.encode())


def _header_fits(header: str, token_id: str) -> bool:
    """Only HS256 is accepted: a header that names `none` or another algorithm must never be believed."""
    try:
        fields = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(fields, dict) and fields.get("alg") == "HS256" and fields.get("kid") == token_id


def _parse_kubeconfig(text: str) -> tuple[str, bytes]:
    """(server, CA) of the one cluster in cluster-info."""
    try:
        cluster: dict[str, Any] = yaml.safe_load(text)["clusters"][0]["cluster"]
        return str(cluster["server"]), base64.b64decode(cluster["certificate-authority-data"], validate=True)
    except (yaml.YAMLError, KeyError, IndexError, TypeError, ValueError) as error:
        raise errors.UntrustedCluster(
            "cluster-info holds no usable kubeconfig (one cluster with server and certificate-authority-data is needed)"
        ) from error


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise errors.UntrustedCluster("the certificate authority in cluster-info is not a PEM certificate") from error


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)
