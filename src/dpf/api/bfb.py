"""provisioning.dpu.nvidia.com/v1alpha1 BFB: a software bundle for DPUs (api-provisioning.md section 1).

An absent `spec.fileName` stays absent; the name in use is in `status.fileName` (section 14).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from dpf.api import provisioning
from dpf.api.meta import Model, Object, Resource
from dpf.api.schema import AGE, CRD, Column, Rule, Schema, name_length_rule

PHASE_AGE: Final = (Column(name="Phase", path=".status.phase"), AGE)
"""Printer columns of the kinds that stand for software."""


class Phase(StrEnum):
    """Where the BFB is in its life."""

    INITIALIZING = "Initializing"
    DOWNLOADING = "Downloading"
    READY = "Ready"
    DELETING = "Deleting"
    ERROR = "Error"


class ConditionType(StrEnum):
    """Conditions of a BFB, in the order in which they are written."""

    INITIALIZED = "Initialized"
    """The object is accepted and has a file name of its own."""
    DOWNLOADED = "Downloaded"
    """The file is on the shared volume."""
    READY = "Ready"
    """DPUs can be installed with it."""
    ERROR = "Error"
    """It cannot be used; the message says why."""
    DELETED = "Deleted"
    """Nothing refers to it any more and the file is removed."""


class BFBVersions(Model):
    """Versions of what is in a bundle."""

    bsp: Annotated[str | None, Schema(description="Board support package.")] = None
    doca: Annotated[str | None, Schema(description="DOCA.")] = None
    uefi: Annotated[str | None, Schema(description="UEFI firmware.")] = None
    atf: Annotated[str | None, Schema(description="Arm trusted firmware.")] = None


def _declared(what: str, name: str) -> Schema:
    return Schema(
        description=f"Version of {what}.", rules=(Rule(rule="self == oldSelf", message=f"{name} version is immutable"),)
    )


class DeclaredVersions(BFBVersions):
    """Versions that the user vouches for."""

    schema: ClassVar[Schema] = Schema(rules=(Rule(
        rule=" && ".join(f"has(self.{part}) && self.{part} != ''" for part in ("bsp", "doca", "uefi", "atf")),
        message="all four version fields (bsp, doca, uefi, atf) must be provided when versions is set",
    ),))

    bsp: Annotated[str | None, _declared("the board support package", "BSP")] = None
    doca: Annotated[str | None, _declared("DOCA", "DOCA")] = None
    uefi: Annotated[str | None, _declared("the UEFI firmware", "UEFI")] = None
    atf: Annotated[str | None, _declared("the Arm trusted firmware", "ATF")] = None


class BFBSpec(Model):
    """Where the bundle comes from."""

    url: Annotated[str, Schema(pattern="^(http|https)://.+$", description="Where the bundle is fetched from.")]
    fileName: Annotated[
        str | None, Schema(pattern=r"^[A-Za-z0-9\_\-\.]+\.bfb$", description="Its name on the shared volume.")
    ] = None
    versions: Annotated[DeclaredVersions | None, Schema(description="Versions in the bundle, if declared.")] = None


class BFBStatus(Model):
    """What was observed."""

    phase: Annotated[
        str, Schema(enum=tuple(Phase), default=Phase.INITIALIZING, required=False, description="Where it is.")
    ] = Phase.INITIALIZING
    fileName: Annotated[str | None, Schema(description="Name of the file on the shared volume.")] = None
    versions: Annotated[BFBVersions | None, Schema(description="Versions in the bundle.")] = None
    observedGeneration: provisioning.ObservedGeneration = None
    conditions: provisioning.Conditions = None


class BFB(Object):
    """A software bundle that is fetched once and installed on DPUs."""

    resource: ClassVar[Resource] = Resource(provisioning.GROUP, provisioning.VERSION, "BFB", "bfbs")
    crd: ClassVar[CRD] = CRD(
        columns=PHASE_AGE,
        rules=(
            name_length_rule(187),
            provisioning.once_set(".spec.fileName"),
            provisioning.once_set(".spec.url"),
            provisioning.never_removed(".spec.versions", "versions cannot be removed once set"),
        ),
    )
    spec: BFBSpec | None = None
    status: Annotated[BFBStatus, Schema(default={"phase": Phase.INITIALIZING})] = BFBStatus()
