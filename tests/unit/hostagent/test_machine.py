"""How a host is restarted by its own programs (behaviour-provisioning.md 7 and 8)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.clock import FakeClock

from dpf.hostagent import preflight, rshim
from dpf.hostagent.reboot import commands
from dpf.hostagent.reboot.choice import Power, Reset
from dpf.hostagent.reboot.commands import CommandMachine, Programs

SCRIPT = """
import sys
print(*sys.argv[3:], file=open(sys.argv[1], "a"))
print("said  this")
sys.exit(int(sys.argv[2]))
"""
CARDS = Reset(cards=("0000:0e:00.0", "0000:2b:00.0"))


class Hurried(FakeClock):
    """Time that passes while somebody waits for it."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)


class Machine:
    """A machine whose programs write down that they ran."""

    def __init__(self, folder: Path, *, code: int = 0) -> None:
        self.folder = folder
        self.dev = folder / "dev"
        self.dev.mkdir()
        self.log = folder / "log"
        self.code = code

    def program(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", SCRIPT, str(self.log), str(self.code), *arguments]

    def machine(self, *, restart: Sequence[str] = (), reset: Sequence[str] | None = None) -> CommandMachine:
        return CommandMachine(Programs(
            power=self.program("power", "{action}"), restart=restart, dev=self.dev,
            reset=self.program("reset", "{device}", "{level}") if reset is None else reset,
            boot_id_file=self.folder / "boot_id", clock=Hurried(),
        ))

    def add_rshim(self, number: int, name: str, text: str) -> None:
        folder = self.dev / f"rshim{number}"
        folder.mkdir()
        (folder / "misc").write_text(f"DISPLAY_LEVEL   2\nDEV_NAME        {name}\n INFO[MISC]: {text}\n")

    @property
    def ran(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("action", ["cycle", "reset"])
async def test_power_goes_through_one_command(host: Machine, action: str) -> None:
    assert await host.machine().restart(Power(action=action)) is None
    assert host.ran == [f"power {action}"]


async def test_cards_shut_down_before_one_of_them_resets_the_host(host: Machine) -> None:
    host.add_rshim(0, "pcie-0000:0e:00.2", "System Off")
    host.add_rshim(1, "pcie-0000:2b:00.2", "System Off")

    assert await host.machine().restart(CARDS) is None
    assert sorted(host.ran[:2]) == ["reset 0000:0e:00.0 1", "reset 0000:2b:00.0 1"]
    assert host.ran[2:] == ["reset 0000:0e:00.0 4"]


async def test_card_that_stays_on_keeps_the_host_running(host: Machine) -> None:
    host.add_rshim(0, "pcie-0000:2b:00.2", "Linux up")

    assert await host.machine().restart(CARDS) == "The system of the card at 0000:2b:00.0 has not shut down within 60 s"
    assert "reset 0000:0e:00.0 4" not in host.ran


async def test_one_command_may_stand_for_all(host: Machine) -> None:
    machine = host.machine(restart=host.program("restart", "{other}"))

    assert await machine.restart(CARDS) is None
    assert await machine.restart(Power(action="cycle")) is None
    assert host.ran == ["restart {other}"] * 2


async def test_failure_is_told_without_the_command_line(tmp_path: Path) -> None:
    host = Machine(tmp_path, code=3)

    told = await host.machine(restart=host.program("--password", "hush")).restart(Power(action="cycle"))
    assert told == f"{sys.executable} failed with exit code 3: said this"


async def test_program_that_is_missing_is_told(host: Machine) -> None:
    told = await host.machine(reset=["mlxfwreset-of-nobody"]).restart(CARDS)

    assert told == (
        "mlxfwreset-of-nobody cannot be run: No such file or directory. Next step: install it on the host or in the "
        "agent's image"
    )


async def test_program_that_hangs_is_ended() -> None:
    told = await commands.run([sys.executable, "-c", "import signal; signal.pause()"], {}, 0.3)

    assert told == f"{sys.executable} has not ended within 0 s"


async def test_boot_id_is_read_anew(host: Machine) -> None:
    machine = host.machine()
    assert await machine.boot_id() == ""
    (host.folder / "boot_id").write_text("one\n")
    assert await machine.boot_id() == "one"
    (host.folder / "boot_id").write_text("two\n")
    assert await machine.boot_id() == "two"


def test_rshim_of_the_host_keeps_a_dms_away(host: Machine) -> None:
    (host.dev / "rshim.txt").write_text("")
    assert preflight.rshim_owner(host.dev) is None
    host.add_rshim(0, "pcie-0000:0e:00.2", "Linux up")
    assert preflight.rshim_owner(host.dev) == (
        "another rshim driver on this host uses pcie-0000:0e:00.2. Next step: stop and disable the rshim service on "
        "the host"
    )


@pytest.mark.parametrize(("text", "function", "off"), [
    ("System Off", "0000:0e:00.0", True), ("Linux up", "0000:0e:00.0", False), ("Linux up", "0000:2b:00.0", True),
])
def test_rshim_tells_whether_a_system_is_off(host: Machine, text: str, function: str, off: bool) -> None:
    host.add_rshim(0, "pcie-0000:0e:00.2", text)

    assert rshim.is_off(host.dev, function) is off
