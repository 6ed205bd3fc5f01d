"""The steps of a pass over a DPUDeployment, in their order: the words that planner and status share."""

from __future__ import annotations

from enum import StrEnum


class StepName(StrEnum):
    """Each is reported by one condition; the last two belong to the teardown alone."""

    DEPENDENCIES = "dependencies"
    """Everything that is referenced exists, fits and is marked as in use. PrerequisitesReady."""
    VERSIONS = "versions"
    """Charts accept the DOCA version of the BFB. VersionMatchingReady."""
    RESOURCES = "resources"
    """All services fit into what the flavor leaves. ResourceFittingReady."""
    SERVICES = "services"
    INTERFACES = "interfaces"
    CHAINS = "chains"
    DPUSETS = "dpusets"
    UNPAUSE = "unpause"
    """Old revisions that are paused are woken, or their finalizers hang."""
    RELEASE = "release"
    """Dependencies lose finalizer and label."""
