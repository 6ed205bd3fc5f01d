"""The CAs that BMCs and our own programs trust, as one PEM text. Pure; called by `issuer` and `dpudevice`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from cryptography import x509

from dpf.provisioning.certificates import authority


def split(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a bundle; none when it is empty. Raises ValueError when it is something else."""
    return tuple(x509.load_pem_x509_certificates(pem)) if pem.strip() else ()


def merge(present: bytes, ours: Iterable[x509.Certificate]) -> bytes:
    """`present` with our CAs in it: byte for byte the same when they are there.

    What others have put there stays. An older certificate over the same key as one of ours goes: ours stands for it.
    Raises ValueError when `present` cannot be read.
    """
    found, wanted = split(present), list(ours)
    keys = [(one.subject, one.public_key()) for one in wanted]
    kept = [one for one in found if one in wanted or (one.subject, one.public_key()) not in keys]
    missing = [one for one in wanted if one not in found]
    if not missing and len(kept) == len(found):
        return present
    return b"".join(authority.pem(one) for one in [*kept, *missing])


def without_ended(pem: bytes, now: datetime) -> bytes:
    """The bundle without CAs whose time is over: byte for byte the same when there are none.

    Nobody takes them out of the bundle, and the few places of a BMC's truststore would be full after some rotations.
    Raises ValueError when it cannot be read.
    """
    found = split(pem)
    kept = [one for one in found if now < one.not_valid_after_utc]
    return pem if len(kept) == len(found) else b"".join(authority.pem(one) for one in kept)


def digest(pem: bytes) -> str:
    """Names one state of a bundle: hex SHA-256 of its text."""
    return hashlib.sha256(pem).hexdigest()
