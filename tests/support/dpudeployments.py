"""Builders for DPUDeployments and what they build on, and stand-ins for the controllers of their children."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dpf.api.bfb import BFB, BFBSpec, BFBStatus, BFBVersions
from dpf.api.bluefieldsoftware import (
    BlueFieldSoftware,
    BlueFieldSoftwareSpec,
    BlueFieldSoftwareStatus,
    SoftwareVersions,
)
from dpf.api.dpudeployment import DPUDeployment, DPUDeploymentSpec
from dpf.api.dpuflavor import DPUFlavor, DPUFlavorSpec
from dpf.api.dpuflavortemplate import DPUFlavorTemplate, DPUFlavorTemplateSpec
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration, DPUServiceConfigurationSpec
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate, DPUServiceTemplateSpec, DPUServiceTemplateStatus
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Condition, Key, Object, ObjectMeta, object_key
from dpf.kube.client import Client
from dpf.services.dpudeployment.snapshot import Children, Snapshot

TENANT = "tenant"
LONG_AGO = "2025-12-01T00:00:00Z"
CHILDREN: tuple[type[Object], ...] = (DPUService, DPUServiceInterface, DPUServiceChain, DPUSet)
DEPENDENCIES: tuple[type[Object], ...] = (
    BFB, BlueFieldSoftware, DPUFlavor, DPUFlavorTemplate, DPUServiceTemplate, DPUServiceConfiguration,
)


def a_deployment(
    name: str = "dd", namespace: str = TENANT, *, services: Sequence[str] = ("producer",), deleting: bool = False,
    dpus: Mapping[str, Any] | None = None, **spec: Any,
) -> DPUDeployment:
    """A DPUDeployment with one DPUSet `workers`; template and configuration of a service have the service's name."""
    minimal: dict[str, Any] = {
        "dpus": {"bfb": "bfb", "flavor": "flavor", "dpuSets": [{"nameSuffix": "workers"}], **(dpus or {})},
        "services": {service: {"serviceTemplate": service, "serviceConfiguration": service} for service in services},
    }
    return DPUDeployment(
        metadata=ObjectMeta(
            name=name, namespace=namespace, uid=f"uid-{namespace}-{name}", creationTimestamp=LONG_AGO, generation=1,
            deletionTimestamp="2026-01-01T00:00:00Z" if deleting else None,
        ),
        spec=msgspec.convert({**minimal, **spec}, DPUDeploymentSpec),
    )


def a_bfb(name: str = "bfb", namespace: str = TENANT, *, phase: str = "Ready", doca: str | None = "2.9.1") -> BFB:
    """A BFB that is downloaded."""
    return BFB(
        metadata=metadata(name, namespace), spec=BFBSpec(url="http://example.com/bundle.bfb"),
        status=BFBStatus(phase=phase, versions=BFBVersions(doca=doca) if doca is not None else None),
    )


def a_software(
    name: str = "software", namespace: str = TENANT, *, phase: str = "Ready", doca: str | None = "3.0.0"
) -> BlueFieldSoftware:
    """A BlueFieldSoftware that is downloaded."""
    return BlueFieldSoftware(
        metadata=metadata(name, namespace), spec=BlueFieldSoftwareSpec(osIso="http://example.com/os.iso"),
        status=BlueFieldSoftwareStatus(phase=phase, versions=SoftwareVersions(doca=doca)),
    )


def a_flavor(name: str = "flavor", namespace: str = TENANT, **spec: Any) -> DPUFlavor:
    """A DPUFlavor; without `dpuResources` everything fits."""
    return DPUFlavor(metadata=metadata(name, namespace), spec=msgspec.convert(spec, DPUFlavorSpec))


def a_flavor_template(name: str = "rendered", namespace: str = TENANT, **spec: Any) -> DPUFlavorTemplate:
    """A DPUFlavorTemplate; without `dpuResources` everything fits."""
    wanted = msgspec.convert({"template": "spec: {}", **spec}, DPUFlavorTemplateSpec)
    return DPUFlavorTemplate(metadata=metadata(name, namespace), spec=wanted)


def a_template(
    name: str = "producer", namespace: str = TENANT, *, ready: bool = True, observed: int = 1,
    doca: str | None = None, **spec: Any,
) -> DPUServiceTemplate:
    """A DPUServiceTemplate for the service of its name; `doca` is the constraint that its chart states."""
    source = {"repoURL": "https://charts.example.com", "version": "1.0.0", "chart": name}
    minimal = {"deploymentServiceName": name, "helmChart": {"source": source}}
    return DPUServiceTemplate(
        metadata=metadata(name, namespace), spec=msgspec.convert({**minimal, **spec}, DPUServiceTemplateSpec),
        status=DPUServiceTemplateStatus(
            conditions=[a_ready_condition(ready=ready, generation=observed)], observedGeneration=observed,
            versions={"dpu.nvidia.com/doca-version": doca} if doca is not None else None,
        ),
    )


def a_configuration(
    name: str = "producer", namespace: str = TENANT, *, interfaces: Sequence[str] = (), **spec: Any
) -> DPUServiceConfiguration:
    """A DPUServiceConfiguration for the service of its name, with these interfaces on the network `mynad`."""
    minimal: dict[str, Any] = {"deploymentServiceName": name}
    if interfaces:
        minimal["interfaces"] = [{"name": interface, "network": "mynad"} for interface in interfaces]
    return DPUServiceConfiguration(
        metadata=metadata(name, namespace), spec=msgspec.convert({**minimal, **spec}, DPUServiceConfigurationSpec)
    )


def dependencies_of(deployment: DPUDeployment) -> list[Object]:
    """Everything that a deployment made by `a_deployment` names, ready."""
    namespace = deployment.metadata.namespace or ""
    spec = deployment.spec
    services = list(spec.services) if spec is not None else []
    return [
        a_bfb(namespace=namespace), a_flavor(namespace=namespace),
        *(a_template(service, namespace) for service in services),
        *(a_configuration(service, namespace, interfaces=("eth0",)) for service in services),
    ]


def a_snapshot(deployment: DPUDeployment, *objects: Object, **fields: Any) -> Snapshot:
    """The snapshot of a world that holds these objects; children are recognised by their kind alone."""
    named = {(type(obj), obj.metadata.name): obj for obj in objects}
    dpus = deployment.spec.dpus if deployment.spec is not None else None
    return Snapshot(
        deployment=deployment,
        bfb=_named(named, BFB, dpus.bfb if dpus else None),
        bluefield_software=_named(named, BlueFieldSoftware, dpus.blueFieldSoftware if dpus else None),
        flavor=_named(named, DPUFlavor, dpus.flavor if dpus else None),
        flavor_template=_named(named, DPUFlavorTemplate, dpus.flavorTemplate if dpus else None),
        templates={obj.metadata.name: obj for obj in objects if isinstance(obj, DPUServiceTemplate)},
        configurations={obj.metadata.name: obj for obj in objects if isinstance(obj, DPUServiceConfiguration)},
        children=Children(
            services=tuple(obj for obj in objects if isinstance(obj, DPUService)),
            interfaces=tuple(obj for obj in objects if isinstance(obj, DPUServiceInterface)),
            chains=tuple(obj for obj in objects if isinstance(obj, DPUServiceChain)),
            dpusets=tuple(obj for obj in objects if isinstance(obj, DPUSet)),
        ),
        **fields,
    )


def metadata(
    name: str, namespace: str = TENANT, *, labels: dict[str, str] | None = None, finalizers: list[str] | None = None,
    deleting: bool = False,
) -> ObjectMeta:
    """Metadata of an object at its first generation."""
    return ObjectMeta(
        name=name, namespace=namespace, uid=f"uid-{namespace}-{name}", creationTimestamp=LONG_AGO, generation=1,
        labels=labels, finalizers=finalizers, deletionTimestamp="2026-01-01T00:00:00Z" if deleting else None,
    )


def a_ready_condition(*, ready: bool = True, generation: int | None = 1) -> Condition:
    """The condition Ready."""
    return Condition(
        type="Ready", status="True" if ready else "False", reason="Success" if ready else "Pending",
        lastTransitionTime=LONG_AGO, observedGeneration=generation,
    )


async def report(host: Client, obj: Object, *, ready: bool = True) -> None:
    """The object's own controller says whether it is ready as it is now."""
    condition = a_ready_condition(ready=ready, generation=obj.metadata.generation)
    status = {"conditions": [msgspec.to_builtins(condition) | {"message": ""}],
              "observedGeneration": obj.metadata.generation}
    await host.patch(
        type(obj), obj.metadata.name, obj.metadata.namespace, patch={"status": status}, subresource="status"
    )


async def hold(host: Client, obj: Object, finalizer: str = "test/stay") -> None:
    """The object's own controller puts its finalizer on."""
    finalizers = [*(obj.metadata.finalizers or ()), finalizer]
    await host.patch(
        type(obj), obj.metadata.name, obj.metadata.namespace, patch={"metadata": {"finalizers": finalizers}}
    )


async def let_go(host: Client, obj: Object, finalizer: str = "test/stay") -> None:
    """The object's own controller is done with its deletion. That of a paused DPUService does not even look."""
    if isinstance(obj, DPUService) and obj.spec is not None and obj.spec.paused:
        return
    finalizers = [f for f in obj.metadata.finalizers or () if f != finalizer]
    await host.patch(
        type(obj), obj.metadata.name, obj.metadata.namespace, patch={"metadata": {"finalizers": finalizers or None}}
    )


def marks(obj: Object) -> tuple[bool, list[str]]:
    """Whether a dependency is protected from deletion, and the labels of those who use it."""
    protected = "dpu.nvidia.com/dpudeployment" in (obj.metadata.finalizers or ())
    prefix = "svc.dpu.nvidia.com/consumed-by-dpudeployment-"
    return protected, sorted(label for label in obj.metadata.labels or {} if label.startswith(prefix))


def keys(objects: Sequence[Object]) -> list[Key]:
    """Namespaces and names."""
    return [object_key(obj) for obj in objects]


def _named(objects: Mapping[tuple[type[Object], str], Object], kind: type[Any], name: str | None) -> Any:
    return objects.get((kind, name)) if name else None
