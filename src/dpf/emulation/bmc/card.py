"""One emulated card: its BMC, its Arm cores, and what happens to them in time.

Called by `actions` (what Redfish asks for), by `emulator` (what happens to the machine) and by the booted system. All
methods run in one event loop; what takes time runs in two tasks, the installation and the boot, which are taken up
again from the record when the emulator was restarted.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import structlog

from dpf.emulation.bmc import certificates, fetching
from dpf.emulation.bmc.certificates import Door
from dpf.emulation.bmc.faults import Faults
from dpf.emulation.bmc.records import AccountRecord, InstallRecord, Record, Store, TaskRecord
from dpf.emulation.bmc.settings import Boot, CardSettings, Hooks, Timings

FACTORY_PASSWORD: Final = "0penBmc"  # noqa: S105 - published
NIC_MODE: Final = "NicMode"
LOST: Final = "Lost"
"""The power of a card that has none, not even for its BMC."""

_LOG: Final = structlog.get_logger(__name__)
_FAILED: Final = "The installation failed: the DPU did not take the image."
_NO_RSHIM: Final = "The BMC does not own the RShim of the DPU."


class Card:
    """`reach` is told True or False when the BMC begins or ceases to answer; `server` sets it."""

    def __init__(self, settings: CardSettings, store: Store, *, timings: Timings, hooks: Hooks) -> None:
        self.settings = settings
        self.timings = timings
        self.reach: Callable[[bool], None] = _nobody
        self._store = store
        self._hooks = hooks
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._hooked: set[asyncio.Task[None]] = set()
        self._tail: asyncio.Task[None] | None = None
        self._running: Boot | None = None
        self.record = store.load() or _new(settings)
        self._save()

    def start(self) -> None:
        """Take up what was going on when the emulator ended."""
        record = self.record
        if record.power != "On":
            return
        task = next((one for one in record.tasks if one.kind == "os" and one.state == "Running"), None)
        if task is not None:
            self._spawn("install", self._install(task, self._install_of(task)))
        elif record.boot == "OsIsRunning":
            self._announce_boot()
        elif record.mode != NIC_MODE:
            self._spawn("boot", self._boot())

    async def close(self) -> None:
        """End every task, keeping the record as it is."""
        for task in (*self._tasks.values(), *self._hooked):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), *self._hooked, return_exceptions=True)

    @property
    def is_reachable(self) -> bool:
        """Whether the BMC has power and is not restarting."""
        return self.record.power != LOST and "reset" not in self._tasks

    @property
    def now(self) -> datetime:
        """The card's clock."""
        return datetime.now(UTC) + timedelta(seconds=self.record.faults.clock_skew_s)

    @cached_property
    def door(self) -> Door:
        """The TLS settings of its socket, up to date at each connection."""
        return Door.opening(self._tls)

    # What Redfish changes.

    def change(self, **fields: Any) -> None:  # noqa: ANN401 - fields of Record
        """Set fields of the record, and keep them."""
        for name, value in fields.items():
            setattr(self.record, name, value)
        self._save()

    def set_password(self, user: str, password: str) -> None:
        """A password chosen by somebody need not be changed again."""
        self.record.accounts[user] = AccountRecord(password=password)
        self._save()

    def trust(self, pem: str) -> str:
        """Put a CA into the truststore; returns its id."""
        self.record.trusted_count += 1
        number = str(self.record.trusted_count)
        self.record.trusted[number] = pem
        self._save()
        return number

    def distrust(self, number: str) -> None:
        """Take a CA out of the truststore."""
        del self.record.trusted[number]
        self._save()

    def request_certificate(self, common_name: str, alternatives: list[str]) -> str:
        """A request for a new key, which waits for its certificate."""
        key = certificates.new_key()
        text = certificates.request(key, common_name, alternatives)
        self.change(pending_key_pem=key)
        return text

    def replace_certificate(self, pem: str) -> bool:
        """Serve it from now on; False when there is no key that it fits. Raises ValueError when it is none."""
        record = self.record
        fitting = next((key for key in (record.pending_key_pem, record.key_pem) if key and _fits(pem, key)), None)
        if fitting is None:
            return False
        self.change(certificate_pem=pem, key_pem=fitting, pending_key_pem="")
        return True

    def install(self, image: str) -> TaskRecord:
        """Begin an installation; the caller has made sure that none is running."""
        task = self.add_task("os", image)
        made = InstallRecord(image=image, task=task.id)
        self.record.installs.append(made)
        self._save()
        self._spawn("install", self._install(task, made))
        return task

    def add_task(self, kind: str, image: str = "") -> TaskRecord:
        """A task of the BMC."""
        self.record.task_count += 1
        started = self.now.isoformat(timespec="seconds")
        task = TaskRecord(id=str(self.record.task_count), kind=kind, image=image, started=started)
        self.record.tasks.append(task)
        self._save()
        return task

    def reset_bmc(self, *, to_factory: bool = False) -> None:
        """The BMC restarts: tasks and the key of a request are gone, a transfer is cut off."""
        record = self.record
        if record.power == LOST:
            return
        self._stop("install")
        if to_factory:
            fresh = _new(self.settings)
            record.accounts, record.trusted, record.is_tls_login_on = fresh.accounts, {}, False
            record.key_pem, record.certificate_pem = fresh.key_pem, fresh.certificate_pem
        record.tasks, record.pending_key_pem = [], ""
        if record.pending_bmc_firmware:
            record.firmware["BMC_Firmware"], record.pending_bmc_firmware = record.pending_bmc_firmware, ""
        self._abort_installs()
        self._spawn("reset", self._be_away())
        self.reach(False)

    # What happens to the Arm cores.

    def restart(self) -> None:
        """Restart the Arm cores; a staged Secure Boot comes nearer."""
        record = self.record
        if "install" in self._tasks or record.mode == NIC_MODE or record.power == LOST:
            return
        self._halt()
        if record.secure_boot != record.secure_boot_wanted and not record.faults.stubborn_secure_boot:
            record.secure_boot_restarts += 1
            if record.secure_boot_restarts >= self.settings.secure_boot_restarts:
                record.secure_boot, record.secure_boot_restarts = record.secure_boot_wanted, 0
        record.power, record.is_standby = "On", False
        self._save()
        self._spawn("boot", self._boot())

    def shut_down(self) -> None:
        """The system has shut itself down, and the card waits for its host."""
        if self.record.power == LOST:
            return
        self._halt()
        self.change(is_standby=True, boot="", power="Paused")

    def power_off_arm(self) -> None:
        """The Arm cores are off; the BMC goes on."""
        if self.record.power == LOST:
            return
        self._halt()
        self.change(boot="", power="Off")

    def become_network_card(self) -> None:
        """It is in NIC mode, as if somebody had set that up earlier: nothing runs on the Arm cores."""
        if self.record.power == LOST:
            return
        self._halt()
        self.change(mode=NIC_MODE, staged_mode="", boot="")

    def power_cycle(self) -> None:
        """The host goes off and on again: a staged mode counts, and the Arm cores start anew. The BMC goes on."""
        record = self.record
        if record.power == LOST:
            return
        self._halt()
        if record.staged_mode:
            record.mode, record.staged_mode = record.staged_mode, ""
        record.boot, record.power, record.is_standby = "", "On", False
        self._save()
        self.restart()

    def lose_power(self) -> None:
        """Everything goes off, the BMC too; what it was writing is not complete."""
        if self.record.power == LOST:
            return
        self._stop("install")
        self._stop("reset")
        self._halt()
        self.record.tasks, self.record.pending_key_pem = [], ""
        self._abort_installs()
        self.change(power=LOST, boot="")
        self.reach(False)

    def restore_power(self) -> None:
        """The power is back: the BMC answers, and the Arm cores start what is on their disk."""
        if self.record.power != LOST:
            return
        self.change(power="On")
        self.reach(True)
        self.power_cycle()

    def set_faults(self, faults: Faults) -> None:
        """From the next request, or the next step, on."""
        self.change(faults=faults)

    def strikes(self, counter: str) -> bool:
        """Use a fault up by one; whether it strikes."""
        left, struck = self.record.faults.use(counter)
        if left != self.record.faults:
            self.change(faults=left)
        return struck

    # In time.

    async def _install(self, task: TaskRecord, made: InstallRecord) -> None:
        if not self.record.is_bmc_rshim_on or self.record.is_host_rshim_on:
            self._fail(task, made, _NO_RSHIM)
            return
        self._halt()
        self.record.has_system, self.record.boot = False, "UEFI"
        fails = self.strikes("exception")
        self._save()

        def progress(got: int, total: int) -> None:
            task.percent = min(99, 100 * got // total) if total else 0

        try:
            image = await fetching.fetch(
                made.image, tuple(self.record.trusted.values()), progress, pace_s=self.timings.transfer_s,
                limit=self.settings.bundle_limit,
            )
        except fetching.FetchError as error:
            self._fail(task, made, str(error))
            return
        if fails:
            self._fail(task, made, _FAILED)
            return
        self._installed(task, made, image)

    def _installed(self, task: TaskRecord, made: InstallRecord, image: fetching.Image) -> None:
        versions = dict(image.versions)
        if self.record.faults.uefi_unchanged:
            versions.pop("DPU_UEFI", None)
        self._store.save_bfcfg(image.bfcfg)
        made.outcome, made.size = "transferred", image.size
        made.bundle_sha256, made.bfcfg_sha256 = image.bundle_sha256, image.bfcfg_sha256
        task.state, task.percent = "Completed", 100
        self.change(pending_firmware=versions, has_system=True)
        self._spawn("boot", self._boot())

    def _fail(self, task: TaskRecord, made: InstallRecord, why: str) -> None:
        task.state, made.outcome = "Exception", "failed"
        task.messages = [why]
        self._save()

    async def _boot(self) -> None:
        record = self.record
        self.change(boot="UEFI")
        await asyncio.sleep(self.timings.uefi_s)
        if not record.has_system or record.faults.never_boots:
            return
        self.change(boot="OsStarting")
        await asyncio.sleep(self.timings.os_starting_s)
        record.firmware.update(record.pending_firmware)
        for made in record.installs:
            if made.outcome == "transferred":
                made.outcome = "booted"
        self.change(boot="OsIsRunning", boots=record.boots + 1, pending_firmware={})
        self._announce_boot()

    async def _be_away(self) -> None:
        await asyncio.sleep(self.timings.bmc_reset_s)
        self._tasks.pop("reset", None)
        self.reach(True)

    # Below the surface.

    def _halt(self) -> None:
        """Whatever runs on the Arm cores ends."""
        self._stop("boot")
        if self._running is not None:
            self._tell(self._hooks.on_halt(self._running))
            self._running = None

    def _announce_boot(self) -> None:
        """A system that came with the card is nobody's concern."""
        bfcfg = self._store.bfcfg()
        if bfcfg:
            self._running = Boot(name=self.settings.name, serial=self.settings.serial, count=self.record.boots)
            self._tell(self._hooks.on_boot(self._running, bfcfg))

    def _tell(self, call: Awaitable[None]) -> None:
        """Call a hook after those before it: a system halts before the next one boots."""
        before = self._tail

        async def in_turn() -> None:
            if before is not None:
                await asyncio.wait([before])
            await call

        self._tail = asyncio.create_task(in_turn(), name=f"hook of {self.settings.name}")
        self._hooked.add(self._tail)
        self._tail.add_done_callback(self._told)

    def _told(self, task: asyncio.Task[None]) -> None:
        self._hooked.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("the system of a card failed", card=self.settings.name, why=repr(task.exception()))

    def _abort_installs(self) -> None:
        for made in self.record.installs:
            if made.outcome == "running":
                made.outcome = "aborted"
        self._save()

    def _install_of(self, task: TaskRecord) -> InstallRecord:
        return next(made for made in reversed(self.record.installs) if made.task == task.id)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` as the card's one task of that name."""
        self._stop(name)
        task = asyncio.create_task(work, name=f"{name} of {self.settings.name}")
        self._tasks[name] = task
        task.add_done_callback(lambda ended: self._ended(name, ended))

    def _stop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("an emulated card failed", card=self.settings.name, work=name, why=repr(task.exception()))

    def _tls(self) -> ssl.SSLContext:
        """Made anew when something that it depends on has changed."""
        record = self.record
        key = (record.certificate_pem, record.is_tls_login_on, tuple(record.trusted.values()))
        if key != self._tls_key:
            self._context = certificates.serving(
                record.certificate_pem, record.key_pem, record.trusted.values(), is_tls_login_on=record.is_tls_login_on
            )
            self._tls_key = key
        return self._context

    _tls_key: tuple[Any, ...] | None = None

    def _save(self) -> None:
        self._store.save(self.record)


def _new(settings: CardSettings) -> Record:
    key = certificates.new_key()
    return Record(
        accounts={"root": AccountRecord(password=FACTORY_PASSWORD, must_change=True)}, key_pem=key,
        certificate_pem=certificates.self_signed(key, datetime.now(UTC)), firmware=dict(settings.firmware),
        secure_boot=settings.secure_boot, secure_boot_wanted=settings.secure_boot,
    )


def _fits(pem: str, key_pem: str) -> bool:
    return certificates.fits(pem, key_pem)


def _nobody(is_reachable: bool) -> None:
    """Nobody listens yet."""
