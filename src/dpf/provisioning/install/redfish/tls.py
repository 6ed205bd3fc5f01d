"""Who we are to BMCs, and how a BMC proves who it is (behaviour-provisioning.md 9.2).

Called by `transport`. Once a BMC is set up, its certificate must chain to our CA and be that of the address we called:
either among its alternative names, or as its common name. Before that it has a certificate of its own making, which
proves nothing: then `anyone` is used, and only the set-up and the discovery do so.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dpf.kube import credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """`ca_pem` are the CAs that issue BMCs' certificates; certificate and key are our own, "" to have none. PEM."""

    ca_pem: bytes
    certificate_pem: bytes = b""
    key_pem: bytes = field(default=b"", repr=False)


class _Pinned(ssl.SSLObject):
    """Ends the handshake with an error when the certificate is somebody else's, before anything is sent."""

    def do_handshake(self) -> None:
        super().do_handshake()
        certificate = self.getpeercert() or {}
        if not names(certificate, self.server_hostname or ""):
            error = ssl.SSLCertVerificationError("the certificate is for another address")
            error.verify_message = f"its certificate is not for {self.server_hostname}"
            raise error


def proven(identity: Identity) -> ssl.SSLContext:
    """For a BMC that is set up. Raises kube.errors.CredentialsError when the PEM texts cannot be used."""
    own = None
    if identity.certificate_pem:
        own = credentials.ClientCertificate(certificate_pem=identity.certificate_pem, key_pem=identity.key_pem)
    context = credentials.tls_context(credentials.Trust(ca_pem=identity.ca_pem), own)
    if context is None:
        raise TypeError("TLS is never off here")
    context.check_hostname = False  # the common name counts as well, which the library does not look at
    context.sslobject_class = _Pinned
    return context


def anyone() -> ssl.SSLContext:
    """For a BMC that is not set up: encrypted, and nothing else. We show no certificate of ours either."""
    context = credentials.tls_context(credentials.Trust(insecure=True))
    if context is None:
        raise TypeError("TLS is never off here")
    return context


def names(certificate: Mapping[str, Any], host: str) -> bool:
    """Whether a certificate, as `SSLSocket.getpeercert` has it, is for `host`."""
    host = host.lower()
    alternative = {value.lower() for _, value in certificate.get("subjectAltName", ())}
    common = {value.lower() for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}
    return host in alternative | common
