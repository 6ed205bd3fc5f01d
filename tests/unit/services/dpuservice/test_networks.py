"""The annotation that Multus reads, and the devices behind it (behaviour-service.md 3.3 and 13, tests 9 and 10)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support import dpuservices as some

from dpf.api.dpuserviceinterface import ServiceDef
from dpf.api.dpuservicenad import DPUServiceNAD
from dpf.api.meta import Key
from dpf.services.dpuservice import networks
from dpf.services.dpuservice.networks import Attachment

FAILED = "failed to unmarshal existing networks: "
EXPECTED = ", expected format is a list of objects"


def of(network: str, interface: str = "eth1") -> Attachment:
    return networks.attachment(
        ServiceDef(serviceID="hbn", network=network, interfaceName=interface), some.TENANT
    )


def merged(existing: Any, *wanted: Attachment) -> list[dict[str, Any]]:
    text = existing if existing is None or isinstance(existing, str) else json.dumps(existing)
    found: list[dict[str, Any]] = json.loads(networks.merge(text, wanted))
    return found


def test_what_is_generated_as_text() -> None:
    assert networks.merge(None, [of("mybrhbn", "p0_if")]) == (
        '[{"name":"mybrhbn","interface":"p0_if","cni-args":null}]'
    )
    assert networks.merge(None, [of("other/mybrhbn", "p0_if")]) == (
        '[{"name":"mybrhbn","namespace":"other","interface":"p0_if","cni-args":null}]'
    )


def test_scenario_9_the_list_is_sorted_by_network_then_interface() -> None:
    found = merged([{"name": "b", "interface": "z"}], of("b", "a"), of("c", "b"), of("a", "c"))
    assert [(e["name"], e["interface"]) for e in found] == [("a", "c"), ("b", "a"), ("b", "z"), ("c", "b")]


@pytest.mark.parametrize(("user", "want"), [
    ({"interface": "eth1", "cni-args": {}}, {"name": "net", "interface": "eth1", "cni-args": {}}),
    ({"interface": "eth1", "cni-args": None}, {"name": "net", "interface": "eth1", "cni-args": None}),
    ({"interface": "eth1", "name": "own", "namespace": "n", "cni-args": {"poolNames": ["p"]}},
     {"name": "own", "namespace": "n", "interface": "eth1", "cni-args": {"poolNames": ["p"]}}),
    ({"interface": "eth1", "name": "", "mac": "02:00:00:00:00:01", "ips": ["10.0.0.1/24"], "x-own": 1},
     {"name": "net", "ips": ["10.0.0.1/24"], "mac": "02:00:00:00:00:01", "interface": "eth1", "cni-args": None,
      "x-own": 1}),
], ids=["empty-args", "null-args", "everything", "empty-name"])
def test_scenario_9_the_users_fields_override_what_is_generated(user: dict[str, Any], want: dict[str, Any]) -> None:
    (found,) = merged([user], of("net"))
    assert found == want
    assert list(found) == list(want)


def test_elements_of_the_user_are_kept() -> None:
    found = merged([{"name": "own"}, {"name": "own", "interface": "eth9"}], of("net"))
    assert found == [
        {"name": "net", "interface": "eth1", "cni-args": None}, {"name": "own", "cni-args": None},
        {"name": "own", "interface": "eth9", "cni-args": None},
    ]


@pytest.mark.parametrize("existing", [None, "", "  ", "[]", "null"])
def test_nothing_of_the_user(existing: str | None) -> None:
    assert merged(existing, of("net")) == [{"name": "net", "interface": "eth1", "cni-args": None}]


@pytest.mark.parametrize("existing", [
    "net1,net2", "net1@eth1", "{}", '{"name": "net1"}', '"net1"', '["net1"]', "[null]", '[{"name": 1}]',
    '[{"interface": {}}]', '[{"cni-args": []}]', "[" * 100_000, '[{"name": "\\ud800"}]', "[NaN]", "[1e999]", "\x00",
])
def test_what_cannot_be_read_is_told_in_the_documented_words(existing: str) -> None:
    with pytest.raises(networks.NetworksError) as caught:
        networks.merge(existing, [of("net")])
    assert str(caught.value).startswith(FAILED)
    assert str(caught.value).endswith(EXPECTED)


@pytest.mark.parametrize(("network", "nad"), [
    ("mynad", Key(some.TENANT, "mynad")), ("other/mynad", Key("other", "mynad")),
    ("mybrhbn", None), ("iprequest", None), ("other/mybrhbn", None),
])
def test_where_the_nad_is(network: str, nad: Key | None) -> None:
    assert of(network).nad == nad


@pytest.mark.parametrize(("nad", "resource"), [
    (some.a_nad(), "nvidia.com/bf_sf"),
    (some.a_nad(trusted=True), "nvidia.com/bf_sf_trusted"),
    (some.a_nad(resource_type="vf"), "nvidia.com/bf_vf"),
    (some.a_nad(resource_type="vf", trusted=True), "nvidia.com/bf_vf"),
    (some.a_nad(resource_type="veth"), None),
    (DPUServiceNAD(), None),
], ids=["sf", "trusted", "vf", "trusted-vf", "veth", "no-spec"])
def test_the_device_of_a_nad(nad: DPUServiceNAD, resource: str | None) -> None:
    assert networks.resource_name(nad) == resource


def test_scenario_10_three_interfaces_on_one_nad_take_three() -> None:
    nads = {Key(some.TENANT, "mynad"): some.a_nad(), Key("other", "vfs"): some.a_nad(resource_type="vf")}
    wanted = [of("mynad", "a"), of("mynad", "b"), of("mynad", "c"), of("other/vfs"), of("mybrhbn"), of("missing")]
    assert networks.count_resources(wanted, nads) == {"nvidia.com/bf_sf": "3", "nvidia.com/bf_vf": "1"}
