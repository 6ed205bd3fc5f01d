"""The platform's own authority, and serving certificates for its https services (the chart repository).

It is apart from the clusters' authorities: whoever trusts the chart repository does not thereby trust an API server.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dpf.local import files
from dpf.local.pki import store
from dpf.local.pki.certificates import Request, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingFiles:
    """Where a server finds its certificate and key, and where its clients find the authority."""

    certificate: Path
    key: Path
    authority: Path


def ensure_serving(folder: Path, name: str, sans: tuple[str, ...], now: datetime) -> ServingFiles:
    """A serving certificate `<name>.crt`, `<name>.key` for `sans`, signed by the platform authority `platform.crt`.

    Raises PKIError, OSError.
    """
    files.ensure_private_folder(folder)
    authority = store.ensure_authority(folder, "platform", "dpf local platform", now)
    request = Request(common_name=name, sans=sans, usage=Usage.SERVER)
    store.ensure_certificate(folder, name, request, authority, now)
    return ServingFiles(
        certificate=folder / f"{name}.crt", key=folder / f"{name}.key", authority=folder / "platform.crt",
    )
