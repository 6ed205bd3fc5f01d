"""What the DPUService of a revision looks like: template and configuration put together (behaviour-service.md 6.6).

Pure. Called by `services`, which has decided on revision, name and service id.
"""

from __future__ import annotations

import msgspec

from dpf.api import names
from dpf.api.dpuservice import DPUService, DPUServiceSpec, HelmChart, Security, ServiceDaemonSet
from dpf.api.dpuserviceconfiguration import ConfigurationDaemonSet, ServiceConfiguration
from dpf.services import values
from dpf.services.dpudeployment import selectors
from dpf.services.dpudeployment.children import Parent
from dpf.services.dpudeployment.revisions import Decision, Move
from dpf.services.dpudeployment.rollout import ServiceRollout


def build(parent: Parent, rollout: ServiceRollout) -> DPUService:
    """The DPUService of the wanted revision."""
    settings = rollout.configuration.serviceConfiguration or ServiceConfiguration()
    in_cluster = bool(settings.deployInCluster)
    own_values = settings.helmChart.values if settings.helmChart is not None else None
    template = rollout.template
    return DPUService(
        metadata=parent.metadata(
            rollout.name, labels={names.DPUDEPLOYMENT_SERVICE_LABEL: rollout.service},
            annotations={names.DPUSERVICE_VERSION_ANNOTATION: rollout.digest},
        ),
        spec=DPUServiceSpec(
            helmChart=HelmChart(
                source=template.helmChart.source, values=values.merge(own_values, template.helmChart.values) or None
            ),
            serviceID=rollout.service_id,
            serviceDaemonSet=_daemonset(parent, rollout, settings.serviceDaemonSet or ConfigurationDaemonSet()),
            deployInCluster=in_cluster or None,
            interfaces=sorted(interface.name for interface in rollout.interfaces) or None,
            configPorts=settings.configPorts,
            dpuClusterSelector=None if in_cluster else parent.cluster_selector,
            security=None if in_cluster else _security(template.security),
        ),
    )


def _daemonset(parent: Parent, rollout: ServiceRollout, settings: ConfigurationDaemonSet) -> ServiceDaemonSet:
    labels = dict(settings.labels or {})
    if not _is_without_pod_label(rollout.decision):
        labels[names.DPUDEPLOYMENT_SERVICE_LABEL] = rollout.service
    if rollout.in_cluster:
        nodes = selectors.host_node_terms(rollout.key, rollout.name, parent.spec.dpus.dpuSets or ())
    else:
        nodes = selectors.revision_node_terms(rollout.key, rollout.name, parent.owner)
    return ServiceDaemonSet(
        nodeSelector=nodes, updateStrategy=settings.updateStrategy, labels=labels or None,
        annotations=settings.annotations or None, resources=dict(settings.resources) if settings.resources else None,
    )


def _is_without_pod_label(decision: Decision[DPUService]) -> bool:
    """Whether the pods of the wanted revision run without the label: adding it would restart them for nothing."""
    if decision.move is not Move.KEEP or decision.target is None or decision.target.spec is None:
        return False
    daemonset = decision.target.spec.serviceDaemonSet
    return daemonset is not None and names.DPUDEPLOYMENT_SERVICE_LABEL not in (daemonset.labels or {})


def _security(given: Security | None) -> Security:
    """Containers may be privileged unless the template says no (resolutions.md row 8)."""
    if given is None:
        return Security(privileged=True)
    return msgspec.structs.replace(given, privileged=True) if given.privileged is None else given
