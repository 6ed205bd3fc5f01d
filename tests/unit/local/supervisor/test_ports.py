"""Free ports are free, and an occupied one names its owner."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from dpf.local.supervisor import ports


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def number(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def test_an_occupied_port_names_its_owner(listener: socket.socket) -> None:
    owner = ports.port_owner(number(listener))
    assert owner is not None
    assert owner.pid == os.getpid()
    assert f"port {number(listener)} is in use by pid {os.getpid()} (" in str(owner)
    assert "py" in (owner.command or "")


def test_an_ipv6_listener_counts() -> None:
    with socket.socket(socket.AF_INET6) as server:
        server.bind(("::1", 0))
        server.listen()
        owner = ports.port_owner(number(server))
    assert owner is not None
    assert owner.pid == os.getpid()


def test_a_bound_socket_that_does_not_listen_is_no_owner() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert ports.port_owner(number(bound)) is None


def test_an_owner_that_cannot_be_seen_is_said_to_be_another_users() -> None:
    assert str(ports.PortOwner(80, None, None)) == "port 80 is in use by a process of another user"


def test_the_preferred_port_is_taken_when_free(listener: socket.socket) -> None:
    taken = number(listener)
    assert not ports.is_free(taken)
    other = ports.find_free_port(preferred=taken)
    assert ports.FIRST_PORT <= other <= ports.LAST_PORT
    assert ports.find_free_port(preferred=other) == other
    assert ports.find_free_port(preferred=other, avoid={other}) != other


def test_a_port_whose_connections_wind_down_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = number(server)
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            accepted.close()
    assert ports.is_free(port)


def test_no_port_left_is_an_error_with_a_next_step() -> None:
    with pytest.raises(ports.NoFreePort, match="all ports from 20000 to 29999 are in use"):
        ports.find_free_port(avoid=range(ports.FIRST_PORT, ports.LAST_PORT + 1))
