"""Kinds of provisioning.dpu.nvidia.com: whatever any release stored can be read, and what it means."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tools.crdgen import manifest as crdgen

from dpf.api import dpu, dpudevice, names, provisioning
from dpf.api.bfb import BFB, BFBSpec
from dpf.api.bluefieldsoftware import BlueFieldSoftware
from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpuflavortemplate import DPUFlavorTemplate
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuset import BFBReference, DPUSet, DPUTemplate, DPUTemplateSpec
from dpf.api.meta import Object
from dpf.kube import codec

KINDS: list[type[Object]] = [
    BFB, BlueFieldSoftware, DPU, DPUDevice, DPUFlavor, DPUFlavorTemplate, DPUNode, DPUNodeMaintenance, DPUSet,
]


def read(kind: type[Any], stored: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(stored), type=kind)


def effect(**members: Any) -> provisioning.NodeEffect:
    decoded: provisioning.NodeEffect = read(provisioning.NodeEffect, members)
    return decoded


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("stored", [{}, {"metadata": {"name": "a"}}, {"future": {"field": 1}}], ids=str)
def test_object_of_any_kind_without_a_spec_is_readable(kind: type[Object], stored: dict[str, Any]) -> None:
    assert getattr(read(kind, stored), "spec", None) is None


STORED: dict[str, tuple[type[Object], dict[str, Any]]] = {
    "dpu-of-24.10": (DPU, {
        "spec": {"nodeName": "worker1", "bfb": "bfb", "pciAddress": "0000-2b-00", "automaticNodeReboot": True,
                 "nodeEffect": {"drain": {"automaticNodeReboot": True}},
                 "cluster": {"name": "a", "namespace": "b", "nodeLabels": {"c": "d"}}},
        "status": {"phase": "DMS Deployment", "requiredReset": False, "firmware": {"bmc": "1"}}}),
    "dpu-empty-spec": (DPU, {"spec": {}}),
    "dpu-values-of-no-release": (DPU, {"spec": {}, "status": {"phase": "Someday", "dpuType": "BlueField9"}}),
    "set-of-24.10": (DPUSet, {
        "spec": {"nodeSelector": {"matchLabels": {"a": "b"}}, "strategy": {"type": "Recreate"},
                 "dpuSelector": {"c": "d"}, "dpuTemplate": {"spec": {"bfb": {"name": "bfb"}}}}}),
    "set-empty-spec": (DPUSet, {"spec": {}}),
    "set-empty-template": (DPUSet, {"spec": {"dpuTemplate": {}}}),
    "set-nameless-bfb": (DPUSet, {"spec": {"dpuTemplate": {"spec": {"bfb": {}, "nodeEffect": {}}}}}),
    "set-pace-of-no-kind": (DPUSet, {"spec": {"strategy": {"type": "?", "rollingUpdate": {"maxUnavailable": "x"}}}}),
    "flavor-of-24.10": (DPUFlavor, {
        "spec": {"nvconfig": [{"device": "mt41692_pciconf0", "parameters": ["A"], "hostPowerCycleRequired": True}],
                 "configFiles": [{}], "ovs": {}, "grub": {}, "dpuResources": {"cpu": 16, "memory": "16Gi"}}}),
    "device-without-a-serial": (DPUDevice, {"spec": {}}),
    "node-empty-spec": (DPUNode, {"spec": {"nodeRebootMethod": {"hostAgent": {"future": 1}}}}),
    "bfb-of-24.10": (BFB, {"spec": {"url": "http://a/b.bfb", "fileName": "ns-b.bfb"}, "status": {"phase": "Ready"}}),
}


@pytest.mark.parametrize(("kind", "stored"), STORED.values(), ids=STORED.keys())
def test_stored_object_is_readable(kind: type[Object], stored: dict[str, Any]) -> None:
    assert isinstance(read(kind, stored), kind)


@pytest.mark.parametrize("drain", [{}, {"automaticNodeReboot": True}, {"automaticNodeReboot": False}], ids=str)
def test_drain_object_of_24_10_reads_as_true(drain: dict[str, Any]) -> None:
    """Only what it said about reboots is gone, which is not used any more (api-provisioning.md section 14)."""
    assert effect(drain=drain) == provisioning.NodeEffect(drain=True)


@pytest.mark.parametrize("drain", [True, False])
def test_drain_keeps_its_value(drain: bool) -> None:
    assert effect(drain=drain).drain is drain


@pytest.mark.parametrize("members", [
    {"noEffect": False}, {"drain": False}, {"hold": False}, {"customLabel": {}}, {"customAction": ""},
], ids=str)
def test_named_action_is_sent_even_if_false_or_empty(members: dict[str, Any]) -> None:
    """The API server counts by presence (resolutions.md row 23)."""
    assert msgspec.to_builtins(effect(**members)) == members


def test_absent_effect_stays_absent() -> None:
    """resolutions.md row 3."""
    template = read(DPUTemplate, {"spec": {"bfb": {"name": "bfb"}}})

    assert template.spec.nodeEffect is None
    assert "nodeEffect" not in msgspec.to_builtins(template.spec)


def test_absent_settings_read_as_their_defaults() -> None:
    dpuset, device, node = read(DPUSet, {"spec": {}}), read(DPUDevice, {"spec": {}}), read(DPUNode, {"spec": {}})

    assert dpuset.spec.strategy.type == "OnDelete"
    assert (device.spec.bmcPort, device.spec.numberOfPFs) == (443, 1)
    assert device.spec.bmcFactoryResetPolicy == "OnInitialization"
    assert (node.spec.nodeRebootMethod.hostAgent, node.spec.nodeRebootMethod.external) == ({}, None)
    assert (read(DPU, {}).status.phase, read(BFB, {}).status.phase) == ("Initializing", "Initializing")


def test_template_made_in_code_is_sent_whole() -> None:
    template = DPUTemplate(spec=DPUTemplateSpec(bfb=BFBReference(name="bfb"), dpuFlavor="flavor"))

    assert msgspec.to_builtins(template) == {"spec": {"bfb": {"name": "bfb"}, "dpuFlavor": "flavor"}}


def test_flavor_keeps_bare_integers() -> None:
    resources = {"cpu": 16, "memory": "16Gi", "nvidia.com/sf": 20}

    flavor = read(DPUFlavor, {"spec": {"dpuResources": resources}})

    assert flavor.spec.dpuResources == resources
    assert msgspec.json.decode(codec.encode(flavor))["spec"]["dpuResources"] == resources


def test_taint_can_go_on_a_node_as_it_is() -> None:
    taint = effect(taint={"key": "dpu", "value": "provisioning", "effect": "NoSchedule"}).taint

    assert msgspec.to_builtins(taint) == {"key": "dpu", "value": "provisioning", "effect": "NoSchedule"}


def test_conditions_are_in_the_order_of_the_sheet() -> None:
    assert [*dpudevice.ConditionType][:5] == ["Discovered", "NodeAttached", "Initialized", "Error", "Ready"]
    assert [*dpu.OperationalConditionType] == [
        "OperationalReady", "NodeProblemsReady", "DPUServiceCriticalPodsReady", "DPUServiceNonCriticalPodsReady",
        "DPUServiceInterfacesReady", "DPUServiceChainsReady",
    ]
    assert len(dpu.ConditionType) == 32


def test_agent_condition_of_a_path_is_readable() -> None:
    stored = {"agentStatus": {"hostOSInit": {}, "lastObservedPendingNvconfig": {"devices": [{"entries": [{}]}]}}}

    assert read(dpu.DPUStatus, stored).agentStatus.hostOSInit.skipped is None


RULES = {
    "once-set": (
        provisioning.once_set(".spec.url"),
        ("!(has(oldSelf.spec) && has(oldSelf.spec.url)) || "
         "(has(self.spec) && has(self.spec.url) && self.spec.url == oldSelf.spec.url)")),
    "never-changed": (
        provisioning.never_changed(".spec", "m"),
        "(has(oldSelf.spec)) == (has(self.spec)) && (!(has(oldSelf.spec)) || self.spec == oldSelf.spec)"),
    "never-removed": (provisioning.never_removed(".spec", "m"), "!(has(oldSelf.spec)) || (has(self.spec))"),
    "reserved-word": (
        provisioning.never_removed(".namespace", "m"), "!(has(oldSelf.__namespace__)) || (has(self.__namespace__))"),
}


@pytest.mark.parametrize(("rule", "text"), RULES.values(), ids=RULES.keys())
def test_rule_about_an_immutable_field(rule: Any, text: str) -> None:
    assert rule.rule == text
    assert rule.message


def test_rule_names_its_field_as_users_do() -> None:
    assert provisioning.once_set(".spec.cluster.namespace").field_path == ".spec.cluster.namespace"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_names_of_the_kind(kind: type[Object]) -> None:
    spec = crdgen.build(kind)["spec"]

    assert spec["group"] == "provisioning.dpu.nvidia.com"
    assert spec["names"]["kind"] == kind.__name__
    assert spec["names"]["plural"] == kind.__name__.lower() + "s"
    assert "shortNames" not in spec["names"]


@pytest.mark.parametrize("role", ["_LABEL", "_ANNOTATION", "_FINALIZER"])
def test_every_word_has_one_name(role: str) -> None:
    """A label and an annotation may be the same word."""
    words = [value for name, value in vars(names).items() if name.endswith(role)]

    assert len(words) == len(set(words))


def test_bfb_without_a_file_name_gets_none() -> None:
    """api-provisioning.md section 14: the effective name is reported in status only."""
    assert msgspec.to_builtins(BFBSpec(url="http://a/b.bfb")) == {"url": "http://a/b.bfb"}
