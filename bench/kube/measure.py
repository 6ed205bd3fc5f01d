"""The measurements of `python -m bench.kube`: what our Kubernetes layer costs, against `canned` in another process.

    list      N objects of 2.4 KB listed in pages of 500 into a cache with an index; bytes of RSS per cached object
    watch     N watch events absorbed by the reflector into that cache; events per second of wall clock and of our CPU
    unary     get, status patch and apply; our CPU per request, one at a time and 8 at a time

RSS is what the operating system says after garbage collection, of a process that did nothing else; nothing is trimmed.
The watch has one subscriber, so old and new object are decoded for each event, as in a controller.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.kube import selfsigned
from dpf.api.core import ConfigMap, Pod
from dpf.api.meta import Object, ObjectMeta
from dpf.kube import credentials
from dpf.kube.http import HTTPClient
from dpf.kube.kubeconfig import Connection
from dpf.kube.reflector import Reflector
from dpf.kube.store import Store

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
    size = ["--kind", kind, "--objects", str(objects), "--events", str(events)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.kube.canned", *size, *tls], stdout=subprocess.PIPE, env=_environment()
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        trust = credentials.Trust(plain_http=True)
        if folder:
            trust = credentials.Trust(ca_pem=(folder / "ca.pem").read_bytes())
        credential = credentials.Credential(tls=credentials.tls_context(trust), authorization="Bearer benchmark")
        yield Connection(
            server=f"{'https' if folder else 'http'}://127.0.0.1:{port}", credentials=credentials.Fixed(credential)
        )
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _environment() -> dict[str, str]:
    """The server finds this package wherever we were started."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def rss_bytes() -> int:
    """Resident memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def measure_cache(
    connection: Connection, kind: type[Object], objects: int, events: int, label: str
) -> list[Result]:
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
        Result(what=f"{label}: peak RSS", value=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, unit="MiB"),
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
            before = resource.getrusage(resource.RUSAGE_SELF)
            await _repeat(request, UNARY, width)
            after = resource.getrusage(resource.RUSAGE_SELF)
            user = (after.ru_utime - before.ru_utime) / UNARY * 1000
            system = (after.ru_stime - before.ru_stime) / UNARY * 1000
            what = f"{label}: {name}, {width} at a time: our CPU"
            target = f"<= {TARGETS['cpu_ms_per_request']}"
            results.append(Result(what=f"{what}, user", value=user, unit="ms"))
            results.append(Result(what=f"{what}, with the kernel's", value=user + system, unit="ms", target=target))
    await client.aclose()
    return results


async def _repeat(request: Callable[[], Coroutine[Any, Any, object]], count: int, width: int) -> None:
    async def some() -> None:
        for _ in range(count // width):
            await request()

    await asyncio.gather(*(some() for _ in range(width)))


def _prepare(uvloop_wanted: bool) -> None:
    """As `dpf run` sets it: most of what is decoded lives long."""
    gc.set_threshold(50_000, 50, 50)
    if uvloop_wanted:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def _cache(kind: str, objects: int, events: int, folder: Path | None) -> list[Result]:
    label = f"{KINDS[kind].resource.kind}, {'TLS' if folder else 'in the clear'}"
    with canned_server(kind, objects, events, folder) as connection:
        return asyncio.run(measure_cache(connection, KINDS[kind], objects, events, label))


def _unary(folder: Path | None) -> list[Result]:
    with canned_server("configmaps", 1, 0, folder) as connection:
        return asyncio.run(measure_unary(connection, "TLS" if folder else "in the clear"))


def run(objects: int, events: int, uvloop_wanted: bool) -> list[Result]:
    """Every measurement, each in a fresh process: memory that an earlier one left behind would flatter the next."""
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1, initializer=_prepare,
        initargs=(uvloop_wanted,),
    ) as pool:
        folder = Path(name)
        selfsigned.write(folder)
        tasks = [
            pool.submit(_cache, "pods", objects, events, folder),
            pool.submit(_cache, "configmaps", objects, events, folder),
            pool.submit(_cache, "pods", objects, events, None),
            pool.submit(_unary, folder), pool.submit(_unary, None),
        ]
        return [result for task in tasks for result in task.result()]
