"""The socket of one emulated BMC: TLS, who asks, faults, and then `documents` or `actions`.

Made by `emulator`, one for each card. While the BMC has no power or restarts nothing listens, and whatever was open is
cut off.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from dpf.emulation.bmc import actions, documents, replies
from dpf.emulation.bmc.card import Card
from dpf.emulation.bmc.documents import ACCOUNTS, ROOT
from dpf.emulation.bmc.replies import Reply

UPLOAD_LIMIT: Final = 256 << 20
_HEAD: Final = 4096


class Listener:
    """Listens while its card can be reached."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._server = web.Server(self._answer, access_log=None)
        self._socket: asyncio.Server | None = None
        self._changing = asyncio.Lock()
        self._changes: set[asyncio.Task[None]] = set()
        card.reach = self._reach

    async def start(self) -> None:
        """Listen, at the port of the settings or at any that is free; the record keeps it. Raises OSError."""
        await self._follow()

    async def close(self) -> None:
        """Cut everything off."""
        await asyncio.gather(*self._changes, return_exceptions=True)
        self._hang_up()
        await self._server.shutdown(timeout=0.1)

    def _reach(self, is_reachable: bool) -> None:
        if not is_reachable:
            self._hang_up()
        change = asyncio.create_task(self._follow())
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)

    async def _follow(self) -> None:
        async with self._changing:
            if self._card.is_reachable and self._socket is None:
                settings, record = self._card.settings, self._card.record
                self._socket = await asyncio.get_running_loop().create_server(
                    self._server, settings.host, record.port or settings.port, ssl=self._card.door, backlog=64,
                )
                if not record.port:
                    self._card.change(port=self._socket.sockets[0].getsockname()[1])

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        faults = self._card.record.faults
        if faults.silent:
            await asyncio.Event().wait()
        if faults.delay_s:
            await asyncio.sleep(faults.delay_s)
        reply = Reply(status=HTTPStatus.SERVICE_UNAVAILABLE) if faults.unavailable else await self._reply(request)
        if request.method != "GET" and request.transport is not None and self._card.strikes("answer_lost"):
            request.transport.abort()
        body = b"<html>" if faults.garbled else msgspec.json.encode(reply.document) if reply.document else b""
        response = web.Response(status=reply.status, body=body, headers=reply.headers, content_type="application/json")
        if reply.then is not None:
            await response.prepare(request)
            await response.write_eof()
            reply.then()
        return response

    async def _reply(self, request: web.BaseRequest) -> Reply:
        path = request.path.rstrip("/")
        if request.method == "GET" and path in {ROOT, "/redfish"}:
            return self._read(ROOT)
        refusal = self._refuse(request, path)
        if refusal is not None:
            return refusal
        if request.method == "GET":
            return self._read(path)
        if request.method == "POST" and path == f"{ROOT}/UpdateService":
            return await self._upload(request)
        body = await _json(request)
        if body is None:
            return replies.problem(400, "MalformedJSON", "The request body is no JSON that can be read.")
        return actions.act(request.method, path, body, self._card)

    def _read(self, path: str) -> Reply:
        source = documents.Source(self._card.settings, self._card.record, self._card.now)
        document = documents.document(path, source)
        return replies.missing(path) if document is None else Reply(document=document)

    def _refuse(self, request: web.BaseRequest, path: str) -> Reply | None:
        """401 for strangers; 403 for who has to change the password and asks for something else."""
        if request.transport is not None and request.transport.get_extra_info("peercert"):
            return None
        user, password = _credentials(request.headers.get("Authorization", ""))
        account = self._card.record.accounts.get(user)
        if account is None or not hmac.compare_digest(account.password.encode(), password.encode()):
            return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="redfish"'})
        if account.must_change and (request.method, path) != ("PATCH", f"{ACCOUNTS}/{user}"):
            return replies.problem(
                403, "PasswordChangeRequired", "The password provided for this account must be changed before access "
                f"is granted. PATCH the Password property at '{ACCOUNTS}/{user}'.")
        return None

    async def _upload(self, request: web.BaseRequest) -> Reply:
        head, size = b"", 0
        async for piece in request.content.iter_any():
            head += piece[:max(0, _HEAD - len(head))]
            size += len(piece)
            if size > UPLOAD_LIMIT:
                return replies.problem(413, "PayloadTooLarge", "The file is too large.")
        return actions.accept_firmware(self._card, head)


def _credentials(header: str) -> tuple[str, str]:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


async def _json(request: web.BaseRequest) -> dict[str, Any] | None:
    """The body, {} when there is none, None when it cannot be read."""
    try:
        raw = await request.read()
        document = msgspec.json.decode(raw) if raw.strip() else {}
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, web.HTTPRequestEntityTooLarge):
        return None
    return document if isinstance(document, dict) else None
