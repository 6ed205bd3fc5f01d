"""What is remembered about the file of a BFB, on the volume beside it: values only. Pure.

`files` keeps one record per BFB, under its uid; everything that a restarted process must know is in it or in the
object. It holds no URL, because a URL may hold credentials.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from dpf.provisioning.bfb.bundle import Inventory


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first `offset` bytes of an unfinished file are on the disk, and have this digest.

    `source` is the digest of the URL; `validator` is the ETag or date by which its server tells whether it has the same
    content still; `total` is the size of the whole, None while unknown.
    """

    offset: int
    sha256: str
    source: str
    validator: str
    total: int | None = None


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A complete file. `modified_ns` and `size` tell it from any other; `problem` says why it has no inventory.

    `downloaded` is False for a file that was there already: then it is what somebody put there.
    """

    size: int
    modified_ns: int
    sha256: str
    inventory: Inventory | None = None
    problem: str = ""
    downloaded: bool = True


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Attempts that failed in a row: how many, why the last one did and when, when the first one did.

    `retryable`: trying again may help without anybody doing anything.
    """

    count: int
    why: str
    retryable: bool
    at: datetime
    since: datetime

    def again(self, why: str, at: datetime, *, retryable: bool) -> Failure:
        """One more failed."""
        return Failure(count=self.count + 1, why=why, retryable=retryable, at=at, since=self.since)


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of it. `file_name` is where the content belongs."""

    file_name: str = ""
    checkpoint: Checkpoint | None = None
    content: Content | None = None
    failure: Failure | None = None


def first_failure(why: str, at: datetime, *, retryable: bool) -> Failure:
    """The first of a row."""
    return Failure(count=1, why=why, retryable=retryable, at=at, since=at)


def source_of(url: str) -> str:
    """The digest of a URL."""
    return hashlib.sha256(url.encode()).hexdigest()
