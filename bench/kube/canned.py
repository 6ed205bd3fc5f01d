"""The far end of the benchmark: an HTTP server that does nothing but send prepared bytes. Run in a process of its own.

    python -m bench.kube.canned --objects N --events N --kind pods|configmaps [--tls FOLDER]

prints its port and serves until it is terminated. Every event is a chunk of its own, as an API server sends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

OBJECT_BYTES = 2400
_SLICE = 1 << 18


def an_object(kind: str, number: int, version: int) -> bytes:
    """One object of `OBJECT_BYTES` bytes, a third of them managedFields as in real life."""
    metadata: dict[str, Any] = {
        "name": f"object-{number:06d}", "namespace": f"team-{number % 50}", "resourceVersion": str(version),
        "uid": f"6c1f2a34-0000-4000-8000-{number:012d}", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1,
        "labels": {"app": f"app-{number % 100}", "tier": "backend", "pod-template-hash": "5d4f8c7b9"},
        "annotations": {"example.com/checksum": f"{number:064x}"},
        "managedFields": [{"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                           "fieldsV1": {f"f:field-{n}": {".": {}, "f:nested": {}} for n in range(18)}}],
    }
    body = _pod(metadata, number) if kind == "pods" else {"kind": "ConfigMap", "metadata": metadata, "data": {}}
    body["apiVersion"] = "v1"
    missing = OBJECT_BYTES - len(json.dumps(body, separators=(",", ":")))
    filler = "x" * max(0, missing - 12)
    if kind == "pods":
        metadata["annotations"]["filler"] = filler
    else:
        body["data"] = {"text": filler}
    return json.dumps(body, separators=(",", ":")).encode()


def _pod(metadata: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "kind": "Pod", "metadata": metadata,
        "spec": {
            "nodeName": f"node-{number % 200}", "serviceAccountName": "default", "restartPolicy": "Always",
            "containers": [{"name": "main", "image": "registry.example.com/team/app:1.2.3",
                            "env": [{"name": "A", "value": "b"}], "resources": {"limits": {"cpu": "1"}}}],
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "hostIP": "192.168.0.1", "qosClass": "Burstable",
            "conditions": [{"type": t, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                           for t in ("Initialized", "Ready", "ContainersReady", "PodScheduled")],
        },
    }


class Bytes:
    """Everything that is sent, prepared before the first request."""

    def __init__(self, kind: str, objects: int, events: int, page: int) -> None:
        base = 1_000_000
        items = [an_object(kind, number, base + number) for number in range(objects)]
        self.one = _answer(items[0])
        self.pages = [
            _answer(b'{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"%d"%s},"items":[%s]}' % (
                base + objects, b',"continue":"%d"' % (start + page) if start + page < objects else b"",
                b",".join(items[start:start + page]),
            ))
            for start in range(0, objects, page)
        ]
        self.page = page
        chunks = []
        for number in range(events):
            obj = an_object(kind, number % objects, base + objects + 1 + number)
            line = b'{"type":"MODIFIED","object":%s}\n' % obj
            chunks.append(b"%x\r\n%s\r\n" % (len(line), line))
        self.events = b"".join(chunks)


def _answer(body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nAudit-Id: 00000000-0000-4000-8000-000000000000\r\nCache-Control: no-cache, private\r\n"
        b"Content-Type: application/json\r\nX-Kubernetes-Pf-Flowschema-Uid: 00000000-0000-4000-8000-000000000000\r\n"
        b"X-Kubernetes-Pf-Prioritylevel-Uid: 00000000-0000-4000-8000-000000000000\r\n"
        b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )


async def _serve(canned: Bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            target = urlsplit(head.split(b" ", 2)[1].decode())
            query = parse_qs(target.query)
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.split(b":")[1]))
            if "watch" in query:
                await _stream(canned, writer)
            elif "limit" in query:
                writer.write(canned.pages[int(query.get("continue", ["0"])[0]) // canned.page])
            else:
                writer.write(canned.one)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _stream(canned: Bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    view = memoryview(canned.events)
    for start in range(0, len(view), _SLICE):
        writer.write(view[start:start + _SLICE])
        await writer.drain()


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--kind", choices=("pods", "configmaps"), required=True)
    parser.add_argument("--tls", type=Path)
    args = parser.parse_args()
    canned = Bytes(args.kind, args.objects, args.events, page=500)
    context = None
    if args.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.tls / "server.pem")
    server = await asyncio.start_server(
        lambda reader, writer: _serve(canned, reader, writer), "127.0.0.1", 0, ssl=context
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(_main())
    except KeyboardInterrupt:
        sys.exit(0)
