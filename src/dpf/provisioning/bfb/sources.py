"""Where a bundle comes from: URLs, the addresses behind them, and how far a redirect may lead. Pure.

Called by the planner, which only reads URLs, and by `fetching` and `connecting`. Whoever writes a BFB may name any
server; one that answers with a redirect is a stranger, and leads at most to where its own address lies (docs/adr/0012).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from dpf.runtime.addresses import Reach, reach

PORTS: Final = {"http": 80, "https": 443}


class SourceError(Exception):
    """Nothing can be fetched from there; the text is for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A URL in parts. As text it is scheme, host and port: the rest may hold secrets. `target` is path and query."""

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """The URL without credentials."""
        return f"{self}{self.target}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" if self.port == PORTS[self.scheme] else f"{self.scheme}://{host}:{self.port}"


def parse(url: str) -> Source:
    """The parts of an http or https URL. Raises SourceError, with no part of the URL in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        raise SourceError("spec.url is not a URL: check host and port") from None
    if parts.scheme not in PORTS or not host or any(c.isspace() or not c.isprintable() for c in url):
        raise SourceError("spec.url is not an http or https URL with a host")
    return Source(
        scheme=parts.scheme, host=host, port=PORTS[parts.scheme] if port is None else port,
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""), user=parts.username,
        password=parts.password or "",
    )


def admit(source: Source, addresses: Iterable[str], floor: Reach | None, *, home: Source) -> Reach:
    """The reach that later redirects must not exceed. Raises SourceError when this one leads too far.

    `floor` is the reach of `home`, where the BFB itself sends us; None when `source` is that.
    """
    try:
        found = max((reach(address) for address in addresses), default=Reach.PUBLIC)
    except ValueError:
        raise SourceError(f"{source} cannot be reached: no such host") from None
    if floor is not None and found > floor and source.host != home.host:
        raise SourceError(
            f"{home} sends us to {source}, which is an address further inside this network; that is not followed. "
            "Name that server itself in spec.url"
        )
    return found if floor is None else floor
