"""Values of a DPUServiceConfiguration that name other services: the part of Go's text/template that this needs.

Pure. Called by `services` for a service with `dependsOn` (behaviour-service.md 6.6). Known are `.Services.<key>.Name`
and `.Services.<key>.Namespace` (also with `$`), `index .Services "<key>" "Name"` and `(index .Services "<key>").Name`,
string constants, comments and trim markers; a key may contain dashes. Everything else is refused with a text that names
the expression: a value that is only half understood must not reach a chart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dpf.api.meta import Key

DEFAULT_DELIMITERS: Final = ("{{", "}}")

_SPACE: Final = " \t\r\n"
_SHOWN: Final = 80
_TOKEN_SHOWN: Final = 20
_COMMENT: Final = re.compile(r"[ \t\r\n]*/\*.*?\*/", re.DOTALL)
_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+)|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<raw>`[^`]*`)|(?P<open>\()|(?P<close>\))"""
    r"""|(?P<fields>\$?(?:\.[A-Za-z0-9_]+(?:-+[A-Za-z0-9_]+)*)+)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"""
)


class TemplateError(ValueError):
    """A value cannot be rendered. The message names the expression and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def parse_delimiters(text: str | None) -> tuple[str, str] | None:
    """The two halves of `[[,]]`; the default when there is no `text`; None when it is neither."""
    if text is None:
        return DEFAULT_DELIMITERS
    parts = [part.strip() for part in text.split(",")]
    return (parts[0], parts[1]) if len(parts) == 2 and all(parts) else None


def render(value: Any, services: Mapping[str, Key], delimiters: tuple[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    """`value` with every string in it rendered, also the keys of maps. `services` are the objects by service key.

    Raises TemplateError.
    """
    if isinstance(value, str):
        return _text(value, services, delimiters) if delimiters[0] in value else value
    if isinstance(value, Mapping):
        return {
            render(key, services, delimiters): render(entry, services, delimiters) for key, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return [render(entry, services, delimiters) for entry in value]
    return value


def _text(text: str, services: Mapping[str, Key], delimiters: tuple[str, str]) -> str:
    left, right = delimiters
    parts: list[str] = []
    position, trim = 0, False
    while True:
        start = text.find(left, position)
        literal = text[position:] if start < 0 else text[position:start]
        literal = literal.lstrip(_SPACE) if trim else literal
        if start < 0:
            parts.append(literal)
            return "".join(parts)
        inside = start + len(left)
        trims_left = text[inside : inside + 1] == "-" and text[inside + 1 : inside + 2] in tuple(_SPACE)
        parts.append(literal.rstrip(_SPACE) if trims_left else literal)
        tokens, position, trim = _action(text, inside + trims_left, right, _shown(text, start))
        if tokens is not None:
            parts.append(_string(_Parser(tokens, services, _shown(text, start, position)).whole()))


def _action(text: str, position: int, right: str, shown: str) -> tuple[list[_Token] | None, int, bool]:
    """Tokens up to the right delimiter (None for a comment), where the text goes on, and whether it is trimmed."""
    comment = _COMMENT.match(text, position)
    trimming = re.compile(r"[ \t\r\n]+-" + re.escape(right))
    tokens: list[_Token] | None = None if comment else []
    position = comment.end() if comment else position
    while True:
        trimmed = trimming.match(text, position)
        if trimmed:
            return tokens, trimmed.end(), True
        if text.startswith(right, position):
            return tokens, position + len(right), False
        token = _TOKEN.match(text, position)
        if token is None or (tokens is None and token.lastgroup != "space"):
            why = "it does not end" if position >= len(text) else _unknown(text, position)
            raise _error(shown, why)
        if token.lastgroup != "space" and tokens is not None:
            tokens.append(_Token(str(token.lastgroup), token.group()))
        position = token.end()


class _Parser:
    """Reads the tokens of one action from left to right."""

    def __init__(self, tokens: list[_Token], services: Mapping[str, Key], shown: str) -> None:
        self._tokens: Iterator[_Token | None] = iter([*tokens, None])
        self._next = next(self._tokens)
        self._root = {"Services": {n: {"Name": k.name, "Namespace": k.namespace} for n, k in services.items()}}
        self.shown = shown

    def whole(self) -> tuple[str, object]:
        """What is shown of the action in errors, and its value."""
        value = self._operand()
        if self._next is not None:
            raise _error(self.shown, _unknown(self._next.text))
        return self.shown, value

    def _operand(self) -> object:
        token = self._take()
        if token is None:
            raise _error(self.shown, "it is empty")
        if token.kind == "string":
            return self._unquoted(token.text)
        if token.kind == "raw":
            return token.text[1:-1]
        if token.kind == "fields":
            return self._walk(self._root, _keys(token.text))
        if token.kind == "open":
            return self._parenthesised()
        if token.text == "index":
            return self._indexed()
        raise _error(self.shown, _unknown(token.text))

    def _parenthesised(self) -> object:
        value = self._operand()
        closing = self._take()
        if closing is None or closing.kind != "close":
            raise _error(self.shown, "a closing parenthesis is missing")
        if self._next is not None and self._next.kind == "fields" and self._next.text.startswith("."):
            return self._walk(value, _keys(self._take().text))  # type: ignore[union-attr]
        return value

    def _indexed(self) -> object:
        value = self._operand()
        keys: list[str] = []
        while self._next is not None and self._next.kind in ("string", "raw"):
            keys.append(str(self._operand()))
        if not keys:
            raise _error(self.shown, "index needs a key in quotes")
        return self._walk(value, keys)

    def _walk(self, value: object, keys: list[str]) -> object:
        for key in keys:
            if not isinstance(value, Mapping) or key not in value:
                raise _error(self.shown, self._missing(value, key))
            value = value[key]
        return value

    def _missing(self, value: object, key: str) -> str:
        if value is self._root["Services"]:
            return f"service {key} is not listed in dependsOn"
        known = f", only {', '.join(sorted(value))}" if isinstance(value, Mapping) else ""
        return f"there is no {key} here{known}"

    def _unquoted(self, text: str) -> str:
        try:
            return str(json.loads(text))
        except ValueError:
            raise _error(self.shown, f"{text} is not a string constant that is understood") from None

    def _take(self) -> _Token | None:
        token, self._next = self._next, next(self._tokens, None)
        return token


def _keys(fields: str) -> list[str]:
    return fields.removeprefix("$").split(".")[1:]


def _string(found: tuple[str, object]) -> str:
    shown, value = found
    if not isinstance(value, str):
        raise _error(shown, "it is not a text; add .Name or .Namespace")
    return value


def _unknown(text: str, start: int = 0) -> str:
    return f"{text[start : start + _TOKEN_SHOWN]!r} is not supported"


def _shown(text: str, start: int, end: int | None = None) -> str:
    """An expression as errors name it. Cut out of a text that may be a megabyte long."""
    end = len(text) if end is None else end
    return text[start:end] if end - start <= _SHOWN else f"{text[start : start + _SHOWN]}..."


def _error(shown: str, why: str) -> TemplateError:
    return TemplateError(f"{shown}: {why}")
