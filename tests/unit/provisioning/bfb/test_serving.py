"""For whom the certificate of the registry is, whatever the DPFOperatorConfig says (api-provisioning.md 13.3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from tests.support.clock import FakeClock
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig, DPFOperatorConfigSpec
from dpf.api.meta import ObjectMeta
from dpf.api.operatorprovisioning import ProvisioningController, Registry
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.bfb.serving import BFBRegistry


async def certified(folder: Path, *addresses: str) -> list[str]:
    """Names in the certificate where BMCs know the registry as 192.0.2.1, and by the load balancer's address."""
    clock = FakeClock()
    host = MemoryCluster(now=clock.now)
    host.add(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)))
    for number, address in enumerate(addresses):
        chosen = ProvisioningController(registry=Registry(loadBalancerAddress=address))
        host.add(DPFOperatorConfig(
            metadata=ObjectMeta(name=f"dpf-{number}", namespace=NAMESPACE),
            spec=DPFOperatorConfigSpec(provisioningController=chosen),
        ))
    serving = BFBRegistry(host, NAMESPACE, clock).serving(folder, "0.0.0.0", 8443, "192.0.2.1")
    certificate, _ = await serving.certify(serving.names)
    found = x509.load_pem_x509_certificate(certificate).extensions
    names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(str(name.value) for name in names)


async def test_it_is_for_both_addresses(tmp_path: Path) -> None:
    assert await certified(tmp_path, "https://bfb.example.com:8443") == ["192.0.2.1", "bfb.example.com"]


@pytest.mark.parametrize("address", [
    "https://[bad", "https://b\u00fccher.example", "https://", "https://u:never-to-be-seen@a b", "https://a..b",
    f"https://{'a' * 300}",
])
async def test_an_address_that_is_none_stops_no_registry(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """All BMCs fetch from it, and it would end again after each restart."""
    assert await certified(tmp_path, address, "https://192.0.2.7") == ["192.0.2.1", "192.0.2.7"]
    said = capsys.readouterr().out + caplog.text
    assert "loadBalancerAddress names no host" in said
    assert f"{NAMESPACE}/dpf-0" in said
    assert "never-to-be-seen" not in said
