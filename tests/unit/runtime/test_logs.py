"""Structured logs: readable by machines and people, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from dpf.runtime import logs
from dpf.runtime.logs import REDACTED

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def clean(**event: Any) -> dict[str, Any]:
    return dict(logs.redact(None, "", event))


@pytest.mark.parametrize("key", [
    "token", "bearer_token", "password", "kubeconfig", "authorization", "Authorization", "data", "stringData",
    "string_data", "binaryData", "credentials", "private_key", "privateKey", "client-key-data", "secret", "cookie",
])
def test_values_under_secret_looking_keys_are_redacted(key: str) -> None:
    assert clean(**{key: "hunter2"}) == {key: REDACTED}


@pytest.mark.parametrize("key", ["object", "cluster", "error", "secret_name", "metadata", "data_path", "keys"])
def test_other_keys_are_shown(key: str) -> None:
    assert clean(**{key: "ns/name"}) == {key: "ns/name"}


@pytest.mark.parametrize("text", [
    PEM, PEM.rpartition("\n")[0], JWT, "Bearer abcdefgh12345678", "abcdef.0123456789abcdef",
], ids=["private key", "cut private key", "JWT", "bearer", "bootstrap token"])
def test_secret_looking_text_is_redacted_under_any_key(text: str) -> None:
    shown = clean(error=f"before {text} after")["error"]
    assert REDACTED in shown
    assert text not in shown
    assert shown.startswith("before")


def test_nested_values_are_redacted_too() -> None:
    event = clean(details={"user": {"token": "t", "name": "n"}, "list": [PEM, "x"]}, raw=b"bytes")
    assert event == {"details": {"user": {"token": REDACTED, "name": "n"}, "list": [REDACTED, "x"]}, "raw": "[5 bytes]"}


def test_json_lines_carry_time_level_event_and_keys() -> None:
    output = io.StringIO()
    logs.configure(console=False, stream=output)
    structlog.get_logger().info("pass failed", controller="toy", object="ns/a", token="t")
    line = json.loads(output.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "pass failed", "level": "info", "controller": "toy", "object": "ns/a", "token": REDACTED}


def test_a_traceback_is_logged_without_its_secret() -> None:
    output = io.StringIO()
    logs.configure(console=False, stream=output)
    try:
        raise ValueError(f"cannot parse {PEM}")
    except ValueError:
        structlog.get_logger().exception("bug")
    line = json.loads(output.getvalue())
    assert "ValueError: cannot parse [redacted]" in line["exception"]
    assert "MHcCAQEE" not in output.getvalue()


def test_the_standard_library_logs_through_the_same_chain() -> None:
    output = io.StringIO()
    logs.configure(console=False, stream=output)
    logging.getLogger("aiohttp.server").warning("got %s", JWT)
    line = json.loads(output.getvalue())
    assert (line["event"], line["level"]) == (f"got {REDACTED}", "warning")


def test_console_output_is_for_people() -> None:
    output = io.StringIO()
    logs.configure(console=True, stream=output)
    structlog.get_logger().warning("pass failed", object="ns/a")
    assert "pass failed" in output.getvalue()
    assert "object=ns/a" in output.getvalue()


def test_what_is_below_the_level_is_not_logged() -> None:
    output = io.StringIO()
    logs.configure(console=False, level="WARNING", stream=output)
    structlog.get_logger().info("chatter")
    logging.getLogger("asyncio").info("chatter")
    assert output.getvalue() == ""
