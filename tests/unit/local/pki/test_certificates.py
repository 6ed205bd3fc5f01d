"""Certificates are what TLS peers and the API server need, and are renewed for the right reasons only."""

from __future__ import annotations

import dataclasses
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from dpf.local.pki import certificates
from dpf.local.pki.certificates import Authority, Pair, Request, Usage

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SERVING = Request(common_name="server", sans=("127.0.0.1", "localhost", "fd00::1"), usage=Usage.SERVER)
CLIENT = Request(common_name="alice", organizations=("system:masters", "dev"))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return certificates.new_authority("test", certificates.new_key(), NOW)


def parsed(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate)


def test_a_client_certificate_carries_user_and_groups(authority: Authority) -> None:
    subject = parsed(certificates.issue(authority, CLIENT, NOW)).subject.rfc4514_string()
    assert subject == "CN=alice,O=dev,O=system:masters"


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> dict[str, object]:
    """A whole TLS handshake in memory; returns what the server learned about the client."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=name)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (one, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return other.getpeercert() or {}


def contexts(folder: Path, authority: Authority, serving: Pair, client: Pair) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    for name, pair in (("server", serving), ("client", client)):
        (folder / name).write_bytes(pair.certificate + pair.key)
    ours = ssl.create_default_context(cadata=authority.pem.decode())
    ours.load_cert_chain(folder / "client")
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
    theirs.verify_mode = ssl.CERT_REQUIRED
    theirs.load_cert_chain(folder / "server")
    return ours, theirs


# TLS compares with today's date.
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "fd00::1"])
def test_client_and_server_accept_each_other(tmp_path: Path, name: str) -> None:
    today = datetime.now(UTC)
    fresh = certificates.new_authority("test", certificates.new_key(), today)
    pairs = certificates.issue(fresh, SERVING, today), certificates.issue(fresh, CLIENT, today)
    seen = handshake(*contexts(tmp_path, fresh, *pairs), name)
    assert (("commonName", "alice"),) in seen["subject"]  # type: ignore[operator]


def test_a_server_with_another_name_is_refused(tmp_path: Path) -> None:
    today = datetime.now(UTC)
    fresh = certificates.new_authority("test", certificates.new_key(), today)
    pairs = certificates.issue(fresh, SERVING, today), certificates.issue(fresh, CLIENT, today)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(*contexts(tmp_path, fresh, *pairs), "example.com")


def test_a_client_certificate_does_not_serve(tmp_path: Path) -> None:
    today = datetime.now(UTC)
    fresh = certificates.new_authority("test", certificates.new_key(), today)
    wrong = dataclasses.replace(SERVING, usage=Usage.CLIENT)
    pairs = certificates.issue(fresh, wrong, today), certificates.issue(fresh, CLIENT, today)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(*contexts(tmp_path, fresh, *pairs), "localhost")


def test_a_certificate_never_outlives_its_authority(authority: Authority) -> None:
    late = authority.certificate.not_valid_after_utc - timedelta(days=100)
    issued = parsed(certificates.issue(authority, CLIENT, late))
    assert issued.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_the_pin_is_that_of_kubeadm(authority: Authority) -> None:
    assert len(authority.spki_pin) == len("sha256:") + 64
    renewed = certificates.new_authority("test", authority.key, NOW + timedelta(days=3000))
    other = certificates.new_authority("test", certificates.new_key(), NOW)
    assert renewed.spki_pin == authority.spki_pin != other.spki_pin


OTHER_AUTHORITY = certificates.new_authority("test", certificates.new_key(), NOW)


@pytest.mark.parametrize(
    ("changes", "after", "reason"),
    [
        ({}, timedelta(0), None),
        ({}, timedelta(days=334), None),
        ({}, timedelta(days=336), "it ends 2027-03-01"),
        ({}, timedelta(days=-1), "it ends 2027-03-01"),
        ({"sans": ("fd00::1", "localhost", "127.0.0.1")}, timedelta(0), None),
        ({"sans": ("fd00:0::1", "localhost", "127.0.0.1")}, timedelta(0), None),
        ({"sans": ("127.0.0.1",)}, timedelta(0), "its addresses or names changed"),
        ({"sans": ()}, timedelta(0), "its addresses or names changed"),
        ({"common_name": "other"}, timedelta(0), "its subject changed"),
        ({"organizations": ("x",)}, timedelta(0), "its subject changed"),
        ({"usage": Usage.CLIENT}, timedelta(0), "its usage changed"),
    ],
)
def test_why_renew(
    authority: Authority, changes: dict[str, object], after: timedelta, reason: str | None,
) -> None:
    issued = parsed(certificates.issue(authority, SERVING, NOW))
    wanted = dataclasses.replace(SERVING, **changes)  # type: ignore[arg-type]
    assert certificates.why_renew(issued, wanted, authority, NOW + after) == reason


def test_another_authority_of_the_same_name_is_another_authority(authority: Authority) -> None:
    issued = parsed(certificates.issue(authority, SERVING, NOW))
    assert certificates.why_renew(issued, SERVING, OTHER_AUTHORITY, NOW) == "its authority changed"


def test_no_key_is_ever_printed(authority: Authority) -> None:
    pair = certificates.issue(authority, CLIENT, NOW)
    assert "PRIVATE" not in repr(pair) + repr(authority)
