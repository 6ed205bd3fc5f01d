"""svc.dpu.nvidia.com/v1alpha1 DPUService: a Helm chart that runs on DPU nodes (api-svc.md section 1).

The schema takes the documents' manifests as they stand: `security.privileged` is not demanded (skew 6), a config port's
`port` is optional (skew 9), `serviceDaemonSet.resources` may be nested once (skew 10; flat values are quantities, so no
YAML floats), `paused` defaults to false
(skew 11).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api.meta import Condition, FreeForm, LabelSelector, Model, NodeSelector, Object, Resource
from dpf.api.schema import CRD, QUANTITY_PATTERN, READY_PHASE_AGE, Rule, Schema, name_length_rule

IntOrString = Annotated[int | str, Schema(int_or_string=True)]
Values = Annotated[FreeForm, Schema(preserve_unknown=True)]


class ConditionType(StrEnum):
    """Conditions of a DPUService, in the order in which they are written."""

    READY = "Ready"
    """All of the others hold."""
    APPLICATION_PREREQS_RECONCILED = "ApplicationPrereqsReconciled"
    """Namespaces, pull secrets and what Argo CD needs to know about the clusters are in place."""
    APPLICATIONS_RECONCILED = "ApplicationsReconciled"
    """There is one Application for each targeted cluster, and none for another."""
    APPLICATIONS_READY = "ApplicationsReady"
    """Argo CD reports every Application as Synced and Healthy."""
    DPU_SERVICE_INTERFACE_RECONCILED = "DPUServiceInterfaceReconciled"
    """The interfaces that the service lists exist and are its own."""
    CONFIG_PORTS_RECONCILED = "ConfigPortsReconciled"
    """The host cluster reaches the ports that the service opens to it."""
    SPIFFE_ENTRIES_READY = "SPIFFEEntriesReady"
    """The service's SPIFFE identities are registered; holds when it asks for none."""


class HelmChartSource(Model):
    """Where the chart is: repository, chart name or path, version."""

    repoURL: Annotated[str, Schema(pattern="^(oci://|https://).+$", description="Helm or OCI repository.")]
    version: Annotated[str, Schema(min_length=1, description="Version of the chart.")]
    path: Annotated[str | None, Schema(description="Path of the chart inside the repository.")] = None
    chart: Annotated[str | None, Schema(description="Name of the chart.")] = None
    releaseName: Annotated[str | None, Schema(description="Helm release name.")] = None


class HelmChart(Model):
    """A chart and its values."""

    source: Annotated[HelmChartSource, Schema(description="Origin of the chart.")]
    values: Annotated[Values | None, Schema(description="Helm values; any structure.")] = None


class RollingUpdate(Model):
    """apps/v1 RollingUpdateDaemonSet."""

    maxSurge: IntOrString | None = None
    maxUnavailable: IntOrString | None = None


class UpdateStrategy(Model):
    """apps/v1 DaemonSetUpdateStrategy."""

    type: str | None = None
    rollingUpdate: RollingUpdate | None = None


class ServiceDaemonSet(Model):
    """Values that the chart gets under `serviceDaemonSet`."""

    nodeSelector: Annotated[NodeSelector | None, Schema(description="Target DPU nodes.")] = None
    updateStrategy: Annotated[UpdateStrategy | None, Schema(description="Rollout of the DaemonSet.")] = None
    labels: Annotated[dict[str, str] | None, Schema(description="Labels of the pods.")] = None
    annotations: Annotated[dict[str, str] | None, Schema(description="Annotations of the pods.")] = None
    resources: Annotated[
        dict[str, Annotated[object, Schema(preserve_unknown=True, pattern=QUANTITY_PATTERN, multiple_of=1)]] | None,
        Schema(description="Requests and limits of the pods; one inner `resources` map is flattened."),
    ] = None


class ConfigPort(Model):
    """One port of the service that the host cluster can reach."""

    name: Annotated[str, Schema(min_length=1, pattern="^[a-z0-9-]+$",
                                description="Name of the port in the chart's Service.")]
    protocol: Annotated[str, Schema(enum=("TCP", "UDP"), description="Transport protocol.")]
    port: Annotated[int | None, Schema(minimum=1, maximum=65535, description="Port in the host cluster.")] = None
    nodePort: Annotated[int | None, Schema(description="Fixed node port, for serviceType NodePort.")] = None


class ConfigPorts(Model, kw_only=True):
    """Ports of the service that the host cluster can reach."""

    schema: ClassVar[Schema] = Schema(
        rules=(Rule(
            rule="self.serviceType == 'NodePort' || !self.ports.exists(p, has(p.nodePort))",
            message="nodePort can only be set when serviceType is NodePort",
        ),),
    )

    serviceType: Annotated[
        str,
        Schema(
            enum=("NodePort", "ClusterIP", "None"), default="NodePort", required=True,
            rules=(Rule(rule="self == oldSelf", message="Value is immutable"),),
            description="Kind of the Service in the host cluster.",
        ),
    ] = "NodePort"
    ports: Annotated[list[ConfigPort], Schema(description="Ports to expose.")]


class Security(Model):
    """What the service's pods may do."""

    privileged: Annotated[bool | None, Schema(description="May containers be privileged; absent means yes.")] = None
    spiffe: Annotated[FreeForm | None, Schema(description="Present: the service asks for a SPIFFE identity.")] = None


def _not_in_cluster(field: str, message: str) -> Rule:
    """`field` must be absent when the service runs in the host cluster."""
    return Rule(rule=f"!(has(self.deployInCluster) && self.deployInCluster && {field})", message=message)


class DPUServiceSpec(Model):
    """What to install and where."""

    helmChart: Annotated[HelmChart, Schema(description="Chart to install.")]
    serviceID: Annotated[str | None, Schema(description="Identifier shared with the service's interfaces.")] = None
    serviceDaemonSet: Annotated[ServiceDaemonSet | None, Schema(description="Settings of the DaemonSet.")] = None
    deployInCluster: Annotated[bool | None, Schema(description="Install in the host cluster.")] = None
    interfaces: Annotated[
        list[str] | None,
        Schema(min_items=1, max_items=50, description="DPUServiceInterfaces of the same namespace that it uses."),
    ] = None
    paused: Annotated[
        bool, Schema(default=False, description="Neither reconcile nor delete while true.", required=False)
    ] = False
    configPorts: Annotated[ConfigPorts | None, Schema(description="Ports that the host cluster can reach.")] = None
    dpuClusterSelector: Annotated[
        LabelSelector | None, Schema(description="DPUClusters to install in; absent means all.")
    ] = None
    security: Annotated[Security | None, Schema(description="Security settings.")] = None


class DPUServiceStatus(Model):
    """What was observed."""

    conditions: list[Condition] | None = None
    observedGeneration: Annotated[
        int | None, Schema(format="int64", description="Generation that the conditions are about.")
    ] = None
    serviceID: Annotated[str | None, Schema(description="Service identifier in use.")] = None
    configPorts: Annotated[
        dict[str, list[ConfigPort]] | None, Schema(description="Observed ports for each DPUCluster.")
    ] = None


SPEC_RULES = (
    Rule(rule="!has(self.interfaces) || has(self.serviceID)",
         message="serviceID must be provided when interfaces are provided"),
    _not_in_cluster("has(self.configPorts)", "configPorts cannot be set when deployInCluster is true"),
    _not_in_cluster("has(self.dpuClusterSelector)", "dpuClusterSelector cannot be set when deployInCluster is true"),
    _not_in_cluster("has(self.security) && has(self.security.privileged)",
                    "security.privileged must not be set when deployInCluster is true"),
    _not_in_cluster("has(self.security) && has(self.security.spiffe)",
                    "security.spiffe must not be set when deployInCluster is true"),
)


class DPUService(Object):
    """A Helm chart that is installed on the DPU nodes of the selected DPUClusters."""

    resource: ClassVar[Resource] = Resource("svc.dpu.nvidia.com", "v1alpha1", "DPUService", "dpuservices")
    crd: ClassVar[CRD] = CRD(columns=READY_PHASE_AGE, rules=(name_length_rule(63),))
    spec: Annotated[DPUServiceSpec | None, Schema(rules=SPEC_RULES)] = None
    status: DPUServiceStatus = DPUServiceStatus()
