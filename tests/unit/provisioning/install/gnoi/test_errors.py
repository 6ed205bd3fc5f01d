"""What gRPC says -> what people read, and what follows from it."""

from __future__ import annotations

import grpc
import pytest

from dpf.provisioning.install.gnoi import errors
from dpf.provisioning.install.port import Cause

DMS = "the DMS at 10.0.0.1:9339"
ALL = "failed to connect to all addresses; last error: "
NONE = grpc.aio.Metadata()
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def meaning(code: grpc.StatusCode, details: str | None = None, *, connected: bool = True) -> errors.GNOIError:
    return errors.of_call(grpc.aio.AioRpcError(code, NONE, NONE, details), DMS, connected=connected)


@pytest.mark.parametrize(("detail", "cause", "why"), [
    (ALL + "UNKNOWN: ipv4:10.0.0.1:9339: Failed to connect to remote host: Connection refused",
     Cause.UNREACHABLE, f"{DMS} cannot be reached: Connection refused; is the DMS pod of this host running?"),
    (ALL + "UNKNOWN: ipv4:10.0.0.1:9339: Failed to connect to remote host: connect: No route to host (113)",
     Cause.UNREACHABLE, f"{DMS} cannot be reached: No route to host; is the DMS pod of this host running?"),
    ("errors resolving x:1: [field:hostname lookup error:Domain name not found]",
     Cause.UNREACHABLE, f"{DMS} cannot be reached: no such host; is the DMS pod of this host running?"),
    (ALL + "ipv4: Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: CERTIFICATE_VERIFY_FAILED: expired",
     Cause.UNTRUSTED, f"{DMS} is not trusted: its certificate is not issued by our CA, or has expired"),
    (ALL + "ipv4: Custom verification check failed with error: UNAUTHENTICATED: Hostname Verification Check failed.",
     Cause.UNTRUSTED, f"{DMS} is not trusted: its certificate is for another address"),
    (ALL + "UNAVAILABLE: ipv4:10.0.0.1:9339: Socket closed",
     Cause.REJECTED, f"{DMS} ends the connection at once: it may not accept our client certificate"),
    (ALL + "ipv4: Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: WRONG_VERSION_NUMBER: x",
     Cause.UNREADABLE, f"{DMS} does not speak TLS as it should: something else listens there"),
    ("", Cause.UNREACHABLE, f"{DMS} cannot be reached: no connection; is the DMS pod of this host running?"),
], ids=["refused", "no route", "no name", "other CA", "other name", "rejected", "no TLS", "no reason"])
def test_why_there_is_no_connection(detail: str, cause: Cause, why: str) -> None:
    error = meaning(UNAVAILABLE, detail, connected=False)

    assert (error.cause, str(error), error.sent) == (cause, why, False)


@pytest.mark.parametrize(("code", "kind", "sent"), [
    (UNAVAILABLE, errors.Unreachable, True), (grpc.StatusCode.DEADLINE_EXCEEDED, errors.Unreachable, True),
    (grpc.StatusCode.UNAUTHENTICATED, errors.Rejected, False), (grpc.StatusCode.NOT_FOUND, errors.Refused, False),
    (grpc.StatusCode.PERMISSION_DENIED, errors.Rejected, False),
    (grpc.StatusCode.UNIMPLEMENTED, errors.Unsupported, False), (grpc.StatusCode.INTERNAL, errors.Refused, False),
])
def test_an_answer_over_a_connection(code: grpc.StatusCode, kind: type[errors.GNOIError], sent: bool) -> None:
    error = meaning(code)

    assert type(error) is kind
    assert error.sent is sent


def test_a_call_that_ended_while_we_wrote_is_a_connection_that_broke() -> None:
    error = meaning(grpc.StatusCode.INTERNAL, "Internal error from Core")

    assert (type(error), str(error)) == (errors.Unreachable, f"{DMS} broke the connection off")


@pytest.mark.parametrize(("error", "doubtful", "busy", "retryable"), [
    (errors.Unreachable("x", sent=True), True, False, True), (errors.Unreachable("x"), False, False, True),
    (errors.Unreadable("x", sent=True), True, False, True), (errors.Refused("x", busy=True), False, True, True),
    (errors.Refused("x", retryable=False), False, False, False), (errors.Untrusted("x"), False, False, True),
])
def test_what_follows_for_an_order(error: errors.GNOIError, doubtful: bool, busy: bool, retryable: bool) -> None:
    raised = errors.install_error(error, "activating a.bfb")
    repeatable = errors.install_error(error, "transferring a.bfb", repeatable=True)

    assert (raised.doubtful, raised.busy, raised.retryable) == (doubtful, busy, retryable)
    assert str(raised) == "activating a.bfb: x"
    assert (raised.silence is None) == isinstance(error, errors.Refused)
    assert not repeatable.doubtful


def test_what_a_dms_says_fits_a_condition() -> None:
    error = meaning(grpc.StatusCode.INTERNAL, "first\nsecond \x1b[31m\u2028" + "x" * 5000)

    assert str(error).startswith(f"{DMS} answers INTERNAL: first second [31m xxx")
    assert len(str(error)) < errors.LONGEST
