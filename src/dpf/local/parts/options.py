"""Where parts are looked for and how they may be got: the explicit settings of one call.

Built from the environment here, or by hand in tests. It finds nothing itself.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dpf.local.parts import table
from dpf.local.parts.table import Part

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian puts `ip` and `ethtool`; not on the PATH of an ordinary user."""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`settings` maps part names to paths; `folders` are searched in order; `environ` is what go and apt-get inherit.

    `download`, `build` and `install` allow the three ways of getting what is not there.
    """

    cache: Path
    folders: tuple[Path, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    features: frozenset[str] = frozenset({table.PLATFORM})
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    arch: str = "amd64"
    download: bool = True
    build: bool = True
    install: bool = True

    @property
    def wanted(self) -> tuple[Part, ...]:
        """The parts that are needed."""
        return table.needed_for(self.features)


def from_environment(
    environ: Mapping[str, str], *, settings: Mapping[str, str] | None = None,
    features: frozenset[str] = frozenset({table.PLATFORM}),
) -> Options:
    """Options of this user: `settings` (part name to path) stand above `DPF_PART_<NAME>`.

    KUBEBUILDER_ASSETS is a folder that is searched before PATH; the cache is `$XDG_CACHE_HOME/dpf/parts`.
    """
    named = {part.name: environ[part.variable] for part in table.PARTS if environ.get(part.variable)}
    words = [environ.get("KUBEBUILDER_ASSETS", ""), *environ.get("PATH", "").split(":"), *SYSTEM_FOLDERS]
    # A relative entry of PATH means another place in every folder: not for something that is remembered.
    folders = tuple(dict.fromkeys(Path(word) for word in words if word.startswith("/")))
    machine = platform.machine()
    return Options(
        cache=_cache_home(environ) / "dpf" / "parts", folders=folders, settings={**named, **(settings or {})},
        features=features, environ=environ, arch=_ARCHITECTURES.get(machine, machine),
    )


def _cache_home(environ: Mapping[str, str]) -> Path:
    chosen = environ.get("XDG_CACHE_HOME", "")
    if chosen.startswith("/"):
        return Path(chosen)
    return Path(environ.get("HOME") or Path.home()) / ".cache"
