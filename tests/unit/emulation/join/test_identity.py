"""Identities: when they may be used, when they are renewed, and how they are kept."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from dpf.emulation.join import identity as identities
from dpf.emulation.join.identity import Identity
from dpf.local.pki import certificates

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AUTHORITY = certificates.new_authority("kubernetes", certificates.new_key(), NOW)
SERVER = "https://198.51.100.1:6443"


def _identity(node: str = "dpu-1") -> Identity:
    request = certificates.Request(common_name=f"system:node:{node}", organizations=("system:nodes",))
    pair = certificates.issue(AUTHORITY, request, NOW)
    return Identity(
        server=SERVER, ca=AUTHORITY.pem.decode(), certificate=pair.certificate.decode(), key=pair.key.decode()
    )


@pytest.mark.parametrize(("change", "usable"), [
    ({}, True),
    ({"node": "dpu-2"}, False),
    ({"server": "https://198.51.100.2:6443"}, False),
    ({"pins": {"sha256:" + "0" * 64}}, False),
    ({"now": NOW + timedelta(days=366)}, False),
], ids=["same", "another node", "another server", "another cluster", "expired"])
def test_usable_only_for_the_same_node_of_the_same_cluster(change: dict[str, object], usable: bool) -> None:
    arguments = {"node": "dpu-1", "server": SERVER, "pins": {AUTHORITY.spki_pin}, "now": NOW, **change}
    assert identities.is_usable(_identity(), **arguments) is usable  # type: ignore[arg-type]


def test_renewal_is_due_before_the_end() -> None:
    identity = _identity()
    assert NOW + timedelta(days=280) < identities.renewal_time(identity) < identity.expires - timedelta(days=60)


def test_kept_in_one_private_file_and_found_again(tmp_path: Path) -> None:
    identity = _identity()
    identities.store(tmp_path / "dpu-1", identity)
    assert identities.load(tmp_path / "dpu-1") == identity
    assert stat.S_IMODE((tmp_path / "dpu-1" / identities.FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"server":"x","ca":"x","certificate":"x","key":"x"}'])
def test_a_damaged_file_means_joining_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / identities.FILE_NAME).write_bytes(content)
    assert identities.load(tmp_path) is None


def test_forgotten_when_the_cluster_does_not_accept_it(tmp_path: Path) -> None:
    identities.store(tmp_path, _identity())
    identities.discard(tmp_path)
    identities.discard(tmp_path)
    assert identities.load(tmp_path) is None


def test_the_key_is_not_shown() -> None:
    identity = replace(_identity(), key="very secret")
    assert "very secret" not in repr(identity)
    assert "very secret" not in repr(identity.access)


def test_a_request_is_for_a_node_of_the_nodes_group() -> None:
    request = identities.build_key_request("dpu-7")
    subject = x509.load_pem_x509_csr(request.csr_pem).subject.rfc4514_string()
    assert subject == "CN=system:node:dpu-7,O=system:nodes"
