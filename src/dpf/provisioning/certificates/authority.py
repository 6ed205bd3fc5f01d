"""A certificate authority: makes certificates, and judges whether one that is there still serves.

Called by `issuer`, which keeps the results in Secrets. Nothing here reads or writes anything; time is an argument, keys
come from the operating system's randomness. No text holds a key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

AUTHORITY_NAME: Final = "dpf-provisioning-ca"
AUTHORITY_LIFE: Final = timedelta(days=3650)
CLOCK_SKEW: Final = timedelta(minutes=5)
"""Certificates begin so long ago: the clock of a BMC may be a little behind."""
_SHORTEST_RSA: Final = 2048
_LONGEST_NAME: Final = 64
"""Characters of a common name (RFC 5280, ub-common-name)."""


class Use(StrEnum):
    """What the holder of a certificate proves with it."""

    SERVER = "server"
    CLIENT = "client"


_USAGES: Final = {Use.SERVER: ExtendedKeyUsageOID.SERVER_AUTH, Use.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}


class Pair(NamedTuple):
    """A certificate and its private key, PEM."""

    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return "Pair()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whom a certificate is for. `addresses` are DNS names and IP addresses as text; `life` is how long it holds."""

    common_name: str
    use: Use
    life: timedelta
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """It can sign. `roots` are the certificates that others have to trust so that they trust what it has signed."""

    certificate: x509.Certificate
    key: SigningKey = field(repr=False)
    roots: tuple[x509.Certificate, ...] = ()


def new_authority(now: datetime, key: SigningKey | None = None) -> Pair:
    """A self-signed authority. The same key signed again keeps everything valid that was issued before."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME)])
    builder = _builder(name, key.public_key(), name, now, now + AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs=True), critical=True)
    return Pair(pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def load_authority(pair: Pair, roots_pem: bytes = b"") -> Authority:
    """The authority that a Secret holds; of a chain the first one signs. Raises ValueError, its text for people."""
    try:
        chain = x509.load_pem_x509_certificates(pair.certificate_pem)
    except ValueError:
        raise ValueError("its certificate cannot be read") from None
    try:
        key = serialization.load_pem_private_key(pair.key_pem, password=None)
    except (ValueError, TypeError):
        raise ValueError("its private key cannot be read") from None
    certificate = chain[0]
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("its private key is neither RSA nor EC")  # noqa: TRY004 - what a Secret holds, not a type
    if certificate.public_key() != key.public_key():
        raise ValueError("its certificate and its private key do not belong together")
    if not _may_sign(certificate):
        raise ValueError("its certificate is not that of a certificate authority")
    try:
        roots = x509.load_pem_x509_certificates(roots_pem) if roots_pem.strip() else []
    except ValueError:
        raise ValueError("its ca.crt cannot be read") from None
    return Authority(certificate=certificate, key=key, roots=tuple(dict.fromkeys([*chain, *roots])))


def issue(authority: Authority, wanted: Wanted, now: datetime) -> Pair:
    """A certificate with a fresh key, valid for as long as asked, or as long as the authority if that is less."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Pair(_signed(authority, wanted, key.public_key(), now), _key_pem(key))


def sign(authority: Authority, request_pem: str, wanted: Wanted, now: datetime) -> bytes:
    """The certificate for a request; of the request only the key counts. Raises ValueError, its text for people."""
    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
    except ValueError:
        raise ValueError("the certificate signing request cannot be read") from None
    key = request.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SHORTEST_RSA:
        raise ValueError(f"the key of the certificate signing request has {key.key_size} bits, fewer than 2048")
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise ValueError("the key of the certificate signing request is neither RSA nor EC")  # noqa: TRY004
    if not request.is_signature_valid:
        raise ValueError("the certificate signing request was not made with its own key")
    return _signed(authority, wanted, key, now)


def why_renew(pair: Pair, authority: Authority, wanted: Wanted, now: datetime) -> str | None:
    """Why a pair no longer serves for `wanted`; None when it does."""
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate_pem)
        key = serialization.load_pem_private_key(pair.key_pem, password=None)
    except (ValueError, TypeError):
        return "it cannot be read"
    if certificate.public_key() != key.public_key():
        return "its key belongs to another certificate"
    if not is_issued_by(certificate, authority.certificate):
        return "it was issued by another authority"
    if _names_of(certificate) != {_general_name(address) for address in wanted.addresses}:
        return "its addresses have changed"
    if _usages_of(certificate) != {_USAGES[wanted.use]}:
        return "it is for another use"
    return "its time is nearly over" if is_worn(certificate, now) else None


def is_worn(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether less than a third of its life is left, or its time has not come (the clock was set back)."""
    return now >= renewal_of(certificate) or now < certificate.not_valid_before_utc


def renewal_of(certificate: x509.Certificate) -> datetime:
    """From when on a third of its life is left."""
    begin, end = certificate.not_valid_before_utc + CLOCK_SKEW, certificate.not_valid_after_utc
    return end - (end - begin) / 3


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` has signed it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def pem(certificate: x509.Certificate) -> bytes:
    """As PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _signed(
    authority: Authority, wanted: Wanted, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, now: datetime
) -> bytes:
    end = min(now + wanted.life, authority.certificate.not_valid_after_utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted.common_name[:_LONGEST_NAME])])
    builder = _builder(name, key, authority.certificate.subject, now, end)
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = builder.add_extension(issuer_key, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    enciphers = wanted.use is Use.SERVER and isinstance(key, rsa.RSAPublicKey)
    builder = builder.add_extension(_key_usage(signs=False, enciphers=enciphers), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([_USAGES[wanted.use]]), critical=False)
    if wanted.addresses:
        names = x509.SubjectAlternativeName([_general_name(address) for address in wanted.addresses])
        builder = builder.add_extension(names, critical=False)
    return pem(builder.sign(authority.key, hashes.SHA256()))


def _builder(
    name: x509.Name, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, issuer: x509.Name, now: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs: bool, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=enciphers, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )


def _key_pem(key: SigningKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _names_of(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _usages_of(certificate: x509.Certificate) -> Iterable[x509.ObjectIdentifier]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return set()
