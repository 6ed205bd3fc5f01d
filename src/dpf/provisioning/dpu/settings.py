"""How DPUs are installed, from the DPFOperatorConfig and the command line. Pure. Called by `observe`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dpf.api.dpfoperatorconfig import DeploymentMode, DPFOperatorConfig
from dpf.provisioning.dpu.snapshot import Settings
from dpf.provisioning.dpunode import interface
from dpf.provisioning.maintenance import durations

INSTALL_ATTEMPTS: Final = 2
INSTALL_TIMEOUT: Final = "60m"


def of_config(config: DPFOperatorConfig | None, usual: Settings) -> Settings:
    """`usual` where the DPFOperatorConfig says nothing (api-provisioning.md 13.3)."""
    spec = config.spec if config is not None else None
    chosen = replace(usual, interface=interface.interface_of(config))
    if spec is None or config is None:
        return chosen
    controller = spec.provisioningController
    mode = spec.deploymentMode or DeploymentMode.HOST_TRUSTED
    told = controller.registry.loadBalancerAddress if controller.registry is not None else None
    return replace(
        chosen, mode=DeploymentMode(mode), registry=without_scheme(told) if told else usual.registry,
        parallel_installations=controller.maxDPUParallelInstallations,
        install_attempts=controller.osInstallRetries or INSTALL_ATTEMPTS,
        install_timeout_s=durations.seconds(controller.osInstallTimeout or INSTALL_TIMEOUT) or 3600.0,
        removal_timeout_s=durations.seconds(controller.nodeEffectRemovalTimeout or "0s") or 0.0,
        control_plane_mtu=spec.networking.controlPlaneMTU, high_speed_mtu=spec.networking.highSpeedMTU,
        upgrade=_upgrade(config),
    )


def without_scheme(address: str) -> str:
    """Host and port: what a BMC is given names no scheme (behaviour-provisioning.md section 2)."""
    return address.partition("://")[2].rstrip("/") if "://" in address else address.rstrip("/")


def _upgrade(config: DPFOperatorConfig) -> str | None:
    now, target = config.status.version, config.status.targetVersion
    return f"{now} to {target}" if now and target and now != target else None
