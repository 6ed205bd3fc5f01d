"""Short digests in names, ids and labels (behaviour-service.md 1.3).

Pure. Called by planners. A digest only has to be the same for the same input: it does
not depend on the order of keys, and it protects nothing.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

LENGTH = 10


def short(*parts: Any) -> str:  # noqa: ANN401 - any JSON value
    """First ten hexadecimal digits of SHA-256 over the JSON form of each part, each followed by a newline."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
        digest.update(b"\n")
    return digest.hexdigest()[:LENGTH]


def fit(name: str, limit: int) -> str:
    """`name` if it has at most `limit` characters, else its beginning and its digest, exactly as many or fewer."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - LENGTH - 1].rstrip('-._')}-{short(name)}"
