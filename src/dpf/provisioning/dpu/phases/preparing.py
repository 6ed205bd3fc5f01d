"""Initializing and Pending: what the DPU is, where it belongs, and whether it may be installed now. Pure.

Source: behaviour-provisioning.md 5.1 and 5.2; which cluster and which place is `observe`'s to propose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address
from typing import Any, Final

from dpf.api import names
from dpf.api.bfb import Phase as BFBPhase
from dpf.api.dpfoperatorconfig import DeploymentMode
from dpf.api.dpu import DPU, ConditionReason, ConditionType, IdentityMode, Phase
from dpf.api.dpunode import ConditionType as NodeCondition
from dpf.api.meta import object_key
from dpf.api.provisioning import DPUType, InstallInterface
from dpf.provisioning.dpu.decision import AT_ONCE_S, Decision, Update, do, fail, move, wait
from dpf.provisioning.dpu.snapshot import Settings, Snapshot
from dpf.provisioning.flavor import checks, firmware, preflight
from dpf.provisioning.flavor.problem import blocking
from dpf.runtime import conditions
from dpf.runtime.plan import Patch

SKIPPED: Final = conditions.true(
    "Skipped", f"The DPUDevice has the label {names.SKIP_DPU_PROVISIONING_LABEL}: nothing is installed"
)
"""Ready of a DPU that somebody else has installed."""
LOOK_AGAIN_S: Final = 30.0
"""For what no watch brings."""
IN_LINE_S: Final = 60.0
"""How often somebody in line looks by himself: of what becomes free only the first ones are told."""
SUPPORTED = frozenset({InstallInterface.GNOI, InstallInterface.REDFISH})
_BRIDGE = "feature label dpu-oob-bridge-configured"

Check = Callable[[Snapshot], Decision | None]


def initializing(snapshot: Snapshot, now: datetime) -> Decision:  # noqa: ARG001 - the contract
    """The first thing that is missing; when nothing is, on to Pending."""
    about = ConditionType.INITIALIZED
    for check in (_host, _device, _skip, _supported, _bridge, _interface, _address, _cluster, _type):
        found = check(snapshot)
        if found is not None:
            facts = Update(fields=_facts(snapshot))
            return Decision(
                about=found.about, update=facts.also(found.update), actions=found.actions, settle=found.settle,
                why=found.why, is_invalid=found.is_invalid, wake_after_s=found.wake_after_s, because=found.because,
            )
    return move(about, Phase.PENDING, "host, device and cluster are known", **_facts(snapshot))


def pending(snapshot: Snapshot, now: datetime) -> Decision:  # noqa: ARG001 - the contract
    """Until what is installed is there, fits the card, and there is a place for one more installation."""
    about = ConditionType.PENDING
    for check in (_upgrade, _alone, _template, _bfb, _flavor, _fits, _registry, _place):
        found = check(snapshot)
        if found is not None:
            return found
    states = {
        about: conditions.true(str(about)), ConditionType.BFB_READY: conditions.true(str(ConditionType.BFB_READY)),
        ConditionType.DPU_FLAVOR_EXISTS: conditions.true(str(ConditionType.DPU_FLAVOR_EXISTS)),
    }
    fields = {"bfbFile": snapshot.bfb.status.fileName if snapshot.bfb is not None else None}
    if snapshot.bfb is not None and snapshot.bfb.status.versions is not None:
        fields["bfbVersion"] = snapshot.bfb.status.versions.doca
    update = Update(phase=Phase.NODE_EFFECT, states=states, fields=fields)
    return Decision(about=about, update=update, wake_after_s=AT_ONCE_S, because="everything is there, and a place")


def _facts(snapshot: Snapshot) -> dict[str, Any]:
    """What is stamped once, or copied from the device."""
    status, settings = snapshot.dpu.status, snapshot.settings
    facts: dict[str, Any] = {
        "dpfVersion": status.dpfVersion or settings.version, "deploymentMode": str(settings.mode),
        "identityMode": status.identityMode or str(IdentityMode.BOOTSTRAP_TOKEN),
        "hostless": True if snapshot.hostless else None,
    }
    if snapshot.device is not None:
        device = snapshot.device.status
        facts |= {"dpuType": device.dpuType, "dpuMode": device.dpuMode, "secureBoot": device.secureBoot}
        facts["pciDevice"] = snapshot.dpu.spec.pciAddress if snapshot.dpu.spec is not None else None
    return facts


def _host(snapshot: Snapshot) -> Decision | None:
    if snapshot.dpunode is not None:
        return None
    name = snapshot.dpu.spec.dpuNodeName if snapshot.dpu.spec is not None else ""
    return _initial("DPUNodeNotFound", f"DPUNode {snapshot.key.namespace}/{name} does not exist")


def _device(snapshot: Snapshot) -> Decision | None:
    if snapshot.device is not None:
        return None
    name = snapshot.dpu.spec.dpuDeviceName if snapshot.dpu.spec is not None else ""
    return _initial("DPUDeviceNotFound", f"DPUDevice {snapshot.key.namespace}/{name} does not exist")


def _skip(snapshot: Snapshot) -> Decision | None:
    """Somebody else has installed it."""
    if snapshot.device_labels.get(names.SKIP_DPU_PROVISIONING_LABEL) != "true":
        return None
    found = move(ConditionType.INITIALIZED, Phase.READY, SKIPPED.message, state=SKIPPED)
    update = found.update.also(Update(states={ConditionType.READY: SKIPPED}))
    return Decision(about=found.about, update=update, wake_after_s=AT_ONCE_S, because=found.because)


def _supported(snapshot: Snapshot) -> Decision | None:
    """What the API accepts and this release does not do."""
    interface, spec = snapshot.settings.interface, snapshot.dpu.spec
    if snapshot.interface is None and interface not in SUPPORTED:
        names_ = " or ".join(sorted(SUPPORTED))
        return _initial(
            "NotSupported", f"The install interface {interface} is not supported yet. Next step: choose {names_} in "
            "provisioningController.installInterface of the DPFOperatorConfig", is_invalid=True,
        )
    if spec is not None and spec.blueFieldSoftware:
        return _initial(
            "NotSupported", f"BlueFieldSoftware {spec.blueFieldSoftware} cannot be installed: BlueField-4 is not "
            "supported yet. Next step: name a BFB instead", is_invalid=True,
        )
    if snapshot.device is not None and snapshot.device.status.dpuType == DPUType.BLUEFIELD_4:
        return _initial(
            "NotSupported", f"DPUDevice {snapshot.device.metadata.name} is a {DPUType.BLUEFIELD_4}, which is not "
            "supported yet. Next step: take it out of the DPUSet", is_invalid=True,
        )
    return None


def _bridge(snapshot: Snapshot) -> Decision | None:
    """Hosts that the DPU's own traffic passes through need their bridge first."""
    dpunode = snapshot.dpunode
    if dpunode is None or snapshot.settings.interface is InstallInterface.REDFISH:
        return None
    if conditions.is_true(dpunode.status.conditions, NodeCondition.OOB_BRIDGE_CONFIGURED):
        return None
    found = conditions.find(dpunode.status.conditions, NodeCondition.OOB_BRIDGE_CONFIGURED)
    why = found.message if found is not None else (
        f"DPUNode {dpunode.metadata.name} does not say yet whether the host has the bridge to the out-of-band ports "
        f"({_BRIDGE})"
    )
    return _initial(ConditionReason.DPU_OOB_BRIDGE_NOT_CONFIGURED, why)


def _interface(snapshot: Snapshot) -> Decision | None:
    """Copied once, in a pass of its own, so that it stays as it is whatever the platform does later."""
    if snapshot.interface is not None or snapshot.dpunode is None:
        return None
    told = snapshot.dpunode.status.dpuInstallInterface
    if told is None:
        why = f"DPUNode {snapshot.dpunode.metadata.name} does not say yet how its DPUs are installed"
        return _initial("DPUInstallInterfaceNotProvided", why)
    found = _initial("DPUInstallInterfaceNotProvided", "The install interface is taken over")
    return Decision(
        about=found.about, update=found.update.also(Update(fields={"dpuInstallInterface": told})),
        wake_after_s=AT_ONCE_S,
    )


def _address(snapshot: Snapshot) -> Decision | None:
    device, spec = snapshot.device, snapshot.dpu.spec
    if device is None or spec is None:
        return None
    if not snapshot.is_redfish:
        if spec.pciAddress:
            return None
        return _initial("PCIAddressNotProvided", f"DPUDevice {device.metadata.name} has no PCI address yet")
    address = device.spec.bmcIp if device.spec is not None else None
    try:
        IPv4Address(address or "")
    except AddressValueError:
        return fail(
            ConditionType.INITIALIZED, "BMCIPNotValid",
            f"DPUDevice {device.metadata.name} has no valid bmcIp ({address or 'none'}); set it, then delete the DPU",
        )
    return None


def _cluster(snapshot: Snapshot) -> Decision | None:
    key = snapshot.cluster_key
    if key is None:
        return _allocate(snapshot)
    if snapshot.cluster is None:
        return _initial("DPUClusterNotFound", f"DPUCluster {key} does not exist")
    if snapshot.cluster.metadata.deletionTimestamp is not None:
        return _initial("DPUClusterDeleting", f"DPUCluster {key} is being deleted")
    return None


def _allocate(snapshot: Snapshot) -> Decision:
    if snapshot.allocated is None:
        why = snapshot.unallocated or "no feasible cluster found"
        return wait(ConditionType.INITIALIZED, "DPUClusterNotAllocated", why, wake_after_s=IN_LINE_S)
    chosen = snapshot.allocated
    patch = Patch(
        kind=DPU, key=snapshot.key, because=f"it joins DPUCluster {chosen}",
        patch={
            "metadata": {"resourceVersion": snapshot.dpu.metadata.resourceVersion},
            "spec": {"cluster": {"name": chosen.name, "namespace": chosen.namespace}},
        },
    )
    return do(_initial("DPUClusterNotAllocated", f"DPUCluster {chosen} is assigned"), patch, settle=lambda _: Update())


def _type(snapshot: Snapshot) -> Decision | None:
    device = snapshot.device
    if device is None or not snapshot.is_redfish or device.status.dpuType != DPUType.UNKNOWN:
        return None
    if device.status.dpuMode == "nic":
        return None  # a plain network card does not tell what it is (BP 4.5)
    return _initial("DPUTypeUnknown", f"DPUDevice {device.metadata.name} does not say yet what hardware it is")


def _initial(reason: str, why: str, *, is_invalid: bool = False) -> Decision:
    return wait(ConditionType.INITIALIZED, reason, why, is_invalid=is_invalid)


def _upgrade(snapshot: Snapshot) -> Decision | None:
    if snapshot.settings.upgrade is None:
        return None
    why = f"The platform is being upgraded ({snapshot.settings.upgrade}); the installation begins afterwards"
    return wait(ConditionType.PENDING, ConditionReason.DPF_OPERATOR_UPGRADE_IN_PROGRESS, why)


def _alone(snapshot: Snapshot) -> Decision | None:
    """One card has one DPU, and a Node has one: two would install one after the other, and take each other's away."""
    about, rival, namesake = ConditionType.PENDING, snapshot.rival, snapshot.namesake
    if rival is not None:
        why = (
            f"The card of DPUDevice {snapshot.device.metadata.name if snapshot.device is not None else ''} is that of "
            f"DPU {object_key(rival)} already. Next step: delete one of the two"
        )
        return wait(about, "DPUDeviceInUse", why, wake_after_s=LOOK_AGAIN_S)
    if namesake is not None:
        why = (
            f"Node {snapshot.key.name} of DPUCluster {snapshot.cluster_key} is that of DPU {object_key(namesake)}. "
            "Next step: delete one of the two, or choose another DPUCluster for it"
        )
        return wait(about, "NodeNameInUse", why, wake_after_s=LOOK_AGAIN_S)
    return None


def _registry(snapshot: Snapshot) -> Decision | None:
    """A BMC fetches its bundle from us: nobody could say from where."""
    if not snapshot.is_redfish or snapshot.skips_hardware or snapshot.settings.registry:
        return None
    why = (
        "The address at which BMCs reach the BFB registry is not known. Next step: set "
        "provisioningController.registry.loadBalancerAddress of the DPFOperatorConfig"
    )
    return wait(ConditionType.PENDING, "BFBRegistryUnknown", why, is_invalid=True)


def _template(snapshot: Snapshot) -> Decision | None:
    """The DPUSet could not fill in a DPUFlavorTemplate for this DPU."""
    annotations = snapshot.dpu.metadata.annotations or {}
    if annotations.get(names.RENDER_FAILED_REASON_ANNOTATION) != ConditionReason.RENDER_FAILED_ON_CREATE:
        return None
    why = annotations.get(names.RENDER_FAILED_MESSAGE_ANNOTATION, "the DPUFlavorTemplate could not be filled in")
    return fail(ConditionType.DPU_FLAVOR_RENDERED, ConditionReason.RENDER_FAILED_ON_CREATE, why)


def _bfb(snapshot: Snapshot) -> Decision | None:
    name = snapshot.dpu.spec.bfb if snapshot.dpu.spec is not None else None
    key = f"{snapshot.key.namespace}/{name}"
    if snapshot.bfb is None:
        return _held(ConditionType.BFB_READY, "BFBNotFound", f"BFB {key} does not exist")
    if snapshot.bfb.status.phase != BFBPhase.READY or snapshot.bfb.metadata.deletionTimestamp is not None:
        told = conditions.find(snapshot.bfb.status.conditions, "Downloaded")
        detail = f": {told.message}" if told is not None and told.message and told.status != "True" else ""
        why = f"BFB {key} is not ready, phase: {snapshot.bfb.status.phase}{detail}"
        return _held(ConditionType.BFB_READY, "BFBIsNotReady", why)
    return None


def _flavor(snapshot: Snapshot) -> Decision | None:
    about, name = ConditionType.DPU_FLAVOR_EXISTS, snapshot.dpu.spec.dpuFlavor if snapshot.dpu.spec is not None else ""
    if not name:
        return _held(about, "DPUFlavorNotSpecified", "The DPU names no DPUFlavor", is_invalid=True)
    if snapshot.flavor is None:
        return _held(about, "DPUFlavorNotFound", f"DPUFlavor {snapshot.key.namespace}/{name} does not exist")
    if firmware.delays_host(snapshot.flavor) and snapshot.settings.mode != DeploymentMode.ZERO_TRUST:
        return fail(
            about, "DPUFlavorRequiresZeroTrustMode",
            f"DPUFlavor {snapshot.key.namespace}/{name} sets DELAY_HOST_OS_INIT, which works in deploymentMode "
            f"{DeploymentMode.ZERO_TRUST} only",
        )
    return None


def _fits(snapshot: Snapshot) -> Decision | None:
    """A finding instead of a bricked card."""
    if snapshot.flavor is None or snapshot.bfb is None or snapshot.device is None:
        return None
    card = preflight.Card(
        name=snapshot.device.metadata.name, type=DPUType(snapshot.device.status.dpuType),
        pf_count=snapshot.device.spec.numberOfPFs if snapshot.device.spec is not None else None,
    )
    problems = blocking((
        *checks.problems(snapshot.flavor), *checks.unsupported(snapshot.flavor),
        *preflight.preflight(snapshot.flavor, card, snapshot.bfb),
    ))
    if not problems:
        return None
    return wait(ConditionType.PENDING, "PreflightFailed", "; ".join(p.message for p in problems), is_invalid=True)


def _place(snapshot: Snapshot) -> Decision | None:
    if snapshot.has_place:
        return None
    most = snapshot.settings.parallel_installations
    why = (
        f"{snapshot.installing} of at most {most} DPUs are being installed; this one follows when one of them is done"
    )
    return wait(ConditionType.PENDING, "MaxParallelInstallations", why, wake_after_s=IN_LINE_S)


def _held(about: ConditionType, reason: str, why: str, *, is_invalid: bool = False) -> Decision:
    """Both the condition and Pending say it."""
    found = wait(about, reason, why, is_invalid=is_invalid)
    states = {ConditionType.PENDING: conditions.false(reason, why)}
    return Decision(about=about, update=found.update.also(Update(states=states)), why=why, is_invalid=is_invalid)


def limits(settings: Settings) -> Iterator[str]:
    """The limits of these phases, for the generated page."""
    yield f"at most {settings.parallel_installations} DPUs from Node Effect to OS Installing"
