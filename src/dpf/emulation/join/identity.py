"""A node's identity: the cluster it belongs to, its client certificate and key; kept in one file of mode 0600.

One file, so that after a crash the certificate and the key always belong together. `is_usable` and `renewal_time` are
pure; `load` and `store` are the only effects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dpf.emulation.join import discovery, errors
from dpf.emulation.join.connection import Access
from dpf.local import files

FILE_NAME: Final = "identity.json"
_RENEW_AT_FRACTION: Final = 0.8
"""Of the certificate's life; kubelets renew between 70 and 90 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """PEM texts. The key is not part of the repr."""

    server: str
    ca: str
    certificate: str
    key: str = field(repr=False)

    @property
    def access(self) -> Access:
        """How to reach the cluster as this node."""
        return Access(
            server=self.server, ca_pem=self.ca.encode(), certificate_pem=self.certificate.encode(),
            key_pem=self.key.encode(),
        )

    @property
    def expires(self) -> datetime:
        """End of the certificate's life, UTC."""
        return _leaf(self).not_valid_after_utc


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A fresh key and the PEM certificate signing request made with it."""

    key_pem: bytes = field(repr=False)
    csr_pem: bytes


def build_key_request(node: str) -> KeyRequest:
    """A new P-256 key and a request for `system:node:<node>` in group `system:nodes`."""
    return build_user_request(f"system:node:{node}", ("system:nodes",))


def build_user_request(user: str, groups: Iterable[str]) -> KeyRequest:
    """A new P-256 key and a request for `user` in `groups`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([
        *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
        x509.NameAttribute(NameOID.COMMON_NAME, user),
    ])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyRequest(key_pem=key_pem, csr_pem=csr.public_bytes(serialization.Encoding.PEM))


def is_usable(identity: Identity, *, node: str, server: str, pins: Collection[str], now: datetime) -> bool:
    """Whether `identity` is still valid, is this node's, and belongs to the cluster that the configuration names."""
    return (
        user_of(identity)[0] == f"system:node:{node}"
        and identity.server == server
        and not discovery.ca_pins(identity.ca.encode()).isdisjoint(pins)
        and now < identity.expires
    )


def user_of(identity: Identity) -> tuple[str, frozenset[str]]:
    """User and groups that the certificate is for; the user is empty unless there is exactly one."""
    subject = _leaf(identity).subject
    names = [str(name.value) for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = frozenset(str(one.value) for one in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    return names[0] if len(names) == 1 else "", groups


def renewal_time(identity: Identity) -> datetime:
    """When to ask for the next certificate, UTC: after 80 % of this one's life."""
    leaf = _leaf(identity)
    life: timedelta = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    return leaf.not_valid_before_utc.astimezone(UTC) + life * _RENEW_AT_FRACTION


def load(folder: Path) -> Identity | None:
    """The identity stored in `folder`, or None when there is none or it cannot be read as one (then join again)."""
    content = files.read_if_exists(folder / FILE_NAME)
    if content is None:
        return None
    try:
        identity = msgspec.json.decode(content, type=Identity)
        _leaf(identity)
        discovery.ca_pins(identity.ca.encode())
    except (msgspec.DecodeError, ValueError, errors.UntrustedCluster):
        return None
    return identity


def store(folder: Path, identity: Identity) -> None:
    """Write `identity` whole or not at all, readable by its owner only. Raises OSError."""
    files.ensure_private_folder(folder)
    files.write_atomic(folder / FILE_NAME, msgspec.json.encode(identity), durable=True)


def discard(folder: Path) -> None:
    """Forget the stored identity, because the cluster does not accept it any more."""
    (folder / FILE_NAME).unlink(missing_ok=True)


def _leaf(identity: Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identity.certificate.encode())
