"""DPUDeployment.spec.serviceChains: a list or an object in one field without a type (api-svc.md section 10, skew 1)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.integration.crds.conftest import Kubectl, refused_fields
from tests.support import needs
from tests.support.manifests import dpudeployment

from dpf.api.dpudeployment import DeploymentSwitch, DPUDeployment, ServiceChains

pytestmark = pytest.mark.parts

PORT = {"service": {"name": "producer", "interface": "eth0"}}
UPLINK = {"serviceInterface": {"matchLabels": {"uplink": "p0"}}}
SWITCH = {"ports": [PORT, UPLINK]}
STORED_SWITCH = SWITCH | {"serviceMTU": 1500}


def chains_of(stored: dict[str, Any]) -> object:
    """What a controller sees."""
    spec = msgspec.convert(stored, DPUDeployment).spec
    assert spec is not None
    return spec.serviceChains


def with_chains(chains: Any) -> dict[str, Any]:
    return dpudeployment({"serviceChains": chains})


def test_list_is_kept_a_list(kubectl: Kubectl) -> None:
    stored = kubectl.create(with_chains([SWITCH])).expect(201)

    assert stored["spec"]["serviceChains"] == [STORED_SWITCH]
    chains = chains_of(stored)
    assert isinstance(chains, list)
    assert [type(switch) for switch in chains] == [DeploymentSwitch]


def test_object_is_kept_an_object(kubectl: Kubectl) -> None:
    stored = kubectl.create(with_chains({"switches": [SWITCH]})).expect(201)

    assert stored["spec"]["serviceChains"] == {"switches": [STORED_SWITCH], "upgradePolicy": {}}
    assert isinstance(chains_of(stored), ServiceChains)


def test_absent_is_kept_absent(kubectl: Kubectl) -> None:
    assert chains_of(kubectl.create(dpudeployment()).expect(201)) is None


@pytest.mark.parametrize("scalar", ["none", 3, 2.5, True], ids=str)
def test_scalar_is_taken_and_arrives_as_it_is(kubectl: Kubectl, scalar: Any) -> None:
    """The API server cannot refuse it, so the controller must be able to read and report it."""
    manifest = with_chains(scalar)
    kubectl.create(manifest).expect(201)

    assert chains_of(kubectl.get(manifest)) == scalar


@pytest.mark.parametrize(("before", "after", "wanted"), [
    ([SWITCH], {"switches": [SWITCH]}, {"switches": [STORED_SWITCH], "upgradePolicy": {}}),
    ({"switches": [SWITCH]}, [SWITCH], [STORED_SWITCH]),
    ("none", [SWITCH], [STORED_SWITCH]),
], ids=["list-to-object", "object-to-list", "mended"])
@pytest.mark.parametrize("verb", ["merge", "apply"])
def test_form_may_change(kubectl: Kubectl, verb: str, before: Any, after: Any, wanted: Any) -> None:
    first, second = with_chains(before), with_chains(after)
    kubectl.apply(first).expect()

    (kubectl.apply(second) if verb == "apply" else kubectl.merge(first, second)).expect()

    assert kubectl.get(first)["spec"]["serviceChains"] == wanted


def test_applying_the_same_twice_writes_nothing(kubectl: Kubectl) -> None:
    manifest = with_chains([SWITCH])

    versions = [kubectl.apply(manifest).expect()["metadata"]["resourceVersion"] for _ in range(2)]

    assert versions[0] == versions[1]


@pytest.mark.parametrize("chains", [[SWITCH], {"switches": [SWITCH]}], ids=["list", "object"])
@pytest.mark.parametrize("flags", [[], ["--server-side"]], ids=["client", "server"])
def test_kubectl_apply_is_repeatable(kubectl: Kubectl, flags: list[str], chains: Any) -> None:
    command = [
        needs.program("kubectl"), "--kubeconfig", kubectl.server.kubeconfig, "-n", kubectl.namespace,
        "apply", *flags, "-f", "-", "-o", "jsonpath={.metadata.resourceVersion}",
    ]
    manifest = json.dumps(with_chains(chains))

    versions = {
        subprocess.run(command, input=manifest, check=True, capture_output=True, text=True, timeout=60).stdout
        for _ in range(2)
    }

    assert len(versions) == 1


def test_flag_is_added_by_patch(kubectl: Kubectl) -> None:
    manifest = with_chains({"switches": [SWITCH]})
    kubectl.create(manifest).expect(201)

    stored = kubectl.json_patch(
        manifest, {"op": "add", "path": "/spec/serviceChains/upgradePolicy/applyNodeEffect", "value": True}
    ).expect()

    chains = chains_of(stored)
    assert isinstance(chains, ServiceChains)
    assert chains.upgradePolicy.applyNodeEffect is True


def ports(*entries: Any) -> dict[str, Any]:
    return {"ports": list(entries)}


BAD_SWITCHES: dict[str, tuple[Any, str]] = {
    "none": ([], ""),
    "many": ([SWITCH] * 51, ""),
    "no-ports": ([ports()], "[0].ports"),
    "many-ports": ([ports(*[PORT] * 51)], "[0].ports"),
    "absent-ports": ([{}], "[0].ports"),
    "scalar": (["switch"], "[0]"),
    "small-mtu": ([SWITCH | {"serviceMTU": 1279}], "[0].serviceMTU"),
    "large-mtu": ([SWITCH | {"serviceMTU": 9217}], "[0].serviceMTU"),
    "service-without-interface": ([ports({"service": {"name": "a"}})], "[0].ports[0].service.interface"),
    "service-name": ([ports({"service": {"name": "", "interface": "a"}})], "[0].ports[0].service.name"),
    "service-name-length": ([ports({"service": {"name": "n" * 29, "interface": "a"}})], "[0].ports[0].service.name"),
    "interface-length": (
        [ports({"service": {"name": "a", "interface": "i" * 16}})], "[0].ports[0].service.interface"),
    "no-labels": (
        [ports({"serviceInterface": {"matchLabels": {}}})], "[0].ports[0].serviceInterface.matchLabels"),
    "many-labels": (
        [ports({"serviceInterface": {"matchLabels": {str(n): "" for n in range(51)}}})],
        "[0].ports[0].serviceInterface.matchLabels"),
    "ip-family": (
        [ports({"service": PORT["service"] | {"ipam": {"matchLabels": {"a": "b"}, "requiredIPFamilies": ["IPv5"]}}})],
        "[0].ports[0].service.ipam.requiredIPFamilies[0]"),
    "no-ip-family": (
        [ports({"service": PORT["service"] | {"ipam": {"matchLabels": {"a": "b"}, "requiredIPFamilies": []}}})],
        "[0].ports[0].service.ipam.requiredIPFamilies"),
}


@pytest.mark.parametrize(("switches", "path"), BAD_SWITCHES.values(), ids=BAD_SWITCHES.keys())
@pytest.mark.parametrize("form", ["list", "object"])
def test_bad_switches_are_refused_in_both_forms(kubectl: Kubectl, form: str, switches: Any, path: str) -> None:
    refused = kubectl.create(with_chains(switches if form == "list" else {"switches": switches}))

    assert refused.status == 422
    assert refused_fields(refused) == {f"spec.serviceChains{'.switches' if form == 'object' else ''}{path}"}


@pytest.mark.parametrize(("port", "found"), [({}, "none valid"), (PORT | UPLINK, "2 valid alternatives")],
                         ids=["neither", "both"])
@pytest.mark.parametrize(("wrap", "path"), [
    (lambda switch: [switch], "spec.serviceChains[0].ports[0]"),
    (lambda switch: {"switches": [switch]}, "spec.serviceChains.switches[0].ports[0]"),
], ids=["list", "object"])
def test_port_leads_to_exactly_one_interface(
    kubectl: Kubectl, wrap: Callable[[Any], Any], path: str, port: Any, found: str
) -> None:
    """The server words this itself: CEL rules do not run below a field without a type."""
    refused = kubectl.create(with_chains(wrap(ports(port))))

    assert refused.status == 422
    assert f'"{path}" must validate one and only one schema (oneOf). Found {found}' in refused.causes[0]


@pytest.mark.parametrize(("chains", "path"), [
    ({}, "spec.serviceChains.switches"),
    ({"switches": "all"}, "spec.serviceChains.switches"),
    ({"switches": [SWITCH], "upgradePolicy": {"applyNodeEffect": "yes"}},
     "spec.serviceChains.upgradePolicy.applyNodeEffect"),
], ids=["empty", "scalar-switches", "word-for-flag"])
def test_bad_object_is_refused(kubectl: Kubectl, chains: Any, path: str) -> None:
    refused = kubectl.create(with_chains(chains))

    assert refused.status == 422
    assert refused_fields(refused) == {path}


@pytest.mark.parametrize(("chains", "path"), [
    ([ports(PORT | {"sevice": {}})], "spec.serviceChains[0].ports[0].sevice"),
    ({"switches": [SWITCH | {"mtu": 1500}]}, "spec.serviceChains.switches[0].mtu"),
], ids=["list", "object"])
def test_misspelled_field_is_refused(kubectl: Kubectl, chains: Any, path: str) -> None:
    refused = kubectl.create(with_chains(chains))

    assert refused.status == 400
    assert f'unknown field "{path}"' in refused.body["message"]
