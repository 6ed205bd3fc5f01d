"""By which way DPUs are installed, as the DPFOperatorConfig says. Pure. Source: api-provisioning.md section 13."""

from __future__ import annotations

from dpf.api.dpfoperatorconfig import DeploymentMode, DPFOperatorConfig
from dpf.api.provisioning import InstallInterface


def interface_of(config: DPFOperatorConfig | None) -> InstallInterface:
    """The install interface; gNOI where nobody has chosen one."""
    spec = config.spec if config is not None else None
    if spec is None:
        return InstallInterface.GNOI
    chosen = spec.provisioningController.installInterface
    by_bmc = chosen is not None and chosen.installViaRedfish is not None
    if by_bmc or spec.deploymentMode == DeploymentMode.ZERO_TRUST:
        return InstallInterface.REDFISH
    if chosen is not None and chosen.installViaHostAgent is not None:
        return InstallInterface.HOST_AGENT
    return InstallInterface.GNOI
