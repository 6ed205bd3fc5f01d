"""`dpfctl describe` whole, against a canned API server over HTTP: options, output, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.unit.cli import canned_api
from tests.unit.cli.describe import objects

from dpf.cli import __main__ as program
from dpf.cli.describe import command


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig of the person who runs the tests."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "NO_COLOR", program.DEBUG):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[canned_api.CannedAPI]:
    """A cluster with one ready and one broken DPUService."""
    served = canned_api.CannedAPI({
        "DPFOperatorConfig": [objects.a_root()],
        "DPUService": [objects.a_service("flannel"), objects.a_broken_service("hbn")],
        "Application": [objects.an_application("hbn")],
        "DPUCluster": [objects.a_cluster("one")],
    })
    with canned_api.serving(served, tmp_path):
        yield served


def failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is printed when the command fails, as it must."""
    assert program.run(["describe", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return printed.err


def names(table: str) -> list[str]:
    """The first column under its heading, without glyphs."""
    return [line.lstrip("│├└─ ").split()[0] for line in table.splitlines()[1:]]


def test_a_table(api: canned_api.CannedAPI, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["describe", "dpuservices", "--kubeconfig", str(api.kubeconfig)]) == 0
    printed = capsys.readouterr()
    assert printed.out.split()[:6] == ["NAME", "NAMESPACE", "READY", "REASON", "SINCE", "MESSAGE"]
    assert names(printed.out) == [
        "DPFOperatorConfig/dpfoperatorconfig", "DPUServices", "DPUService/flannel", "DPUService/hbn",
        "ApplicationsReady", "Application/dpu-cplane-tenant1-hbn",
    ]
    assert printed.err == ""


@pytest.mark.parametrize("place", ["before", "after", "environment", "home"])
def test_where_the_kubeconfig_may_come_from(
    api: canned_api.CannedAPI, place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    option = ["--kubeconfig", str(api.kubeconfig)]
    if place == "environment":
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
    elif place == "home":
        (tmp_path / ".kube").mkdir()
        api.kubeconfig.rename(tmp_path / ".kube" / "config")
    before, after = (option if place == here else [] for here in ("before", "after"))
    assert program.run([*before, "describe", "dpuclusters", *after]) == 0
    assert "DPUCluster/one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "environment", "coloured"),
    [
        ([], {}, False),
        (["--color"], {}, True),
        (["-c"], {}, True),
        (["-c=false"], {}, False),
        (["--color=true"], {"NO_COLOR": "1"}, False),
        (["--color=true"], {"NO_COLOR": ""}, True),
    ],
)
def test_colours(
    api: canned_api.CannedAPI, arguments: list[str], environment: dict[str, str], *, coloured: bool,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert program.run(["describe", *arguments, "all", "--kubeconfig", str(api.kubeconfig)]) == 0
    assert ("\x1b[32m" in capsys.readouterr().out) is coloured


@pytest.mark.parametrize(
    ("wanted", "no_color", "is_terminal", "used"),
    [(None, "", True, True), (None, "", False, False), (True, "", False, True), (False, "", True, False),
     (True, "1", True, False), (None, "1", True, False)],
)
def test_when_colours_are_used(wanted: bool | None, no_color: str, *, is_terminal: bool, used: bool) -> None:
    assert command.use_colour(wanted, {"NO_COLOR": no_color}, is_terminal=is_terminal) is used


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (["--show-resources=dpuservice/hbn"], ["DPUService/hbn", "Application/dpu-cplane-tenant1-hbn"]),
        (["--show-resources", "dpucluster"], ["DPUCluster/one"]),
        (["--show-resources=failed", "--grouping=false"], ["DPUService/hbn", "Application/dpu-cplane-tenant1-hbn"]),
    ],
)
def test_options_reach_the_tree(
    api: canned_api.CannedAPI, arguments: list[str], rows: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run(["describe", "all", *arguments, "--kubeconfig", str(api.kubeconfig)]) == 0
    assert [name for name in names(capsys.readouterr().out) if "/" in name][1:] == rows


def test_json_and_yaml(api: canned_api.CannedAPI, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["describe", "all", "-o", "json", "--kubeconfig", str(api.kubeconfig)]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert program.run(["describe", "all", "-o=yaml", "--kubeconfig", str(api.kubeconfig)]) == 0
    as_yaml = yaml.load(capsys.readouterr().out, Loader=yaml.BaseLoader)
    assert list(as_json) == list(as_yaml) == ["DPFOperatorConfigs", "dpuclusters", "dpuservices", "applications"]


def test_without_a_target_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["describe"]) == 0
    assert "--show-conditions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pods"], 'error: unknown object type "pods"; use one of: all, dpuclusters, dpudepl'),
        (["all", "-o", "xml"], "error: unsupported output format xml; use table, json or yaml\n"),
        (["all", "--show-conditions=pod"], 'error: unknown object type "pod"; use one of: all, failed, application, '),
    ],
)
def test_a_wrong_word(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert failure(arguments, capsys).startswith(message)


def test_deployments_in_a_cluster_that_knows_few_of_their_kinds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = canned_api.CannedAPI({
        "DPFOperatorConfig": [objects.a_root()], "DPUDeployment": [objects.a_deployment("dd", templates=["t"])],
        "DPUService": [objects.a_service("s", **objects.owned("dd"))],
    })
    with canned_api.serving(served, tmp_path) as api:
        assert program.run(["describe", "dpudeployments", "--kubeconfig", str(api.kubeconfig)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert names(printed.out) == [
        "DPFOperatorConfig/dpfoperatorconfig", "DPUDeployments", "DPUDeployment/dd", "Services", "DPUServices",
        "DPUService/s",
    ]


def test_a_cluster_without_dpf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with canned_api.serving(canned_api.CannedAPI({}), tmp_path) as empty:
        printed = failure(["all", "--kubeconfig", str(empty.kubeconfig)], capsys)
    assert "DPF is not installed in it" in printed


@pytest.mark.parametrize(
    ("status", "advice"),
    [(403, "administrator"), (401, "renew them"), (500, "Try again"), (429, "Try again")],
)
def test_a_refused_list_is_an_error_and_not_a_hole(
    tmp_path: Path, status: int, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    served = {"DPFOperatorConfig": [objects.a_root()], "DPUService": [objects.a_service("hbn")]}
    with canned_api.serving(canned_api.CannedAPI(served, {"Application": status}), tmp_path) as api:
        printed = failure(["dpuservices", "--kubeconfig", str(api.kubeconfig)], capsys)
    assert "/apis/argoproj.io/v1alpha1/applications" in printed or "Applications" in printed
    assert advice in printed
    assert canned_api.TOKEN not in printed


def test_an_object_that_cannot_be_read_is_told(api: canned_api.CannedAPI, capsys: pytest.CaptureFixture[str]) -> None:
    api.objects["DPUService"].append({**objects.a_service("odd"), "status": {"conditions": "none"}})
    assert program.run(["describe", "dpuservices", "--kubeconfig", str(api.kubeconfig)]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("warning: not shown: DPUService dpf-operator-system/odd cannot be read: ")
    assert "DPUService/flannel" in printed.out


def test_no_kubeconfig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = failure(["all"], capsys)
    assert str(tmp_path / ".kube" / "config") in printed
    assert "--kubeconfig FILE or KUBECONFIG" in printed


def test_a_kubeconfig_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "kubeconfig"
    bad.write_text(f"users: {{token: {canned_api.TOKEN}")
    printed = failure(["all", "--kubeconfig", str(bad)], capsys)
    assert str(bad) in printed
    assert canned_api.TOKEN not in printed


def test_a_cluster_that_cannot_be_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        kubeconfig = canned_api.write_kubeconfig(tmp_path, taken.getsockname()[1])
        printed = failure(["all", "--kubeconfig", str(kubeconfig)], capsys)
    assert "Check that the cluster runs" in printed


def test_ctrl_c_while_a_cluster_is_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kubeconfig = canned_api.write_kubeconfig(tmp_path, silent.getsockname()[1])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        describing = subprocess.Popen(
            [sys.executable, "-m", "dpf.cli", "describe", "all", "--kubeconfig", str(kubeconfig)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        try:
            silent.settimeout(30)
            connection, _ = silent.accept()
            with connection:
                describing.send_signal(signal.SIGINT)
                printed = describing.communicate(timeout=30)
        finally:
            describing.kill()
            describing.communicate()
    assert describing.returncode == 130
    assert (printed[0], printed[1].strip()) == ("", "")
