"""Structured logs: JSON for machines or columns for people, and never a secret.

`process` calls `configure` once. Everything else calls `structlog.get_logger()` and logs an event name in words plus
keys (`controller`, `object`, `cluster`). The standard library's loggers (aiohttp, asyncio) go through the same chain.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

REDACTED: Final = "[redacted]"

_SECRET_KEY: Final = re.compile(
    r"(^|[_\-. ])(data|string_?data|binary_?data)$"
    r"|token|password|passwd|kubeconfig|authorization|credential|private_?key|key_?data|secret_?(value|key)?$|cookie",
    re.IGNORECASE,
)
_SECRET_TEXT: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bBearer\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r"|\b[a-z0-9]{6}\.[a-z0-9]{16}\b",
    re.DOTALL,
)
_ALWAYS_SHOWN: Final = frozenset({"event", "level", "timestamp", "logger", "controller", "object", "cluster"})


def configure(*, console: bool, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Set up logging of this process. `console` chooses columns instead of JSON lines. `level` is a logging name."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=False) if console else structlog.processors.JSONRenderer()
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    )
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=False,
    )


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: replace values under secret-looking keys, and secret-looking text anywhere."""
    for key in event:
        event[key] = _clean(key, event[key])
    return event


def _clean(key: str, value: Any) -> Any:  # noqa: ANN401 - whatever was logged
    if key not in _ALWAYS_SHOWN and _SECRET_KEY.search(key):
        return REDACTED
    if isinstance(value, str):
        return _SECRET_TEXT.sub(REDACTED, value)
    if isinstance(value, bytes | bytearray):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping):
        return {str(k): _clean(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", v) for v in value]
    return value
