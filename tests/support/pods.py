"""Pods and records as the emulated kubelet sees them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from dpf.api.core import Container, Pod, PodSpec
from dpf.api.meta import ObjectMeta
from dpf.emulation.kubelet.records import ContainerRecord, Exit, Life, PodRecord, ProcessRef

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PROCESS = ProcessRef(pid=4_000_000, start_ticks=1)


def a_pod(
    *names: str, policy: str | None = None, init: Sequence[str] = (), deleting_in_s: float | None = None, **spec: Any
) -> Pod:
    """A pod with these containers (default: one, `main`)."""
    deadline = (NOW + timedelta(seconds=deleting_in_s)).isoformat() if deleting_in_s is not None else None
    return Pod(
        metadata=ObjectMeta(name="p", namespace="ns", uid="uid-1", deletionTimestamp=deadline),
        spec=PodSpec(
            nodeName="n", restartPolicy=policy, initContainers=[Container(name=n, image="i") for n in init] or None,
            containers=[Container(name=n, image="i") for n in names or ("main",)], **spec,
        ),
    )


def a_record(**containers: ContainerRecord) -> PodRecord:
    """The record of that pod."""
    return PodRecord(uid="uid-1", namespace="ns", name="p", started_at=NOW, ip="198.19.0.2", containers=containers)


def running(attempt: int = 0, *, crashes: int = 0) -> ContainerRecord:
    """A container that runs."""
    return ContainerRecord(life=Life(attempt=attempt, started_at=NOW, process=PROCESS), crashes=crashes)


def ended(code: int, *, crashes: int = 1, ago_s: float = 0.0, attempt: int = 0) -> ContainerRecord:
    """A container whose life has ended."""
    at = NOW - timedelta(seconds=ago_s)
    over = Exit(code=code, reason="Completed" if code == 0 else "Error", at=at)
    return ContainerRecord(life=Life(attempt=attempt, started_at=NOW, process=PROCESS, exit=over), crashes=crashes)
