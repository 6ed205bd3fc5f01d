"""Build certificates, and judge whether an existing one still serves.

Called by `store`, which keeps the results in files. Nothing here reads or writes a file; the time comes in as an
argument, keys come from the operating system's randomness.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
CLOCK_SKEW = timedelta(minutes=5)


class Usage(StrEnum):
    """What the holder of a certificate proves with it."""

    SERVER = "server"
    CLIENT = "client"


_EXTENDED_KEY_USAGE = {Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH, Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Who a certificate is for. For Kubernetes, common name and organizations are user and groups.

    `sans` are DNS names and IP addresses as text.
    """

    common_name: str
    organizations: tuple[str, ...] = ()
    sans: tuple[str, ...] = ()
    usage: Usage = Usage.CLIENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority that can sign."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        """The certificate, PEM: what clients trust."""
        return certificate_pem(self.certificate)

    @property
    def spki_pin(self) -> str:
        """`sha256:<hex>` of the public key: the CA pin of the bootstrap join (as in kubeadm)."""
        return spki_pin(self.certificate)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_authority(common_name: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> Authority:
    """A self-signed authority over `key`. The same key and name signed again keep every issued certificate valid."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = _builder(name, key.public_key(), name, key.public_key(), now, AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return Authority(certificate=builder.sign(key, hashes.SHA256()), key=key)


def issue(authority: Authority, request: Request, now: datetime) -> Pair:
    """A certificate for `request` with a fresh key, valid for LEAF_LIFE or as long as the authority if that is less."""
    key = new_key()
    life = min(LEAF_LIFE, authority.certificate.not_valid_after_utc - now)
    issuer = authority.certificate
    subject_key, issuer_key = key.public_key(), authority.key.public_key()
    builder = _builder(_subject(request), subject_key, issuer.subject, issuer_key, now, life)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    usage = x509.ExtendedKeyUsage([_EXTENDED_KEY_USAGE[request.usage]])
    builder = builder.add_extension(usage, critical=False)
    if request.sans:
        sans = x509.SubjectAlternativeName([_general_name(san) for san in request.sans])
        builder = builder.add_extension(sans, critical=False)
    return Pair(certificate=certificate_pem(builder.sign(authority.key, hashes.SHA256())), key=key_pem(key))


def why_renew(certificate: x509.Certificate, request: Request, authority: Authority, now: datetime) -> str | None:
    """Why `certificate` no longer serves for `request`; None when it does."""
    if expires_soon(certificate, now):
        return f"it ends {certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.subject != _subject(request):
        return "its subject changed"
    if _sans_of(certificate) != {_general_name(san) for san in request.sans}:
        return "its addresses or names changed"
    if _usages_of(certificate) != {_EXTENDED_KEY_USAGE[request.usage]}:
        return "its usage changed"
    if not _issued_by(certificate, authority):
        return "its authority changed"
    return None


def expires_soon(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether less than RENEW_BEFORE is left, or its time has not come (the clock was set back)."""
    return certificate.not_valid_after_utc - now < RENEW_BEFORE or certificate.not_valid_before_utc > now


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """PEM of a certificate."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#8 PEM of a private key, unencrypted."""
    no_password = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)


def public_key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PEM of the public half."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def spki_pin(certificate: x509.Certificate) -> str:
    """`sha256:<hex>` over the DER form of the certificate's public key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = certificate.public_key().public_bytes(serialization.Encoding.DER, form)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def belong_together(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    """Whether `certificate` was made for `key` (a crash between two files leaves a pair that was not)."""
    return certificate.public_key() == key.public_key()


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name, issuer_key: ec.EllipticCurvePublicKey,
    now: datetime, life: timedelta,
) -> x509.CertificateBuilder:
    key_identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(key_identifier, critical=False)
        .add_extension(issuer_identifier, critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        encipher_only=False, decipher_only=False,
    )


def _subject(request: Request) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in request.organizations]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, request.common_name)])


def _general_name(san: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(san))
    except ValueError:
        return x509.DNSName(san)


def _sans_of(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _usages_of(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return set()


def _issued_by(certificate: x509.Certificate, authority: Authority) -> bool:
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
