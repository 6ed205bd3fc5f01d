"""The program as a shell sees it: verbs, exit codes, errors without tracebacks, and what it costs to ask for help."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import dpf
from dpf.cli import __main__ as program

HEAVY = {"aiohttp", "asyncio", "cryptography", "msgspec", "rich", "yaml"}


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in program.VERBS)


def test_no_arguments_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run([]) == 0
    bare = capsys.readouterr().out
    program.run(["--help"])
    assert bare.strip() == capsys.readouterr().out.strip()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from dpf.cli import __main__ as program; program.run(['--help']); "
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment(), check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", sorted(program.VERBS))
def test_every_verb_is_a_command_of_its_name(name: str) -> None:
    assert program.load(program.VERBS[name]).name == name


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["version"]) == 0
    assert capsys.readouterr().out == f"dpfctl {dpf.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["descrbe"], "error: No such command 'descrbe'."),
        (["describe", "all", "--bogus"], "error: No such option '--bogus'."),
        (["--kubeconfig"], "error: Option '--kubeconfig' requires an argument."),
    ],
)
def test_a_mistyped_command_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(message)
    assert "--help' for usage." in printed.err


@pytest.mark.parametrize("port", ["host-api", "host-api=0", "host-api=65536", "host-api=-1", "host-api=\u00b2"])
def test_a_port_that_is_none_is_one_line(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["local", "up", "--state", "/nowhere/state", "--port", port]) == 1
    expected = f"error: --port takes NAME=PORT with a port from 1 to 65535, not {port!r}\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("name", "code", "printed"),
    [
        ("refused", 1, "error: the cluster is on holiday\n"),
        ("interrupted", 130, "\n"),
        ("defect", 1, "error: this is a defect of dpfctl: LookupError; run again with DPFCTL_DEBUG=1 for details\n"),
    ],
)
def test_how_a_verb_ends(
    name: str, code: int, printed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(program.VERBS, name, program.Verb(target=f"tests.unit.cli.broken_verbs:{name}", summary=""))
    monkeypatch.delenv(program.DEBUG, raising=False)
    assert program.run([name]) == code
    assert capsys.readouterr().err == printed


def test_a_defect_is_raised_when_it_is_being_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(program.VERBS, "x", program.Verb(target="tests.unit.cli.broken_verbs:defect", summary=""))
    monkeypatch.setenv(program.DEBUG, "1")
    with pytest.raises(LookupError):
        program.run(["x"])


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dpf.cli", "--help"], stdout=writer, stderr=subprocess.PIPE, text=True,
            env=_environment(), check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
