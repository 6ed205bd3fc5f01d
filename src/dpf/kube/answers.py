"""From an API server's answer to our error tree. Pure.

Called by `http.HTTPClient`. A 404 is believed only when a Kubernetes API server said it: a proxy's or load balancer's
error page must not make an object look absent.
"""

from __future__ import annotations

from typing import Final

from dpf.kube import codec, errors

_NO_SUCH_PATH: Final = b"404 page not found"
"""The API server's own plain-text answer for a group or version that it does not serve."""

_BY_STATUS: Final[dict[int, type[errors.Error]]] = {
    400: errors.BadRequest, 401: errors.Unauthorized, 403: errors.Forbidden, 405: errors.BadRequest,
    406: errors.BadRequest, 409: errors.Conflict, 410: errors.Expired, 413: errors.BadRequest,
    415: errors.BadRequest, 422: errors.Invalid, 429: errors.TooManyRequests,
}


def error_of(code: int, raw: bytes, *, request: str, retry_after: str | None = None) -> errors.Error:
    """The error that an answer with HTTP status `code` (not 2xx) means.

    `request` is method and path, for the message. `retry_after` is the header of that name, in seconds.
    """
    status = codec.status_of(raw)
    message = status.message if status and status.message else _message(code)
    return _kind_of(code, status, raw)(
        f"{message} ({request}: {code})", request=request, status=code, reason=status.reason if status else "",
        retry_after_s=_retry_after(retry_after, status),
    )


def error_in_stream(status: codec.Status, *, request: str) -> errors.Error:
    """The error that an ERROR event inside a watch means."""
    code = 410 if status.reason in {"Expired", "Gone"} else status.code or 500
    kind = _kind_of(code, status, b"")
    return kind(f"{status.message} ({request}: watch error {code})", request=request, status=code, reason=status.reason)


def not_kubernetes(request: str, detail: str) -> errors.ServerError:
    """A successful answer that cannot have come from a Kubernetes API server."""
    return errors.ServerError(
        f"the answer to {request} is not what a Kubernetes API server sends: {detail}", request=request
    )


def unreadable(raw: bytes, why: Exception, *, request: str) -> errors.Error:
    """A successful answer that does not decode: an object that does not fit our type, or no Kubernetes object."""
    identity = codec.identity_of(raw)
    if identity is None:
        return not_kubernetes(request, str(why))
    return errors.Invalid(
        f"{identity} cannot be read: {why} ({request}); correct the object or upgrade", request=request,
        reason="Unreadable",
    )


def _kind_of(code: int, status: codec.Status | None, raw: bytes) -> type[errors.Error]:
    if code == 404:
        known = status is not None or raw.strip() == _NO_SUCH_PATH
        return errors.NotFound if known else errors.ServerError
    if code == 409 and status is not None and status.reason == "AlreadyExists":
        return errors.AlreadyExists
    return _BY_STATUS.get(code, errors.ServerError)


def _message(code: int) -> str:
    return "the server does not serve this path" if code == 404 else "the server refused without a reason"


def _retry_after(header: str | None, status: codec.Status | None) -> float | None:
    """Seconds; the header's other form, a date, is not used by API servers and is ignored."""
    if header is not None and header.strip().isdigit():
        return float(header)
    cause = status.details if status else None
    return float(cause.retryAfterSeconds) if cause and cause.retryAfterSeconds else None
