"""The example service as a process: what it tells, what it never tells, how it starts and stops."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import dpf
from dpf.emulation.services import dummydpuservice

ADDRESS = "127.19.255.1"
"""A loopback address that no other test listens on."""


@contextmanager
def _service(**env: str) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """The process, its HTTP port and its echo port, as soon as it serves."""
    ports = {"HTTP_PORT": str(_free_port(socket.SOCK_STREAM)), "ECHO_PORT": str(_free_port(socket.SOCK_DGRAM))}
    with subprocess.Popen(
        [sys.executable, "-m", "dpf.emulation.services.dummydpuservice"], stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": str(Path(dpf.__file__).parents[1]), "LISTEN_ADDRESS": ADDRESS, **ports, **env},
    ) as process:
        try:
            assert process.stdout is not None
            assert "serving on" in process.stdout.readline()
            yield process, int(ports["HTTP_PORT"]), int(ports["ECHO_PORT"])
        finally:
            process.terminate()


def _free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def _get(port: int, path: str = "/") -> Mapping[str, Any]:
    with urllib.request.urlopen(f"http://{ADDRESS}:{port}{path}", timeout=5) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def test_tells_about_its_environment_and_never_about_secrets() -> None:
    env = {"NODE_NAME": "dpu-1", "POD_NAME": "p", "POD_NAMESPACE": "ns", "POD_IP": ADDRESS, "API_TOKEN": "hunter2"}
    with _service(**env) as (_, port, _):
        told = _get(port)
    assert (told["node"], told["pod"]) == ("dpu-1", {"name": "p", "namespace": "ns", "ip": ADDRESS})
    assert told["addresses"]["request"] == ADDRESS
    assert told["uptimeSeconds"] >= 0
    assert "hunter2" not in json.dumps(told)


def test_healthz_and_unknown_paths() -> None:
    with _service() as (_, port, _):
        assert _get(port, "/healthz") == {"status": "ok"}
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            _get(port, "/etc/passwd")
        caught.value.close()


def test_echoes_udp() -> None:
    with _service() as (_, _, port), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"ping", (ADDRESS, port))
        assert client.recv(100) == b"ping"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_gracefully(number: signal.Signals) -> None:
    with _service() as (process, _, _):
        process.send_signal(number)
        assert process.wait(5) == 0
        assert process.stdout is not None
        assert process.stdout.read().strip() == "dummydpuservice: stopped"


def test_a_port_in_use_is_said_in_words() -> None:
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "dpf.emulation.services.dummydpuservice"], capture_output=True, text=True,
            timeout=10, check=False, env={
                "PYTHONPATH": str(Path(dpf.__file__).parents[1]), "LISTEN_ADDRESS": ADDRESS,
                "HTTP_PORT": str(taken.getsockname()[1]),
            },
        )
    assert done.returncode == 1
    assert "cannot start: [Errno 98] Address already in use" in done.stderr


@pytest.mark.parametrize("port", ["x", "-1", "65536"])
def test_a_bad_port_is_named(port: str) -> None:
    with pytest.raises(dummydpuservice.SettingsError, match=f"HTTP_PORT='{port}' is not a port number"):
        dummydpuservice.parse_settings({"HTTP_PORT": port})
