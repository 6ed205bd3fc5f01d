"""Prometheus metrics of a controller process, in a registry of their own.

    dpf_reconcile_total{controller,result}      passes by label of their result, or `error` for a bug
    dpf_reconcile_seconds{controller}           duration of a pass (histogram)
    dpf_queue_depth{controller}                 keys that are due now
    dpf_writes_total{controller,verb,kind}      writes that an API server (or a driver) accepted
    dpf_events_dropped_total{controller}        Kubernetes Events not written (rate limit, full buffer, refused)
    dpf_cluster_connected{cluster}              1 while a DPU cluster can be worked on
    dpf_leader{name}                            1 while this process holds the Lease of that name

These names are an interface: dashboards use them. `health` serves them.
"""

from __future__ import annotations

from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "dpf_reconcile_total", "Passes by result.", ("controller", "result"), registry=self.registry
        )
        self.seconds = Histogram(
            "dpf_reconcile_seconds", "Duration of a pass.", ("controller",), buckets=_BUCKETS, registry=self.registry
        )
        self.depth = Gauge("dpf_queue_depth", "Keys that are due now.", ("controller",), registry=self.registry)
        self.writes = Counter(
            "dpf_writes_total", "Writes that an API server accepted.", ("controller", "verb", "kind"),
            registry=self.registry,
        )
        self.events_dropped = Counter(
            "dpf_events_dropped_total", "Kubernetes Events not written.", ("controller",), registry=self.registry
        )
        self.connected = Gauge(
            "dpf_cluster_connected", "Whether a DPU cluster can be worked on.", ("cluster",), registry=self.registry
        )
        self.leader = Gauge("dpf_leader", "Whether this process is the leader.", ("name",), registry=self.registry)

    def reconciled(self, controller: str, result: str, seconds: float) -> None:
        """Count one pass."""
        self.reconciles.labels(controller, result).inc()
        self.seconds.labels(controller).observe(seconds)

    def wrote(self, controller: str, verb: str, kind: str) -> None:
        """Count one accepted write."""
        self.writes.labels(controller, verb, kind).inc()

    def forget_cluster(self, cluster: str) -> None:
        """Drop the series of a cluster that is gone."""
        with suppress(KeyError):
            self.connected.remove(cluster)

    def exposition(self) -> bytes:
        """Everything in Prometheus text format."""
        return generate_latest(self.registry)
