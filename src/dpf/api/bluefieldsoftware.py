"""provisioning.dpu.nvidia.com/v1alpha1 BlueFieldSoftware: what is installed on a BlueField-4 (section 2)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api import provisioning
from dpf.api.bfb import PHASE_AGE
from dpf.api.meta import Model, Object, Resource
from dpf.api.schema import CRD, Rule, Schema, name_length_rule


class Phase(StrEnum):
    """Where the BlueFieldSoftware is in its life."""

    INITIALIZING = "Initializing"
    DOWNLOADING = "Downloading"
    EXTRACTING = "Extracting"
    READY = "Ready"
    DELETING = "Deleting"
    ERROR = "Error"


class ConditionType(StrEnum):
    """Conditions of a BlueFieldSoftware, in the order in which they are written."""

    INITIALIZED = "Initialized"
    """The object is accepted."""
    DOWNLOADED = "Downloaded"
    """All its parts are on the shared volume."""
    READY = "Ready"
    """DPUs can be installed with it."""
    ERROR = "Error"
    """It cannot be used; the message says why."""
    DELETED = "Deleted"
    """Nothing refers to it any more and its files are removed."""


class BlueFieldSoftwareSpec(Model):
    """Where the parts come from."""

    osIso: Annotated[str, Schema(min_length=1, description="Image of the operating system.")]
    pldmFwBundle: Annotated[str | None, Schema(min_length=1, description="Firmware bundle.")] = None
    platformPldmFwBundle: Annotated[
        str | None, Schema(min_length=1, description="Firmware bundle of a Vera Rubin platform.")
    ] = None
    nicFw: Annotated[str | None, Schema(min_length=1, description="Firmware of one east-west network card.")] = None


class SoftwareVersions(Model):
    """Versions of what is in the parts."""

    doca: Annotated[str | None, Schema(description="DOCA.")] = None
    fwBundleVersion: Annotated[str | None, Schema(description="Firmware bundle.")] = None
    osISOVersion: Annotated[str | None, Schema(description="Operating system.")] = None
    ewNicFwVersion: Annotated[str | None, Schema(description="Firmware of the east-west network card.")] = None
    bmcVersion: Annotated[str | None, Schema(description="BMC.")] = None
    bmcErotVersion: Annotated[str | None, Schema(description="Root of trust of the BMC.")] = None
    sbiosVersion: Annotated[str | None, Schema(description="System BIOS.")] = None
    bfNicFwVersion: Annotated[str | None, Schema(description="Firmware of the BlueField's own network card.")] = None


class DownloadedComponents(Model):
    """Parts that are on the shared volume already."""

    pldmFwBundle: Annotated[str | None, Schema(description="Firmware bundle.")] = None
    platformPldmFwBundle: Annotated[str | None, Schema(description="Firmware bundle of the platform.")] = None
    osIso: Annotated[str | None, Schema(description="Image of the operating system.")] = None
    nicFw: Annotated[str | None, Schema(description="Firmware of the east-west network card.")] = None


class BlueFieldSoftwareStatus(Model):
    """What was observed."""

    phase: Annotated[
        str, Schema(enum=tuple(Phase), default=Phase.INITIALIZING, required=False, description="Where it is.")
    ] = Phase.INITIALIZING
    versions: Annotated[SoftwareVersions | None, Schema(description="Versions in the parts.")] = None
    downloadedComponents: Annotated[
        DownloadedComponents | None, Schema(description="Parts that are on the shared volume.")
    ] = None
    observedGeneration: provisioning.ObservedGeneration = None
    conditions: provisioning.Conditions = None


class BlueFieldSoftware(Object):
    """Operating system and firmware for BlueField-4."""

    resource: ClassVar[Resource] = Resource(
        provisioning.GROUP, provisioning.VERSION, "BlueFieldSoftware", "bluefieldsoftwares"
    )
    crd: ClassVar[CRD] = CRD(
        columns=PHASE_AGE,
        rules=(
            name_length_rule(187),
            provisioning.once_set(".spec", "BlueFieldSpec is immutable"),
            provisioning.never_removed(".status.versions", "versions cannot be removed once set"),
        ),
    )
    spec: Annotated[
        BlueFieldSoftwareSpec | None,
        Schema(rules=(Rule(
            rule="!(has(self.nicFw) && has(self.platformPldmFwBundle))",
            message="nicFw and platformPldmFwBundle are mutually exclusive; set only one",
        ),)),
    ] = None
    status: Annotated[
        BlueFieldSoftwareStatus, Schema(default={"phase": Phase.INITIALIZING})
    ] = BlueFieldSoftwareStatus()
