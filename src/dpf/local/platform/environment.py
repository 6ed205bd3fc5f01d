"""What a shell or a script needs to use the platform: kubeconfigs, kubectl and the local registries."""

from __future__ import annotations

import shlex
from pathlib import Path

from dpf.local import parts as local_parts
from dpf.local.platform import addresses
from dpf.local.platform import settings as platform_settings

DOCKER_REGISTRY = "registry.local"
"""Stands for a container registry: emulated nodes know its images by the image map."""


def host_kubeconfig(state: Path) -> Path:
    """Administrator of the host cluster."""
    return state / "host" / "admin.kubeconfig"


def dpu_kubeconfig(state: Path) -> Path:
    """Administrator of the DPU cluster."""
    return state / "dpu.kubeconfig"


def variables(settings: platform_settings.Settings) -> dict[str, str]:
    """The variables in the order in which they are printed."""
    return {
        "HOST_KUBECONFIG": str(host_kubeconfig(settings.state)),
        "DPU_KUBECONFIG": str(dpu_kubeconfig(settings.state)),
        "KUBECTL": str(local_parts.find("kubectl")),
        "KUBECONFIG": str(host_kubeconfig(settings.state)),
        "DPUSERVICE_HELM_REGISTRY": f"127.0.0.1:{settings.port('chart-repository')}",
        "DPUSERVICE_DOCKER_REGISTRY": DOCKER_REGISTRY,
        **_hardware(settings),
    }


def _hardware(settings: platform_settings.Settings) -> dict[str, str]:
    """Where bundles are served, and where the BMCs listen."""
    bundles = {"BFB_URL": f"http://127.0.0.1:{settings.port('bfb-server')}"}
    if settings.install_interface != "redfish" or not settings.dpus:
        return bundles
    return {
        **bundles, "BMC_FIRST_IP": addresses.of_bmc(settings.id, 1),
        "BMC_LAST_IP": addresses.of_bmc(settings.id, settings.dpus), "BMC_PORT": str(settings.port("bmc")),
    }


def exports(settings: platform_settings.Settings) -> list[str]:
    """Lines that a POSIX shell can evaluate."""
    return [f"export {name}={shlex.quote(value)}" for name, value in variables(settings).items()]
