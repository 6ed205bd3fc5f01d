"""The crash hook of whole processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dpf.runtime import faults


@pytest.mark.parametrize("environment", [{}, {faults.VARIABLE: ""}], ids=["unset", "empty"])
def test_without_the_variable_nothing_happens(environment: dict[str, str]) -> None:
    assert faults.after_write(environment) is faults.nothing
    faults.nothing()


def test_it_leaves_at_the_nth_write() -> None:
    left: list[int] = []
    hook = faults.after_write({faults.VARIABLE: "3"}, leave=left.append)
    hook()
    hook()
    assert left == []
    hook()
    assert left == [faults.EXIT_CODE]


def test_a_process_really_ends_without_cleaning_up() -> None:
    program = (
        "import os; from dpf.runtime import faults\n"
        "hook = faults.after_write(os.environ)\n"
        "try:\n hook()\nfinally:\n print('cleaned up', flush=True)\n"
    )
    environment = {faults.VARIABLE: "1", "PYTHONPATH": ":".join(p for p in sys.path if p)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (faults.EXIT_CODE, b""), ended.stderr.decode()


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a positive number of writes"):
        faults.after_write({faults.VARIABLE: text})
