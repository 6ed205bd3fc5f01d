"""What a spec turns into: command line, environment, identity."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path

import pytest

from dpf.local.supervisor import spec as specs
from dpf.local.supervisor.spec import ProcessSpec


def a_spec(**changes: object) -> ProcessSpec:
    values: dict[str, object] = {"name": "a", "argv": ("/bin/true", "-x"), "cwd": Path("/w"), "log": Path("/w/a.log")}
    return ProcessSpec(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "A", "-a", "a b", "a\n", "x" * 121, "ä"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a process"):
        a_spec(name=name)


@pytest.mark.parametrize("argv", [(), ("true",), ("./true",)])
def test_a_program_is_named_by_its_absolute_path(argv: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        a_spec(argv=argv)


def test_a_namespace_is_a_name_and_no_path() -> None:
    with pytest.raises(ValueError, match="not the name of a network namespace"):
        a_spec(netns="../../proc/1/ns/net")


@pytest.mark.parametrize(
    "changes",
    [
        {"argv": ("/bin/true", "-y")}, {"cwd": Path("/v")}, {"env": {"A": "1"}}, {"inputs": "x"}, {"netns": "n"},
        {"nice": 5}, {"log": Path("/w/b.log")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_needs_a_restart_changes_the_digest(changes: dict[str, object]) -> None:
    assert specs.digest(a_spec(**changes)) != specs.digest(a_spec())


def test_how_it_is_stopped_does_not() -> None:
    changed = a_spec(stop_signal=signal.SIGINT, stop_timeout_s=1.0, stop_stage=2)
    assert specs.digest(changed) == specs.digest(a_spec())


def test_the_order_of_variables_does_not() -> None:
    assert specs.digest(a_spec(env={"A": "1", "B": "2"})) == specs.digest(a_spec(env={"B": "2", "A": "1"}))


def test_wrappers_come_first_and_only_where_asked_for() -> None:
    assert specs.command_line(a_spec()) == ("/bin/true", "-x")
    wrapped = specs.command_line(a_spec(netns="dpu-1", nice=7))
    assert wrapped == ("nsenter", "--net=/run/netns/dpu-1", "nice", "-n", "7", "/bin/true", "-x")


def test_the_environment_is_minimal_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy")
    environment = specs.environment(a_spec(env={"GOGC": "50", "PATH": "/opt"}), Path("/state"))
    assert environment == {
        "PATH": "/opt", "HOME": "/w", "LANG": "C.UTF-8", "GOGC": "50", "DPF_PLATFORM": "/state", "DPF_PROCESS": "a",
    }


def test_the_marks_cannot_be_overridden() -> None:
    environment = specs.environment(a_spec(env={"DPF_PROCESS": "b"}), Path("/state"))
    assert environment["DPF_PROCESS"] == "a"


def test_values_of_variables_are_not_printed() -> None:
    assert "hidden" not in repr(dataclasses.replace(a_spec(), env={"TOKEN": "hidden"}))
