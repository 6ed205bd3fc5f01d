"""What makes a revision another one (behaviour-service.md 6.5)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpudeployments as some

from dpf.api.dpudeployment import DeploymentSwitch
from dpf.api.dpuserviceconfiguration import DPUServiceConfigurationSpec
from dpf.api.dpuservicetemplate import DPUServiceTemplateSpec
from dpf.services.dpudeployment import digests


def of(configuration: dict[str, Any], template: dict[str, Any] | None = None) -> str:
    settings = {"deploymentServiceName": "web", **configuration}
    spec = some.a_template("web", **(template or {})).spec
    assert spec is not None
    return digests.service(msgspec.convert(settings, DPUServiceConfigurationSpec), spec)


def values(**given: Any) -> dict[str, Any]:
    return {"serviceConfiguration": {"helmChart": {"values": given}}}


@pytest.mark.parametrize("change", [
    values(a=2), values(a=1, b=None), {"interfaces": [{"name": "eth0", "network": "n"}]},
    {**values(a=1), "serviceConfiguration": {"helmChart": {"values": {"a": 1}}, "deployInCluster": True}},
], ids=["value", "null", "interface", "placement"])
def test_what_the_service_is_counts(change: dict[str, Any]) -> None:
    assert of(change) != of(values(a=1))


def test_the_template_counts() -> None:
    assert of({}, {"resourceRequirements": {"cpu": 1}}) != of({})


@pytest.mark.parametrize("change", [{"upgradePolicy": {"applyNodeEffect": True}}, {"nodeEffect": True}])
def test_how_it_is_updated_does_not_count(change: dict[str, Any]) -> None:
    """Scenario 34."""
    assert of({**values(a=1), **change}) == of(values(a=1))


def test_the_order_of_keys_does_not_count() -> None:
    assert of(values(a={"x": 1, "y": 2}, b=3)) == of(values(b=3, a={"y": 2, "x": 1}))


def test_a_default_that_the_server_has_filled_in_does_not_count() -> None:
    ports = {"ports": [{"name": "http", "protocol": "TCP"}]}
    bare, filled = ({"serviceConfiguration": {"configPorts": p}} for p in (ports, {**ports, "serviceType": "NodePort"}))

    assert of(bare) == of(filled)
    assert of(bare) != of({"serviceConfiguration": {"configPorts": {**ports, "serviceType": "ClusterIP"}}})


def switch(**fields: Any) -> DeploymentSwitch:
    port = {"service": {"name": "web", "interface": "eth0"}}
    return msgspec.convert({"ports": [port], **fields}, DeploymentSwitch)


def test_a_service_counts_in_a_chain_by_its_id() -> None:
    assert digests.chain([switch()], {"web": "id-1"}) == digests.chain([switch()], {"web": "id-1", "api": "id-2"})
    assert digests.chain([switch()], {"web": "id-1"}) != digests.chain([switch()], {"web": "id-2"})


def test_everything_else_of_a_chain_counts() -> None:
    ids = {"web": "id"}
    ipam = {"service": {"name": "web", "interface": "eth0", "ipam": {"matchLabels": {"pool": "a"}}}}

    assert len({
        digests.chain([switch()], ids), digests.chain([switch(), switch()], ids),
        digests.chain([switch(serviceMTU=9000)], ids), digests.chain([switch(ports=[ipam])], ids),
    }) == 4
    assert digests.chain([switch(serviceMTU=1500)], ids) == digests.chain([switch()], ids)


def test_a_chain_is_not_changed_by_being_counted() -> None:
    given = switch()
    digests.chain([given], {"web": "id"})

    assert given == switch()


def test_fields_set_leaves_defaults_out() -> None:
    spec = msgspec.convert({"deploymentServiceName": "web", "helmChart": {"source": {
        "repoURL": "https://c", "version": "1",
    }}}, DPUServiceTemplateSpec)

    assert [name for name, _ in digests.fields_set(spec)] == ["deploymentServiceName", "helmChart"]
