"""What an emulated card remembers: on its BMC's flash, on its disk, and what a counting test wants to know.

Called by `card`. One JSON file per card, and its bf.cfg beside it, in a private folder: passwords and keys are in it.
A record survives the emulator; what a BMC forgets when it restarts is cleared by `card`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from dpf.emulation.bmc.faults import Faults
from dpf.local import files


class AccountRecord(msgspec.Struct, kw_only=True):
    """A user of the BMC. `must_change`: the password is good for nothing but its own change."""

    password: str
    must_change: bool = False

    def __repr__(self) -> str:
        return f"AccountRecord(must_change={self.must_change})"


class TaskRecord(msgspec.Struct, kw_only=True):
    """One task of the BMC; `kind` is `os` or `bmc`. It is forgotten when the BMC restarts."""

    id: str
    kind: str
    image: str = ""
    state: str = "Running"
    percent: int = 0
    started: str = ""
    messages: list[str] = []


class InstallRecord(msgspec.Struct, kw_only=True):
    """One installation that the BMC has accepted; tests count these, so they are never forgotten.

    `outcome` is running, transferred, booted, failed or aborted. `bundle_sha256` is the digest of the bundle's bytes,
    without the bf.cfg behind it.
    """

    image: str
    task: str
    outcome: str = "running"
    size: int = 0
    bundle_sha256: str = ""
    bfcfg_sha256: str = ""


class Record(msgspec.Struct, kw_only=True):
    """Everything about one card. `boot` is "", UEFI, OsStarting or OsIsRunning; `pending_firmware` counts when the
    system has started; `pending_key_pem` belongs to the last certificate request.
    """

    port: int = 0
    accounts: dict[str, AccountRecord] = {}
    trusted: dict[str, str] = {}
    trusted_count: int = 0
    key_pem: str = ""
    certificate_pem: str = ""
    pending_key_pem: str = ""
    is_tls_login_on: bool = False
    mode: str = "DpuMode"
    staged_mode: str = ""
    cpu_model: str = "Privileged"
    secure_boot: bool = False
    secure_boot_wanted: bool = False
    secure_boot_restarts: int = 0
    is_host_rshim_on: bool = True
    is_bmc_rshim_on: bool = False
    firmware: dict[str, str] = {}
    pending_firmware: dict[str, str] = {}
    pending_bmc_firmware: str = ""
    power: str = "On"
    is_standby: bool = False
    boot: str = "OsIsRunning"
    boots: int = 1
    has_system: bool = True
    tasks: list[TaskRecord] = []
    task_count: int = 0
    installs: list[InstallRecord] = []
    faults: Faults = Faults()

    def __repr__(self) -> str:
        return f"Record(boot={self.boot!r}, installs={len(self.installs)})"


class Store:
    """The files of one card."""

    def __init__(self, folder: Path, name: str) -> None:
        files.ensure_private_folder(folder)
        self._record = folder / f"{name}.json"
        self._bfcfg = folder / f"{name}.bf.cfg"

    def load(self) -> Record | None:
        """None for a card that is new. Raises OSError, and ValueError for a file that is no record."""
        content = files.read_if_exists(self._record)
        return None if content is None else msgspec.json.decode(content, type=Record)

    def save(self, record: Record) -> None:
        """Raises OSError."""
        files.write_atomic(self._record, msgspec.json.encode(record))

    def bfcfg(self) -> bytes:
        """That of the last installation; empty before the first."""
        return files.read_if_exists(self._bfcfg) or b""

    def save_bfcfg(self, content: bytes) -> None:
        """Raises OSError."""
        files.write_atomic(self._bfcfg, content)
