"""Key files are kept while they serve, mended when half written, and never readable by others."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from dpf.local.pki import certificates, cluster, services, store
from dpf.local.pki.certificates import Request, Usage
from dpf.local.pki.cluster import ClusterPKI
from dpf.local.pki.errors import PKIError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SERVING = Request(common_name="server", sans=("127.0.0.1",), usage=Usage.SERVER)


def make_cluster(folder: Path, now: datetime = NOW, server: str = "https://127.0.0.1:6443") -> ClusterPKI:
    return cluster.ensure(folder, name="host", server=server, addresses=("127.0.0.1", "10.96.0.1"), now=now)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_cluster_has_every_file_its_processes_read(tmp_path: Path) -> None:
    make_cluster(tmp_path)
    pairs = ("ca", "apiserver", "apiserver-kubelet-client", "admin", "controller-manager", "scheduler")
    names = {f"{name}.{end}" for name in pairs for end in ("crt", "key")}
    names |= {f"{name}.kubeconfig" for name in ("admin", "controller-manager", "scheduler")}
    assert set(content(tmp_path)) == names | {"sa.key", "sa.pub", ".lock"}


def test_nobody_else_may_read(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    folder.mkdir(mode=0o755)
    make_cluster(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    open_files = [p.name for p in folder.iterdir() if p.name != ".lock" and stat.S_IMODE(p.stat().st_mode) != 0o600]
    assert open_files == []


def test_a_key_that_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    make_cluster(tmp_path)
    (tmp_path / "admin.key").chmod(0o644)
    make_cluster(tmp_path)
    assert stat.S_IMODE((tmp_path / "admin.key").stat().st_mode) == 0o600


def test_a_second_time_writes_nothing(tmp_path: Path) -> None:
    make_cluster(tmp_path)
    before = times(tmp_path)
    make_cluster(tmp_path, NOW + timedelta(days=300))
    assert times(tmp_path) == before


def test_certificates_are_renewed_in_time_and_keys_of_trust_are_kept(tmp_path: Path) -> None:
    make_cluster(tmp_path)
    before = content(tmp_path)
    make_cluster(tmp_path, NOW + timedelta(days=340))
    after = content(tmp_path)
    assert {name for name in before if before[name] == after[name]} == {"ca.crt", "ca.key", "sa.key", "sa.pub", ".lock"}


def test_another_port_changes_kubeconfigs_only(tmp_path: Path) -> None:
    make_cluster(tmp_path)
    before = content(tmp_path)
    make_cluster(tmp_path, server="https://127.0.0.1:7443")
    after = content(tmp_path)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"admin.kubeconfig", "controller-manager.kubeconfig", "scheduler.kubeconfig"}


def test_an_authority_is_signed_again_with_its_key_before_it_ends(tmp_path: Path) -> None:
    first = store.ensure_authority(tmp_path, "ca", "test", NOW)
    later = store.ensure_authority(tmp_path, "ca", "test", NOW + timedelta(days=3640))
    assert later.spki_pin == first.spki_pin
    assert later.certificate.not_valid_after_utc > first.certificate.not_valid_after_utc
    issued = certificates.issue(first, SERVING, NOW)
    (tmp_path / "server.key").write_bytes(issued.key)
    (tmp_path / "server.crt").write_bytes(issued.certificate)
    assert store.ensure_certificate(tmp_path, "server", SERVING, later, NOW).certificate == issued.certificate


@pytest.mark.parametrize("lost", ["server.crt", "server.key"])
@pytest.mark.parametrize("damage", ["gone", "empty", "garbage", "foreign"])
def test_a_half_written_pair_is_made_again(tmp_path: Path, lost: str, damage: str) -> None:
    authority = store.ensure_authority(tmp_path, "ca", "test", NOW)
    store.ensure_certificate(tmp_path, "server", SERVING, authority, NOW)
    path = tmp_path / lost
    if damage == "gone":
        path.unlink()
    else:
        foreign = certificates.issue(authority, SERVING, NOW)
        new = {"empty": b"", "garbage": b"-----BEGIN\x00", "foreign": getattr(foreign, _FIELD[lost])}[damage]
        path.write_bytes(new)
    pair = store.ensure_certificate(tmp_path, "server", SERVING, authority, NOW)
    assert (tmp_path / "server.crt").read_bytes() == pair.certificate
    assert (tmp_path / "server.key").read_bytes() == pair.key
    assert store.ensure_certificate(tmp_path, "server", SERVING, authority, NOW) == pair


_FIELD = {"server.crt": "certificate", "server.key": "key"}


def test_a_lost_authority_certificate_is_signed_again(tmp_path: Path) -> None:
    first = store.ensure_authority(tmp_path, "ca", "test", NOW)
    (tmp_path / "ca.crt").unlink()
    assert store.ensure_authority(tmp_path, "ca", "test", NOW).spki_pin == first.spki_pin


def test_a_lost_authority_key_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    store.ensure_authority(tmp_path, "ca", "test", NOW)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(PKIError, match=r"ca\.key: the key of ca\.crt is missing; restore it, or remove the folder"):
        store.ensure_authority(tmp_path, "ca", "test", NOW)


def test_a_damaged_key_of_trust_is_an_error_without_its_content(tmp_path: Path) -> None:
    store.ensure_signing_key(tmp_path, "sa")
    (tmp_path / "sa.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    with pytest.raises(PKIError, match="not a readable EC private key") as caught:
        store.ensure_signing_key(tmp_path, "sa")
    assert "c2VjcmV0" not in str(caught.value)


def test_a_kubeconfig_is_complete_in_itself(tmp_path: Path) -> None:
    pki = make_cluster(tmp_path)
    request = Request(common_name="argocd")
    path = cluster.ensure_kubeconfig(pki, "argocd", request, now=NOW, namespace="argocd")
    config = yaml.safe_load(path.read_bytes())
    assert config["current-context"] == config["contexts"][0]["name"] == "argocd@host"
    assert config["contexts"][0]["context"] == {"cluster": "host", "user": "argocd", "namespace": "argocd"}
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


def test_services_have_an_authority_of_their_own(tmp_path: Path) -> None:
    made = services.ensure_serving(tmp_path / "tls", "charts", ("127.0.0.1",), NOW)
    pki = make_cluster(tmp_path / "host")
    assert made.authority.read_bytes() != pki.authority.pem
    assert made.certificate.exists()
    assert made.key.exists()
