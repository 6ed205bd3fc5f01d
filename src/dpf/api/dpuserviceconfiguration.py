"""svc.dpu.nvidia.com/v1alpha1 DPUServiceConfiguration: how a user wants a service (api-svc.md section 4).

`upgradePolicy.applyNodeEffect` has no schema default, so that a reader can tell whether the user spoke; `nodeEffect` is
its older name (skew 2).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from dpf.api import names
from dpf.api.dpuservice import ConfigPorts, UpdateStrategy, Values
from dpf.api.dpuservicetemplate import DeploymentServiceName
from dpf.api.meta import Model, Object, Resource
from dpf.api.schema import CRD, Quantity, Rule, Schema


def _foreign_keys(what: str, *exempt: str) -> Rule:
    """No key of the product's own domain, except those in `exempt`."""
    allowed = "".join(f"key == '{key}' || " for key in exempt)
    return Rule(
        rule=f"self.all(key, {allowed}!(key.contains('dpu.nvidia.com/') || key.endsWith('dpu.nvidia.com')))",
        message=f"{what} should not contain dpu.nvidia.com/ and should not end with dpu.nvidia.com",
    )


class UpgradePolicy(Model):
    """What an update of this object may do to running nodes."""

    applyNodeEffect: Annotated[
        bool | None, Schema(description="The update is disruptive: nodes are drained and old versions kept meanwhile.")
    ] = None


class ConfigurationHelmChart(Model):
    """Helm values of the user."""

    values: Annotated[Values | None, Schema(description="Helm values on top of the template's; any structure.")] = None


class ConfigurationDaemonSet(Model):
    """Values that the chart gets under `serviceDaemonSet`; where it runs is not the user's to say here."""

    updateStrategy: Annotated[UpdateStrategy | None, Schema(description="Rollout of the DaemonSet.")] = None
    labels: Annotated[
        dict[str, str] | None,
        Schema(max_properties=50, rules=(_foreign_keys("labels", names.CUSTOM_FLOWS_LABEL),),
               description="Labels of the pods."),
    ] = None
    annotations: Annotated[
        dict[str, str] | None,
        Schema(max_properties=50, rules=(_foreign_keys("annotations"),), description="Annotations of the pods."),
    ] = None
    resources: Annotated[
        dict[str, Quantity] | None, Schema(description="Requests and limits of the pods.")
    ] = None


class ServiceConfiguration(Model):
    """What goes into the DPUService."""

    helmChart: Annotated[ConfigurationHelmChart | None, Schema(description="Helm values.")] = None
    serviceDaemonSet: Annotated[ConfigurationDaemonSet | None, Schema(description="Settings of the DaemonSet.")] = None
    deployInCluster: Annotated[bool | None, Schema(description="Install in the host cluster.")] = None
    configPorts: Annotated[ConfigPorts | None, Schema(description="Ports that the host cluster can reach.")] = None


class ServiceInterfaceTemplate(Model):
    """An interface of the service's pods, for which a DPUServiceInterface is made."""

    name: Annotated[str, Schema(min_length=1, max_length=15, description="Name of the interface inside the pod.")]
    network: Annotated[str, Schema(description="Network attachment: name or namespace/name.")]
    virtualNetwork: Annotated[str | None, Schema(description="DPUVirtualNetwork that it is attached to.")] = None


class DPUServiceConfigurationSpec(Model):
    """The user's settings of a service."""

    deploymentServiceName: DeploymentServiceName
    serviceConfiguration: Annotated[
        ServiceConfiguration | None,
        Schema(
            description="What goes into the DPUService.",
            rules=(Rule(
                rule="!(has(self.deployInCluster) && self.deployInCluster && has(self.configPorts))",
                message="configPorts cannot be set when deployInCluster is true",
            ),),
        ),
    ] = None
    interfaces: Annotated[
        list[ServiceInterfaceTemplate] | None,
        Schema(min_items=1, max_items=50, description="Interfaces of the service's pods."),
    ] = None
    upgradePolicy: Annotated[
        UpgradePolicy, Schema(default={}, required=False, description="What an update may do.")
    ] = UpgradePolicy()
    nodeEffect: Annotated[
        bool | None, Schema(description="Older name of upgradePolicy.applyNodeEffect, which goes before it.")
    ] = None


SPEC_RULES: Final = (
    Rule(
        rule="!has(self.interfaces) || !has(self.serviceConfiguration) || "
             "!has(self.serviceConfiguration.deployInCluster) || !self.serviceConfiguration.deployInCluster",
        message="interfaces are not supported when deploying in cluster",
    ),
)


class DPUServiceConfigurationStatus(Model):
    """Nobody reconciles a DPUServiceConfiguration: empty."""


class DPUServiceConfiguration(Object):
    """The user's half of a service that DPUDeployments use: values, pod settings, interfaces."""

    resource: ClassVar[Resource] = Resource(
        "svc.dpu.nvidia.com", "v1alpha1", "DPUServiceConfiguration", "dpuserviceconfigurations"
    )
    crd: ClassVar[CRD] = CRD()
    spec: Annotated[DPUServiceConfigurationSpec | None, Schema(rules=SPEC_RULES)] = None
    status: DPUServiceConfigurationStatus = DPUServiceConfigurationStatus()
