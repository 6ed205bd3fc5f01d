"""What users write: DPUDeployments, and the dependencies that those of one namespace share. Pure.

A deployment has as many services as asked for, each with an interface, one chain through all of them and two DPUSets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

SVC: Final = "svc.dpu.nvidia.com/v1alpha1"
PROVISIONING: Final = "provisioning.dpu.nvidia.com/v1alpha1"
ARGO: Final = "argoproj.io/v1alpha1"
CHART_VERSION: Final = "v0.0.1"
DPUSETS: Final = 2
_INTERFACE: Final = "app-iface"


def index(services: int) -> dict[str, Any]:
    """index.yaml of the charts."""
    entry = {
        "apiVersion": "v2", "version": CHART_VERSION, "annotations": {"dpu.nvidia.com/doca-version": ">= 2.9"},
        "created": "2026-01-01T00:00:00Z", "digest": "0" * 64,
    }
    entries = {service: [{**entry, "name": service, "urls": [f"{service}.tgz"]}] for service in names(services)}
    return {"apiVersion": "v1", "entries": entries, "generated": "2026-01-01T00:00:00Z"}


def names(services: int) -> list[str]:
    """Names of the services."""
    return [f"service-{n}" for n in range(services)]


def dependencies(namespace: str, services: int, charts: str) -> Iterator[dict[str, Any]]:
    """BFB, flavor, templates and configurations."""
    yield _object(PROVISIONING, "BFB", namespace, "bfb", {"url": "http://example.com/bf-bundle-2.9.1.bfb"})
    yield _object(PROVISIONING, "DPUFlavor", namespace, "flavor", {
        "dpuResources": {"cpu": 16, "memory": "16Gi", "nvidia.com/sf": 40},
        "systemReservedResources": {"cpu": 4, "memory": "4Gi", "nvidia.com/sf": 4},
    })
    for service in names(services):
        yield template(namespace, service, charts)
        yield _object(SVC, "DPUServiceConfiguration", namespace, service, {
            "deploymentServiceName": service,
            "serviceConfiguration": {
                "helmChart": {"values": {"worker": {"parallelization": 10}, "exporter": {"enabled": True}}},
                "serviceDaemonSet": {
                    "labels": {"sre.nvidia.com/service-tier": "t1"}, "annotations": {"sre.nvidia.com/page": "false"},
                },
            },
            "interfaces": [{"name": _INTERFACE, "network": "mynad"}],
        })


def template(namespace: str, service: str, charts: str, edition: int = 0) -> dict[str, Any]:
    """A DPUServiceTemplate; another `edition` has another value."""
    limits = {"cpu": "400m", "memory": "400Mi", "nvidia.com/sf": 1}
    containers = {
        f"container{n}": {"resources": {"requests": {"cpu": "200m", "memory": "200Mi"}, "limits": limits}}
        for n in range(3)
    }
    return _object(SVC, "DPUServiceTemplate", namespace, service, {
        "deploymentServiceName": service,
        "helmChart": {
            "source": {"repoURL": charts, "chart": service, "version": CHART_VERSION},
            "values": {**containers, "worker": {"parallelization": 5, "edition": edition}, "logLevel": "info"},
        },
        "resourceRequirements": {"cpu": 1, "memory": "1Gi", "nvidia.com/sf": 1},
    })


def deployment(namespace: str, name: str, services: int) -> dict[str, Any]:
    """A DPUDeployment."""
    ports = [{"service": {"name": service, "interface": _INTERFACE}} for service in names(services)]
    return _object(SVC, "DPUDeployment", namespace, name, {
        "dpus": {"bfb": "bfb", "flavor": "flavor", "dpuSets": [
            {
                "nameSuffix": f"rack-{n}", "nodeSelector": {"matchLabels": {"datacenter.example.com/rack": f"b-{n}"}},
                "dpuSelector": {"pciAddr": "0000:0e:00.0"},
            } for n in range(DPUSETS)
        ]},
        "services": {s: {"serviceTemplate": s, "serviceConfiguration": s} for s in names(services)},
        "serviceChains": [{"ports": ports}],
    })


def _object(version: str, kind: str, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
