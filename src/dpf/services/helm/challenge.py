"""What a registry demands with a 401: the WWW-Authenticate header, parsed (RFC 9110 section 11, distribution's token
specification), and which other host may be asked for a token in our name.

Pure. Called by `oci`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - a grammar's token
_PARAMETER: Final = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*(?:,|$)')
_SCHEME: Final = re.compile(rf"\s*({_TOKEN})(?:\s+|$)")
_ENOUGH: Final = 8192
"""No honest header is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic:
    """A user name and a password are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """A token of `realm` (URL) is wanted, for `service` and `scope`; what the registry left out is empty."""

    realm: str
    service: str = ""
    scope: str = ""


def choose(headers: Iterable[str]) -> Basic | Bearer | None:
    """The first challenge that we can answer: a token if one is offered, else a password."""
    offered = [found for header in headers for found in _parse(header[:_ENOUGH])]
    for scheme, parameters in offered:
        if scheme == "bearer" and parameters.get("realm"):
            return Bearer(
                realm=parameters["realm"], service=parameters.get("service", ""), scope=parameters.get("scope", "")
            )
    return Basic() if any(scheme == "basic" for scheme, _ in offered) else None


def is_akin(registry: str, realm: str) -> bool:
    """Whether `realm` (host) belongs to the site of `registry` (host), so that it may see the registry's password.

    It is the same host, its parent domain, or another host of that parent domain, as in auth.docker.io and
    registry-1.docker.io. A parent domain has two labels at least, and an address has no relatives.
    """
    if registry == realm:
        return True
    if _is_address(registry) or _is_address(realm):
        return False
    parent = registry.partition(".")[2]
    return "." in parent and (realm == parent or realm.partition(".")[2] == parent)


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()


def _parse(header: str) -> list[tuple[str, dict[str, str]]]:
    """Scheme (lower case) and parameters of each challenge in a header; stops at what it does not understand."""
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(header):
        parameter = _PARAMETER.match(header, position)
        if parameter is not None and found:
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found[-1][1].setdefault(name.lower(), value)
            position = parameter.end()
            continue
        scheme = _SCHEME.match(header, position)
        if scheme is None:
            break
        found.append((scheme[1].lower(), {}))
        position = scheme.end()
    return found
