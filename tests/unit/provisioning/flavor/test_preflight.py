"""Would it work on that card? Each refusal names flavor, card and field, and says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import dpuflavors as some

from dpf.api.provisioning import DPUType
from dpf.provisioning.flavor.preflight import Card, preflight
from dpf.provisioning.flavor.problem import Problem

GIB = 1 << 30
BF3 = Card(name="mt2333xz0abc", type=DPUType.BLUEFIELD_3, memory_bytes=32 * GIB, cpus=16, pf_count=2)
PREFIX = "DPUFlavor dpf-operator-system/flavor on DPUDevice mt2333xz0abc: "


def card(**facts: Any) -> Card:
    known = {field: getattr(BF3, field) for field in ("name", "type", "memory_bytes", "cpus", "pf_count")}
    return Card(**{**known, **facts})


def judged(on: Card = BF3, bfb: str | None = "2.9.1", **spec: Any) -> tuple[Problem, ...]:
    return preflight(some.a_flavor(**spec), on, some.a_bfb(bfb))


def test_a_flavor_that_fits_passes() -> None:
    assert judged(**{**some.FULL_SPEC, "nvconfig": [{"parameters": ["PF_TOTAL_SF=20", "NUM_OF_VFS=46"]}]}) == ()


def test_nothing_is_concluded_from_an_unknown_card() -> None:
    spec = {**some.FULL_SPEC, "dpuResources": {"cpu": 1000, "memory": "1Ti"}, "nvconfig": [{"parameters": ["ODD=1"]}]}
    assert judged(Card(name="x"), **spec) == ()


def test_huge_pages_that_leave_no_memory_are_refused() -> None:
    (problem,) = judged(card(memory_bytes=16 * GIB), grub={"kernelParameters": ["hugepagesz=1G", "hugepages=15"]})
    assert problem.blocks
    assert problem.message == (
        f"{PREFIX}spec.grub.kernelParameters: huge pages of 15360 MiB do not leave the system its 2048 MiB of the "
        "card's 16384 MiB: it would not start; ask for at most 14336 MiB"
    )


def test_huge_pages_up_to_the_limit_are_fine() -> None:
    assert judged(card(memory_bytes=16 * GIB), grub={"kernelParameters": ["hugepagesz=1G", "hugepages=14"]}) == ()


@pytest.mark.parametrize(("resources", "text"), [
    ({"cpu": 20}, "spec.dpuResources.cpu: the flavor needs 20, the card has 16, 4 less"),
    ({"cpu": "16500m"}, "spec.dpuResources.cpu: the flavor needs 16500m, the card has 16, 500m less"),
    ({"memory": "40Gi"}, "spec.dpuResources.memory: the flavor needs 40Gi, the card has 32768Mi, 8192Mi less"),
])
def test_a_card_that_is_too_small_is_refused(resources: dict[str, Any], text: str) -> None:
    (problem,) = judged(dpuResources=resources)
    assert problem.message == f"{PREFIX}{text}; use a larger card or a smaller flavor"


@pytest.mark.parametrize(("spec", "field"), [
    ({"nvconfig": [{"device": "P1", "parameters": ["SRIOV_EN=1"]}]}, "spec.nvconfig[0].device"),
    ({"hostNetworkInterfaceConfigs": [{"portNumber": 1, "dhcp": True}]},
     "spec.hostNetworkInterfaceConfigs[0].portNumber"),
])
def test_a_port_that_the_card_does_not_have_is_refused(spec: dict[str, Any], field: str) -> None:
    (problem,) = judged(card(pf_count=1), **spec)
    assert problem.message == (
        f"{PREFIX}{field}: the card has no port p1, it has 1; use a flavor for cards with as many ports"
    )
    assert judged(**spec) == ()


@pytest.mark.parametrize("setting", [
    "INTERNAL_CPU_OFFLOAD_ENGINE=1", "internal_cpu_offload_engine=DISABLED(1)", "INTERNAL_CPU_MODEL=0",
    "INTERNAL_CPU_MODEL=SEPARATED_HOST(0)",
])
def test_a_setting_that_bricks_the_card_is_refused(setting: str) -> None:
    (problem,) = judged(nvconfig=[{"parameters": ["SRIOV_EN=1", setting]}])
    assert problem.blocks
    assert problem.message.startswith(f"{PREFIX}spec.nvconfig[0].parameters[1]: {setting} ")


@pytest.mark.parametrize("setting", ["INTERNAL_CPU_OFFLOAD_ENGINE=0", "INTERNAL_CPU_MODEL=1", "LINK_TYPE_P1=2",
                                     "ROCE_CC_PRIO_MASK_P2=0", "PCI_BUS00_WIDTH=5", "DELAY_HOST_OS_INIT=1"])
def test_settings_of_the_card_pass(setting: str) -> None:
    assert judged(nvconfig=[{"parameters": [setting]}]) == ()


def test_a_misspelt_setting_is_advice_with_the_right_name() -> None:
    (problem,) = judged(nvconfig=[{"parameters": ["PF_TOTAL_SFS=20"]}])
    assert not problem.blocks
    assert "did you mean PF_TOTAL_SF?" in problem.message


def test_a_setting_of_another_family_is_advice() -> None:
    (problem,) = judged(card(type=DPUType.BLUEFIELD_2), nvconfig=[{"parameters": ["DPA_AUTHENTICATION=1"]}])
    assert not problem.blocks
    assert "DPA_AUTHENTICATION is no setting that we know of a BlueField2" in problem.message


def test_more_functions_promised_than_made_is_advice() -> None:
    (problem,) = judged(nvconfig=[{"parameters": ["PF_TOTAL_SF=4"]}], dpuResources={"nvidia.com/sf": 20})
    assert not problem.blocks
    assert problem.what == "20 scalable functions are promised, PF_TOTAL_SF makes 4"


@pytest.mark.parametrize(("doca", "on", "blocks", "text"), [
    ("1.5.3", BF3, True, "DOCA 1.5.3 does not know a BlueField3; use a BFB with DOCA 2.0.2 or newer"),
    ("2.0.2", card(type=DPUType.BLUEFIELD_4), True,
     "a BlueField4 is not installed from a BFB, and its own way is not supported yet; take the card out of the DPUSet"),
    (None, BF3, False,
     "its DOCA version is not known, so that it cannot be compared with the card; set spec.versions of the BFB"),
])
def test_a_bundle_that_does_not_fit_the_card(doca: str | None, on: Card, blocks: bool, text: str) -> None:
    (problem,) = judged(on, doca)
    assert problem.blocks is blocks
    assert problem.message == f"BFB dpf-operator-system/bfb on DPUDevice mt2333xz0abc: {text}"


@pytest.mark.parametrize(("doca", "on"), [
    ("2.0.2", BF3), ("10.0.0", BF3), ("1.5.3", card(type=DPUType.BLUEFIELD_2)), ("1.5.3", card(type=DPUType.UNKNOWN)),
    ("odd", BF3),
])
def test_a_bundle_that_fits_passes(doca: str, on: Card) -> None:
    assert judged(on, doca) == ()
