"""DPFOperatorConfig: whatever was stored can be read."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from dpf.api.dpfoperatorconfig import ConditionType, DPFOperatorConfig, DPFOperatorConfigSpec
from dpf.api.operatorcomponents import IMAGE_PATTERN
from dpf.api.operatorprovisioning import DURATION_PATTERN

ACCEPTED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no-spec": {"metadata": {"name": "dpfoperatorconfig"}},
    "empty-spec": {"spec": {}},
    "values-of-no-release": {"spec": {"deploymentMode": "someday", "networking": {"controlPlaneMTU": 0}}},
    "unknown-fields": {"spec": {"futureController": {"disable": True}, "networking": {"mtu": 1}}},
    "older-release": {"spec": {"provisioningController": {"bfbPVCName": "bfb-pvc", "dmsTimeout": 900},
                               "ovsHelper": {"image": "registry/ovs:1"}, "ovsCNI": {"disable": True},
                               "dpuDetector": {"collectors": {"psID": True}}}},
    "bare-quantities": {"spec": {"multus": {"cni": {"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}}}},
}


@pytest.mark.parametrize("stored", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_stored_object_is_readable(stored: dict[str, Any]) -> None:
    decoded = msgspec.json.decode(msgspec.json.encode(stored), type=DPFOperatorConfig)

    assert isinstance(decoded, DPFOperatorConfig)


def test_absent_settings_read_as_their_defaults() -> None:
    spec = msgspec.json.decode(b"{}", type=DPFOperatorConfigSpec)

    assert spec.deploymentMode is None
    assert (spec.networking.highSpeedMTU, spec.networking.dpuNodeOOBBridgeName) == (1500, "br-dpu")
    assert spec.provisioningController.maxDPUParallelInstallations == 50
    assert (spec.staticClusterManager, spec.kamajiClusterManager) == (None, None)


def test_present_component_differs_from_an_absent_one() -> None:
    """A present object without `disable` means enabled (api-provisioning.md section 13.2)."""
    spec = msgspec.json.decode(b'{"staticClusterManager": {}}', type=DPFOperatorConfigSpec)

    assert spec.staticClusterManager is not None
    assert spec.staticClusterManager.disable is None


def test_documented_conditions_come_first_and_in_order() -> None:
    assert [*ConditionType][:4] == [
        "Ready", "ImagePullSecretsReconciled", "SystemComponentsReconciled", "SystemComponentsReady",
    ]


IMAGES = {
    "busybox": True,
    "registry.example.com:5000/team/dpf:v1.2.3": True,
    "nvcr.io/nvidia/doca/doca_hbn:2.4.1-doca2.9.1": True,
    "[fd00::1]:5000/dpf": True,
    "dpf@sha256:" + "a" * 64: True,
    "dpf@sha256:abc": False,
    "registry.example.com/Upper": False,
    "dpf:": False,
    "dpf tag": False,
    "": False,
}


@pytest.mark.parametrize(("image", "valid"), IMAGES.items())
def test_image_pattern(image: str, valid: bool) -> None:
    """The API server reads it as RE2; Python has no `[:xdigit:]`."""
    pattern = IMAGE_PATTERN.replace("[[:xdigit:]]", "[0-9A-Fa-f]")

    assert bool(re.search(pattern, image)) is valid


@pytest.mark.parametrize(("text", "valid"), [
    ("30s", True), ("1h30m", True), ("720h", True), ("100µs", True), ("30", False), ("1.5h", False), ("-1s", False),
])
def test_duration_pattern(text: str, valid: bool) -> None:
    assert bool(re.search(DURATION_PATTERN, text)) is valid
