"""Initializing and Pending: the first thing that is missing, in its exact words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.provisioning.dpu import snapshots as given
from tests.unit.provisioning.dpu.snapshots import a_condition, a_dpu, a_snapshot

from dpf.api import names
from dpf.api.dpfoperatorconfig import DeploymentMode
from dpf.api.dpu import ConditionType, Phase
from dpf.api.meta import Key
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.dpu.snapshot import Snapshot
from dpf.runtime.plan import Patch

NS = given.NAMESPACE


def settings(**changes: Any) -> dict[str, Any]:
    return {"settings": replace(given.SETTINGS, **changes)}


def new(**changes: Any) -> Snapshot:
    """A DPU that knows its install interface."""
    return a_snapshot(Phase.INITIALIZING, **changes)


def by_host(**changes: Any) -> Snapshot:
    return a_snapshot(given.by_host(Phase.INITIALIZING), **changes)


GUARDS = {
    "host": (new(dpunode=None), "DPUNodeNotFound", f"DPUNode {NS}/worker1 does not exist"),
    "device": (new(device=None), "DPUDeviceNotFound", f"DPUDevice {NS}/mt1 does not exist"),
    "interface": (
        a_snapshot(a_dpu(interface=None), **settings(interface=InstallInterface.HOST_AGENT)), "NotSupported",
        ("The install interface hostAgent is not supported yet. Next step: choose gNOI or redfish in "
         "provisioningController.installInterface of the DPFOperatorConfig"),
    ),
    "software": (
        a_snapshot(a_dpu(spec={"blueFieldSoftware": "bf4"})), "NotSupported",
        "BlueFieldSoftware bf4 cannot be installed: BlueField-4 is not supported yet. Next step: name a BFB instead",
    ),
    "card": (
        new(device=given.a_device(status={"dpuType": "BlueField4"})), "NotSupported",
        "DPUDevice mt1 is a BlueField4, which is not supported yet. Next step: take it out of the DPUSet",
    ),
    "bridge is missing": (
        by_host(dpunode=given.a_dpunode(conditions=[a_condition("OOBBridgeConfigured", "False", message="no bridge")])),
        "DPUOOBBridgeNotConfigured", "no bridge",
    ),
    "bridge is unknown": (
        by_host(dpunode=given.a_dpunode(conditions=[])), "DPUOOBBridgeNotConfigured",
        ("DPUNode worker1 does not say yet whether the host has the bridge to the out-of-band ports "
         "(feature label dpu-oob-bridge-configured)"),
    ),
    "interface is not told": (
        a_snapshot(a_dpu(interface=None), dpunode=given.a_dpunode(dpuInstallInterface=None)),
        "DPUInstallInterfaceNotProvided", "DPUNode worker1 does not say yet how its DPUs are installed",
    ),
    "interface is taken over": (
        a_snapshot(a_dpu(interface=None)), "DPUInstallInterfaceNotProvided", "The install interface is taken over",
    ),
    "pci address": (
        a_snapshot(given.by_host(Phase.INITIALIZING, spec={"pciAddress": None})), "PCIAddressNotProvided",
        "DPUDevice mt1 has no PCI address yet",
    ),
    "no cluster": (
        a_snapshot(a_dpu(spec={"cluster": None}), cluster=None, unallocated="no cluster available"),
        "DPUClusterNotAllocated", "no cluster available",
    ),
    "cluster is gone": (new(cluster=None), "DPUClusterNotFound", f"DPUCluster {NS}/tenant1 does not exist"),
    "cluster is going": (
        new(cluster=given.a_cluster(deleted=given.ago(hours=1))), "DPUClusterDeleting",
        f"DPUCluster {NS}/tenant1 is being deleted",
    ),
    "type": (
        new(device=given.a_device(status={"dpuType": "Unknown"})), "DPUTypeUnknown",
        "DPUDevice mt1 does not say yet what hardware it is",
    ),
}


@pytest.mark.parametrize(("snapshot", "reason", "message"), GUARDS.values(), ids=GUARDS)
def test_initializing_waits_for(snapshot: Snapshot, reason: str, message: str) -> None:
    assert given.reason(snapshot) == (reason, message)


@pytest.mark.parametrize(("address", "shown"), [(None, "none"), ("", "none"), ("bmc.example", "bmc.example"),
                                                ("10.0.0.256", "10.0.0.256"), ("fe80::1", "fe80::1")])
def test_an_address_that_is_none_is_an_error(address: str | None, shown: str) -> None:
    snapshot = new(device=given.a_device(bmcIp=address))
    assert given.told(snapshot, "Error") == (
        "True", "BMCIPNotValid",
        f"DPUDevice mt1 has no valid bmcIp ({shown}); set it, then delete the DPU",
    )


def test_a_network_card_need_not_say_what_it_is() -> None:
    device = given.a_device(status={"dpuType": "Unknown", "dpuMode": "nic"})
    assert given.written(new(device=device)).phase is Phase.PENDING


def test_the_interface_is_copied_once_and_stays() -> None:
    assert given.written(a_snapshot(a_dpu(interface=None))).fields["dpuInstallInterface"] == "redfish"
    other = a_snapshot(a_dpu(interface="redfish"), dpunode=given.a_dpunode(dpuInstallInterface="gNOI"))
    assert "dpuInstallInterface" not in given.written(other).fields


def test_facts_are_stamped() -> None:
    fields = given.written(new(device=given.a_device(status={"dpuMode": "dpu"}))).fields
    assert {name: fields[name] for name in ("dpfVersion", "deploymentMode", "identityMode", "hostless", "dpuType")} == {
        "dpfVersion": "26.4.0", "deploymentMode": "host-trusted", "identityMode": "bootstrap-token", "hostless": None,
        "dpuType": "BlueField3",
    }


def test_what_is_stamped_once_stays() -> None:
    fields = given.written(a_snapshot(a_dpu(dpfVersion="25.7.0", identityMode="spiffe"))).fields
    assert (fields["dpfVersion"], fields["identityMode"]) == ("25.7.0", "spiffe")


def test_the_cluster_is_assigned_conditionally_and_nothing_else_is_written() -> None:
    key = Key(NS, "tenant2")
    snapshot = a_snapshot(a_dpu(spec={"cluster": None}), cluster=None, allocated=key)
    (patch,) = given.decided(snapshot).actions
    assert isinstance(patch, Patch)
    assert patch.patch == {
        "metadata": {"resourceVersion": "7"}, "spec": {"cluster": {"name": "tenant2", "namespace": NS}},
    }
    assert given.written(snapshot).states == {}


def test_a_device_that_somebody_else_installs_is_ready() -> None:
    device = given.a_device(labels={names.SKIP_DPU_PROVISIONING_LABEL: "true"})
    message = f"The DPUDevice has the label {names.SKIP_DPU_PROVISIONING_LABEL}: nothing is installed"
    assert given.told(new(device=device), "Ready") == ("True", "Skipped", message)


def pending(*conditions: dict[str, Any], **changes: Any) -> Snapshot:
    return a_snapshot(a_dpu(Phase.PENDING, *conditions), **changes)


def a_bfb_in(phase: str, *conditions: dict[str, Any], **more: Any) -> Snapshot:
    return pending(bfb=given.a_bfb(phase, conditions=list(conditions), **more))


PENDING = {
    "upgrade": (
        pending(**settings(upgrade="26.1.0 to 26.4.0")), "DPFOperatorUpgradeInProgress",
        "The platform is being upgraded (26.1.0 to 26.4.0); the installation begins afterwards",
    ),
    "bfb is missing": (pending(bfb=None), "BFBNotFound", f"BFB {NS}/bfb does not exist"),
    "bfb is downloaded": (
        a_bfb_in("Downloading", a_condition("Downloaded", "False", message="40 % of 1480 MiB")), "BFBIsNotReady",
        f"BFB {NS}/bfb is not ready, phase: Downloading: 40 % of 1480 MiB",
    ),
    "bfb has failed": (a_bfb_in("Error"), "BFBIsNotReady", f"BFB {NS}/bfb is not ready, phase: Error"),
    "flavor is missing": (pending(flavor=None), "DPUFlavorNotFound", f"DPUFlavor {NS}/flavor does not exist"),
    "no flavor": (
        a_snapshot(a_dpu(Phase.PENDING, spec={"dpuFlavor": ""})), "DPUFlavorNotSpecified", "The DPU names no DPUFlavor",
    ),
    "bfb does not know the card": (
        pending(bfb=given.a_bfb(versions={"doca": "1.5.0"})), "PreflightFailed",
        f"BFB {NS}/bfb on DPUDevice mt1: DOCA 1.5.0 does not know a BlueField3; use a BFB with DOCA 2.0.2 or newer",
    ),
    "nobody knows where the registry is": (
        pending(**settings(registry="")), "BFBRegistryUnknown",
        ("The address at which BMCs reach the BFB registry is not known. Next step: set "
         "provisioningController.registry.loadBalancerAddress of the DPFOperatorConfig"),
    ),
    "another DPU has the card": (
        pending(rival=a_dpu(Phase.READY, name="first")), "DPUDeviceInUse",
        f"The card of DPUDevice mt1 is that of DPU {NS}/first already. Next step: delete one of the two",
    ),
    "another DPU has the Node": (
        pending(namesake=a_dpu(Phase.READY, name="first")), "NodeNameInUse",
        (f"Node worker1-mt1 of DPUCluster {NS}/tenant1 is that of DPU {NS}/first. Next step: delete one of the two, or "
         "choose another DPUCluster for it"),
    ),
    "no place": (
        pending(has_place=False, installing=50), "MaxParallelInstallations",
        "50 of at most 50 DPUs are being installed; this one follows when one of them is done",
    ),
}


@pytest.mark.parametrize(("snapshot", "reason", "message"), PENDING.values(), ids=PENDING)
def test_pending_waits_for(snapshot: Snapshot, reason: str, message: str) -> None:
    assert given.reason(snapshot) == (reason, message)
    assert given.told(snapshot, "Pending") == ("False", reason, message)


def test_the_order_of_what_is_waited_for() -> None:
    """One thing at a time: mending the first shows the next."""
    changes: list[tuple[str, Callable[[Snapshot], Snapshot]]] = [
        ("BFBNotFound", lambda s: replace(s, bfb=given.a_bfb())),
        ("DPUFlavorNotFound", lambda s: replace(s, flavor=given.a_flavor())),
        ("MaxParallelInstallations", lambda s: replace(s, has_place=True)),
    ]
    snapshot = pending(bfb=None, flavor=None, has_place=False)
    for reason, mend in changes:
        assert given.reason(snapshot)[0] == reason
        snapshot = mend(snapshot)
    assert given.written(snapshot).phase is Phase.NODE_EFFECT


def test_a_flavor_that_delays_the_host_needs_zero_trust() -> None:
    flavor = given.a_flavor(nvconfig=[{"parameters": ["DELAY_HOST_OS_INIT=1"]}])
    assert given.told(pending(flavor=flavor), "Error") == (
        "True", "DPUFlavorRequiresZeroTrustMode",
        f"DPUFlavor {NS}/flavor sets DELAY_HOST_OS_INIT, which works in deploymentMode zero-trust only",
    )
    allowed = pending(flavor=flavor, **settings(mode=DeploymentMode.ZERO_TRUST))
    assert given.written(allowed).phase is Phase.NODE_EFFECT


def test_a_template_that_could_not_be_filled_in_is_an_error() -> None:
    notes = {names.RENDER_FAILED_REASON_ANNOTATION: "RenderFailedOnCreate",
             names.RENDER_FAILED_MESSAGE_ANNOTATION: "no value x"}
    snapshot = a_snapshot(a_dpu(Phase.PENDING, annotations=notes))
    assert given.told(snapshot, "Error") == ("True", "RenderFailedOnCreate", "no value x")
    assert given.told(snapshot, "DPUFlavorRendered")[0] == "False"


def test_file_and_version_are_written_down() -> None:
    update = given.written(pending())
    assert update.fields == {"bfbFile": "bfb.bfb", "bfbVersion": "2.9.1"}
    assert {str(name) for name in update.states} == {
        ConditionType.PENDING, ConditionType.BFB_READY, ConditionType.DPU_FLAVOR_EXISTS,
    }
