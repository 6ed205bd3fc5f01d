"""Objects to describe, as an API server would serve them, for the unit and golden tests of `dpfctl describe`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from dpf.api import names
from dpf.cli.describe import kinds
from dpf.cli.describe.views import DPFOperatorConfigView

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "dpf-operator-system"

SERVICE_CONDITIONS = (
    "ApplicationPrereqsReconciled", "ApplicationsReconciled", "ApplicationsReady", "DPUServiceInterfaceReconciled",
    "ConfigPortsReconciled", "SPIFFEEntriesReady",
)


def ago(**age: float) -> str:
    """RFC 3339 of that long before NOW, e.g. `ago(hours=2)`."""
    return (NOW - timedelta(**age)).strftime("%Y-%m-%dT%H:%M:%SZ")


def a_condition(
    type_: str, status: str = "True", reason: str = "Success", message: str = "", *, since: str | None = None
) -> dict[str, Any]:
    return {
        "type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": since or ago(hours=2), "observedGeneration": 1,
    }


def not_ready(*missing: str, since: str | None = None) -> dict[str, Any]:
    text = f"The following conditions are not ready: {', '.join(missing)}"
    return a_condition("Ready", "False", "Pending", text, since=since)


def an_object(
    kind: kinds.Kind, name: str, *conditions: dict[str, Any], namespace: str = NAMESPACE, deleting: bool = False,
    **metadata: Any,
) -> dict[str, Any]:
    """One object in JSON form; Ready for two hours unless conditions are given."""
    resource = kind.view.resource
    if deleting:
        metadata["deletionTimestamp"] = ago(minutes=5)
    return {
        "apiVersion": resource.api_version, "kind": resource.kind,
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", **metadata},
        "spec": {"whatever": {"another": "version wrote"}},
        "status": {"conditions": list(conditions) or [a_condition("Ready")]},
    }


def a_root(*conditions: dict[str, Any]) -> dict[str, Any]:
    return an_object(kinds.ROOT, "dpfoperatorconfig", *conditions)


def a_service(name: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return an_object(kinds.DPU_SERVICE, name, *conditions, **more)


def a_broken_service(name: str, message: str = "it does not run", **more: Any) -> dict[str, Any]:
    return a_service(
        name, not_ready("ApplicationsReady"), a_condition("ApplicationsReady", "False", "Pending", message),
        a_condition("ApplicationsReconciled"), **more,
    )


def a_cluster(name: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return an_object(kinds.DPU_CLUSTER, name, *conditions, **more)


def an_application(
    service: str, cluster: str = "dpu-cplane-tenant1", *, health: str | None = "Healthy", sync: str | None = "Synced",
    conditions: Sequence[dict[str, str]] = (), resources: Sequence[dict[str, Any]] = (), message: str | None = None,
) -> dict[str, Any]:
    made = an_object(
        kinds.APPLICATION, f"{cluster}-{service}",
        labels={names.DPUSERVICE_NAME_LABEL: service, names.DPUSERVICE_NAMESPACE_LABEL: NAMESPACE},
    )
    made["status"] = {
        "sync": {"status": sync},
        "health": {"status": health, "lastTransitionTime": ago(minutes=3), "message": message},
        "conditions": list(conditions), "resources": list(resources), "reconciledAt": ago(seconds=45),
    }
    return made


def a_workload(
    name: str, *, kind: str = "DaemonSet", sync: str = "Synced", health: str | None = "Healthy"
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "group": "apps", "version": "v1", "kind": kind, "namespace": NAMESPACE, "name": name, "status": sync,
    }
    return {**made, "health": {"status": health}} if health else made


def owned(deployment: str, *, namespace: str = NAMESPACE) -> dict[str, Any]:
    """Metadata that the controller of DPUDeployments gives a child."""
    return {
        "labels": {names.OWNED_BY_DPUDEPLOYMENT_LABEL: f"{namespace}_{deployment}"},
        "ownerReferences": [{
            "apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "DPUDeployment", "name": deployment,
            "uid": f"uid-{deployment}", "controller": True, "blockOwnerDeletion": True,
        }],
    }


def a_deployment(name: str, *conditions: dict[str, Any], templates: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """A DPUDeployment with one service for each of `templates`, of the same name."""
    made = an_object(kinds.DPU_DEPLOYMENT, name, *conditions, **more)
    made["spec"] = {"services": {n: {"serviceTemplate": n, "serviceConfiguration": n} for n in templates}}
    return made


def a_template(name: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return an_object(kinds.SERVICE_TEMPLATE, name, *conditions, **more)


def a_dpuset(
    name: str, *conditions: dict[str, Any], bfb: str = "", phases: dict[str, int] | None = None, **more: Any
) -> dict[str, Any]:
    made = an_object(kinds.DPU_SET, name, *conditions, **more)
    made["spec"] = {"dpuTemplate": {"spec": {"bfb": {"name": bfb}}}} if bfb else {}
    made["status"]["dpuStatistics"] = phases
    return made


def a_bfb(name: str, phase: str = "Ready", **more: Any) -> dict[str, Any]:
    """A BFB, with versions and file name once it is Ready."""
    made = an_object(kinds.BFB, name, **more)
    made["spec"] = {"url": "https://example.com/bundles/bf-bundle-2.9.1.bfb"}
    made["status"] = {"phase": phase}
    if phase == "Ready":
        made["status"] |= {"fileName": "bf-bundle-2.9.1.bfb", "versions": {"doca": "2.9.1", "bsp": "4.9.1"}}
    return made


def a_dpu(name: str, *conditions: dict[str, Any], dpuset: str = "", **more: Any) -> dict[str, Any]:
    labels = {names.DPUSET_NAME_LABEL: dpuset, names.DPUSET_NAMESPACE_LABEL: more.get("namespace", NAMESPACE)}
    return an_object(kinds.DPU, name, *conditions, **{"labels": labels if dpuset else {}, **more})


def a_dpu_in(
    phase: str, name: str, *conditions: dict[str, Any], node: str = "", cluster: str = "", **more: Any
) -> dict[str, Any]:
    """A DPU in a phase, in a host and assigned to a cluster of the same namespace if these are named."""
    made = a_dpu(name, *conditions, **more)
    made["spec"] = {"dpuNodeName": node, "cluster": {"name": cluster, "namespace": NAMESPACE} if cluster else None}
    made["status"]["phase"] = phase
    return made


def waiting(phase: str, type_: str, reason: str, message: str, *, since: str | None = None) -> list[dict[str, Any]]:
    """Ready and the condition that the phase works towards, as the controller of DPUs writes them."""
    return [
        a_condition("Ready", "False", reason, f"{phase}: {message}", since=ago(hours=5)),
        a_condition(type_, "False", reason, message, since=since or ago(minutes=4)),
        a_condition("Initialized", reason="Initialized", since=ago(hours=4)),
    ]


def a_dpunode(name: str, *conditions: dict[str, Any], devices: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """A host; Ready, and with no bad news, unless conditions are given."""
    good = [a_condition("Ready"), *(
        a_condition(type_, "False") for type_ in ("InvalidDPUDetails", "DPUNodeRebootInProgress")
    )]
    made = an_object(kinds.DPU_NODE, name, *(conditions or good), **more)
    made["spec"] = {"dpus": [{"name": device} for device in devices]}
    return made


def a_device(name: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return an_object(kinds.DPU_DEVICE, name, *conditions, **more)


def a_maintenance(
    name: str, node: str, *conditions: dict[str, Any], requestors: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    made = an_object(kinds.DPU_NODE_MAINTENANCE, name, *conditions, **more)
    made["spec"] = {"dpuNodeName": node, "requestor": list(requestors)}
    return made


def an_inventory(*objects: dict[str, Any], root: dict[str, Any] | None = None) -> kinds.Inventory:
    """What discovery finds in a cluster that holds `objects`."""
    views = {branch.kind.name: branch.kind.view for _, branch in kinds.walk(kinds.TARGETS["all"])}
    found: dict[str, list[Any]] = {name: [] for name in views}
    for made in objects:
        found[made["kind"]].append(msgspec.convert(made, views[made["kind"]]))
    return kinds.Inventory(root=msgspec.convert(root or a_root(), DPFOperatorConfigView), objects=found)
