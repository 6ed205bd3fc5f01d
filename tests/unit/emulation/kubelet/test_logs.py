"""Reading logs, and who may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dpf.emulation.kubelet import logfiles, server


@pytest.mark.parametrize(("lines", "expected"), [
    (None, b"a\nb\nc\n"), (0, b""), (1, b"c\n"), (2, b"b\nc\n"), (3, b"a\nb\nc\n"), (9, b"a\nb\nc\n"),
])
async def test_the_last_lines(tmp_path: Path, lines: int | None, expected: bytes) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a\nb\nc\n")
    blocks = [b async for b in logfiles.read(log, tail_lines=lines, follow=False, is_live=lambda: False)]
    assert b"".join(blocks) == expected


@pytest.mark.parametrize(("content", "lines", "expected"), [
    (b"a\nlast without end", 1, b"last without end"), (b"\n\n\n", 2, b"\n\n"), (b"", 5, b""),
])
def test_odd_ends(tmp_path: Path, content: bytes, lines: int, expected: bytes) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    with log.open("rb") as file:
        assert content[logfiles.find_tail(file, lines):] == expected


def test_a_tail_longer_than_a_block(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [f"line {n:06d} " + "x" * 90 for n in range(5_000)]
    log.write_text("\n".join(lines) + "\n")
    with log.open("rb") as file:
        position = logfiles.find_tail(file, 3_000)
    assert log.read_text()[position:].splitlines() == lines[2_000:]


async def test_following_ends_after_the_last_words_of_a_container(tmp_path: Path) -> None:
    """The container writes once more after the reader has asked whether it lives."""
    log = tmp_path / "log"
    log.write_bytes(b"first\n")
    answers = iter([True, False])

    def is_live() -> bool:
        live = next(answers)
        with log.open("ab") as file:
            file.write(b"later\n")
        return live

    blocks = [b async for b in logfiles.read(log, tail_lines=None, follow=True, is_live=is_live)]
    assert b"".join(blocks) == b"first\nlater\nlater\n"


def _certificate(**names: str) -> dict[str, Any]:
    return {"subject": tuple(((key, value),) for key, value in names.items())}


@pytest.mark.parametrize(("certificate", "permitted"), [
    (_certificate(commonName="kube-apiserver-kubelet-client"), True),
    (_certificate(organizationName="system:masters", commonName="admin"), True),
    (_certificate(organizationName="system:nodes", commonName="system:node:dpu-2"), False),
    (_certificate(commonName="someone"), False),
    (None, False),
    ({}, False),
], ids=["API server", "administrator", "another node", "a user", "no certificate", "empty"])
def test_only_the_api_server_and_administrators_read_logs(certificate: Any, permitted: bool) -> None:
    assert server.is_permitted(certificate) is permitted
