"""Names and label values of a DPUDeployment's children (behaviour-service.md 6.5, resolutions.md rows 43 and 44)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.api.meta import Key
from dpf.services.dpudeployment import naming

DEPLOYMENT = Key("customer-namespace", "producer-consumer")
FREE = frozenset[str]().__contains__
WORDS = st.from_regex(r"[a-z]([a-z0-9-]{0,60}[a-z0-9])?", fullmatch=True)


def test_first_revisions_have_the_documented_names() -> None:
    assert naming.service_name("producer-consumer", "producer") == "producer-consumer-producer"
    assert (
        naming.interface_name("producer-consumer", "producer", "app_iface") == "producer-consumer-producer-app-iface"
    )
    assert naming.chain_name("producer-consumer") == "producer-consumer"
    assert naming.dpuset_name("producer-consumer", "dpuset1") == "producer-consumer-dpuset1"


def test_owner_and_requestor() -> None:
    assert naming.owner_value(DEPLOYMENT) == "customer-namespace_producer-consumer"
    assert naming.requestor(DEPLOYMENT, "a-b") == "customer-namespace_producer-consumer_a-b"


def test_owner_value_fits_into_a_label() -> None:
    value = naming.owner_value(Key("n" * 63, "d" * 20))

    assert len(value) <= 63
    assert value != naming.owner_value(Key("n" * 63, "e" * 20))


def test_later_revision_has_five_characters_more() -> None:
    name = naming.suffixed("dd-web", "uid", "DPUService", "web", "0123456789", is_taken=FREE)

    assert re.fullmatch(r"dd-web-[bcdfghjklmnpqrstvwxz2456789]{5}", name)


def test_a_pass_that_is_repeated_gives_the_same_name() -> None:
    first, again = (naming.suffixed("dd-web", "uid", "web", "digest", is_taken=FREE) for _ in range(2))

    assert first == again


@pytest.mark.parametrize("seed", [("other", "web", "digest"), ("uid", "api", "digest"), ("uid", "web", "other")])
def test_every_revision_has_its_own_name(seed: tuple[str, ...]) -> None:
    assert naming.suffixed("x", *seed, is_taken=FREE) != naming.suffixed("x", "uid", "web", "digest", is_taken=FREE)


def test_a_name_that_is_taken_is_passed_over() -> None:
    first = naming.suffixed("x", "uid", is_taken=FREE)
    second = naming.suffixed("x", "uid", is_taken=lambda name: name == first)

    assert second != first
    assert naming.unique("x", "uid", is_taken=FREE) == "x"
    assert naming.unique("x", "uid", is_taken=lambda name: name in ("x", first)) == second


@given(st.text("abc-_.", max_size=90), st.text("xyz", max_size=30))
def test_the_suffix_stays_whole_in_a_name_that_is_too_long(deployment: str, service: str) -> None:
    plain = naming.service_name(deployment, service)
    name = naming.suffixed(plain, "uid", is_taken=FREE)

    assert len(plain) <= 63
    assert len(name) <= 63
    assert name[-6:] == next(naming.candidates("", "uid"))[-6:]


def test_service_id_of_the_first_and_of_a_later_revision() -> None:
    assert naming.service_id("producer-consumer", "producer") == "dpudeployment_producer-consumer_producer"
    assert (
        naming.service_id("producer-consumer", "producer", "f4295be911")
        == "dpudeployment_producer-consumer_producer_f4295be911"
    )


@given(WORDS, WORDS, st.from_regex(r"[0-9a-f]{10}", fullmatch=True))
def test_service_id_is_a_label_value_and_recognised(deployment: str, service: str, digest: str) -> None:
    ids = {naming.service_id(deployment, service), naming.service_id(deployment, service, digest)}

    assert len(ids) == 2
    for value in ids:
        assert len(value) <= 63
        assert naming.is_service_id(value, deployment, service)


@pytest.mark.parametrize("value", [
    None, "", "web", "dpudeployment_dd_api", "dpudeployment_dd_web_short", "x_0123456789",
])
def test_somebody_elses_service_id_is_not_recognised(value: str | None) -> None:
    assert not naming.is_service_id(value, "dd", "web")


def test_node_label_keys() -> None:
    key = naming.service_key("my-web")

    assert key == "svc.dpu.nvidia.com/dpuservice-my-web-version"
    assert naming.service_of_key(key) == "my-web"
    assert naming.service_of_key("svc.dpu.nvidia.com/dpuservicechain-version") is None
    assert re.fullmatch(
        r"svc\.dpu\.nvidia\.com/dpuservice-in-cluster-version-[0-9a-f]{10}", naming.in_cluster_key(DEPLOYMENT, "web")
    )
    assert naming.in_cluster_key(DEPLOYMENT, "web") != naming.in_cluster_key(DEPLOYMENT, "api")


def test_consumer_label_tells_namespaces_apart() -> None:
    label = naming.consumer_label(DEPLOYMENT)

    assert re.fullmatch(r"svc\.dpu\.nvidia\.com/consumed-by-dpudeployment-[0-9a-f]{10}", label)
    assert label != naming.consumer_label(Key("other", DEPLOYMENT.name))
