"""What an emulated DMS answers: gnoi.os.OS, gnoi.system.System and gnmi.gNMI for the card that the metadata names.

Made by `server`. It decides nothing about cards; it turns messages into calls of `card` and back, and lets the faults
of a card strike on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from dpf.emulation.dms.card import Card, NotNow, NotTaken
from dpf.emulation.dms.images import Incoming
from dpf.provisioning.install.gnoi import messages
from dpf.provisioning.install.gnoi.messages import Method

Context = grpc.aio.ServicerContext[Any, Any]

PROGRESS_EVERY: Final = 5 << 20
"""Bytes after which a transfer is reported."""

_COLD: Final = 1
_UPDATE: Final = 3


class Services:
    """For the cards by their PCI address, in lower case."""

    def __init__(self, cards: Mapping[str, Card]) -> None:
        self._cards = cards

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """What a gRPC server serves."""
        calls: dict[Method, Callable[[Card, Any, Context], Awaitable[Any]]] = {
            messages.ACTIVATE: _activate, messages.VERIFY: _verify, messages.REBOOT: _reboot,
            messages.REBOOT_STATUS: _reboot_status, messages.SET: _set, messages.GET: _get,
        }
        services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
        for method, answer in calls.items():
            services.setdefault(method.service, {})[method.name] = grpc.unary_unary_rpc_method_handler(
                self._unary(method, answer), response_serializer=method.response.SerializeToString,
            )
        services[messages.OS][messages.INSTALL.name] = grpc.stream_stream_rpc_method_handler(
            self._install, response_serializer=messages.INSTALL.response.SerializeToString,
        )
        return tuple(grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items())

    def _unary(
        self, method: Method, answer: Callable[[Card, Any, Context], Awaitable[Any]]
    ) -> Callable[[bytes, Context], Awaitable[Any]]:
        async def handle(raw: bytes, context: Context) -> Any:  # noqa: ANN401 - protobuf messages
            card = await self._card(context)
            request = await _decode(method, raw, context)
            try:
                return await answer(card, request, context)
            except OSError as error:
                await _abort(context, grpc.StatusCode.INTERNAL, f"the card cannot be kept: {error.strerror}")

        return handle

    async def _install(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        card = await self._card(context)
        first = await _decode(messages.INSTALL, await anext(requests, b""), context)
        if first.WhichOneof("request") != "transfer_request":
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "a transfer begins with its request")
        wanted = first.transfer_request
        if card.has(wanted.version):
            yield _validated(wanted.version)
            return
        try:
            incoming = card.receive(wanted.version)
        except NotTaken as error:
            yield _not_taken(error)
            return
        try:
            yield messages.InstallResponse(transfer_ready=messages.TransferReady())
            async for answer in _receive(card, incoming, requests, context):
                yield answer
            await card.keep(wanted.version, incoming, size=wanted.package_size)
            yield _validated(wanted.version)
        except NotTaken as error:
            yield _not_taken(error)
        finally:
            card.end(incoming)

    async def _card(self, context: Context) -> Card:
        """The card that is meant, after its faults have struck."""
        metadata = dict(context.invocation_metadata() or ())
        target = str(metadata.get(messages.TARGET, "")).lower()
        only = next(iter(self._cards.values())) if len(self._cards) == 1 and not target else None
        card = self._cards.get(target, only)
        if card is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, f"there is no card at {target or 'no address'}")
        faults = card.faults
        if faults.never_answers:
            await asyncio.Event().wait()
        if faults.slow > 0:
            await asyncio.sleep(faults.slow)
        return card


async def _receive(
    card: Card, incoming: Incoming, requests: AsyncIterator[bytes], context: Context
) -> AsyncIterator[Any]:
    """Take the file up to its end; what is yielded is how far it is."""
    reported = 0
    async for raw in requests:
        request = await _decode(messages.INSTALL, raw, context)
        if request.WhichOneof("request") == "transfer_end":
            return
        incoming.write(request.transfer_content)
        if card.strikes("reset_transfer"):
            await _abort(context, grpc.StatusCode.UNAVAILABLE, "Connection reset by peer")
        if incoming.size - reported >= PROGRESS_EVERY:
            reported = incoming.size
            yield messages.InstallResponse(transfer_progress=messages.TransferProgress(bytes_received=reported))
    await _abort(context, grpc.StatusCode.ABORTED, "the transfer was not ended")


async def _activate(card: Card, request: Any, context: Context) -> Any:  # noqa: ANN401 - protobuf messages
    if request.no_reboot:
        await _abort(context, grpc.StatusCode.UNIMPLEMENTED, "an activation restarts the card")
    try:
        card.activate(request.version)
    except NotNow as error:
        refusal = messages.ActivateError(type=error.kind, detail=str(error))
        return messages.ActivateResponse(activate_error=refusal)
    if card.strikes("answer_lost"):
        await _abort(context, grpc.StatusCode.UNAVAILABLE, "Connection reset by peer")
    return messages.ActivateResponse(activate_ok=messages.ActivateOK())


async def _verify(card: Card, request: Any, context: Context) -> Any:  # noqa: ANN401, ARG001 - protobuf messages
    failed = card.record.status in {messages.Status.FAILURE, messages.Status.RETRIABLE_FAILURE}
    return messages.VerifyResponse(
        version=card.record.version, activation_fail_message=card.record.reason if failed else "",
    )


async def _reboot(card: Card, request: Any, context: Context) -> Any:  # noqa: ANN401 - protobuf messages
    if request.method != _COLD or request.delay:
        await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "a card restarts cold and at once")
    try:
        card.reboot()
    except NotNow as error:
        await _abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(error))
    return messages.RebootResponse()


async def _reboot_status(card: Card, request: Any, context: Context) -> Any:  # noqa: ANN401 - protobuf messages
    named = {name for path in request.subcomponents for name in messages.names_of(path)}
    if not named <= {"CPU"}:
        await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "a card has one part that restarts: CPU")
    record = card.record
    return messages.RebootStatusResponse(
        active=record.is_active, reason=record.reason, count=record.resets, method=_COLD,
        status=messages.RebootStatus(status=record.status),
    )


async def _set(card: Card, request: Any, context: Context) -> Any:  # noqa: ANN401 - protobuf messages
    updates = [*request.replace, *request.update]
    for update in updates:
        if messages.names_of(request.prefix, update.path) != messages.MODE or request.delete:
            await _abort(context, grpc.StatusCode.NOT_FOUND, "a card has one setting: /nvidia/mode/config/mode")
        try:
            card.set_mode(update.val.string_val)
        except ValueError as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
    results = [messages.UpdateResult(path=update.path, op=_UPDATE) for update in updates]
    return messages.SetResponse(response=results)


async def _get(card: Card, request: Any, context: Context) -> Any:  # noqa: ANN401 - protobuf messages
    if any(messages.names_of(request.prefix, path) != messages.MODE for path in request.path):
        await _abort(context, grpc.StatusCode.NOT_FOUND, "a card has one setting: /nvidia/mode/config/mode")
    value = messages.TypedValue(string_val=card.mode)
    update = messages.Update(path=messages.path(*messages.MODE), val=value)
    return messages.GetResponse(notification=[messages.Notification(update=[update])])


def _validated(version: str) -> Any:  # noqa: ANN401 - a protobuf message
    return messages.InstallResponse(validated=messages.Validated(version=version))


def _not_taken(error: NotTaken) -> Any:  # noqa: ANN401 - a protobuf message
    refusal = messages.InstallError(type=error.kind, detail=str(error))
    return messages.InstallResponse(install_error=refusal)


async def _decode(method: Method, raw: bytes, context: Context) -> Any:  # noqa: ANN401 - a protobuf message
    try:
        return method.request.FromString(raw)
    except DecodeError:
        await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"this is no {method.name}")


async def _abort(context: Context, code: grpc.StatusCode, detail: str) -> NoReturn:
    await context.abort(code, detail)
    raise AssertionError("an abort does not return")
