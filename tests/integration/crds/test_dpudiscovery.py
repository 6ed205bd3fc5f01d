"""The CRD of DPUDiscovery: defaults, columns, and what the server refuses (api-provisioning.md section 10)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.conftest import CRDS, Kubectl

pytestmark = pytest.mark.parts


def a_discovery(first: str = "10.0.0.1", last: str = "10.0.0.9", **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "provisioning.dpu.nvidia.com/v1alpha1", "kind": "DPUDiscovery", "metadata": {"name": "lab"},
        "spec": {"ipRangeSpec": {"ipRange": {"startIP": first, "endIP": last}}, **more},
    }


def test_defaults(kubectl: Kubectl) -> None:
    spec = kubectl.would_store(a_discovery())["spec"]

    assert spec == {
        "ipRangeSpec": {"ipRange": {"startIP": "10.0.0.1", "endIP": "10.0.0.9", "port": 443}}, "scanInterval": "1h",
    }


@pytest.mark.parametrize(("manifest", "text"), [
    (a_discovery("0.0.0.0"), "IP addresses cannot be 0.0.0.0"),
    (a_discovery(last="0.0.0.0"), "IP addresses cannot be 0.0.0.0"),
    (a_discovery("fe80::1"), "Only IPv4 addresses are supported (IPv6 not allowed)"),
    (a_discovery(""), "StartIP cannot be empty"),
    (a_discovery(last=""), "EndIP cannot be empty"),
    (a_discovery("10.0.0.256"), "should match"),
    (a_discovery(workers=0), "should be greater than or equal to 1"),
    (a_discovery(scanInterval="soon"), "scanInterval"),
], ids=["zero", "zero-end", "ipv6", "no-start", "no-end", "octet", "workers", "interval"])
def test_what_is_refused(kubectl: Kubectl, manifest: dict[str, Any], text: str) -> None:
    answer = kubectl.create(manifest)

    assert answer.status == 422, answer.body
    assert any(text in f"{cause} {field['field']}" for cause, field in zip(
        answer.causes, answer.body["details"]["causes"], strict=True
    )), answer.body


def test_a_range_has_to_be_named(kubectl: Kubectl) -> None:
    manifest = a_discovery()
    del manifest["spec"]["ipRangeSpec"]["ipRange"]["endIP"]

    assert kubectl.create(manifest).status == 422


def test_columns() -> None:
    (crd,) = [one for one in CRDS if one["spec"]["names"]["kind"] == "DPUDiscovery"]
    columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]

    assert [(one["name"], one["type"], one["jsonPath"]) for one in columns] == [
        ("Last Scan", "date", ".status.lastScanTime"), ("Found DPUs", "integer", ".status.foundDPUs"),
    ]
