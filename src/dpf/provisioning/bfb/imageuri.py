"""How a BMC asks for a bundle and the configuration of one DPU as one stream. Pure.

`build` is for whoever sends the address to a BMC, `parse` for `registry`. The form is the one of BP section 2:
`/bfb/??<bundle>,bfcfg/<configuration>?/bfb-to-install`; what follows the second question mark is for the eyes of the
BMC, which wants a file name.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

FOLDER: Final = "bfcfg"
_PREFIX: Final = "/bfb/??"
_SUFFIX: Final = "?/bfb-to-install"
_BUNDLE: Final = re.compile(r"[A-Za-z0-9_\-.]+\.bfb")
_CONFIGURATION: Final = re.compile(r"bfcfg/[A-Za-z0-9][A-Za-z0-9_\-.]*")
_LONGEST: Final = 2048


def build(file_name: str, configuration: str | None = None) -> str:
    """The path of a bundle, followed by the configuration of that name in bfcfg/. Raises ValueError for other names."""
    names = [file_name] if configuration is None else [file_name, f"{FOLDER}/{configuration}"]
    path = f"{_PREFIX}{','.join(names)}{_SUFFIX}"
    if parse(path) != tuple(names):
        raise ValueError(f"{file_name!r} and {configuration!r} are no names of a bundle and a configuration")
    return path


def parse(path: str) -> tuple[str, ...] | None:
    """The files that a request names, below the folder of bundles; None for anything else.

    `path` is the raw target of the request, with its query. Every name is of a fixed form, without a way out of the
    folder: a bundle, or a bundle and a configuration.
    """
    target = unquote(path[:_LONGEST])
    if not target.startswith(_PREFIX) or len(path) > _LONGEST:
        return None
    names = tuple(target.removeprefix(_PREFIX).partition("?")[0].split(","))
    match names:
        case (bundle,) if _BUNDLE.fullmatch(bundle):
            return names
        case (bundle, configuration) if _BUNDLE.fullmatch(bundle) and _CONFIGURATION.fullmatch(configuration):
            return names
        case _:
            return None
