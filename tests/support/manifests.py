"""Smallest valid manifests of our kinds as plain data, and a deep merge to vary them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]


def dpuservice(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUService; `spec` is merged into its spec."""
    source = {"repoURL": "https://charts.example.com", "version": "1.0.0", "chart": "example"}
    return _object("svc.dpu.nvidia.com", "DPUService", name, {"helmChart": {"source": source}}, spec)


def dpucluster(spec: Mapping[str, Any] | None = None, *, name: str = "example") -> Manifest:
    """A DPUCluster; `spec` is merged into its spec."""
    return _object("provisioning.dpu.nvidia.com", "DPUCluster", name, {"type": "static"}, spec)


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


def _object(group: str, kind: str, name: str, base: Mapping[str, Any], spec: Mapping[str, Any] | None) -> Manifest:
    return {
        "apiVersion": f"{group}/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": merge(base, spec or {})
    }
