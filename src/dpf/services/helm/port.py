"""The port to chart repositories: what does this version of this chart say about itself?

Called by the controller of DPUServiceTemplates. `repositories` asks real ones over https and OCI, `memory` is told what
to answer; one suite checks both (tests/integration/services/helm).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class ChartError(Exception):
    """The annotations of a chart could not be read; the text is for people, stays the same while the cause does, and
    holds no credentials.

    `retryable`: asking again may help without anybody changing an object or a credential.
    """

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One version of a chart. `repository` is where to ask, perhaps a mirror: https:// or oci://, no last slash."""

    repository: str
    chart: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who we are to one repository. `insecure`: its certificate is not checked, because its administrator said so."""

    username: str = ""
    password: str = field(default="", repr=False)
    certificate_pem: str = ""
    key_pem: str = field(default="", repr=False)
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a repository is reached. `authorities`: PEM certificates trusted beside the system's, by host name."""

    credentials: Credentials | None = None
    authorities: Mapping[str, str] = field(default_factory=dict)


class Charts(Protocol):
    """Chart repositories. Bounded in time and memory, whatever a repository does."""

    async def annotations(self, source: Source, access: Access) -> Mapping[str, str]:
        """The annotations in the chart's metadata. Raises ChartError."""
