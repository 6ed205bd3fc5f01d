"""gNOI OS.Install: one file goes to a card (behaviour-provisioning.md section 8).

Called by `dms`. A piece is read when the one before it has gone out, so that a slow card costs no memory. The card may
end it at any time and say why; a card that makes no progress is given up.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc

from dpf.provisioning.install.gnoi import errors, messages
from dpf.provisioning.install.gnoi.channels import Limits, Line
from dpf.provisioning.install.gnoi.messages import INSTALL, Refusal
from dpf.provisioning.install.port import Card

PIECE: Final = 256 << 10
"""Bytes of one message: well below the 4 MiB that gRPC servers take when nobody tells them otherwise."""

_HOPELESS: Final = frozenset({Refusal.INCOMPATIBLE, Refusal.PARSE_FAIL})


class Source:
    """The file that is sent, as long as it is open. Raises OSError."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115 - closed by __exit__
        self.size = os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    async def read(self) -> bytes:
        """The next piece, empty at the end. The disk may be slow: it is read beside the event loop."""
        return await asyncio.to_thread(self._file.read, PIECE)


class Conversation:
    """One call of Install. Use as a context: leaving it early ends the call, and the card drops what it has got."""

    def __init__(self, line: Line, card: Card, limits: Limits) -> None:
        self._line = line
        self._card = card
        self._limits = limits
        self._call: Any = None

    async def __aenter__(self) -> Self:
        self._call = await self._line.stream(self._card, INSTALL, timeout_s=self._limits.transfer_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.cancel()

    async def begin(self, version: str, *, size: int, timeout_s: float) -> bool:
        """Name the version; whether the card has it already. `size` is in bytes, 0 for unknown. Raises GNOIError."""
        request = messages.TransferRequest(version=version, package_size=size)
        # Reading begins first: what is being read arrives even when writing finds that the call has ended.
        answer = asyncio.create_task(self._next("validated", "transfer_ready"))
        try:
            async with asyncio.timeout(timeout_s):
                await self._write(messages.InstallRequest(transfer_request=request))
                return await answer == "validated"
        except TimeoutError:
            self._line.is_broken = True
            raise errors.Unreachable(f"{self._line} does not answer in time", sent=True) from None
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)

    async def send(self, source: Source) -> None:
        """Everything, until the card says that it is whole. Raises GNOIError, OSError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limits.stall_s) as patience:
                def progress() -> None:
                    patience.reschedule(loop.time() + self._limits.stall_s)

                await self._send(source, progress)
        except TimeoutError:
            self._line.is_broken = True
            raise errors.Unreachable(f"{self._line} takes no more of the file", sent=True) from None

    async def _send(self, source: Source, progress: Callable[[], None]) -> None:
        verdict = asyncio.create_task(self._verdict(progress))
        sending = asyncio.create_task(self._pieces(source, progress))
        try:
            await asyncio.wait({verdict, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not verdict.done():
                await sending
            await verdict
        finally:
            sending.cancel()
            verdict.cancel()
            await asyncio.gather(sending, verdict, return_exceptions=True)

    async def _pieces(self, source: Source, progress: Callable[[], None]) -> None:
        while piece := await source.read():
            if not await self._write(messages.InstallRequest(transfer_content=piece)):
                return
            progress()
        await self._write(messages.InstallRequest(transfer_end=messages.TransferEnd()))

    async def _verdict(self, progress: Callable[[], None]) -> None:
        while await self._next("validated", "transfer_progress", "sync_progress") != "validated":
            progress()

    async def _write(self, request: Any) -> bool:  # noqa: ANN401 - a protobuf message
        """False: the call has ended, and reading tells why."""
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return False
        return True

    async def _next(self, *expected: str) -> str:
        """Which of the expected answers comes. Raises GNOIError."""
        try:
            raw = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise self._line.failure(error) from None
        if raw is grpc.aio.EOF:
            raise errors.Unreadable(f"{self._line} ends the transfer and does not say how", sent=True)
        answer = self._line.decode(INSTALL, raw)
        kind = answer.WhichOneof("response")
        if kind == "install_error":
            raise self._refusal(answer.install_error)
        if kind not in expected:
            raise errors.Unreadable(f"{self._line} does not keep to the order of a transfer", sent=True)
        return str(kind)

    def _refusal(self, refusal: Any) -> errors.Refused:  # noqa: ANN401 - an InstallError
        known = {kind.value for kind in Refusal}
        kind = Refusal(refusal.type) if refusal.type in known else Refusal.UNSPECIFIED
        detail = errors.one_line(refusal.detail)
        return errors.Refused(
            f"{self._line} does not take the file ({kind.name}){errors.said(detail)}",
            busy=kind is Refusal.INSTALL_IN_PROGRESS, retryable=kind not in _HOPELESS,
        )
