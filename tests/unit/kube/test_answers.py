"""Each answer of a server becomes the error that tells a caller what to do."""

from __future__ import annotations

import json

import pytest

from dpf.kube import answers, codec, errors


def status(code: int, reason: str, **more: object) -> bytes:
    return json.dumps({"kind": "Status", "code": code, "reason": reason, "message": "m", **more}).encode()


@pytest.mark.parametrize(("code", "reason", "kind"), [
    (400, "BadRequest", errors.BadRequest),
    (401, "Unauthorized", errors.Unauthorized),
    (403, "Forbidden", errors.Forbidden),
    (404, "NotFound", errors.NotFound),
    (405, "MethodNotAllowed", errors.BadRequest),
    (409, "AlreadyExists", errors.AlreadyExists),
    (409, "Conflict", errors.Conflict),
    (409, "", errors.Conflict),
    (410, "Expired", errors.Expired),
    (410, "Gone", errors.Expired),
    (413, "RequestEntityTooLarge", errors.BadRequest),
    (415, "UnsupportedMediaType", errors.BadRequest),
    (422, "Invalid", errors.Invalid),
    (429, "TooManyRequests", errors.TooManyRequests),
    (500, "InternalError", errors.ServerError),
    (503, "ServiceUnavailable", errors.ServerError),
    (504, "Timeout", errors.ServerError),
    (302, "", errors.ServerError),
    (418, "", errors.ServerError),
])
def test_errors_by_status(code: int, reason: str, kind: type[errors.Error]) -> None:
    error = answers.error_of(code, status(code, reason), request="GET /x")
    assert type(error) is kind
    assert (error.status, error.reason, error.request) == (code, reason, "GET /x")
    assert str(error) == f"m (GET /x: {code})"


@pytest.mark.parametrize("body", [b"<html>not found</html>", b"", b"{}", b'{"error":"no such tenant"}', b"\xff\x00"])
def test_a_404_of_something_in_between_is_not_absence(body: bytes) -> None:
    assert type(answers.error_of(404, body, request="GET /x")) is errors.ServerError


def test_a_404_for_a_kind_that_is_not_served_is_believed() -> None:
    assert type(answers.error_of(404, b"404 page not found\n", request="GET /x")) is errors.NotFound


@pytest.mark.parametrize(("header", "body", "seconds"), [
    ("3", b"", 3.0), (None, b"", None), ("Wed, 21 Oct 2026 07:28:00 GMT", b"", None),
    (None, status(429, "", details={"retryAfterSeconds": 7}), 7.0), ("2", status(429, "", details={}), 2.0),
])
def test_when_to_come_back(header: str | None, body: bytes, seconds: float | None) -> None:
    assert answers.error_of(429, body, request="GET /x", retry_after=header).retry_after_s == seconds


@pytest.mark.parametrize(("code", "reason", "kind"), [
    (410, "Expired", errors.Expired), (410, "Gone", errors.Expired), (0, "Expired", errors.Expired),
    (500, "InternalError", errors.ServerError), (403, "Forbidden", errors.Forbidden), (0, "", errors.ServerError),
])
def test_errors_inside_a_watch(code: int, reason: str, kind: type[errors.Error]) -> None:
    found = codec.status_of(status(code, reason))
    assert found is not None
    assert type(answers.error_in_stream(found, request="WATCH /x")) is kind


def test_an_answer_that_does_not_decode() -> None:
    raw = b'{"metadata":{"name":"a","namespace":"n"}}'
    known = answers.unreadable(raw, ValueError("size is odd"), request="GET /x")
    assert type(known) is errors.Invalid
    assert "n/a cannot be read: size is odd" in str(known)
    assert type(answers.unreadable(b"<html>", ValueError("no"), request="GET /x")) is errors.ServerError
