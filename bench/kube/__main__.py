"""`python -m bench.kube [--json FILE] [--objects N] [--events N] [--uvloop]`: what our Kubernetes layer costs.

Three measurements, each against `canned` in another process, over TLS as in real life and in the clear:

    list      N objects of 2.4 KB listed in pages of 500 into a cache with an index; bytes of RSS per cached object
    watch     N watch events absorbed by the reflector into that cache; events per second of wall clock and of our CPU
    unary     get, status patch and apply; our CPU per request, one at a time and 8 at a time

RSS is what the operating system says, after the list has been cached and garbage collected; nothing is trimmed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dpf.api.core import ConfigMap, Pod
from dpf.api.meta import Object, ObjectMeta
from dpf.kube import credentials
from dpf.kube.cache import Store
from dpf.kube.http import HTTPClient
from dpf.kube.kubeconfig import Connection
from dpf.kube.reflector import Reflector

from bench.kube import selfsigned
from bench.kube.canned import OBJECT_BYTES

KINDS: dict[str, type[Object]] = {"pods": Pod, "configmaps": ConfigMap}
TARGETS = {"events_per_s": 60_000, "bytes_per_object": 7_000, "cpu_ms_per_request": 0.15}
UNARY = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the report."""

    what: str
    value: float
    unit: str
    target: str = ""

    def __str__(self) -> str:
        return f"{self.what:<58} {self.value:>12,.3f} {self.unit:<14} {self.target}"


@contextmanager
def canned_server(kind: str, objects: int, events: int, folder: Path | None) -> Iterator[Connection]:
    """The far end in its own process, and how to reach it."""
    tls = ["--tls", str(folder)] if folder else []
    argv = [sys.executable, "-m", "bench.kube.canned", "--kind", kind, "--objects", str(objects), "--events", str(events)]
    process = subprocess.Popen([*argv, *tls], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        trust = credentials.Trust(ca_pem=(folder / "ca.pem").read_bytes()) if folder else credentials.Trust(plain_http=True)
        credential = credentials.Credential(tls=credentials.tls_context(trust), authorization="Bearer benchmark")
        yield Connection(
            server=f"{'https' if folder else 'http'}://127.0.0.1:{port}", credentials=credentials.Fixed(credential)
        )
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def rss_bytes() -> int:
    """Resident memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def measure_cache(connection: Connection, kind: type[Object], objects: int, events: int, label: str) -> list[Result]:
    """List, then absorb."""
    client = HTTPClient(connection)
    store: Store[Any] = Store(kind)
    store.add_index("app", lambda obj: [(obj.metadata.labels or {}).get("app", "")])
    gc.collect()
    before = rss_bytes()
    reflector: Reflector[Any] = Reflector(client, store)
    start, cpu = time.perf_counter(), time.process_time()
    await reflector._list()  # noqa: SLF001 - the two halves are measured apart
    listed, list_cpu = time.perf_counter() - start, time.process_time() - cpu
    assert len(store) == objects, len(store)
    gc.collect()
    per_object = (rss_bytes() - before) / objects
    changes = 0

    def count(_old: object, _new: object) -> None:
        nonlocal changes
        changes += 1
        if changes == events:
            done.set()

    done = asyncio.Event()
    store.subscribe(count)
    start, cpu = time.perf_counter(), time.process_time()
    task = asyncio.create_task(reflector._watch())  # noqa: SLF001
    await done.wait()
    wall, watch_cpu = time.perf_counter() - start, time.process_time() - cpu
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(store.by_index("app", "app-1")) == objects // 100
    gc.collect()
    after = (rss_bytes() - before) / objects
    await client.aclose()
    target = f">= {TARGETS['events_per_s']:,}"
    return [
        Result(what=f"{label}: objects listed and cached per second", value=objects / listed, unit="objects/s"),
        Result(what=f"{label}: our CPU per listed object", value=list_cpu / objects * 1e6, unit="us"),
        Result(what=f"{label}: RSS per cached object after the list", value=per_object, unit="bytes",
               target=f"<= {TARGETS['bytes_per_object']:,}"),
        Result(what=f"{label}: RSS per cached object after the events", value=after, unit="bytes",
               target=f"<= {TARGETS['bytes_per_object']:,}"),
        Result(what=f"{label}: events absorbed per second", value=events / wall, unit="events/s", target=target),
        Result(what=f"{label}: events absorbed per second of our CPU", value=events / watch_cpu, unit="events/s"),
    ]


async def measure_unary(connection: Connection, label: str) -> list[Result]:
    """Requests against one prepared answer of `OBJECT_BYTES`."""
    client = HTTPClient(connection)
    obj = ConfigMap(metadata=ObjectMeta(name="object-000000", namespace="team-0"), data={"a": "b" * 500})
    patch = {"status": {"conditions": [{"type": "Ready", "status": "True", "message": "m" * 300}]}}
    requests: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "get": lambda: client.get(ConfigMap, "object-000000", "team-0"),
        "status patch": lambda: client.patch(ConfigMap, "object-000000", "team-0", patch=patch, subresource="status"),
        "apply": lambda: client.apply(obj, field_owner="bench"),
    }
    results = []
    for name, request in requests.items():
        for width in (1, 8):
            await _repeat(request, 200, width)
            cpu = time.process_time()
            await _repeat(request, UNARY, width)
            spent = (time.process_time() - cpu) / UNARY * 1000
            results.append(Result(
                what=f"{label}: {name}, {width} at a time: our CPU per request", value=spent, unit="ms",
                target=f"<= {TARGETS['cpu_ms_per_request']}",
            ))
    await client.aclose()
    return results


async def _repeat(request: Callable[[], Coroutine[Any, Any, object]], count: int, width: int) -> None:
    async def some() -> None:
        for _ in range(count // width):
            await request()

    await asyncio.gather(*(some() for _ in range(width)))


def run(objects: int, events: int) -> list[Result]:
    """Every measurement. Memory is measured first, while the process is fresh."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        selfsigned.write(folder)
        for kind, where in (("pods", folder), ("configmaps", folder), ("pods", None)):
            label = f"{KINDS[kind].resource.kind}, {'TLS' if where else 'in the clear'}"
            with canned_server(kind, objects, events, where) as connection:
                results += asyncio.run(measure_cache(connection, KINDS[kind], objects, events, label))
        for where in (folder, None):
            with canned_server("configmaps", 1, 0, where) as connection:
                results += asyncio.run(measure_unary(connection, "TLS" if where else "in the clear"))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--uvloop", action="store_true", help="with the optional faster event loop")
    args = parser.parse_args()
    if args.uvloop:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    # As `dpf run` sets it: most of what is decoded lives long.
    gc.set_threshold(50_000, 50, 50)
    results = run(args.objects, args.events)
    print(f"{args.objects:,} objects of {OBJECT_BYTES:,} bytes, {args.events:,} events")
    for result in results:
        print(result)
    print(f"peak RSS of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")


if __name__ == "__main__":
    main()
