"""The configuration that a keepalived pod starts with, made by the script that the pod runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support import kamajis as some

from dpf.provisioning.clustermanager.kamaji import keepalived


def started(host_ip: str, folder: Path) -> str:
    """Run the script of the ConfigMap as the pod does; what keepalived is given."""
    config = keepalived.config(some.a_kamaji_cluster(), some.KEEPALIVED, some.NODE_PORT)
    mounted, programs = folder / "mounted", folder / "bin"
    for made in (mounted, programs):
        made.mkdir()
    for name, text in (config.data or {}).items():
        here = text.replace("/tmp/", f"{folder}/").replace("/etc/keepalived-dpf", str(mounted))
        (mounted / name).write_text(here)
    program = programs / "keepalived"
    program.write_text('#!/bin/sh\nfor last; do :; done\nexec cat "$last"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(mounted / "start.sh")], env={"HOST_IP": host_ip, "PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True, text=True, check=True, timeout=20,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(("host_ip", "host", "priority"), [
    ("192.0.2.17", "192.0.2.17", 17), ("10.0.0.0", "10.0.0.0", 1), ("10.0.1.255", "10.0.1.255", 254),
    ("2001:db8::9", "[2001:db8::9]", 100),
])
def test_the_priority_is_the_last_octet_of_the_node(host_ip: str, host: str, priority: int, tmp_path: Path) -> None:
    text = started(host_ip, tmp_path)
    assert "@" not in text
    lines = [line.strip() for line in text.splitlines()]
    assert f"priority {priority}" in lines
    assert "state BACKUP" in lines
    assert "virtual_router_id 126" in lines
    assert f"{some.VIP} dev br-dpu" in lines
    timing = [line for line in lines if line.startswith(("interval ", "rise ", "fall "))]
    assert timing == ["interval 2", "rise 3", "fall 2"]
    (check,) = [line for line in lines if line.startswith("script ")]
    assert check.endswith(f' https://{host}:{some.NODE_PORT}/livez"')
    assert "curl" in check
    assert text.count("{") == text.count("}")
