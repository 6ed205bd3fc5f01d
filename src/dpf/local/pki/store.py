"""Keep authorities, certificates and keys in a private folder: made when absent, renewed when due, otherwise kept.

Called by `cluster` and `services`. A file pair `<name>.crt`, `<name>.key` is written key first; a pair that does not
belong together (we died between the two) is made again. An authority's key is never made again while anything of it is
there, because every client trusts it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dpf.local import files
from dpf.local.pki import certificates
from dpf.local.pki.certificates import Authority, Pair, Request
from dpf.local.pki.errors import PKIError

START_OVER = "restore it, or remove the folder to start over with new keys"


def ensure_authority(folder: Path, name: str, common_name: str, now: datetime) -> Authority:
    """The authority in `<name>.crt` and `<name>.key`; made when absent, signed again with its key when it ends soon.

    Raises PKIError when its key is missing beside its certificate or cannot be read.
    """
    with files.locked(folder / ".lock"):
        key = _authority_key(folder, name)
        certificate = _certificate(folder / f"{name}.crt")
        if certificate is not None and _still_serves(certificate, key, now):
            return Authority(certificate=certificate, key=key)
        authority = certificates.new_authority(common_name, key, now)
        files.write_atomic(folder / f"{name}.crt", authority.pem)
        return authority


def ensure_certificate(folder: Path, name: str, request: Request, authority: Authority, now: datetime) -> Pair:
    """The pair `<name>.crt`, `<name>.key` for `request`; issued when absent, unusable, changed or due."""
    with files.locked(folder / ".lock"):
        pair = _pair(folder, name, request, authority, now)
        if pair is not None:
            return pair
        pair = certificates.issue(authority, request, now)
        files.write_atomic(folder / f"{name}.key", pair.key)
        files.write_atomic(folder / f"{name}.crt", pair.certificate)
        return pair


def ensure_signing_key(folder: Path, name: str) -> None:
    """A key pair without a certificate: `<name>.key` and `<name>.pub`. Raises PKIError when the key cannot be read."""
    with files.locked(folder / ".lock"):
        key = _key_or_new(folder / f"{name}.key")
        files.write_atomic(folder / f"{name}.pub", certificates.public_key_pem(key))


def _authority_key(folder: Path, name: str) -> ec.EllipticCurvePrivateKey:
    path = folder / f"{name}.key"
    if not path.exists() and (folder / f"{name}.crt").exists():
        raise PKIError(path, f"the key of {name}.crt is missing", START_OVER)
    return _key_or_new(path)


def _key_or_new(path: Path) -> ec.EllipticCurvePrivateKey:
    content = files.read_if_exists(path)
    if content is not None:
        key = _parse_key(content)
        if key is None:
            raise PKIError(path, "this is not a readable EC private key", START_OVER)
        return key
    key = certificates.new_key()
    files.write_atomic(path, certificates.key_pem(key), durable=True)
    return key


def _still_serves(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, now: datetime) -> bool:
    return certificates.belong_together(certificate, key) and not certificates.expires_soon(certificate, now)


def _pair(folder: Path, name: str, request: Request, authority: Authority, now: datetime) -> Pair | None:
    key_path = folder / f"{name}.key"
    content = files.read_if_exists(key_path)
    key = _parse_key(content) if content is not None else None
    certificate = _certificate(folder / f"{name}.crt")
    if content is None or key is None or certificate is None:
        return None
    if not certificates.belong_together(certificate, key):
        return None
    if certificates.why_renew(certificate, request, authority, now) is not None:
        return None
    files.write_atomic(key_path, content)  # mends a mode that somebody opened
    return Pair(certificate=certificates.certificate_pem(certificate), key=content)


def _certificate(path: Path) -> x509.Certificate | None:
    content = files.read_if_exists(path)
    if content is None:
        return None
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError:
        return None


def _parse_key(content: bytes) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None
