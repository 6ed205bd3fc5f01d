"""Answers of an emulated BMC, and how it complains. Values only; made by `actions` and `server`, which sends them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

REGISTRY: Final = "Base.1.15.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Status and JSON; `then` is done when the answer is out, because it may end the connection."""

    status: int = 200
    document: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    then: Callable[[], None] | None = None


def success(*, status: int = 200, then: Callable[[], None] | None = None) -> Reply:
    """The answer to what was done."""
    return Reply(status=status, then=then, document={
        "@Message.ExtendedInfo": [_message("Success", "The request completed successfully.", "OK")],
    })


def problem(status: int, name: str, text: str) -> Reply:
    """A refusal, as Redfish writes them."""
    return Reply(status=status, document={"error": {
        "code": f"{REGISTRY}.{name}", "message": text, "@Message.ExtendedInfo": [_message(name, text, "Critical")],
    }})


def missing(path: str) -> Reply:
    """404."""
    name = path.rsplit("/", 1)[-1]
    return problem(404, "ResourceNotFound", f"The requested resource of type '' named '{name}' was not found.")


def bad_value(value: object, name: str) -> Reply:
    """400 that repeats the value, as BMCs do, be it a password or not."""
    text = f"The value '{value}' for the property {name} is of a different format than the property can accept."
    return problem(400, "PropertyValueFormatError", text)


def _message(name: str, text: str, severity: str) -> Mapping[str, Any]:
    return {
        "@odata.type": "#Message.v1_1_1.Message", "MessageId": f"{REGISTRY}.{name}", "Message": text,
        "MessageArgs": [], "MessageSeverity": severity, "Resolution": "None.",
    }
