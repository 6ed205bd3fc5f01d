"""Claims and problems from plain values; what becomes of them is in the scenarios (behaviour-service.md 3.3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support import dpuservices as some

from dpf.api import names
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.meta import Key
from dpf.services.dpuservice import interfaces
from dpf.services.dpuservice.fleet import Fleet, Unusable
from dpf.services.dpuservice.networks import NOTHING, Attachments
from dpf.services.dpuservice.snapshot import Interfaces, Snapshot

FLEET = Fleet(dpf_namespace=some.DPF, argocd_namespace=some.DPF)


def a_snapshot(*listed: DPUServiceInterface, departed: frozenset[str] = frozenset(), **spec: Any) -> Snapshot:
    """`blueman` lists all of these interfaces, in this order."""
    listing = [interface.metadata.name for interface in listed]
    return Snapshot(
        service=some.a_service(**{"serviceID": "hbn", "interfaces": listing or None, **spec}), fleet=FLEET,
        interfaces=Interfaces(listed={i.metadata.name: i for i in listed}, departed=departed,
                              claimed=tuple(i for i in listed if interfaces.consumer(i) == "blueman")),
    )


def test_claims_are_made_in_the_order_of_names_on_the_versions_that_were_read() -> None:
    snapshot = a_snapshot(*(some.an_interface(name, resourceVersion=f"7{name}") for name in ("z", "a", "m")))
    claims = list(interfaces.plan_claims(snapshot))
    assert [claim.key.name for claim in claims] == ["a", "m", "z"]
    assert [claim.patch for claim in claims] == [
        {"metadata": {"resourceVersion": f"7{name}", "annotations": {
            "dpu.nvidia.com/consumed-by": "blueman", "dpu.nvidia.com/consumed-by-uid": "uid-tenant-blueman",
        }}}
        for name in ("a", "m", "z")
    ]


def test_what_is_held_is_not_claimed_again() -> None:
    assert list(interfaces.plan_claims(a_snapshot(some.an_interface(consumer="blueman")))) == []


def test_an_interface_that_is_listed_twice_counts_once() -> None:
    snapshot = a_snapshot(some.an_interface(), interfaces=["app", "app"])
    assert interfaces.resolve(snapshot) == Attachments(
        networks='[{"name":"mynad","interface":"app","cni-args":null}]', resources={}
    )
    assert len(list(interfaces.plan_claims(snapshot))) == 1


def test_without_interfaces_there_is_nothing_to_attach() -> None:
    assert interfaces.resolve(a_snapshot(serviceDaemonSet={"annotations": {"k8s.v1.cni.cncf.io/networks": "x"}})) is (
        NOTHING
    )


def test_the_first_problem_is_told() -> None:
    snapshot = a_snapshot(some.an_interface("b", service_id="other"), interfaces=["b", "a"])
    assert interfaces.resolve(snapshot) == "conflicting ServiceID in DPUServiceInterface b"


@pytest.mark.parametrize(("uid", "departed", "taken"), [
    ("u", frozenset({"old"}), False), ("u", frozenset[str](), True), (None, frozenset({"old"}), True),
], ids=["gone", "there", "by-hand"])
def test_whose_claim_is_free(uid: str | None, departed: frozenset[str], taken: bool) -> None:
    found = interfaces.resolve(a_snapshot(some.an_interface(consumer="old", uid=uid), departed=departed))
    assert (found == "dpuServiceInterface app is in use by another DPUService") is taken


def test_only_own_claims_are_taken_back_with_their_mark() -> None:
    snapshot = a_snapshot(
        some.an_interface("mine", consumer="blueman", uid="u", resourceVersion="7"),
        some.an_interface("kept", consumer="blueman"), some.an_interface("theirs", consumer="dts"),
    )
    (patch,) = interfaces.plan_release(snapshot, keep=["kept"])
    assert patch.key == Key(some.TENANT, "mine")
    assert patch.patch == {"metadata": {"resourceVersion": "7", "annotations": {
        "dpu.nvidia.com/consumed-by": None, "dpu.nvidia.com/consumed-by-uid": None,
    }}}


def test_one_that_cannot_be_read_is_not_missing() -> None:
    snapshot = Snapshot(
        service=some.a_service(serviceID="hbn", interfaces=["app"]), fleet=FLEET,
        interfaces=Interfaces(listed={"app": Unusable(why="spec: expected an object")}),
    )
    assert interfaces.resolve(snapshot) == (
        'dpuserviceinterfaces.svc.dpu.nvidia.com "app" cannot be read: spec: expected an object'
    )


@pytest.mark.parametrize(("age_s", "label", "expected"), [
    (0.0, names.OWNED_BY_DPUDEPLOYMENT_LABEL, True), (9.9, names.OWNED_BY_DPUDEPLOYMENT_LABEL, True),
    (10.0, names.OWNED_BY_DPUDEPLOYMENT_LABEL, False), (0.0, "somebodys", False),
    (-2.0, names.OWNED_BY_DPUDEPLOYMENT_LABEL, True), (-3600.0, names.OWNED_BY_DPUDEPLOYMENT_LABEL, False),
], ids=["new", "not quite new", "old", "made by a user", "a clock ahead", "a clock far ahead"])
def test_interfaces_that_a_deployment_is_about_to_make_are_awaited_in_silence(
    age_s: float, label: str, expected: bool,
) -> None:
    service = some.a_service(created="2026-01-01T12:00:00Z", labels={label: "x"}, interfaces=["app"])
    now = datetime(2026, 1, 1, 12, 0, tzinfo=UTC) + timedelta(seconds=age_s)
    assert interfaces.are_expected(Snapshot(service=service, fleet=FLEET), now) is expected
    there = Interfaces(listed={"app": some.an_interface()})
    assert not interfaces.are_expected(Snapshot(service=service, fleet=FLEET, interfaces=there), now)
