"""The mounted Secret of a DMS pod."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.dmss import identity

from dpf.emulation.dms.tlsfolder import TLSFolder
from dpf.provisioning.install.redfish.tls import Identity


def put(folder: Path, content: Identity) -> None:
    (folder / "tls.crt").write_bytes(content.certificate_pem)
    (folder / "tls.key").write_bytes(content.key_pem)
    (folder / "ca.crt").write_bytes(content.ca_pem)


def test_renewed_files_are_read(tmp_path: Path) -> None:
    first, second = identity(server="127.0.0.1"), identity(server="127.0.0.2")
    put(tmp_path, first)
    folder = TLSFolder(tmp_path)
    assert folder.identity() == first
    put(tmp_path, second)

    assert folder.identity() == second


def test_files_that_cannot_be_used_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = identity(server="127.0.0.1"), identity(server="127.0.0.2")
    put(tmp_path, first)
    folder = TLSFolder(tmp_path)
    (tmp_path / "tls.key").write_bytes(second.key_pem)
    assert folder.identity() == first
    (tmp_path / "tls.crt").unlink()

    assert folder.identity() == first
    assert "PRIVATE" not in capsys.readouterr().out


def test_a_folder_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        TLSFolder(tmp_path)


def test_files_that_are_no_certificates_are_named_and_not_quoted(tmp_path: Path) -> None:
    put(tmp_path, Identity(ca_pem=b"x", certificate_pem=b"secret-text", key_pem=b"secret-text"))
    with pytest.raises(ValueError, match=r"no usable tls\.crt, tls\.key and ca\.crt") as caught:
        TLSFolder(tmp_path)

    assert "secret-text" not in str(caught.value)
