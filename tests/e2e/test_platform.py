"""The local platform itself: idempotent, mends itself, leaves nothing behind, explains what it lacks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from tests.support import platform as platforms
from tests.support.platform import Platform


def test_up_again_leaves_everything_alone(platform: Platform) -> None:
    """No process is started anew."""
    before = platform.pids()
    platform.up()
    assert platform.pids() == before


def test_env_is_for_a_shell(platform: Platform) -> None:
    """`eval "$(dpfctl local env)"`, then kubectl."""
    script = f'eval "$({platforms.DPFCTL} local env --state {platform.state})"; $KUBECTL get nodes -o name'
    host = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert host.stdout == ""
    dpu = subprocess.run(
        ["sh", "-c", script.replace("get nodes", '--kubeconfig "$DPU_KUBECONFIG" get nodes')],
        capture_output=True, text=True, check=True,
    )
    assert dpu.stdout.split() == ["node/dpu-1", "node/dpu-2"]


def test_logs_by_name(platform: Platform) -> None:
    """Names are listed; an unknown one is answered with them."""
    names = platform.dpfctl("local", "logs").stdout.split()
    assert {"etcd", "host-kube-apiserver", "dpf-controllers"} <= set(names)
    assert "leader" in platform.dpfctl("local", "logs", "dpf-controllers").stdout
    refused = platform.dpfctl("local", "logs", "nobody", check=False)
    assert refused.returncode == 1
    assert "dpf-controllers" in refused.stderr


def test_up_resumes_after_the_kill_of_any_process(platform: Platform) -> None:
    """kill -9 of every process at once, etcd and API servers included."""
    before = platform.pids()
    for name, pid in before.items():
        if pid is not None and not name.startswith("pod."):
            os.kill(pid, signal.SIGKILL)
    broken = platform.dpfctl("local", "status", check=False)
    assert broken.returncode == 1
    assert "not running" in broken.stdout
    platform.up()
    status = platform.status()
    assert status["healthy"]
    assert all(before[p["name"]] != p["pid"] for p in status["processes"] if not p["name"].startswith("pod."))


def test_two_platforms_side_by_side_and_nothing_left(platform: Platform) -> None:
    """The second takes nothing from the first, and goes without a trace."""
    before = platform.pids()
    with platforms.platform(dpus=1) as second:
        assert second.status()["healthy"]
        assert platform.pids() == before
        prefix = next(iter(second_prefix(second)))
        assert any(name.startswith(prefix) for name in network_names())
        second.dpfctl("local", "down")
        assert not second.state.exists()
        assert not any(name.startswith(prefix) for name in network_names())
        assert not marked_processes(second.state)
    assert platform.pids() == before
    assert platform.status()["healthy"]


def test_a_port_in_use_is_named(platform: Platform, tmp_path: Path) -> None:
    """Somebody else listens where the API server should."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = platform.dpfctl(
            "local", "up", "--state", str(tmp_path / "s"), "--port", f"host-api={port}", check=False
        )
    assert refused.returncode == 1
    assert str(port) in refused.stderr
    assert "host-api" in refused.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--port", "nonsense=1"], ["nonsense", "host-api"], id="unknown port"),
        pytest.param(["--port", "host-api=http"], ["NAME=PORT"], id="not a port"),
    ],
)
def test_a_bad_option_is_explained(platform: Platform, tmp_path: Path, options: list[str], words: list[str]) -> None:
    """Exit 1, one line, no traceback, nothing started."""
    refused = platform.dpfctl("local", "up", "--state", str(tmp_path / "s"), *options, check=False)
    assert refused.returncode == 1
    assert all(word in refused.stderr for word in words)
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "s").exists()


def test_a_folder_with_files_of_others_is_refused_and_never_removed(platform: Platform, tmp_path: Path) -> None:
    """`--state ~/project` must not cost anybody a project."""
    (tmp_path / "thesis.txt").write_text("three years of work")
    refused = platform.dpfctl("local", "up", "--state", str(tmp_path), check=False)
    assert refused.returncode == 1
    assert "--state" in refused.stderr
    platform.dpfctl("local", "down", "--state", str(tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "three years of work"


def test_a_long_path_is_explained(platform: Platform, tmp_path: Path) -> None:
    """Unix sockets take 107 characters."""
    refused = platform.dpfctl("local", "up", "--state", str(tmp_path / ("x" * 100)), check=False)
    assert refused.returncode == 1
    assert "--state" in refused.stderr


def second_prefix(platform: Platform) -> set[str]:
    """What the names of a platform's interfaces and namespaces begin with."""
    from dpf.local.platform import settings

    return {settings.Settings(state=platform.state).prefix}


def network_names() -> list[str]:
    """Names of interfaces and network namespaces on this machine."""
    namespaces = Path("/run/netns")
    found = [p.name for p in namespaces.iterdir()] if namespaces.is_dir() else []
    return found + [p.name for p in Path("/sys/class/net").iterdir()]


def marked_processes(state: Path) -> list[str]:
    """Processes whose environment names the state folder."""
    mark = str(state).encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return [pid for pid in found if int(pid) != os.getpid()]
