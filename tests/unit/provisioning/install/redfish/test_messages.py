"""Complaints of BMCs as one text."""

from __future__ import annotations

import base64
import json

import pytest

from dpf.provisioning.install.redfish import messages


def body(*said: tuple[str, str]) -> bytes:
    info = [{"MessageId": f"Base.1.15.0.{name}", "Message": text} for name, text in said]
    return json.dumps({"error": {"code": "Base.GeneralError", "message": "m", "@Message.ExtendedInfo": info}}).encode()


def test_messages_are_folded_without_repetitions() -> None:
    complaint = messages.complaint(body(("A", "First."), ("B", "Second."), ("A", "First.")))

    assert complaint.text == "First.; Second."
    assert complaint.has("B")
    assert not complaint.has("C")


@pytest.mark.parametrize(("raw", "text"), [
    (b"", ""),
    (b"<html><body><h1>502</h1>\nBad\tGateway</body></html>", "502 Bad Gateway"),
    (b'{"error": {"message": "Only this."}}', "Only this."),
    (b'{"Password@Message.ExtendedInfo": [{"Message": "Too short."}]}', "Too short."),
    (b'{"error": {"@Message.ExtendedInfo": [{"MessageId": "X.1.0.Y"}]}}', "X.1.0.Y"),
    (b'{"error": {"@Message.ExtendedInfo": [7, null, {"Message": 8}]}}', ""),
    (b'{"error": []}', ""),
    (b"[1, 2]", ""),
    (b"[" * 100000, "[" * 1024),
    (b"\xff\xfe", "��"),
])
def test_whatever_comes_is_one_short_line(raw: bytes, text: str) -> None:
    assert messages.complaint(raw).text == text


def test_a_text_fits_a_condition() -> None:
    assert len(messages.complaint(body(("A", "x" * 5000))).text) == 1024


@pytest.mark.parametrize("said", [
    "The value 's3cret\"&' is wrong", "s3cret&quot;&amp;", "s3cret%22%26", "x" * 1020 + 's3cret"&',
    base64.b64encode(b's3cret"&').decode(),
])
def test_a_secret_that_the_bmc_repeats_does_not_come_through(said: str) -> None:
    for raw in (body(("A", said)), said.encode(), json.dumps(said).encode()):
        text = messages.complaint(raw, ['s3cret"&']).text
        assert "s3cret" not in text
        assert base64.b64encode(b's3cret"&').decode() not in text


def test_an_empty_secret_hides_nothing() -> None:
    assert messages.clean("a b", [""]) == "a b"
