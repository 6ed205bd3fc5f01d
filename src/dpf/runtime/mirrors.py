"""Mirrors: which server is asked instead of the one that an object names (air-gapped sites).

Pure. Settings of `dpf run`, "prefix=mirror", given once per mirror: for repositories of charts (applied where chart
annotations are read and where Applications are built) and for BFBs (applied where they are downloaded). The user's
object keeps its URL. No credentials may stand in a setting: those of a chart repository belong to Argo CD's
configuration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

_PORTS: Final = {"https": 443, "oci": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Kind:
    """What is mirrored: its name in messages, and the schemes of its URLs."""

    name: str
    schemes: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """The schemes, for people."""
        return " or ".join(f"{scheme}://" for scheme in self.schemes)


REPOSITORY: Final = Kind("repository mirror", ("https", "oci"))
BFB: Final = Kind("BFB mirror", ("https", "http"))


class MirrorError(Exception):
    """A mirror setting cannot be used. The text is for people and repeats no credentials."""


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Repositories and their mirrors. An empty one changes nothing."""

    _rules: tuple[_Rule, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._rules)

    def apply(self, repo_url: str) -> str:
        """The URL to ask in place of `repo_url`; the same text when no mirror is meant for it.

        The longest prefix that ends where a path segment ends wins. The result is not mirrored again. Never raises:
        what is no URL stays as it is, for whoever uses it to report.
        """
        location = _location(repo_url)
        if location is None:
            return repo_url
        for rule in self._rules:
            rest = rule.rest(location)
            if rest is not None:
                return "/".join((rule.mirror, *rest))
        return repo_url


@dataclass(frozen=True, slots=True)
class _Location:
    """A repository URL taken apart so that spellings of the same place are equal."""

    origin: tuple[str, str, int]
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    """One mirror: where it applies, and its URL without a slash at the end."""

    prefix: _Location
    mirror: str

    def rest(self, location: _Location) -> tuple[str, ...] | None:
        """Path segments of `location` below the prefix; None when it is somewhere else."""
        depth = len(self.prefix.segments)
        if location.origin != self.prefix.origin or location.segments[:depth] != self.prefix.segments:
            return None
        return location.segments[depth:]


NONE: Final = Mirrors()
"""Every repository is asked itself."""


def parse(settings: Iterable[str], kind: Kind = REPOSITORY) -> Mirrors:
    """Reads settings of the form "https://charts.example.com/stable=oci://mirror.example.org/stable".

    Both sides are URLs of the kind's schemes, with a host and perhaps a path, and need not be of the same scheme.
    Raises MirrorError, naming the setting by its position, from 1.
    """
    rules: dict[_Location, _Rule] = {}
    for position, setting in enumerate(settings, start=1):
        rule = _rule(kind, position, setting)
        if rule.prefix in rules:
            raise MirrorError(f"{kind.name} {position}: an earlier one has the same prefix; remove one of them")
        rules[rule.prefix] = rule
    longest_first = sorted(rules.values(), key=lambda rule: -len(rule.prefix.segments))
    return Mirrors(tuple(longest_first))


def _rule(kind: Kind, position: int, setting: str) -> _Rule:
    prefix, separator, mirror = setting.strip().partition("=")
    if not separator:
        raise MirrorError(f"{kind.name} {position}: expected <prefix>=<mirror>, both {kind.allowed} URLs")
    place = _checked(kind, position, "prefix", prefix.strip())
    _checked(kind, position, "mirror", mirror.strip())
    return _Rule(place, mirror.strip().rstrip("/"))


def _checked(kind: Kind, position: int, side: str, url: str) -> _Location:
    """The location of a side of a setting. The texts do not repeat it: somebody may have put a password there."""
    where = f"{kind.name} {position}: the {side}"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise MirrorError(f"{where} is not a URL") from None
    if parts.username is not None or parts.password is not None:
        raise MirrorError(f"{where} has credentials in it; for charts put them into a repository Secret of Argo CD")
    if any(character.isspace() for character in url):
        raise MirrorError(f"{where} has white space in it")
    if parts.query or parts.fragment:
        raise MirrorError(f"{where} has a query or a fragment; only a host and a path are possible")
    location = _location(url)
    if location is None or parts.scheme not in kind.schemes:
        raise MirrorError(f"{where} must be {kind.allowed} with a host, and without '.' or '..' in its path")
    return location


def _location(url: str) -> _Location | None:
    """None when this is no plain repository URL, or when its path could lead out of a prefix."""
    try:
        parts = urlsplit(url)
        origin = _origin(parts)
    except ValueError:
        return None
    if origin is None or parts.query or parts.fragment or parts.username is not None:
        return None
    segments = tuple(parts.path.strip("/").split("/")) if parts.path.strip("/") else ()
    if any(segment.lower().replace("%2e", ".") in (".", "..") for segment in segments):
        return None
    return _Location(origin, segments)


def _origin(parts: SplitResult) -> tuple[str, str, int] | None:
    """Scheme, host and port. Raises ValueError for a port that is no number."""
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
