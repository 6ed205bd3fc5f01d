"""What one pass over a Node decides: which DPUDevices and which DPUNode there have to be. Pure.

Cards are added and never taken away: a card that is being installed is not there for the host for a while. They go with
their Node, through the DPUNode, or when somebody deletes them. A host that is given to another namespace (a label of
its Node) leaves its former one first, and only once no DPU is there any more: no card belongs to two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from dpf.api import core, names
from dpf.api.dpudevice import DPUDevice, DPUDeviceSpec
from dpf.api.dpunode import DPUNode, DPUNodeSpec, DPURef
from dpf.api.meta import ObjectMeta, OwnerReference, object_key
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.dpunode.registration import features
from dpf.provisioning.dpunode.registration.features import Card
from dpf.runtime.plan import Action, Apply, Delete, Finding, Patch, Plan, Severity, Step

DEVICES: Final = "Devices"
DPUNODE: Final = "DPUNode"
FORMER: Final = "Former"
NO_NAMESPACE: Final = "NamespaceNotFound"
LOOK_AGAIN_S: Final = 30.0
"""Namespaces are not watched."""
IN_USE: Final = "HostInUse"
"""Reason of the Event that says why a host stays where it is: a Node has no condition of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`devices` are the DPUDevices that may stand for a card of the Node: by their place, or by their name.

    `former` are DPUNodes of the same Node in other namespaces, `occupied` those of them that are still in use.
    `lacks_namespace`: the namespace that the Node is given to does not exist.
    """

    node: core.Node
    namespace: str
    interface: InstallInterface
    dpunode: DPUNode | None = None
    devices: tuple[DPUDevice, ...] = ()
    former: tuple[DPUNode, ...] = ()
    occupied: tuple[str, ...] = ()
    lacks_namespace: bool = False


def plan(snapshot: Snapshot) -> Plan:
    """Nothing where cards are found by their BMCs, or there are none."""
    found = tuple(card for card in features.cards(snapshot.node) if not is_elsewhere(snapshot, card))
    if not found or snapshot.interface is InstallInterface.REDFISH or _is_going(snapshot):
        return Plan()
    if snapshot.lacks_namespace:
        return Plan(steps=(_nowhere(snapshot),), wake_after_s=LOOK_AGAIN_S)
    if snapshot.former:
        return Plan(steps=(_leaving(snapshot),))
    return Plan(steps=(
        Step(name=DEVICES, actions=tuple(_devices(snapshot, found))),
        Step(name=DPUNODE, actions=tuple(_dpunode(snapshot, found))),
    ))


def _leaving(snapshot: Snapshot) -> Step:
    """The host leaves its former namespace; what is still used there is waited for."""
    where = f"Node {snapshot.node.metadata.name} belongs to namespace {snapshot.namespace}"
    gone = tuple(
        Delete(kind=DPUNode, key=object_key(one), uid=one.metadata.uid, because=f"{where} now")
        for one in snapshot.former
        if one.metadata.deletionTimestamp is None and str(object_key(one)) not in snapshot.occupied
    )
    waits = "; ".join(f"DPUNode {key} still has DPUs, or an effect on the host" for key in snapshot.occupied)
    message = f"{where}: {waits or 'the former DPUNode is going'}. Next step: delete the DPUs there"
    finding = Finding(severity=Severity.BLOCKED, message=message, event=IN_USE if waits else None)
    return Step(name=FORMER, actions=gone, findings=(finding,))


def _nowhere(snapshot: Snapshot) -> Step:
    """It stays where it is until there is a place for it."""
    message = (
        f"Node {snapshot.node.metadata.name} is given to namespace {snapshot.namespace}, which does not exist. Next "
        "step: create it, or correct the label of the Node"
    )
    return Step(name=FORMER, findings=(Finding(severity=Severity.BLOCKED, message=message, event=NO_NAMESPACE),))


def known(snapshot: Snapshot, card: Card) -> DPUDevice | None:
    """The DPUDevice of a card: at its place on this host, unless another card has come there; else of its name."""
    dpunode = features.dpunode_name(snapshot.node.metadata.name)
    name = features.device_name(dpunode, card)
    for device in snapshot.devices:
        labels = device.metadata.labels or {}
        here = labels.get(names.DPUNODE_NAME_LABEL) == dpunode
        if here and labels.get(names.DPUDEVICE_PCI_ADDRESS_LABEL) == card.address and not _is_other(device, card):
            return device
    return next((device for device in snapshot.devices if device.metadata.name == name), None)


def is_elsewhere(snapshot: Snapshot, card: Card) -> bool:
    """Whether the card is registered at another host: it stays there until it is deleted, or both would claim it."""
    device = known(snapshot, card)
    host = (device.metadata.labels or {}).get(names.DPUNODE_NAME_LABEL, "") if device is not None else ""
    return host not in ("", features.dpunode_name(snapshot.node.metadata.name))


def _is_going(snapshot: Snapshot) -> bool:
    """A DPUNode that is being deleted goes first; what comes after it is new."""
    deleted = snapshot.dpunode is not None and snapshot.dpunode.metadata.deletionTimestamp is not None
    return deleted or snapshot.node.metadata.deletionTimestamp is not None


def _is_other(device: DPUDevice, card: Card) -> bool:
    """Whether both serial numbers are known, and differ. Without a serial number a device has its name for one."""
    serial = device.spec.serialNumber if device.spec is not None else ""
    return bool(card.serial) and serial not in (device.metadata.name, "") and serial.lower() != card.serial.lower()


def _devices(snapshot: Snapshot, found: tuple[Card, ...]) -> Iterator[Action]:
    for card in found:
        device = known(snapshot, card)
        if device is None:
            yield Apply(object=_new_device(snapshot, card), because=f"there is a card at {card.address}")
        elif device.metadata.deletionTimestamp is None:
            labels = {k: v for k, v in _labels(snapshot, card).items() if (device.metadata.labels or {}).get(k) != v}
            if labels:
                yield Patch(
                    kind=DPUDevice, key=object_key(device), patch={"metadata": {"labels": labels}},
                    because="the host sees the card otherwise than before",
                )


def _new_device(snapshot: Snapshot, card: Card) -> DPUDevice:
    name = features.device_name(features.dpunode_name(snapshot.node.metadata.name), card)
    return DPUDevice(
        metadata=ObjectMeta(name=name, namespace=snapshot.namespace, labels=_labels(snapshot, card)),
        spec=DPUDeviceSpec(serialNumber=card.serial or name, psid=card.psid or None, opn=card.opn or None),
    )


def _labels(snapshot: Snapshot, card: Card) -> dict[str, str]:
    labels = {
        names.DPUNODE_NAME_LABEL: features.dpunode_name(snapshot.node.metadata.name),
        names.DPUDEVICE_PCI_ADDRESS_LABEL: card.address,
    }
    return {**labels, names.DPUDEVICE_PF0_NAME_LABEL: card.pf0_name} if card.pf0_name else labels


def _dpunode(snapshot: Snapshot, found: tuple[Card, ...]) -> Iterator[Action]:
    node = snapshot.node.metadata
    name = features.dpunode_name(node.name)
    wanted = [_device_name(snapshot, name, card) for card in found]
    if snapshot.dpunode is None:
        yield Apply(object=_new_dpunode(snapshot, name, wanted), because=f"Node {node.name} has DPUs")
        return
    spec = snapshot.dpunode.spec
    have = [ref.name for ref in (spec.dpus if spec is not None else None) or ()]
    missing = [device for device in wanted if device.lower() not in {n.lower() for n in have}]
    if missing:
        change: dict[str, Any] = {
            "metadata": {"resourceVersion": snapshot.dpunode.metadata.resourceVersion},
            "spec": {"dpus": [{"name": device} for device in (*have, *missing)]},
        }
        key = object_key(snapshot.dpunode)
        yield Patch(kind=DPUNode, key=key, patch=change, because=f"Node {node.name} has more DPUs than before")


def _new_dpunode(snapshot: Snapshot, name: str, devices: list[str]) -> DPUNode:
    """The reboot method is left to whoever knows the host; until then it is the default."""
    owner = OwnerReference(
        apiVersion="v1", kind="Node", name=snapshot.node.metadata.name, uid=snapshot.node.metadata.uid or ""
    )
    return DPUNode(
        metadata=ObjectMeta(
            name=name, namespace=snapshot.namespace, labels={names.DPU_ENABLED_LABEL: "true"}, ownerReferences=[owner],
        ),
        spec=DPUNodeSpec(dpus=[DPURef(name=device) for device in devices]),
    )


def _device_name(snapshot: Snapshot, dpunode: str, card: Card) -> str:
    device = known(snapshot, card)
    return device.metadata.name if device is not None else features.device_name(dpunode, card)
