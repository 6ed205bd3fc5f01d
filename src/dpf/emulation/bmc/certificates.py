"""Keys and certificates of an emulated BMC, and the TLS settings that follow from them.

Called by `card` and `server`. A BMC signs its first certificate itself; the key for a later one is made with the
request for it, and the certificate counts only if it fits.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def new_key() -> str:
    """A fresh P-256 key, PEM."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def self_signed(key_pem: str, now: datetime) -> str:
    """What a BMC serves before anybody gave it a certificate."""
    key = _key(key_pem)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "testhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=3650))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def request(key_pem: str, common_name: str, alternatives: Iterable[str]) -> str:
    """A signing request, PEM. Raises ValueError for names that no certificate can have."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    )
    names = [_name(one) for one in alternatives]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(_key(key_pem), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def fits(certificate_pem: str, key_pem: str) -> bool:
    """Whether the certificate was issued for the key. Raises ValueError when it is none."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    return bool(key_pem) and certificate.public_key() == _key(key_pem).public_key()


def is_certificate(pem: str) -> bool:
    """Whether this is a certificate."""
    try:
        x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return False
    return True


def serving(certificate_pem: str, key_pem: str, trusted: Iterable[str], *, is_tls_login_on: bool) -> ssl.SSLContext:
    """TLS as the BMC speaks it now: with `is_tls_login_on` a client certificate is verified if there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslobject_class = _Frank
    _load(context, certificate_pem, key_pem)
    if is_tls_login_on:
        context.verify_mode = ssl.CERT_OPTIONAL
        for pem in trusted:
            context.load_verify_locations(cadata=pem)
    return context


def fetching(trusted: Iterable[str]) -> ssl.SSLContext:
    """TLS towards the server of an image: it has to prove itself to the CAs of the truststore."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for pem in trusted:
        context.load_verify_locations(cadata=pem)
    return context


class _Frank(ssl.SSLObject):
    """Tells a client why its certificate was refused: asyncio would drop the connection without sending the alert."""

    _failed: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self._failed is not None:
            raise self._failed
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._failed = error
            raise ssl.SSLWantReadError from error  # what is to be sent is sent now, and then it fails


class Door(ssl.SSLContext):
    """Answers each connection with the TLS settings of that moment, because certificates change while it is open."""

    current: Callable[[], ssl.SSLContext]

    @classmethod
    def opening(cls, current: Callable[[], ssl.SSLContext]) -> Door:
        """With `current` asked at each connection."""
        door = cls(ssl.PROTOCOL_TLS_SERVER)
        door.current = current
        return door

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:  # noqa: ANN401 - the library's signature
        """See ssl.SSLContext."""
        return self.current().wrap_bio(*args, **options)


def _load(context: ssl.SSLContext, certificate_pem: str, key_pem: str) -> None:
    """The TLS library reads only files, so it gets an anonymous one."""
    descriptor = os.memfd_create("bmc", os.MFD_CLOEXEC)
    with contextlib.closing(os.fdopen(descriptor, "wb")) as file:
        file.write(f"{certificate_pem}\n{key_pem}".encode())
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")


def _key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key of a BMC is an EC key")
    return key


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
