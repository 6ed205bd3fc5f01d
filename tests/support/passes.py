"""Passes of controllers over everything, by hand, and how many writes they have made."""

from __future__ import annotations

from dpf.runtime.manager import Manager
from dpf.runtime.metrics import Metrics


async def over_everything(manager: Manager) -> None:
    """One pass of each controller over each of its roots."""
    for controller in manager.controllers:
        controller.enqueue_all()
        passes = 0
        while (key := controller.queue.take()) is not None:
            await controller.work(key)
            passes += 1
        assert passes >= 2, "one that names all roots, and one for each root"


def writes(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Writes so far, by their labels."""
    (family,) = metrics.writes.collect()
    return {
        tuple(sample.labels.values()): sample.value for sample in family.samples if sample.name.endswith("_total")
    }
