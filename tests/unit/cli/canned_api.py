"""An API server of canned lists on loopback, for verbs that are run whole: options, kubeconfig, HTTP, text."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dpf.cli.describe import kinds

TOKEN = "the-secret-token"
KINDS = [kinds.ROOT, *(branch.kind for _, branch in kinds.walk(kinds.TARGETS["all"]))]


@dataclass
class CannedAPI:
    """`objects` by kind; a kind that is not in it is not served (404). `failures`: HTTP status by kind."""

    objects: dict[str, list[dict[str, Any]]]
    failures: Mapping[str, int] = field(default_factory=dict)
    kubeconfig: Path = Path()

    def answer(self, url: str) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(url)
        kind = next((kind for kind in KINDS if kind.view.resource.path() == parts.path), None)
        if kind is None or kind.name not in {*self.objects, *self.failures}:
            return 404, _status(404, "NotFound", "the server could not find the requested resource")
        if kind.name in self.failures:
            return self.failures[kind.name], _status(self.failures[kind.name], "", f"{kind.name}s: not today")
        label = parse_qs(parts.query).get("labelSelector", [""])[0]
        items = [o for o in self.objects[kind.name] if not label or label in o["metadata"].get("labels", {})]
        return 200, {"kind": f"{kind.name}List", "metadata": {"resourceVersion": "1"}, "items": items}


@contextmanager
def serving(api: CannedAPI, folder: Path) -> Iterator[CannedAPI]:
    """Serve `api` and write a kubeconfig for it into `folder`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = api.answer(self.path)
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            api.kubeconfig = write_kubeconfig(folder, server.server_port)
            yield api
        finally:
            server.shutdown()
            thread.join()


def write_kubeconfig(folder: Path, port: int) -> Path:
    """A kubeconfig for that port of this machine."""
    path = folder / "kubeconfig"
    path.write_text(json.dumps({
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }))
    return path


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}
