"""The volume of bundles: one folder, in which a BFB's file appears whole or not at all.

    <file name>.bfb     a complete bundle, mode 0644; written by nobody, only moved here
    bfb-<uid>           the bundle of one BFB on its way, written under a lock (`partial`)
    bfb-<uid>.json      what is remembered about it (`record`)
    bfcfg/              configurations of DPUs, which others write

Called by `download`, in threads: nothing here is asynchronous. What a file that is found means, `snapshot` decides.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dpf.provisioning.bfb.bundle import Scanner
from dpf.provisioning.bfb.record import Content, Record

FOLDER: Final = Path("/bfb")
MODE: Final = 0o644

_RECORD_MODE: Final = 0o600
_PIECE: Final = 1 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_PASSING: Final = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.ENOMEM})
"""What may mend itself. Anything else (permissions, a read-only volume, a folder in the way) takes a person."""
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})


class VolumeError(Exception):
    """The volume refuses; the text is for people and stays the same while the cause does."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A regular file as it was found."""

    size: int
    modified_ns: int

    def holds(self, content: Content) -> bool:
        """Whether it still is what was written or read."""
        return (self.size, self.modified_ns) == (content.size, content.modified_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What there is of a BFB. `left_behind`: the file under its name was downloaded by a BFB that is another one."""

    record: Record
    target: File | None = None
    unfinished: File | None = None
    left_behind: bool = False


class Volume:
    """The files of all BFBs. Every method may block on the disk, and raises VolumeError."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder

    def target(self, file_name: str) -> Path:
        """Where DPUs are installed from. `file_name` has no slash, as the API requires."""
        if "/" in file_name or not file_name.endswith(".bfb"):
            raise ValueError(f"{file_name!r} is no name of a bundle")
        return self.folder / file_name

    def unfinished(self, uid: str) -> Path:
        """Where one BFB's download is written."""
        return self.folder / f"bfb-{uid}"

    def look(self, uid: str, file_name: str) -> Found:
        """What there is now."""
        try:
            self.folder.stat()
            record, target = self.load(uid), _file(self.target(file_name))
            unknown = target is not None and record.content is None
            return Found(
                record=record, target=target, unfinished=_file(self.unfinished(uid)),
                left_behind=unknown and self._belongs_to_another(uid, file_name),
            )
        except OSError as error:
            raise self.refused("look at", error) from None

    def load(self, uid: str) -> Record:
        """What is remembered; an empty record when there is none, or none that can be read. Raises OSError."""
        try:
            return msgspec.json.decode(self._record(uid).read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return Record()

    def save(self, uid: str, record: Record) -> None:
        """Remember `record`, also after a power cut."""
        path = self._record(uid)
        fresh = path.with_suffix(".json.new")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _RECORD_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(record))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            self.sync()
        except OSError as error:
            raise self.refused("write to", error) from None

    def inspect(self, uid: str, file_name: str, stopped: Callable[[], bool]) -> None:
        """Read a file that was found under its name, and remember what is in it. Ends early when `stopped` says so."""
        scanner, digest = Scanner(), hashlib.sha256()
        try:
            with self.target(file_name).open("rb") as file:
                facts = os.fstat(file.fileno())
                while piece := file.read(_PIECE):
                    if stopped():
                        return
                    digest.update(piece)
                    scanner.feed(piece)
        except OSError as error:
            raise self.refused("read from", error) from None
        inventory, problem = scanner.finish()
        content = Content(
            size=facts.st_size, modified_ns=facts.st_mtime_ns, sha256=digest.hexdigest(), inventory=inventory,
            problem=problem, downloaded=False,
        )
        self.save(uid, Record(file_name=file_name, content=content))

    def clear(self, file_name: str) -> None:
        """Take away what is under the name: it is not what belongs there."""
        try:
            self.target(file_name).unlink(missing_ok=True)
        except OSError as error:
            raise self.refused("remove a file from", error) from None

    def publish(self, uid: str, file_name: str) -> None:
        """Move the complete download under its name. Done already counts as done."""
        unfinished = self.unfinished(uid)
        try:
            content = self.load(uid).content
            if content is None or not _holds(unfinished, content):
                return
            with unfinished.open("r+b") as file:
                lock(file.fileno(), unfinished)
                unfinished.replace(self.target(file_name))
            self.sync()
            for other in self._records_of_others(uid, file_name):
                other.unlink(missing_ok=True)
        except OSError as error:
            raise self.refused("write to", error) from None

    def remove(self, uid: str, file_name: str | None) -> None:
        """Remove everything of a BFB; `file_name` None leaves alone what is under its name, for it is not its own."""
        unfinished, record = self.unfinished(uid), self._record(uid)
        gone = [unfinished, record, record.with_suffix(".json.new")]
        try:
            for path in [self.target(file_name), *gone] if file_name is not None else gone:
                path.unlink(missing_ok=True)
            if self.folder.is_dir():
                self.sync()
        except OSError as error:
            raise self.refused("remove a file from", error) from None

    def free(self) -> int:
        """Bytes that can still be written. Raises OSError."""
        facts = os.statvfs(self.folder)
        return facts.f_bavail * facts.f_frsize

    def sync(self) -> None:
        """Make names that were changed survive a power cut. Raises OSError."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def refused(self, doing: str, error: OSError) -> VolumeError:
        """What `error` means to people, while `doing` something with the volume."""
        if error.errno in _FULL:
            return VolumeError(f"the BFB volume {self.folder} is full: free space on it or enlarge it", retryable=True)
        if isinstance(error, FileNotFoundError) and not self.folder.exists():
            return VolumeError(f"the folder {self.folder} does not exist: mount the BFB volume there", retryable=True)
        why = error.strerror or type(error).__name__
        return VolumeError(f"cannot {doing} the BFB volume {self.folder}: {why}", retryable=error.errno in _PASSING)

    def _record(self, uid: str) -> Path:
        return self.folder / f"bfb-{uid}.json"

    def _belongs_to_another(self, uid: str, file_name: str) -> bool:
        return bool(self._records_of_others(uid, file_name))

    def _records_of_others(self, uid: str, file_name: str) -> list[Path]:
        """Records of other BFBs that say that they have put their content under this name."""
        found = []
        for path in self.folder.glob("bfb-*.json"):
            other = path.stem.removeprefix("bfb-")
            record = self.load(other)
            if other != uid and record.content is not None and record.file_name == file_name:
                found.append(path)
        return found


def lock(descriptor: int, path: Path) -> None:
    """Keep other processes from writing this file while it is open. The kernel drops the lock when its holder dies.

    Raises VolumeError when another process has it, OSError. A volume without locks is trusted: there is one leader.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise VolumeError(f"another process is writing {path.name}", retryable=True) from None
        if error.errno not in _NO_LOCKS:
            raise


def _file(path: Path) -> File | None:
    """None for what does not exist. Raises OSError, also for what is no regular file."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, f"{path.name} is not a regular file")
    return File(size=facts.st_size, modified_ns=facts.st_mtime_ns)


def _holds(path: Path, content: Content) -> bool:
    found = _file(path)
    return found is not None and found.holds(content)
