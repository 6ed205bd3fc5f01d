"""What a BMC complains about, as one text for people.

Pure. Called by `transport` for every answer that is no success. A BMC likes to repeat what it was sent, passwords
among it, so every text goes through `clean`. Source: behaviour-provisioning.md section 9, Errors.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from dpf.provisioning.install.redfish import errors

REDACTED: Final = "[redacted]"

_EXTENDED: Final = "@Message.ExtendedInfo"
_MOST: Final = 8
"""Messages of one complaint that are read."""
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_TAG: Final = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """`text` is "" when the BMC gave no reason; `ids` are e.g. `Base.1.15.PasswordChangeRequired`."""

    text: str
    ids: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Whether a message of that name is among them, of whatever registry and version."""
        return any(told == name or told.endswith(f".{name}") for told in self.ids)


def complaint(body: bytes, secrets: Sequence[str] = ()) -> Complaint:
    """The messages of an answer, folded; `secrets` never come through."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return Complaint(text=clean(_TAG.sub(" ", body[:4096].decode(errors="replace")), secrets))
    found = list(_messages(document))[:_MOST]
    texts = dict.fromkeys(filter(None, (_sentence(message) for message in found)))
    return Complaint(
        text=clean("; ".join(texts) or _summary(document), secrets),
        ids=tuple(told for message in found if isinstance(told := message.get("MessageId"), str)),
    )


def texts(messages: object, secrets: Sequence[str] = ()) -> tuple[str, ...]:
    """The texts of a list of messages, such as a task's, without repetitions."""
    found = [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []
    cleaned = (clean(_sentence(message), secrets) for message in found[-_MOST:])
    return tuple(dict.fromkeys(filter(None, cleaned)))


def clean(text: str, secrets: Sequence[str] = ()) -> str:
    """One line without secrets, short enough for a condition."""
    for secret in secrets:
        for form in _forms(secret):
            text = text.replace(form, REDACTED)
    return _UNPRINTABLE.sub(" ", text).strip()[:errors.LONGEST]


def _messages(document: object) -> Iterator[dict[str, Any]]:
    """Of the error itself, and those that stand beside single properties."""
    if not isinstance(document, dict):
        return
    holders = [document.get("error"), document]
    for holder in holders:
        for key, value in holder.items() if isinstance(holder, dict) else ():
            if key.endswith(_EXTENDED) and isinstance(value, list):
                yield from (message for message in value if isinstance(message, dict))


def _sentence(message: dict[str, Any]) -> str:
    return next((value for key in ("Message", "MessageId") if isinstance(value := message.get(key), str) and value), "")


def _summary(document: object) -> str:
    error = document.get("error") if isinstance(document, dict) else None
    return _sentence({"Message": error.get("message")}) if isinstance(error, dict) else ""


def _forms(secret: str) -> Iterator[str]:
    """How a secret may be written in an answer, longest first: the plain one may be part of the others."""
    if secret:
        forms = {
            secret, json.dumps(secret)[1:-1], html.escape(secret), quote(secret, safe=""),
            base64.b64encode(secret.encode()).decode(),
        }
        yield from sorted(forms, key=len, reverse=True)
