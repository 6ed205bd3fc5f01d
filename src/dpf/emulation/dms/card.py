"""How an emulated card behaves behind its DMS (behaviour-provisioning.md sections 8 and 14).

Called by `services`. A card takes files, activates a bundle with a configuration, which takes its time, and then starts
the system. Everything is in its record before it is answered, so that a DMS may be killed and started again: an
activation goes on, and a start that nobody was told of is told.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import structlog

from dpf.emulation.dms import faults, images
from dpf.emulation.dms.faults import Faults
from dpf.emulation.dms.images import Damaged, Images, Incoming
from dpf.emulation.dms.records import ActivationRecord, Store, TransferRecord
from dpf.emulation.dms.settings import Boot, Hooks, Timings
from dpf.provisioning.install.gnoi.messages import NotActivated, Refusal, Status

_LOG: Final = structlog.get_logger(__name__)
_AGAIN_S: Final = 1.0
NIC: Final = "NIC"
MODES: Final = frozenset({"DPU", NIC})


class NotTaken(Exception):
    """A file is refused."""

    def __init__(self, kind: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class NotNow(Exception):
    """An activation is refused."""

    def __init__(self, kind: NotActivated, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Card:
    """One card. Use in one event loop."""

    def __init__(
        self, name: str, folder: Path, *, shared: Path | None, timings: Timings, hooks: Hooks
    ) -> None:
        self.name = name
        self._store = Store(folder)
        self._images = Images(folder / "images", shared)
        self._timings = timings
        self._hooks = hooks
        self.record = self._store.load()
        self._incoming = False
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take up what was going on."""
        if self.record.is_active:
            self._begin(self._activate())
        elif self.record.told < self.record.count:
            self._begin(self._tell())

    async def close(self) -> None:
        """Stop; the card stays as it is."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    @property
    def faults(self) -> Faults:
        """Those that are set now; a file that cannot be read is reported and sets none."""
        try:
            return faults.read(self._store.folder)
        except ValueError as error:
            _LOG.error("the faults of a card cannot be read", card=self.name, why=str(error))
            return faults.NONE

    def set_faults(self, wanted: Faults) -> None:
        """Raises OSError."""
        faults.write(self._store.folder, wanted)

    def strikes(self, counter: str) -> bool:
        """Whether a fault strikes this time. Raises OSError."""
        try:
            return faults.use(self._store.folder, counter)
        except ValueError:
            return False

    @property
    def mode(self) -> str:
        """DPU or NIC."""
        return NIC if self.faults.wrong_mode else self.record.mode

    def set_mode(self, mode: str) -> None:
        """Raises ValueError, OSError."""
        if mode not in MODES:
            raise ValueError(f"a card has no mode {mode!r}: DPU or NIC")
        self.record.mode = mode
        self._save()

    def has(self, version: str) -> bool:
        """Whether it need not be sent. Raises OSError."""
        return self._images.find(version) is not None

    def receive(self, version: str) -> Incoming:
        """A file begins to arrive; one at a time. `end` when it is over. Raises NotTaken, OSError."""
        if not images.is_name(version):
            raise NotTaken(Refusal.INCOMPATIBLE, "a version is the name of a file that ends with .bfb or .cfg")
        if self._incoming:
            raise NotTaken(Refusal.INSTALL_IN_PROGRESS, "another file is being transferred to this card")
        self._incoming = True
        return self._images.receive(version)

    async def keep(self, version: str, incoming: Incoming, *, size: int) -> None:
        """All of it has arrived; `size` is how much was announced, 0 for unknown. Raises NotTaken, OSError."""
        if size and size != incoming.size:
            why = f"{incoming.size} bytes have arrived, {size} were announced"
            raise NotTaken(Refusal.INTEGRITY_FAIL, why)
        try:
            digest = await asyncio.to_thread(incoming.keep)
        except Damaged as error:
            raise NotTaken(Refusal.PARSE_FAIL, str(error)) from None
        self.record.transfers.append(TransferRecord(version=version, size=incoming.size, sha256=digest))
        self._save()

    def end(self, incoming: Incoming) -> None:
        """The transfer is over. What is not kept is dropped."""
        self._incoming = False
        incoming.close()

    def activate(self, version: str) -> None:
        """Begin to install a bundle and a configuration, `a.bfb;b.cfg`. Raises NotNow, OSError."""
        names = version.split(";")
        if [Path(name).suffix for name in names] != [images.BUNDLE, images.CONFIGURATION]:
            raise NotNow(NotActivated.NON_EXISTENT_VERSION, "a version is BUNDLE.bfb;CONFIGURATION.cfg")
        missing = [name for name in names if not self.has(name)]
        if missing:
            raise NotNow(NotActivated.NON_EXISTENT_VERSION, f"there is no {missing[0]} on this card")
        if self.record.is_active:
            raise NotNow(NotActivated.UNSPECIFIED, "another activation is in progress")
        if self.mode == NIC:
            raise NotNow(NotActivated.UNSPECIFIED, "the card is a plain network card: set its mode to DPU first")
        record = self.record
        record.previous, record.version = record.version, version
        record.is_active, record.status, record.reason = True, Status.UNKNOWN, "activation"
        record.resets += 1
        record.activations.append(ActivationRecord(version=version))
        self._save()
        self._begin(self._activate())

    def reboot(self) -> None:
        """Start the system anew. Raises NotNow, OSError."""
        if self.record.is_active:
            raise NotNow(NotActivated.UNSPECIFIED, "an activation is in progress")
        self.record.resets += 1
        self._boot()
        self._begin(self._tell())

    async def _activate(self) -> None:
        activation = self.record.activations[-1]
        await asyncio.sleep(self._timings.flash_s)
        if self.strikes("power_loss"):
            self.record.version = self.record.previous
            self._end(activation, Status.UNKNOWN, "lost", "")
            return
        if self.strikes("failure"):
            self._end(activation, Status.FAILURE, "failed", "the installer gave up: the card does not come up")
            return
        if self.strikes("retriable_failure"):
            self._end(activation, Status.RETRIABLE_FAILURE, "failed", "the card did not take the bundle in time")
            return
        try:
            await self._flash(activation)
        except (Damaged, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            self._end(activation, Status.FAILURE, "failed", f"the installer gave up: {why}")
            return
        await asyncio.sleep(self._timings.boot_s)
        self._boot()
        self._end(activation, Status.SUCCESS, "booted", "")
        await self._tell()

    async def _flash(self, activation: ActivationRecord) -> None:
        bundle, configuration = (self._images.find(name) for name in activation.version.split(";"))
        if bundle is None or configuration is None:
            raise Damaged("a file of this version is not there any more")
        flashed = await asyncio.to_thread(images.flash, bundle, configuration)
        activation.bundle_sha256, activation.bfcfg_sha256 = flashed.bundle_sha256, flashed.bfcfg_sha256
        self._store.save_bfcfg(flashed.bfcfg)

    def _boot(self) -> None:
        self.record.count += 1
        self.record.boot_id = str(uuid.uuid4())
        self._save()

    def _end(self, activation: ActivationRecord, status: Status, outcome: str, reason: str) -> None:
        self.record.is_active, self.record.status, self.record.reason = False, status, reason
        activation.outcome = outcome
        self._save()

    async def _tell(self) -> None:
        """Until it is known; meanwhile the system may have been started again."""
        bfcfg = self._store.bfcfg()
        while bfcfg and self.record.told < self.record.count:
            count = self.record.count
            try:
                await self._hooks.on_boot(
                    Boot(card=self.name, count=count, activation=len(self.record.activations)), bfcfg
                )
            except OSError as error:
                _LOG.warning("nobody takes the start of a system", card=self.name, why=error.strerror)
                await asyncio.sleep(_AGAIN_S)
                continue
            self.record.told = count
            self._save()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """One thing at a time: the start of a system is not told any more when the next installation begins."""
        if self._work is not None:
            self._work.cancel()
        self._work = asyncio.create_task(work, name=f"card {self.name}")

    def _save(self) -> None:
        self._store.save(self.record)
