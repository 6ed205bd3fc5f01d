"""Which node ports are open, and that bytes get through."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from tests.support.clock import turns

from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.emulation.kubelet import nodeports
from dpf.emulation.kubelet.nodeports import Backend, NodePort
from dpf.emulation.kubelet.relay import Relay

NODE, POD = "127.18.255.1", "127.19.255.2"


def _pod(ip: str = "198.19.0.2", *, ready: bool = True, deleting: bool = False, namespace: str = "ns") -> core.Pod:
    ports = [core.ContainerPort(containerPort=8080, name="web"), core.ContainerPort(
        containerPort=8081, name="echo", protocol="UDP"
    )]
    return core.Pod(
        metadata=ObjectMeta(
            name="p", namespace=namespace, labels={"app": "a", "x": "y"},
            deletionTimestamp="2026-01-01T00:00:00Z" if deleting else None,
        ),
        spec=core.PodSpec(containers=[core.Container(name="c", ports=ports)]),
        status=core.PodStatus(podIP=ip, conditions=[core.NodeCondition(type="Ready", status=str(ready))]),
    )


def _service(*ports: core.ServicePort, type_: str = "NodePort", selector: dict[str, str] | None = None) -> core.Service:
    return core.Service(
        metadata=ObjectMeta(name="s", namespace="ns"),
        spec=core.ServiceSpec(type=type_, selector={"app": "a"} if selector is None else selector, ports=list(ports)),
    )


WEB = core.ServicePort(port=80, targetPort="web", nodePort=30080)


@pytest.mark.parametrize(("port", "opens"), [
    (WEB, {NodePort("TCP", 30080): (Backend("198.19.0.2", 8080),)}),
    (core.ServicePort(port=8080, nodePort=30080), {NodePort("TCP", 30080): (Backend("198.19.0.2", 8080),)}),
    (core.ServicePort(port=80, targetPort=9, nodePort=30080), {NodePort("TCP", 30080): (Backend("198.19.0.2", 9),)}),
    (core.ServicePort(port=81, targetPort="echo", nodePort=30081, protocol="UDP"),
     {NodePort("UDP", 30081): (Backend("198.19.0.2", 8081),)}),
    (core.ServicePort(port=81, targetPort="echo", nodePort=30081), {}),
    (core.ServicePort(port=81, targetPort="absent", nodePort=30081), {}),
    (core.ServicePort(port=80, targetPort="web"), {}),
], ids=["name", "same number", "number", "UDP", "name of another protocol", "unknown name", "no node port"])
def test_ports_of_one_pod(port: core.ServicePort, opens: dict[NodePort, tuple[Backend, ...]]) -> None:
    assert nodeports.wanted([_service(port)], [_pod()]) == opens


@pytest.mark.parametrize("service", [
    _service(WEB, type_="ClusterIP"), _service(WEB, selector={}), _service(WEB, selector={"app": "b"}),
], ids=["another type", "no selector", "another selector"])
def test_services_that_open_nothing(service: core.Service) -> None:
    assert nodeports.wanted([service], [_pod()]) == {}


@pytest.mark.parametrize("pod", [
    _pod(ready=False), _pod(deleting=True), _pod(namespace="other"),
], ids=["not ready", "being deleted", "another namespace"])
def test_pods_that_get_nothing(pod: core.Pod) -> None:
    assert nodeports.wanted([_service(WEB)], [pod]) == {}


def test_all_ready_pods_take_part_in_a_stable_order() -> None:
    found = nodeports.wanted([_service(WEB)], [_pod("198.19.0.9"), _pod("198.19.0.2"), _pod("198.19.0.5", ready=False)])
    assert found == {NodePort("TCP", 30080): (Backend("198.19.0.2", 8080), Backend("198.19.0.9", 8080))}


@asynccontextmanager
async def _tcp_backend(prefix: bytes) -> AsyncIterator[Backend]:
    """Answers with everything it was sent, after the sender has finished."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(prefix + await reader.read())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, POD, 0) as server:
        yield Backend(POD, server.sockets[0].getsockname()[1])


@asynccontextmanager
async def _relay() -> AsyncIterator[Relay]:
    relay = Relay(NODE, None)
    try:
        yield relay
    finally:
        await relay.close()


def _free(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((NODE, 0))
        return int(probe.getsockname()[1])


async def _say(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(NODE, port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_tcp_goes_through_both_ways_and_to_the_pods_in_turn() -> None:
    data, port = b"x" * 300_000, _free()
    async with _tcp_backend(b"1") as one, _tcp_backend(b"2") as two, _relay() as relay:
        await relay.update({NodePort("TCP", port): (one, two)})
        answers = [await _say(port, data) for _ in range(4)]
    assert {answer[1:] for answer in answers} == {data}
    assert [answer[:1] for answer in answers] == [b"1", b"2", b"1", b"2"]


async def test_other_pods_take_over_and_a_closed_port_is_closed() -> None:
    port = _free()
    async with _tcp_backend(b"1") as one, _tcp_backend(b"2") as two, _relay() as relay:
        await relay.update({NodePort("TCP", port): (one,)})
        assert await _say(port, b"") == b"1"
        await relay.update({NodePort("TCP", port): (two,)})
        assert await _say(port, b"") == b"2"
        await relay.update({})
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(NODE, port)


async def test_a_pod_that_does_not_answer_ends_the_connection() -> None:
    port = _free()
    async with _relay() as relay:
        await relay.update({NodePort("TCP", port): (Backend(POD, 1),)})
        assert await _say(port, b"x") == b""


async def test_a_port_that_is_taken_does_not_hold_up_the_others() -> None:
    with socket.socket() as taken:
        taken.bind((NODE, 0))
        taken.listen()
        port = _free()
        async with _tcp_backend(b"1") as backend, _relay() as relay:
            wanted = {NodePort("TCP", taken.getsockname()[1]): (backend,), NodePort("TCP", port): (backend,)}
            await relay.update(wanted)
            assert await _say(port, b"") == b"1"


class _Echo(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.clients: set[tuple[str, int]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.clients.add(addr)
        self.transport.sendto(data, addr)  # type: ignore[attr-defined]


class _Inbox(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.put_nowait(data)


async def test_udp_goes_through_and_a_client_keeps_its_pod() -> None:
    loop, port = asyncio.get_running_loop(), _free(socket.SOCK_DGRAM)
    backend, echo = await loop.create_datagram_endpoint(_Echo, local_addr=(POD, 0))
    client, inbox = await loop.create_datagram_endpoint(_Inbox, remote_addr=(NODE, port))
    try:
        async with _relay() as relay, asyncio.timeout(10):
            await relay.update({NodePort("UDP", port): (Backend(POD, backend.get_extra_info("sockname")[1]),)})
            for number in range(20):
                client.sendto(b"%d" % number)
                assert await inbox.received.get() == b"%d" % number
        assert len(echo.clients) == 1
    finally:
        client.close()
        backend.close()
        await turns()


def test_settled_input_gives_equal_output() -> None:
    services, pods = [_service(WEB)], [_pod()]
    again = [msgspec.json.decode(msgspec.json.encode(pod), type=core.Pod) for pod in pods]
    assert nodeports.wanted(services, pods) == nodeports.wanted(services, again)
