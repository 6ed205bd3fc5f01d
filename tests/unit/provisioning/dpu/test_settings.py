"""How DPUs are installed, from the DPFOperatorConfig."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dpf.api.dpfoperatorconfig import DeploymentMode, DPFOperatorConfig
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.dpu import settings
from dpf.provisioning.dpu.snapshot import Settings

USUAL = Settings(version="26.4.0", registry="10.0.0.1:8443", folder="/volume")


def chosen(
    *, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **controller: Any
) -> Settings:
    config = msgspec.convert({
        "metadata": {"name": "dpfoperatorconfig"},
        "spec": {"provisioningController": controller, **(spec or {})}, "status": status or {},
    }, DPFOperatorConfig)
    return settings.of_config(config, USUAL)


def test_without_a_config_it_is_as_usual() -> None:
    assert settings.of_config(None, USUAL) == USUAL


def test_a_config_that_says_nothing() -> None:
    assert chosen() == USUAL


@pytest.mark.parametrize(("controller", "name", "expected"), [
    ({"maxDPUParallelInstallations": 3}, "parallel_installations", 3),
    ({"osInstallRetries": 4}, "install_attempts", 4),
    ({"osInstallTimeout": "90m"}, "install_timeout_s", 5400.0),
    ({"osInstallTimeout": "odd"}, "install_timeout_s", 3600.0),
    ({"osInstallTimeout": "0s"}, "install_timeout_s", 3600.0),
    ({"nodeEffectRemovalTimeout": "10m"}, "removal_timeout_s", 600.0),
    ({"nodeEffectRemovalTimeout": "odd"}, "removal_timeout_s", 0.0),
    ({"registry": {"loadBalancerAddress": "https://registry.example:443/"}}, "registry", "registry.example:443"),
    ({"registry": {"loadBalancerAddress": "registry.example"}}, "registry", "registry.example"),
    ({"registry": {}}, "registry", "10.0.0.1:8443"),
    ({"installInterface": {"installViaRedfish": {}}}, "interface", InstallInterface.REDFISH),
])
def test_what_the_controller_is_told(controller: dict[str, Any], name: str, expected: object) -> None:
    assert getattr(chosen(**controller), name) == expected


def test_zero_trust_installs_by_the_bmc() -> None:
    found = chosen(spec={"deploymentMode": "zero-trust"})
    assert (found.mode, found.interface) == (DeploymentMode.ZERO_TRUST, InstallInterface.REDFISH)


def test_networking() -> None:
    found = chosen(spec={"networking": {"controlPlaneMTU": 1400, "highSpeedMTU": 9000}})
    assert (found.control_plane_mtu, found.high_speed_mtu) == (1400, 9000)


@pytest.mark.parametrize(("status", "expected"), [
    ({"version": "26.1.0", "targetVersion": "26.4.0"}, "26.1.0 to 26.4.0"),
    ({"version": "26.4.0", "targetVersion": "26.4.0"}, None), ({"version": "26.4.0"}, None),
    ({"targetVersion": "26.4.0"}, None),
], ids=str)
def test_an_upgrade(status: dict[str, str], expected: str | None) -> None:
    assert chosen(status=status).upgrade == expected


@pytest.mark.parametrize(("address", "expected"), [
    ("https://a:1/", "a:1"), ("http://a", "a"), ("a:1", "a:1"), ("a/", "a"), ("", ""),
])
def test_addresses_without_a_scheme(address: str, expected: str) -> None:
    assert settings.without_scheme(address) == expected
