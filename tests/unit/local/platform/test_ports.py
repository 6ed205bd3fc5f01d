"""A port that somebody else has is named before anything is started."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpf.local import errors
from dpf.local.platform import settings
from dpf.local.platform.settings import InstallInterface, Settings
from dpf.local.platform.up import check_ports


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which we listen, at all addresses."""
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))
        listening.listen(1)
        yield listening.getsockname()[1]


def a_platform(state: Path, interface: InstallInterface, **ports: int) -> Settings:
    found = dict.fromkeys(settings.PORT_NAMES, 0)
    return Settings(state=state, install_interface=interface, ports={**found, **ports})


@pytest.mark.parametrize(("interface", "name"), [("gnoi", "host-api"), ("redfish", "bfb-server"), ("redfish", "bmc")])
def test_who_has_it_and_what_to_do(tmp_path: Path, taken: int, interface: InstallInterface, name: str) -> None:
    wanted = a_platform(tmp_path, interface, **{name: taken})
    with pytest.raises(errors.PreflightError) as said:
        check_ports(wanted)
    assert f"port {taken} is in use by pid {os.getpid()}" in str(said.value)
    assert f"--port {name}=NUMBER" in str(said.value)


def test_without_bmcs_their_port_does_not_matter(tmp_path: Path, taken: int) -> None:
    check_ports(a_platform(tmp_path, "gnoi", bmc=taken))
