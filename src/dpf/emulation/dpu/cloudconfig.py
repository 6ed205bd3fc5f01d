"""bf.cfg as an installer and cloud-init take it: the user-data in it, the files that it writes, and what it runs.

Pure. Called by `config`. Of the installer's shell only here-documents are followed. No error quotes the bytes, because
they hold a bootstrap token.
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dpf.kube import untrustedyaml

_MODIFY_OS: Final = "bfb_modify_os"
_USER_DATA: Final = "/mnt/var/lib/cloud/seed/nocloud-net/user-data"
_DEFAULT_MODE: Final = 0o644

_FUNCTION: Final = re.compile(r"(?:function\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*\(\s*\)")
_HERE_DOCUMENT: Final = re.compile(r"<<(-?)\s*(['\"\\]?)([A-Za-z_][A-Za-z0-9_]*)")
_TARGET: Final = re.compile(r"(?<![0-9>])(>>?)\s*([^\s<>;|&]+)")


class ConfigError(ValueError):
    """The card could not boot into a node with these bytes; `str()` says why and quotes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that the first boot wrote."""

    content: bytes = field(repr=False)
    mode: int = _DEFAULT_MODE


@dataclass(frozen=True, slots=True, kw_only=True)
class _HereDocument:
    function: str
    target: str
    body: str = field(repr=False)


def user_data(text: str) -> str:
    """What the installer's function puts where cloud-init looks. The last definition of a function is the one.

    Raises ConfigError.
    """
    bodies = [d.body for d in _here_documents(text) if d.function == _MODIFY_OS and d.target == _USER_DATA]
    if not bodies:
        raise ConfigError(f"bf.cfg has no function {_MODIFY_OS} that writes cloud-init's user-data")
    return bodies[-1]


def _here_documents(text: str) -> Iterator[_HereDocument]:
    """Every `cat >FILE <<'END'`, with the function that it stands in."""
    function = ""
    lines = iter(text.split("\n"))
    for line in lines:
        if named := _FUNCTION.match(line):
            function = named[1]
        start = _HERE_DOCUMENT.search(line)
        if start is None:
            continue
        body = _until(lines, start[3])
        if not start[2] and re.search(r"[$`\\]", body):
            raise ConfigError("a here-document of bf.cfg is not quoted: the installer's shell would change its content")
        if target := _TARGET.search(line):
            yield _HereDocument(function=function, target=target[2].strip("'\""), body=body)


def _until(lines: Iterator[str], end: str) -> str:
    body: list[str] = []
    for line in lines:
        if line == end:
            return "".join(f"{one}\n" for one in body)
        body.append(line)
    raise ConfigError("bf.cfg ends in the middle of a here-document: it was cut off")


def parameters(text: str) -> tuple[str, ...]:
    """The lines before the installer's function."""
    head = re.split(rf"^(?:function\s+)?{_MODIFY_OS}\b", text, maxsplit=1, flags=re.MULTILINE)[0]
    return tuple(head.split("\n")[:-1])


def document(text: str) -> Mapping[str, Any]:
    """The user-data as data; its numbers stay texts. Raises ConfigError."""
    if text.split("\n", 1)[0].rstrip() != "#cloud-config":
        raise ConfigError("cloud-init's user-data does not begin with #cloud-config")
    try:
        loaded = untrustedyaml.load(text)
    except untrustedyaml.Refused as error:
        raise ConfigError(f"cloud-init's user-data: {error}") from None
    if not isinstance(loaded, dict):
        raise ConfigError("cloud-init's user-data is no mapping")
    return loaded


def files(cloud_config: Mapping[str, Any]) -> Mapping[str, File]:
    """Everything that `write_files` leaves, in its order; later entries replace or prolong earlier ones.

    Raises ConfigError.
    """
    found: dict[str, File] = {}
    for entry in _list(cloud_config, "write_files"):
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str) or not path.startswith("/"):
            raise ConfigError("an entry of write_files has no absolute path")
        before = found.get(path)
        content = _content(entry)
        if entry.get("append") is True and before is not None:
            content = before.content + content
        found[path] = File(content=content, mode=_mode(entry.get("permissions")))
    return found


def _content(entry: Mapping[str, Any]) -> bytes:
    content, encoding = entry.get("content") or "", entry.get("encoding") or "text/plain"
    if not isinstance(content, str):
        raise ConfigError("the content of an entry of write_files is no text")
    if encoding in {"b64", "base64"}:
        try:
            return base64.b64decode(content, validate=True)
        except binascii.Error:
            raise ConfigError("an entry of write_files is not base64, as it says") from None
    if encoding != "text/plain":
        raise ConfigError("an entry of write_files has an encoding that is not supported")
    return content.encode(errors="surrogatepass")


def _mode(permissions: object) -> int:
    """Without permissions a file gets the usual ones, also when it was there before."""
    if permissions is None:
        return _DEFAULT_MODE
    if isinstance(permissions, str) and re.fullmatch(r"[0-7]{3,5}", permissions):
        return int(permissions, 8)
    raise ConfigError("the permissions of an entry of write_files are no octal number")


def commands(cloud_config: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """The words of every command of `runcmd`, in its order. Raises ConfigError."""
    found = []
    for command in _list(cloud_config, "runcmd"):
        words = words_of(command) if isinstance(command, str) else command
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise ConfigError("an entry of runcmd is neither a text nor a list of texts")
        found.append(tuple(words))
    return tuple(found)


def _list(cloud_config: Mapping[str, Any], key: str) -> list[Any]:
    value = cloud_config.get(key)
    if value is not None and not isinstance(value, list):
        raise ConfigError(f"{key} of cloud-init's user-data is no list")
    return value or []


def words_of(line: str, *, operators: bool = False) -> tuple[str, ...]:
    """The words of a line; with `operators` those of the shell are words of their own. Raises ConfigError."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=operators)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return tuple(lexer)
    except ValueError:
        raise ConfigError("a line of a script or unit does not end its quotation") from None
