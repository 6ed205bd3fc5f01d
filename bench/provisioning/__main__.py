"""`python -m bench.provisioning`: DPUs from a DPUSet to Ready, as a fraction of what the API server takes.

Target: 60 % of the API server's write rate divided by the writes that a DPU needs. A DPU that is Ready costs nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.provisioning import scenario
from bench.provisioning.scenario import Size
from bench.services import process

PARALLEL: Final = 50
"""What the platform does unless it is told otherwise."""
HANGING: Final = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--dpus", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--parallel", type=int, default=0, help="DPUs at the same time; default: all")
    parser.add_argument("--idle-s", type=float, default=60.0)
    parser.add_argument("--hang", action="store_true", help="the last BMC hangs")
    parser.add_argument("--no-variants", action="store_true", help="neither a hanging BMC nor 50 at the same time")
    parser.add_argument("--details", action="store_true", help="every kind of write, read and pass")
    parser.add_argument("--keep", type=Path, help="an empty folder for logs that is not removed")
    parser.add_argument("--program", nargs="+", default=list(process.MODULE), help="arguments of python before `run`")
    args, _ = parser.parse_known_args()
    sizes = [
        Size(dpus=n, parallel=args.parallel or n, hangs=args.hang, idle_s=args.idle_s if n == max(args.dpus) else 0.0)
        for n in args.dpus
    ]
    if not args.no_variants:
        sizes += [Size(dpus=HANGING, parallel=HANGING, hangs=True), Size(dpus=HANGING, parallel=PARALLEL)]
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        for size in sizes:
            found = asyncio.run(scenario.run((args.keep or Path(temporary)) / size.name, size, args.program))
            results.append(found)
            print("\n".join(_lines(found)), flush=True)
            if args.details:
                print("\n".join(_details(found)), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    work, count = found["install"], found["dpus"]
    hangs = ", one BMC hangs" if found["hangs"] else ""
    yield f"\n{count} DPUs, {found['parallel']} at the same time{hangs}:"
    yield (
        f"  {work['seconds']:.1f} s, {work['per_s']:.1f} DPUs/s; a tenth, a half, nine tenths after"
        f" {', '.join(format(q, '.1f') for q in work['quantiles'])} s"
    )
    yield (
        f"  writes per DPU: needed {work['needed']}, made {work['made_without_events']:.1f}, with Events"
        f" {work['made']:.1f}; refused {sum(work['refused'].values())}; reads {_sum(work['reads']) / count:.1f}; passes"
        f" {_sum(work['passes']) / count:.1f}"
    )
    yield (
        f"  limit: {work['write_rate']:.0f} writes/s, {work['limit_s']:.1f} s for the needed ones (and the systems'),"
        f" {work['made_s']:.1f} s for those that were made"
    )
    yield (
        f"  of the limit: {work['fraction'] * 100:.0f} % by time, {work['cpu_fraction'] * 100:.0f} % by CPU; those that"
        f" were made: {work['made_s'] / work['seconds'] * 100:.0f} % by time"
    )
    yield (
        f"  CPU: ours {work['cpu_s']:.1f} s ({work['cpu_s'] / count * 1000:.1f} ms per DPU), API servers and etcd"
        f" {work['server_cpu_s']:.1f} s, hardware {work['hardware_cpu_s']:.1f} s; our RSS at most"
        f" {found['peak_rss_mib']:.0f} MiB"
    )
    register = found["register"]
    yield (
        f"  registered before: {register['seconds']:.1f} s, {_sum(register['labels']) / count:.1f} writes and"
        f" {register['cpu_s'] / count * 1000:.1f} ms of our CPU per card"
    )
    if "idle" in found:
        yield from _quiet(found["idle"], found["drift"])


def _quiet(idle: Mapping[str, Any], drift: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"  idle for {idle['seconds']:.0f} s: {idle['writes']} writes, {idle['requests'] / idle['seconds']:.2f}"
        f" requests/s, {idle['watches']} watches begun anew, {idle['cpu_percent']:.1f} % of a core,"
        f" {idle['passes']:.0f} passes, {idle['rss_mib']:.0f} MiB"
    )
    yield (
        f"  drift: Node label {_spread(drift['node_ms'])} ms until our first write,"
        f" {_spread(drift['node_right_ms'])} ms until it is right; DPU's label {_spread(drift['dpu_ms'])} ms"
    )
    yield (
        f"  template's label: first write after {drift['template_first_ms']:.0f} ms, all DPUs after"
        f" {drift['template_dpus_s']:.1f} s, all {drift['template_nodes']} Nodes after"
        f" {drift['template_nodes_s']:.1f} s"
    )


def _details(found: Mapping[str, Any]) -> Iterator[str]:
    for name in ("register", "install"):
        work = found[name]
        for part in ("labels", "refused", "reads", "system", "passes"):
            yield f"  {name}, {part}:"
            for label, count in work[part].items():
                yield f"    {label:<66} {count:7.0f} {count / found['dpus']:8.2f}"
    yield "  rates:"
    for label, rate in found["rates"].items():
        yield f"    {label:<40} {rate['per_s']:8.0f} /s {rate['cpu_ms']:8.2f} ms"
    if "idle" in found:
        yield f"  idle: {found['idle']['labels']}"


def _spread(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.0f} (at most {ordered[-1]:.0f})"


def _sum(counts: Mapping[str, float]) -> float:
    return sum(counts.values())


if __name__ == "__main__":
    main()
