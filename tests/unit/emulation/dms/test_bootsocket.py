"""How the hardware's process hears that a system starts."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from dpf.emulation.dms import bootsocket
from dpf.emulation.dms.settings import Boot

BOOT = Boot(card="dpu-0", count=3, activation=2)
LARGE = bytes(range(256)) * 512


@asynccontextmanager
async def hardware(path: Path, answers: list[bytes]) -> AsyncIterator[list[bytes]]:
    """What it hears. It gives one answer to each line, and hangs up when it has none left."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        if answers:
            writer.write(answers.pop(0))
        writer.close()

    server = await asyncio.start_unix_server(serve, path, limit=1 << 20)
    try:
        yield heard
    finally:
        server.close()


async def test_a_start_is_one_line(tmp_path: Path) -> None:
    async with hardware(tmp_path / "s", [b'{"ok": true}\n']) as heard:
        await bootsocket.hooks(tmp_path / "s").on_boot(BOOT, LARGE)

    assert [msgspec.json.decode(line) for line in heard] == [
        {"card": "dpu-0", "count": 3, "install": "2", "bfcfg": base64.b64encode(LARGE).decode()}
    ]


@pytest.mark.parametrize("answer", [
    b'{"error": "there is no card"}\n', b"{}\n", b"hello\n", b"", b"\xff\n", b"x" * 100_000 + b"\n",
], ids=["error", "empty", "text", "nothing", "bytes", "endless"])
async def test_it_is_told_again_until_it_is_taken(tmp_path: Path, answer: bytes) -> None:
    async with hardware(tmp_path / "s", [answer, answer, b'{"ok": true}\n']) as heard:
        await bootsocket.hooks(tmp_path / "s", again_s=0.0).on_boot(BOOT, b"x")

    assert len(heard) == 3
    assert len(set(heard)) == 1


async def test_it_waits_for_hardware_that_is_not_there_yet(tmp_path: Path) -> None:
    telling = asyncio.create_task(bootsocket.hooks(tmp_path / "s", again_s=0.0).on_boot(BOOT, b"x"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not telling.done()
    async with hardware(tmp_path / "s", [b'{"ok": true}\n']) as heard:
        await telling

    assert len(heard) == 1
