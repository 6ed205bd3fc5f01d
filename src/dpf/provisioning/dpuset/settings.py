"""What is wrong in a DPUSet itself, or does not fit how the platform installs DPUs. Pure; called by `plan`.

Sources: behaviour-provisioning.md section 3.1, step 1, and section 6; api-provisioning.md section 4. Much of this is
refused by the API server as well; objects from before such a rule are met nevertheless.
"""

from __future__ import annotations

from collections.abc import Iterator

from dpf.api.dpuset import DPUTemplateSpec
from dpf.api.provisioning import DPUType, NodeEffect
from dpf.provisioning.dpuset import rolling, selection
from dpf.provisioning.dpuset.selection import Candidate
from dpf.provisioning.dpuset.snapshot import Platform, Snapshot

ASTRA_NEEDS_ZERO_TRUST = "astraEnabled=true requires zero-trust deployment mode"


def problems(snapshot: Snapshot) -> tuple[str, ...]:
    """Why nothing can be done for this DPUSet before somebody changes something; empty when it can."""
    if snapshot.dpuset.spec is None:
        return ("the DPUSet has no spec; name at least a BFB and a DPUFlavor in spec.dpuTemplate.spec",)
    found = (selection.problem(snapshot.spec), rolling.problem(snapshot.spec.strategy))
    return (*(text for text in found if text is not None), *_of_template(snapshot.template.spec, snapshot.platform))


def device_problem(candidate: Candidate, template: DPUTemplateSpec) -> str | None:
    """Why this device cannot have a DPU; None when it can."""
    device = candidate.device
    if not candidate.serial_number:
        return f"DPUDevice {device.metadata.name} has no serial number; set spec.serialNumber"
    if template.astraEnabled and device.status.dpuType != DPUType.BLUEFIELD_4:
        return (
            f"DPUDevice {device.metadata.name} is a {device.status.dpuType} and is skipped: astraEnabled is for"
            f" {DPUType.BLUEFIELD_4}"
        )
    return None


def _of_template(template: DPUTemplateSpec, platform: Platform) -> Iterator[str]:
    where = "spec.dpuTemplate.spec"
    if template.blueFieldSoftware is not None:
        yield f"{where}.blueFieldSoftware is not supported yet; name a BFB in {where}.bfb instead"
    elif template.bfb is None or not template.bfb.name:
        yield "bfb.name must be non-empty"
    if template.dpuFlavorTemplate is not None:
        yield f"{where}.dpuFlavorTemplate is not supported yet; name a DPUFlavor in {where}.dpuFlavor instead"
    elif not template.dpuFlavor:
        yield "exactly one of dpuFlavor or dpuFlavorTemplate must be set"
    if template.astraEnabled and not platform.zero_trust:
        yield ASTRA_NEEDS_ZERO_TRUST
    effect = _host_effect(template.nodeEffect) if platform.redfish else None
    if effect is not None:
        yield (
            f"node effect ({effect}) is not supported when DPUs are installed through redfish, without access to the"
            f" host; use noEffect, hold or customAction in {where}.nodeEffect"
        )


def _host_effect(effect: NodeEffect | None) -> str | None:
    """The effect, if it needs the host's Node. An absent one is chosen to fit (resolutions.md row 3)."""
    if effect is None:
        return None
    named = (("taint", effect.taint), ("drain", effect.drain), ("customLabel", effect.customLabel))
    return next((name for name, value in named if value is not None), None)
