"""A bundle while it is written: appended to, checked, resumed after a crash, and finished (docs/adr/0012).

Called by `download`, in one thread at a time. At checkpoints the bytes are on the disk and the record says how many
they are and what their digest is; a resumed file is read again up to there and goes on only if the digest is the same.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from dpf.provisioning.bfb import files
from dpf.provisioning.bfb.bundle import Scanner
from dpf.provisioning.bfb.files import Volume, VolumeError
from dpf.provisioning.bfb.record import Checkpoint, Content, Record

CHECKPOINT_BYTES: Final = 64 << 20
"""So much is written again at most after a crash."""
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose file is written: the BFB's uid, the name its file gets, and the digest of its URL."""

    uid: str
    file_name: str
    source: str


class Partial:
    """An open, locked, unfinished file. Every method may block on the disk, and raises VolumeError unless it says so.

    `offset` bytes of it are there; with `validator` the server can be asked whether they are still the right ones.
    """

    def __init__(self, volume: Volume, owner: Owner, *, checkpoint_bytes: int = CHECKPOINT_BYTES) -> None:
        self._volume = volume
        self._owner = owner
        self._every = checkpoint_bytes
        self._path = volume.unfinished(owner.uid)
        self.offset = 0
        self.validator = ""
        self.total: int | None = None
        self._saved = 0
        self._digest = hashlib.sha256()
        self._scanner = Scanner()
        self._record = Record()
        self._descriptor = self._open()
        try:
            self._record = volume.load(owner.uid)
            self._resume(self._record.checkpoint)
        except OSError as error:
            self.close()
            raise volume.refused("read from", error) from None
        except VolumeError:
            self.close()
            raise

    def restart(self, *, total: int | None, validator: str) -> None:
        """Forget what is there: the content comes anew, from its beginning."""
        self._truncate(0)
        self._digest, self._scanner = hashlib.sha256(), Scanner()
        self.offset = self._saved = 0
        self.total, self.validator = total, validator
        self._remember(content=None, checkpoint=None)

    def write(self, piece: bytes) -> None:
        """The next bytes."""
        view = memoryview(piece)
        try:
            while view:
                view = view[os.write(self._descriptor, view):]
        except OSError as error:
            raise self._volume.refused("write to", error) from None
        self._digest.update(piece)
        self._scanner.feed(piece)
        self.offset += len(piece)
        if self.offset - self._saved >= self._every:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Have the bytes on the disk, and say so in the record, if a resumed download could use it."""
        if not self.validator or self.offset == self._saved:
            return
        self._sync()
        self._saved = self.offset
        self._remember(content=None, checkpoint=Checkpoint(
            offset=self.offset, sha256=self._digest.hexdigest(), source=self._owner.source, validator=self.validator,
            total=self.total,
        ))

    def room(self) -> int:
        """Bytes that the volume still has."""
        try:
            return self._volume.free()
        except OSError as error:
            raise self._volume.refused("look at", error) from None

    def finish(self, now: datetime) -> None:
        """All bytes are there: have them on the disk, and the record say what they are.

        The time of modification is set to whole seconds, which every file system can keep.
        """
        modified_ns = int(now.timestamp()) * 1_000_000_000
        try:
            os.fchmod(self._descriptor, files.MODE)
            os.utime(self._descriptor, ns=(modified_ns, modified_ns))
        except OSError as error:
            raise self._volume.refused("write to", error) from None
        self._sync()
        inventory, problem = self._scanner.finish()
        self._volume.save(self._owner.uid, Record(file_name=self._owner.file_name, content=Content(
            size=self.offset, modified_ns=modified_ns, sha256=self._digest.hexdigest(), inventory=inventory,
            problem=problem,
        )))

    def discard(self) -> None:
        """Remove it, and what is remembered of its bytes."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise self._volume.refused("remove a file from", error) from None
        self._remember(content=None, checkpoint=None)

    def close(self) -> None:
        """Let go of file and lock. Never raises."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._volume.refused("write to", error) from None
        try:
            files.lock(descriptor, self._path)
        except OSError as error:
            os.close(descriptor)
            raise self._volume.refused("write to", error) from None
        except VolumeError:
            os.close(descriptor)
            raise
        return descriptor

    def _resume(self, checkpoint: Checkpoint | None) -> None:
        """Go on from the checkpoint if the bytes up to it are what it says, else from the beginning."""
        usable = checkpoint is not None and checkpoint.source == self._owner.source and self._reread(checkpoint)
        if checkpoint is not None and usable:
            self.offset = self._saved = checkpoint.offset
            self.total, self.validator = checkpoint.total, checkpoint.validator
            self._truncate(self.offset)
        else:
            self.restart(total=None, validator="")

    def _reread(self, checkpoint: Checkpoint) -> bool:
        left = checkpoint.offset
        while left and (piece := os.read(self._descriptor, min(left, _PIECE))):
            self._digest.update(piece)
            self._scanner.feed(piece)
            left -= len(piece)
        return not left and self._digest.hexdigest() == checkpoint.sha256

    def _truncate(self, size: int) -> None:
        try:
            os.ftruncate(self._descriptor, size)
            os.lseek(self._descriptor, size, os.SEEK_SET)
        except OSError as error:
            raise self._volume.refused("write to", error) from None

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._volume.refused("write to", error) from None

    def _remember(self, *, content: Content | None, checkpoint: Checkpoint | None) -> None:
        wanted = msgspec.structs.replace(
            self._record, file_name=self._owner.file_name, content=content, checkpoint=checkpoint
        )
        if wanted != self._record:
            self._volume.save(self._owner.uid, wanted)
            self._record = wanted
