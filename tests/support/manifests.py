"""Smallest valid manifests of our kinds as plain data, and a deep merge to vary them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]


def dpuservice(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUService; `spec` is merged into its spec."""
    source = {"repoURL": "https://charts.example.com", "version": "1.0.0", "chart": "example"}
    return _object("svc.dpu.nvidia.com", "DPUService", name, {"helmChart": {"source": source}}, spec)


def dpudeployment(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUDeployment of one service; `spec` is merged into its spec."""
    base = {
        "dpus": {"bfb": "bfb", "flavor": "flavor"},
        "services": {"producer": {"serviceTemplate": "producer", "serviceConfiguration": "producer"}},
    }
    return _object("svc.dpu.nvidia.com", "DPUDeployment", name, base, spec)


def dpuservicetemplate(spec: Mapping[str, Any] | None = None, *, name: str = "producer") -> Manifest:
    """A DPUServiceTemplate; `spec` is merged into its spec."""
    source = {"repoURL": "https://charts.example.com", "version": "1.0.0", "chart": "producer"}
    base = {"deploymentServiceName": "producer", "helmChart": {"source": source}}
    return _object("svc.dpu.nvidia.com", "DPUServiceTemplate", name, base, spec)


def dpuserviceconfiguration(spec: Mapping[str, Any] | None = None, *, name: str = "producer") -> Manifest:
    """A DPUServiceConfiguration; `spec` is merged into its spec."""
    return _object(
        "svc.dpu.nvidia.com", "DPUServiceConfiguration", name, {"deploymentServiceName": "producer"}, spec
    )


def dpuservicechain(
    *switches: Mapping[str, Any], spec: Mapping[str, Any] | None = None, name: str = "example"
) -> Manifest:
    """A DPUServiceChain with these switches, or one between p0 and p1; `spec` is merged into its spec."""
    ports = [{"serviceInterface": {"matchLabels": {"uplink": uplink}}} for uplink in ("p0", "p1")]
    template = {"spec": {"template": {"spec": {"switches": list(switches) or [{"ports": ports}]}}}}
    return _object("svc.dpu.nvidia.com", "DPUServiceChain", name, {"template": template}, spec)


def dpuserviceinterface(
    interface: Mapping[str, Any] | None = None, *, spec: Mapping[str, Any] | None = None, name: str = "example"
) -> Manifest:
    """A DPUServiceInterface with this interface, or the physical port p0; `spec` is merged into its spec."""
    physical = {"interfaceType": "physical", "physical": {"interfaceName": "p0"}}
    template = {"spec": {"template": {"spec": dict(interface or physical)}}}
    return _object("svc.dpu.nvidia.com", "DPUServiceInterface", name, {"template": template}, spec)


def dpuservicenad(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUServiceNAD; `spec` is merged into its spec."""
    return _object("svc.dpu.nvidia.com", "DPUServiceNAD", name, {"resourceType": "sf"}, spec)


def dpuservicecredentialrequest(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUServiceCredentialRequest; `spec` is merged into its spec."""
    base = {"serviceAccount": {"name": "example"}, "secret": {"name": "example"}, "type": "kubeconfig"}
    return _object("svc.dpu.nvidia.com", "DPUServiceCredentialRequest", name, base, spec)


def dpucluster(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUCluster; `spec` is merged into its spec."""
    return _object("provisioning.dpu.nvidia.com", "DPUCluster", name, {"type": "static"}, spec)


def bfb(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A BFB; `spec` is merged into its spec."""
    return _object("provisioning.dpu.nvidia.com", "BFB", name, {"url": "http://example.com/bundle.bfb"}, spec)


def bluefieldsoftware(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A BlueFieldSoftware; `spec` is merged into its spec."""
    base = {"osIso": "http://example.com/os.iso"}
    return _object("provisioning.dpu.nvidia.com", "BlueFieldSoftware", name, base, spec)


def dpuflavor(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUFlavor; `spec` is merged into its spec."""
    return _object("provisioning.dpu.nvidia.com", "DPUFlavor", name, {}, spec)


def dpuflavortemplate(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUFlavorTemplate; `spec` is merged into its spec."""
    return _object("provisioning.dpu.nvidia.com", "DPUFlavorTemplate", name, {"template": "spec: {}"}, spec)


def dpuset(
    template: Mapping[str, Any] | None = None, *, spec: Mapping[str, Any] | None = None, name: str = "example"
) -> Manifest:
    """A DPUSet; `template` is merged into the spec of its template, `spec` into its own."""
    base = {"dpuTemplate": {"spec": merge({"bfb": {"name": "bfb"}, "dpuFlavor": "flavor"}, template or {})}}
    return _object("provisioning.dpu.nvidia.com", "DPUSet", name, base, spec)


def dpu(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPU; `spec` is merged into its spec."""
    base = {
        "dpuNodeName": "node", "dpuDeviceName": "device", "serialNumber": "MT1", "bfb": "bfb", "dpuFlavor": "flavor",
    }
    return _object("provisioning.dpu.nvidia.com", "DPU", name, base, spec)


def dpunode(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUNode; `spec` is merged into its spec."""
    return _object("provisioning.dpu.nvidia.com", "DPUNode", name, {}, spec)


def dpudevice(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUDevice; `spec` is merged into its spec."""
    return _object("provisioning.dpu.nvidia.com", "DPUDevice", name, {"serialNumber": "MT1"}, spec)


def dpudiscovery(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUDiscovery; `spec` is merged into its spec."""
    given = {"ipRangeSpec": {"ipRange": {"startIP": "10.0.0.1", "endIP": "10.0.0.9"}}}
    return _object("provisioning.dpu.nvidia.com", "DPUDiscovery", name, given, spec)


def dpunodemaintenance(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUNodeMaintenance; `spec` is merged into its spec."""
    return _object("provisioning.dpu.nvidia.com", "DPUNodeMaintenance", name, {"dpuNodeName": "node"}, spec)


def dpfoperatorconfig(spec: Mapping[str, Any] | None = None, *, name: str = "dpfoperatorconfig") -> Manifest:
    """A DPFOperatorConfig; `spec` is merged into its spec."""
    return _object("operator.dpu.nvidia.com", "DPFOperatorConfig", name, {}, spec)


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> Manifest:
    """`base` with `change` on top; maps are merged, everything else is replaced."""
    both = {
        key: merge(base[key], value) if isinstance(value, Mapping) and isinstance(base.get(key), Mapping) else value
        for key, value in change.items()
    }
    return {**base, **both}


def lost(written: Any, stored: Any, path: str = "") -> list[str]:
    """Paths at which `stored` does not hold what `written` says; what was added, such as a default, is no loss."""
    match written, stored:
        case dict(), dict():
            return [p for key in written for p in lost(written[key], stored.get(key), f"{path}.{key}")]
        case list(), list() if len(written) == len(stored):
            return [p for i, pair in enumerate(zip(written, stored, strict=True)) for p in lost(*pair, f"{path}[{i}]")]
        case _:
            return [] if written == stored and type(written) is type(stored) else [path]


def _object(group: str, kind: str, name: str, base: Mapping[str, Any], spec: Mapping[str, Any] | None) -> Manifest:
    return {
        "apiVersion": f"{group}/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": merge(base, spec or {})
    }
