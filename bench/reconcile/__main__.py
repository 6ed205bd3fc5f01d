"""`python -m bench.reconcile`: settled DPUServices are looked at again and again on an in-process cluster."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

import structlog
from tests.scenario.services import stage
from tests.support import dpuservices as some

from dpf.api.dpuservice import DPUService
from dpf.api.meta import Key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--services", type=int, default=30)
    parser.add_argument("--clusters", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=20)
    args, _ = parser.parse_known_args()
    structlog.configure(processors=[_drop])
    result = asyncio.run(_measure(args.services, args.clusters, args.rounds))
    print(
        f"{args.services} DPUServices on {args.clusters} DPU clusters: {result['ms_per_pass']:.3f} ms CPU per "
        f"unchanged pass, {result['writes']} writes in {result['passes']} passes"
    )
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


def _drop(_logger: object, _name: str, _event: Any) -> Any:  # noqa: ANN401 - structlog's signature
    raise structlog.DropEvent


async def _measure(services: int, clusters: int, rounds: int) -> dict[str, float]:
    world = stage.a_stage(*(f"dpu-{n}" for n in range(clusters)))
    for n in range(services):
        world.host.add(some.a_service(f"service-{n}"))
    async with stage.running(world) as manager:
        await manager.settle()
        await stage.deliver(world, manager)
        await manager.settle()
        (controller,) = [c for c in manager.controllers if c.reconciler.kind is DPUService]
        keys = [Key(some.TENANT, f"service-{n}") for n in range(services)]
        before = len(world.host.writes)
        began = time.process_time()
        for _ in range(rounds):
            for key in keys:
                controller.queue.add(key)
            await manager.settle()
        spent = time.process_time() - began
    passes = rounds * services
    return {"passes": passes, "ms_per_pass": spent / passes * 1000, "writes": len(world.host.writes) - before}


if __name__ == "__main__":
    main()
