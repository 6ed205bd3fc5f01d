"""dummydpuservice: an HTTP server that tells about the environment it runs in, and a UDP echo beside it.

The example that the DPUService development guide deploys. Standard library only, one process, no state. Run it with
`python -m dpf.emulation.services.dummydpuservice`; environment variables set it up:

    HTTP_PORT        TCP port of the HTTP server (8080); GET / and /healthz
    ECHO_PORT        UDP port of the echo (8081); 0 switches it off
    LISTEN_ADDRESS   address to listen on (all); the chart sets it to the pod's
    SERVICE_ID       id of the service, told as it is

Of the environment only variables whose names are known to be harmless are told: never a whole environment, in which
anybody may have put a secret.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOLD_VARIABLES = (
    "HOSTNAME", "NODE_NAME", "POD_NAME", "POD_NAMESPACE", "POD_IP", "HOST_IP", "SERVICE_ID", "HTTP_PORT", "ECHO_PORT",
    "LISTEN_ADDRESS", "DPF_VOLUME_ROOT", "LANG",
)
_ANY_ADDRESS = ""
_STOPPING = (signal.SIGTERM, signal.SIGINT)


class SettingsError(Exception):
    """An environment variable cannot be used; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment asks for."""

    http_port: int
    echo_port: int
    address: str


def parse_settings(env: Mapping[str, str]) -> Settings:
    """Settings from the environment. Raises SettingsError."""
    return Settings(
        http_port=_port(env, "HTTP_PORT", 8080), echo_port=_port(env, "ECHO_PORT", 8081),
        address=env.get("LISTEN_ADDRESS", _ANY_ADDRESS),
    )


def describe(env: Mapping[str, str], *, address: str, uptime_s: float, requests: int) -> dict[str, Any]:
    """What GET / answers. `address` is the one on which the request arrived."""
    return {
        "service": "dummydpuservice",
        "node": env.get("NODE_NAME", ""),
        "pod": {
            "name": env.get("POD_NAME", ""), "namespace": env.get("POD_NAMESPACE", ""), "ip": env.get("POD_IP", ""),
        },
        "hostname": env.get("HOSTNAME") or socket.gethostname(),
        "addresses": {"request": address, "host": env.get("HOST_IP", "")},
        "uptimeSeconds": round(uptime_s, 3),
        "requests": requests,
        "runtime": {
            "language": f"Python {platform.python_version()}", "architecture": platform.machine(),
            "system": platform.system(), "kernel": platform.release(), "pid": os.getpid(),
        },
        "environment": {name: env[name] for name in TOLD_VARIABLES if name in env},
    }


class _Server(ThreadingHTTPServer):
    """The HTTP server, and what its requests need to know."""

    daemon_threads = True

    def __init__(self, settings: Settings, env: Mapping[str, str]) -> None:
        self.env = env
        self.started = time.monotonic()
        self.requests = 0
        super().__init__((settings.address, settings.http_port), _Request)

    def server_bind(self) -> None:
        """Without the name look-up of the base class: it may wait for a name server that a pod does not have."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class _Request(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._answer(HTTPStatus.OK, {"status": "ok"})
        elif path == "/":
            self.server.requests += 1
            address = self.connection.getsockname()[0]
            uptime_s = time.monotonic() - self.server.started
            told = describe(self.server.env, address=address, uptime_s=uptime_s, requests=self.server.requests)
            self._answer(HTTPStatus.OK, told)
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "there is only / and /healthz"})

    def log_message(self, format: str, *args: object) -> None:
        """One line per request, probes left out."""
        if self.path != "/healthz":
            print(f"{self.client_address[0]} {format % args}", flush=True)  # noqa: T201 - a container's log

    def _answer(self, status: HTTPStatus, body: Mapping[str, Any]) -> None:
        data = json.dumps(body, indent=2).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, udp = self.request
        udp.sendto(data, self.client_address)


def main() -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    try:
        settings = parse_settings(os.environ)
        servers = _open(settings)
    except (SettingsError, OSError) as error:
        print(f"dummydpuservice: cannot start: {error}", file=sys.stderr)  # noqa: T201 - a container's log
        return 1
    # Blocked here, before a thread exists, and taken below: a handler of Python's runs only once the main thread
    # wakes, so a signal that comes just before it starts to wait would not be seen.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 60.0}, daemon=True).start()
    where = ", ".join(f"{type(server).__name__.lstrip('_')} {server.server_address}" for server in servers)
    print(f"dummydpuservice: serving on {where}", flush=True)  # noqa: T201 - a container's log
    signal.sigwait(_STOPPING)
    for server in servers:
        server.server_close()
    print("dummydpuservice: stopped", flush=True)  # noqa: T201 - a container's log
    return 0


def _open(settings: Settings) -> list[socketserver.BaseServer]:
    servers: list[socketserver.BaseServer] = [_Server(settings, dict(os.environ))]
    if settings.echo_port:
        servers.append(socketserver.UDPServer((settings.address, settings.echo_port), _Echo))
    return servers


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name) or str(default)
    if not text.isdigit() or int(text) > 65535:
        raise SettingsError(f"{name}={text!r} is not a port number")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
