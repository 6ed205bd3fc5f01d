"""The Helm repository of the local platform: packages our charts, and serves them over TLS.

`package` is called by `dpfctl local up`; `python -m dpf.local.chartrepository` is the server, run by the
supervisor. The API allows only https and oci as a DPUService's repoURL, so there is no plain http here. The server
knows one flat folder under one path prefix and answers GET and HEAD for existing files: there is nothing to traverse or
list.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from dpf.local import errors, files

PATH_PREFIX: Final = "/dpf"
INDEX: Final = "index.yaml"
_STAMP: Final = ".packaged.json"
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*\.(yaml|tgz)")
_CONTENT_TYPES: Final = {".yaml": "application/yaml", ".tgz": "application/gzip"}
_IDLE_S: Final = 30.0
_HELM_TIMEOUT_S: Final = 60.0
_BLOCK: Final = 64 * 1024


def package(charts: Path, repository: Path, *, helm: Path) -> Path:
    """Make `repository` hold exactly the charts in the folders of `charts`, and return it.

    A chart of version 0.1.0 is offered as `v0.1.0`, as DPUServices spell it; Helm then finds it by both. While the
    sources are unchanged nothing is touched: packaging again would give every archive another digest and invalidate
    what Argo CD has cached. Raises LocalError with what helm said, OSError.
    """
    files.ensure_private_folder(repository)
    sources = sorted(path.parent for path in charts.glob("*/Chart.yaml"))
    wanted = {source.name: _digest(source) for source in sources}
    with files.locked(repository / ".lock"):
        if _stamp(repository) == wanted and (repository / INDEX).exists():
            return repository
        with tempfile.TemporaryDirectory(dir=repository, prefix=".packing-") as temporary:
            for source in sources:
                version = f"v{_version(source).removeprefix('v')}"
                _helm(helm, Path(temporary), "package", str(source), "--version", version, "--destination", temporary)
            _helm(helm, Path(temporary), "repo", "index", temporary)
            _publish(Path(temporary), repository)
        files.write_atomic(repository / _STAMP, msgspec.json.encode(wanted))
    return repository


class Server(ThreadingHTTPServer):
    """The repository server; a thread per connection, each handshake in its own thread."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], folder: Path, context: ssl.SSLContext) -> None:
        self.folder = folder
        self._context = context
        super().__init__(address, _Request)

    def server_bind(self) -> None:
        """Without the name look-up of the base class."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class
        """In the connection's thread: TLS first, so that a silent client never blocks the others."""
        request.settimeout(_IDLE_S)
        try:
            with self._context.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, client_address)
        except (ssl.SSLError, OSError) as error:
            _log(f"{client_address[0]} connection ended: {getattr(error, 'reason', None) or error}")


class _Request(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "dpf-chartrepository"
    sys_version = ""
    timeout = _IDLE_S

    def do_GET(self) -> None:
        self._serve(send_body=True)

    def do_HEAD(self) -> None:
        self._serve(send_body=False)

    def log_message(self, format: str, *args: object) -> None:
        _log(f"{self.client_address[0]} {format % args}")

    def _serve(self, *, send_body: bool) -> None:
        path = find_file(self.server.folder, self.path)
        if path is None:
            self._refuse(send_body=send_body)
            return
        with path.open("rb") as file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", _CONTENT_TYPES[path.suffix])
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            while send_body and (block := file.read(_BLOCK)):
                self.wfile.write(block)

    def _refuse(self, *, send_body: bool) -> None:
        text = b"there is no such file in this chart repository\n"
        self.send_response(HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if send_body:
            self.wfile.write(text)


def find_file(folder: Path, request_path: str) -> Path | None:
    """The file of `folder` that a request path such as `/dpf/index.yaml?x=1` names, or None."""
    prefix, _, name = request_path.partition("?")[0].rpartition("/")
    if prefix != PATH_PREFIX or not _FILE_NAME.fullmatch(name):
        return None
    path = folder / name
    return path if path.is_file() and not path.is_symlink() else None


def build_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or later with that serving certificate. Raises LocalError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise errors.LocalError(
            f"the chart repository's certificate {certificate} and key {key} cannot be used: {error}"
        ) from error
    return context


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dpf.local.chartrepository", description="Helm repository over TLS")
    parser.add_argument("--dir", type=Path, required=True, help="folder with index.yaml and archives")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cert", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        server = Server((given.address, given.port), given.dir.resolve(), build_context(given.cert, given.key))
    except (errors.LocalError, OSError) as error:
        _log(f"cannot serve charts on {given.address}:{given.port}: {error}")
        return 1
    stopping = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)  # before a thread exists, so that none comes unseen
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 60.0}, daemon=True).start()
    _log(f"serving {given.dir} on https://{given.address}:{server.server_port}{PATH_PREFIX}")
    signal.sigwait(stopping)
    server.server_close()
    return 0


def _helm(helm: Path, scratch: Path, *arguments: str) -> None:
    """Run helm with an environment of its own: nobody's repositories or plugins are looked at."""
    homes = {f"HELM_{name}_HOME": str(scratch / f".helm-{name.lower()}") for name in ("CACHE", "CONFIG", "DATA")}
    env = {"PATH": os.defpath, "HOME": str(scratch), **homes}
    try:
        done = subprocess.run(
            [str(helm), *arguments], env=env, capture_output=True, timeout=_HELM_TIMEOUT_S, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise errors.LocalError(f"helm {arguments[0]} could not be run ({helm}): {error}") from error
    if done.returncode != 0:
        raise errors.LocalError(f"helm {' '.join(arguments[:2])} failed: {done.stderr.strip() or done.stdout.strip()}")


def _publish(packed: Path, folder: Path) -> None:
    """Archives first, then the index that names them, then away with what it does not name."""
    archives = sorted(packed.glob("*.tgz"))
    for archive in archives:
        files.write_atomic(folder / archive.name, archive.read_bytes(), mode=0o644)
    files.write_atomic(folder / INDEX, (packed / INDEX).read_bytes(), mode=0o644)
    for stale in set(folder.glob("*.tgz")) - {folder / archive.name for archive in archives}:
        stale.unlink()


def _version(chart: Path) -> str:
    """The version in Chart.yaml. Raises LocalError."""
    try:
        version = yaml.safe_load((chart / "Chart.yaml").read_bytes())["version"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise errors.LocalError(f"{chart / 'Chart.yaml'} is not a chart's description with a version") from error
    return str(version)


def _digest(chart: Path) -> str:
    """Over names and contents of the chart's files."""
    sources = sorted(path for path in chart.rglob("*") if path.is_file())
    parts = [part for path in sources for part in (str(path.relative_to(chart)).encode(), path.read_bytes())]
    return files.digest(*parts)


def _stamp(folder: Path) -> Mapping[str, str] | None:
    content = files.read_if_exists(folder / _STAMP)
    try:
        return msgspec.json.decode(content, type=dict[str, str]) if content else None
    except msgspec.DecodeError:
        return None


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the server's log


if __name__ == "__main__":
    sys.exit(main())
