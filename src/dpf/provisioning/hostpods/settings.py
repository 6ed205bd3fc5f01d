"""What the pods on host nodes are made of, from the DPFOperatorConfig. Pure. Called by the DPU controller.

Source: api-provisioning.md section 13.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from dpf.api.dpfoperatorconfig import DEFAULT_OOB_BRIDGE, DPFOperatorConfig

DMS_TIMEOUT_S: Final = 900
REPOSITORY: Final = "pydpf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Images, and what the host nodes have.

    BFBs come from the volume claim `bfb_claim`, or without one from the folder `bfb_folder` of the node.
    `dms_timeout_s` is how long the DMS gives one command. `pull_secrets` are names in the pods' namespace.
    """

    dms_image: str
    hostnetwork_image: str
    hostagent_image: str
    bfb_claim: str | None = None
    bfb_folder: str = "/bfb"
    dms_timeout_s: int = DMS_TIMEOUT_S
    bridge: str = DEFAULT_OOB_BRIDGE
    pull_secrets: tuple[str, ...] = ()


def of_version(version: str) -> Settings:
    """The settings of an installation that nobody has configured; `version` is DPF's own, without `v`."""
    return Settings(
        dms_image=f"{REPOSITORY}/dpf-dms:v{version}", hostnetwork_image=f"{REPOSITORY}/dpf-hostnetwork:v{version}",
        hostagent_image=f"{REPOSITORY}/dpf-hostagent:v{version}",
    )


def of_config(config: DPFOperatorConfig | None, version: str, *, bfb_folder: str = "/bfb") -> Settings:
    """The settings that the DPFOperatorConfig asks for. `bfb_folder` is the folder of the nodes without a claim."""
    usual = replace(of_version(version), bfb_folder=bfb_folder)
    spec = config.spec if config is not None else None
    if spec is None:
        return usual
    return replace(
        usual, bfb_claim=spec.provisioningController.bfbPVCName,
        dms_timeout_s=spec.provisioningController.dmsTimeout or DMS_TIMEOUT_S,
        bridge=spec.networking.dpuNodeOOBBridgeName, pull_secrets=tuple(spec.imagePullSecrets or ()),
    )
