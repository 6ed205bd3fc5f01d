"""Which DPUNodes and DPUDevices a DPUSet means, with the selectors of every release. Pure.

Called by `observe` (what is there), `watches` (whom a change concerns) and `plan` (what is wrong with the selectors).
`nodeSelector` of 24.10 is `dpuNodeSelector`, because DPUNodes carry the labels of their Nodes. Of the older
`dpuSelector`, `pciAddr` means the label that DPUDevices carry, and a key like
`feature.node.kubernetes.io/dpu-0-pf0-name` is a label of the host that says which of its cards is meant. Sources:
behaviour-provisioning.md section 3, api-provisioning.md section 14, resolutions.md rows 4 and 48.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from dpf.api import names
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpuset import DPUSetSpec
from dpf.api.meta import LabelSelector
from dpf.kube import selectors
from dpf.provisioning.dpuset import naming

PCI_ADDRESS_ALIAS: Final = "pciAddr"
_CARD: Final = re.compile(r"feature\.node\.kubernetes\.io/dpu-(\d+)-.+")
_CARD_ADDRESS: Final = "feature.node.kubernetes.io/dpu-{}-pci-address"
_PCI_ADDRESS: Final = re.compile(r"((?:[0-9a-fA-F]{4}[:-])?[0-9a-fA-F]{2}[:-][0-9a-fA-F]{2})(?:\.[0-7])?")
_FEATURES: Final = "feature.node.kubernetes.io/"
_FEATURES_OF_DPUS: Final = f"{_FEATURES}dpu-"

Group = tuple[str, ...]
"""Values of the label index, one of which an object must be filed under."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A selected device and the host that it is in. (Without slots, for what is computed once.)"""

    node: DPUNode
    device: DPUDevice

    @cached_property
    def name(self) -> str:
        """The name of its DPU."""
        return naming.dpu_name(self.node.metadata.name, self.device.metadata.name)

    @property
    def serial_number(self) -> str:
        """Empty when nobody knows it."""
        spec = self.device.spec
        return (spec.serialNumber if spec is not None else "") or self.device.status.serialNumber or ""


def problem(spec: DPUSetSpec) -> str | None:
    """What is wrong with the selectors; None when they can be used."""
    if spec.nodeSelector is not None and spec.dpuNodeSelector is not None:
        return "only one of nodeSelector or dpuNodeSelector can be specified"
    if spec.dpuSelector is not None and spec.dpuDeviceSelector is not None:
        return "only one of dpuSelector or dpuDeviceSelector can be specified"
    template = spec.dpuTemplate.spec.cluster
    fields = (
        ("nodeSelector", spec.nodeSelector), ("dpuNodeSelector", spec.dpuNodeSelector),
        ("dpuDeviceSelector", spec.dpuDeviceSelector),
        ("dpuTemplate.spec.cluster.selector", template.selector if template is not None else None),
    )
    for field, selector in fields:
        try:
            selectors.matches(selector, {})
        except selectors.SelectorError as error:
            return f"spec.{field}: {error}"
    return None


def selects_node(spec: DPUSetSpec, node: DPUNode) -> bool:
    """Whether the devices of `node` may be meant. Raises SelectorError for what `problem` tells."""
    return node.metadata.deletionTimestamp is None and selectors.matches(_of_nodes(spec), node.metadata.labels)


def selects(spec: DPUSetSpec, node: DPUNode, device: DPUDevice) -> bool:
    """Whether `device`, which says that it is in `node`, is meant. Raises SelectorError for what `problem` tells."""
    labels = device.metadata.labels or {}
    if device.metadata.deletionTimestamp is not None or labels.get(names.DPUNODE_NAME_LABEL) != node.metadata.name:
        return False
    if not selects_node(spec, node) or not selectors.matches(spec.dpuDeviceSelector, labels):
        return False
    older = spec.dpuSelector or {}
    of_card = {key: value for key, value in older.items() if _CARD.fullmatch(key)}
    of_device = {key: value for key, value in older.items() if key not in of_card}
    return _device_labels(of_device).items() <= labels.items() and _is_card(of_card, node, device)


def pci_address(text: str | None) -> str | None:
    """The address as DPUs and labels have it, e.g. 0000-0e-00; None when `text` is none."""
    match = _PCI_ADDRESS.fullmatch(text or "")
    return match.group(1).replace(":", "-").lower() if match else None


def node_groups(spec: DPUSetSpec) -> tuple[Group, ...]:
    """Every selected DPUNode is filed under one value of each group (`indexed`); none at all means nothing narrows."""
    selector = _of_nodes(spec) or LabelSelector()
    pairs = (selector.matchLabels or {}).items()
    groups: list[Group] = [(_pair(key, value),) for key, value in pairs if _is_indexed(key)]
    for expression in selector.matchExpressions or ():
        if expression.operator == "In" and _is_indexed(expression.key):
            groups.append(tuple(_pair(expression.key, value) for value in expression.values or ()))
        elif expression.operator == "Exists" and _is_indexed(expression.key):
            groups.append((expression.key,))
    return tuple(groups)


def indexed(labels: Mapping[str, str] | None) -> Iterator[str]:
    """Under which values an object with these labels is filed: each key, and each key with its value."""
    for key, value in (labels or {}).items():
        if _is_indexed(key):
            yield key
            yield _pair(key, value)


def _of_nodes(spec: DPUSetSpec) -> LabelSelector | None:
    return spec.dpuNodeSelector if spec.dpuNodeSelector is not None else spec.nodeSelector


def _device_labels(older: Mapping[str, str]) -> dict[str, str]:
    labels = {key: value for key, value in older.items() if key != PCI_ADDRESS_ALIAS}
    address = older.get(PCI_ADDRESS_ALIAS)
    if address is not None:
        labels[names.DPUDEVICE_PCI_ADDRESS_LABEL] = pci_address(address) or address
    return labels


def _is_card(wanted: Mapping[str, str], node: DPUNode, device: DPUDevice) -> bool:
    """Whether the host's labels are as wanted, and mean this device."""
    features = node.metadata.labels or {}
    address = pci_address(device.status.pciAddress) or _label_address(device)
    return wanted.items() <= features.items() and all(
        address is not None and pci_address(features.get(_CARD_ADDRESS.format(number))) == address
        for number in _cards(wanted)
    )


def _cards(wanted: Iterable[str]) -> Iterator[str]:
    return (match.group(1) for key in wanted if (match := _CARD.fullmatch(key)) is not None)


def _label_address(device: DPUDevice) -> str | None:
    return pci_address((device.metadata.labels or {}).get(names.DPUDEVICE_PCI_ADDRESS_LABEL))


def _pair(key: str, value: str) -> str:
    return f"{key}={value}"


def _is_indexed(key: str) -> bool:
    """Node feature discovery says dozens of things about a host; what is not about DPUs would only fill memory."""
    return not key.startswith(_FEATURES) or key.startswith(_FEATURES_OF_DPUS)
