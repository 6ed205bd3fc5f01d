"""YAML that somebody else wrote: maps, lists, strings and booleans, in bounded time, and errors that quote nothing.

Pure. Called by `kubeconfig`. A YAML library is easily kept busy for hours by a small text; each limit here stands for
one way to do that.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

MAX_BYTES: Final = 1 << 20
"""The size limit of a Secret; nothing legal is larger."""
MAX_ENTRIES: Final = 10_000
MAX_DEPTH: Final = 32
"""The library's time grows with the square of the nesting."""

_KEPT: Final = tuple(f"tag:yaml.org,2002:{name}" for name in ("bool", "map", "null", "seq", "str"))


class Refused(ValueError):
    """Text that cannot or will not be read; the message quotes no part of it, because it may hold secrets."""


class _Loader(yaml.CSafeLoader):
    """Knows no numbers and no dates: some of YAML's spellings take minutes to compute. They stay strings."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {
        tag: construct for tag, construct in yaml.CSafeLoader.yaml_constructors.items() if tag is None or tag in _KEPT
    }


def load(raw: bytes | str) -> Any:  # noqa: ANN401 - the caller checks the shape
    """Plain data. Raises Refused."""
    if len(raw) > MAX_BYTES:
        raise Refused(f"larger than {MAX_BYTES} bytes")
    try:
        _check(raw)
        return yaml.load(raw, Loader=_Loader)  # noqa: S506 - safer than SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise Refused(f"not valid YAML{line}") from None
    except Refused:
        raise
    except (yaml.YAMLError, ValueError, RecursionError):
        raise Refused("not valid YAML") from None


def _check(raw: bytes | str) -> None:
    """Aliases are refused: nested ones, and merge keys made of them, expand without bound."""
    depth = 0
    for number, event in enumerate(yaml.parse(raw, Loader=_Loader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise Refused("YAML aliases are not supported")
        if depth > MAX_DEPTH:
            raise Refused(f"nested more than {MAX_DEPTH} levels deep")
        if number > MAX_ENTRIES:
            raise Refused(f"more than {MAX_ENTRIES} entries")
