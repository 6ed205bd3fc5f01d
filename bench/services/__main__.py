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

from bench.services import passes, process, scenario
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
    results["passes"] = asyncio.run(passes.measure(args.deployments // 3, args.services, args.clusters))
    _print(size, results)
    if args.details:
        _print_details(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def _print(size: Size, results: Mapping[str, Any]) -> None:
    rounds = results["rounds"]
    print("limit: a bare client's writes per second, and all CPU for each")
    for label in rounds[0]["rates"]:
        rates = [each["rates"][label] for each in rounds]
        print(f"  {label:<40} {_median(rates, 'per_s'):8.0f} /s {_median(rates, 'cpu_ms'):8.2f} ms")
    rollouts, edits = [each["rollout"] for each in rounds], [each["edit"] for each in rounds]
    print(
        f"\nrollout of {size.deployments} DPUDeployments of {size.services} services over {size.clusters} DPU clusters"
        f" ({size.children} children), {size.rounds} rounds:"
    )
    _print_work(rollouts)
    refused = statistics.median(sum(work["refused"].values()) for work in rollouts)
    print(
        f"  writes until settled, Events aside: {_median(rollouts, 'settled_writes'):.0f}; needed: {size.needed};"
        f" refused besides: {refused:.0f}"
    )
    print(
        f"  our CPU per child: {_median(rollouts, 'cpu_s') / size.children * 1000:.2f} ms; RSS"
        f" {' '.join(format(each['rss_mib'], '.0f') for each in rounds)} MiB"
    )
    print(f"\none template edited, {size.deployments} DPUDeployments use it:")
    _print_work(edits)
    idle, start = rounds[-1]["idle"], rounds[-1]["start"]
    print(
        f"\nidle for {idle['seconds']:.0f} s: {idle['writes']} writes, {idle['cpu_percent']:.1f} % of a core,"
        f" {idle['passes']:.0f} passes\n"
        f"a new process finds {size.deployments * (size.rounds - 1)} settled DPUDeployments: {start['cpu_s']:.1f} s"
        f" CPU, {start['rss_mib']:.0f} MiB, {sum(start['writes'].values())} writes\n"
    )
    for kind, cost in results["passes"].items():
        print(f"unchanged pass over a {kind}: {cost['ms']:.2f} ms CPU, {cost['writes']} writes")


def _print_work(works: Sequence[Mapping[str, Any]]) -> None:
    print(
        f"  {_median(works, 'seconds'):.2f} s, {_median(works, 'writes'):.0f} writes (of them"
        f" {_median(works, 'events'):.0f} Events), {_median(works, 'writes_per_s'):.0f} writes/s,"
        f" {_median(works, 'reads'):.0f} reads\n"
        f"  of the limit: {_percents(works, 'fraction')} by time, {_percents(works, 'cpu_fraction')} by CPU;"
        f" CPU ours {_median(works, 'cpu_s'):.2f} s, servers' {_median(works, 'server_cpu_s'):.2f} s"
    )


def _percents(works: Sequence[Mapping[str, Any]], name: str) -> str:
    each = ", ".join(format(work[name] * 100, ".0f") for work in works)
    return f"{_median(works, name) * 100:.0f} % ({each})"


def _print_details(results: Mapping[str, Any]) -> None:
    for number, each in enumerate(results["rounds"]):
        for name in ("rollout", "edit"):
            work = each[name]
            print(f"\nround {number}, {name}: {work['seconds']:.2f} s, CPU {work['cpu_s']:.2f} s")
            for part in ("labels", "later", "refused", "passes"):
                print(f"  {part}:")
                for label, count in work[part].items():
                    print(f"    {label:<60} {count:6.0f}")
        print("  start:", each["start"])


def _median(works: Sequence[Mapping[str, Any]], name: str) -> float:
    return statistics.median(float(work[name]) for work in works)


if __name__ == "__main__":
    main()
