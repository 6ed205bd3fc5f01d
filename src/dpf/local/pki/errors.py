"""What can go wrong with the local platform's keys. Messages name files, never their content."""

from __future__ import annotations

from pathlib import Path

from dpf.local import errors


class PKIError(errors.LocalError):
    """A key or an authority on disk cannot be used, and making a new one would lock existing clients out."""

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}; {remedy}")
        self.path = path
