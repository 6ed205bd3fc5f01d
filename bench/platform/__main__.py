"""`python -m bench.platform`: whole runs of dpfctl on this machine.

up fresh, up again on existing data after a kill of everything, first DPUService to Ready, memory (PSS) of every
process, writes of our controllers while nothing happens, down. Targets: 10 s, 7 s, 1.3 GiB, 0 writes, 3 s.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.support import platform as platforms
from tests.support.platform import Platform

METRIC = "dpf_writes_total"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--settled-s", type=float, default=600.0, help="how long to watch the settled platform")
    args, _ = parser.parse_known_args()
    runs = [_one(args.settled_s if n == args.runs - 1 else 0.0) for n in range(args.runs)]
    for name in ("up_fresh_s", "service_ready_s", "up_existing_s", "up_again_s", "down_s", "pss_mib"):
        values = [run[name] for run in runs]
        print(f"{name:<18} median {statistics.median(values):8.2f}  ({', '.join(f'{v:.2f}' for v in values)})")
    _print_details(runs[-1])
    if args.json:
        args.json.write_text(json.dumps(runs, indent=2) + "\n")


def _one(settled_s: float) -> dict[str, Any]:
    result: dict[str, Any] = {}
    with platforms.platform(started=False) as platform:
        fresh = platform.up()
        result["up_fresh_s"], result["steps"] = fresh["seconds"], fresh["steps"]
        result["service_ready_s"] = _first_service(platform)
        status = platform.status()
        result["processes"] = {p["name"]: (p["pss_bytes"] or 0) / (1 << 20) for p in status["processes"]}
        result["pss_mib"] = sum(result["processes"].values())
        if settled_s:
            result["settled"] = _settled(platform, settled_s)
        _kill_everything(platform)
        result["up_existing_s"] = platform.up()["seconds"]
        result["up_again_s"] = platform.up()["seconds"]
        began = time.monotonic()
        platform.dpfctl("local", "down")
        result["down_s"] = time.monotonic() - began
    return result


def _first_service(platform: Platform) -> float:
    (service,) = platform.example("000-dummydpuservice.yaml")
    platform.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dummydpuservice"}})
    began = time.monotonic()
    platform.apply(service)
    platform.wait("dpuservice/dummydpuservice", "condition=Ready", "dummydpuservice")
    return time.monotonic() - began


def _settled(platform: Platform, seconds: float) -> dict[str, float]:
    """Writes of our controllers by their own count, and CPU of all processes, while nobody asks for anything."""
    time.sleep(30)
    writes, cpu = _writes(platform), _cpu(platform)
    time.sleep(seconds)
    return {
        "seconds": seconds, "writes": _writes(platform) - writes,
        "cpu_percent": (_cpu(platform) - cpu) / seconds * 100,
    }


def _writes(platform: Platform) -> float:
    port = json.loads((platform.state / "platform.json").read_text())["ports"]["controllers-metrics"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(METRIC))


def _cpu(platform: Platform) -> float:
    return sum(p["cpu_s"] or 0.0 for p in platform.status()["processes"])


def _kill_everything(platform: Platform) -> None:
    for pid in platform.pids().values():
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


def _print_details(run: dict[str, Any]) -> None:
    print("\nsteps of the last `up` (they overlap):")
    for step in run["steps"]:
        print(f"  {step['name']:<44} from {step['began_s']:6.2f} s, took {step['took_s']:6.2f} s")
    print("\nPSS of the last run, MiB:")
    for name, mib in sorted(run["processes"].items(), key=lambda item: -item[1]):
        print(f"  {name:<64} {mib:7.1f}")
    if "settled" in run:
        settled = run["settled"]
        print(
            f"\nsettled for {settled['seconds']:.0f} s: {settled['writes']:.0f} writes of our controllers (Leases "
            f"aside), {settled['cpu_percent']:.1f} % of one core in all"
        )


if __name__ == "__main__":
    main()
