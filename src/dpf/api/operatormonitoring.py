"""Monitoring components in a DPFOperatorConfig (api-provisioning.md sections 13.2 and 13.4)."""

from __future__ import annotations

from typing import Annotated

from dpf.api.meta import Model
from dpf.api.operatorcomponents import Container, Disable, HelmChart
from dpf.api.schema import Schema


class KubeStateMetrics(Model):
    """Metrics about the objects of a DPU cluster; on by default."""

    disable: Disable = None
    helmChart: HelmChart = None
    daemon: Container | None = None


class NodeProblemDetector(Model):
    """Reports what is wrong with a DPU as node conditions; on by default."""

    disable: Disable = None
    helmChart: HelmChart = None
    daemon: Container | None = None


class CASecretRef(Model):
    """Secret with the CA of the receiver, under the key ca.crt."""

    name: Annotated[str | None, Schema(description="Name of the Secret.")] = None
    namespace: Annotated[str | None, Schema(description="Namespace of the Secret.")] = None


class Export(Model):
    """Where telemetry is sent."""

    endpoint: Annotated[str, Schema(description="Address of the receiver.")]
    transport: Annotated[
        str, Schema(enum=("http", "grpc"), default="http", description="Protocol of the receiver.")
    ] = "http"
    caSecretRef: CASecretRef | None = None


class OpenTelemetryCollector(Model):
    """Collects telemetry on DPUs; off by default."""

    disable: Disable = None
    helmChart: HelmChart = None
    daemon: Container | None = None
    logging: Annotated[Export | None, Schema(description="Where logs are sent.")] = None
    metrics: Annotated[Export | None, Schema(description="Where metrics are sent.")] = None


class Monitoring(Model):
    """Monitoring of DPU clusters."""

    disable: Annotated[bool | None, Schema(description="Install no monitoring component.")] = None
    kubeStateMetrics: KubeStateMetrics | None = None
    nodeProblemDetector: NodeProblemDetector | None = None
    openTelemetryCollector: OpenTelemetryCollector | None = None
