"""`python -m bench.services`: DPUDeployments on real engines, as a fraction of what the API server takes.

Targets: 60 % of the API server's write rate from apply to all children written; no write while nothing happens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.services import process, scenario
from bench.services.scenario import Size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--deployments", type=int, default=30)
    parser.add_argument("--services", type=int, default=5)
    parser.add_argument("--clusters", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-s", type=float, default=30.0)
    parser.add_argument("--details", action="store_true", help="every kind of write and pass")
    parser.add_argument("--keep", type=Path, help="an empty folder for logs that is not removed")
    parser.add_argument("--program", nargs="+", default=list(process.MODULE), help="arguments of python before `run`")
    args, _ = parser.parse_known_args()
    size = Size(
        deployments=args.deployments, services=args.services, clusters=args.clusters, rounds=args.rounds,
        idle_s=args.idle_s,
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        results = asyncio.run(scenario.run(args.keep or Path(temporary), size, args.program))
    _print(size, results)
    if args.details:
        _print_details(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def _print(size: Size, results: Mapping[str, Any]) -> None:
    print("limit: writes per second of a bare client")
    for label, rate in results["rates"].items():
        print(f"  {label:<40} {rate:8.0f}")
    rollouts, edits, idle = results["rollouts"], results["edits"], results["idle"]
    print(
        f"\nrollout of {size.deployments} DPUDeployments of {size.services} services over {size.clusters} DPU clusters"
        f" ({size.children} children), {size.rounds} rounds:"
    )
    _print_work(rollouts)
    done = _median(rollouts, "writes") - _median(rollouts, "events") + _median(rollouts, "later_count")
    print(f"  writes until settled, Events aside: {done:.0f}; needed: {size.needed}")
    print(f"  our CPU per child: {_median(rollouts, 'cpu_s') / size.children * 1000:.2f} ms; RSS at the end"
          f" {results['rss_mib']:.0f} MiB")
    print(f"\none template edited, {size.deployments} DPUDeployments use it:")
    _print_work(edits)
    print(f"\nidle for {idle['seconds']:.0f} s: {idle['writes']} writes, {idle['cpu_percent']:.1f} % of a core,"
          f" {idle['passes']:.0f} passes")
    restart = results["restart"]
    print(f"a new process finds all this settled: {restart['cpu_s']:.1f} s CPU, {restart['rss_mib']:.0f} MiB, writes:"
          f" {restart['writes'] or 0}")


def _print_work(works: Sequence[Mapping[str, Any]]) -> None:
    print(
        f"  {_median(works, 'seconds'):.2f} s, {_median(works, 'writes'):.0f} writes (of them"
        f" {_median(works, 'events'):.0f} Events), {_median(works, 'writes_per_s'):.0f}/s;"
        f" a bare client needs {_median(works, 'limit_s'):.2f} s: {_median(works, 'fraction') * 100:.0f} % of the limit"
        f" ({', '.join(format(work['fraction'] * 100, '.0f') for work in works)})"
    )


def _print_details(results: Mapping[str, Any]) -> None:
    for name in ("rollouts", "edits"):
        for work in results[name]:
            print(f"\n{name}: {work['seconds']:.2f} s, CPU {work['cpu_s']:.2f} s, RSS {work['rss_mib']:.0f} MiB")
            for part in ("labels", "later", "refused", "passes"):
                print(f"  {part}:")
                for label, count in work[part].items():
                    print(f"    {label:<60} {count:6.0f}")
    print("\nrestart:")
    for label, count in results["restart"]["passes"].items():
        print(f"    {label:<60} {count:6.0f}")


def _median(works: Sequence[Mapping[str, Any]], name: str) -> float:
    return statistics.median(float(work[name]) for work in works)


if __name__ == "__main__":
    main()
