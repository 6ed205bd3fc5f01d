"""When a credential is good, whose it is, and when it has to be renewed (behaviour-service.md 7; 13, test 44)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.support import credentialrequests as some

from dpf.api import core
from dpf.api.dpuservicecredentialrequest import SecretType
from dpf.api.meta import Key, ObjectMeta
from dpf.runtime.plan import HOST
from dpf.services.credentialrequest import build, credential, wanted
from dpf.services.credentialrequest.credential import Mark, Times
from dpf.services.credentialrequest.snapshot import Connecting, Endpoint, Place, Snapshot

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENDPOINT = Endpoint(cluster_name="c", server="https://dpu:6443", ca_data="Q0E=")
UID = "00000000-0000-4000-8000-000000000001"


def a_mark(*, life_s: int = 3600, age_s: float = 0.0, skew_s: float = 0.0) -> Mark:
    """Requested `age_s` ago by our clock, at a server whose clock is `skew_s` ahead of ours."""
    requested = NOW - timedelta(seconds=age_s)
    issued = requested + timedelta(seconds=skew_s)
    return Mark(
        issued=issued.isoformat(), expires=(issued + timedelta(seconds=life_s)).isoformat(),
        requested=requested.isoformat(), inputs="", data="", metadata="",
    )


def wait_s(**mark: Any) -> float:
    return credential.wait_s(a_mark(**mark), UID, NOW)


def test_44_an_hour_is_renewed_after_48_minutes_less_the_jitter() -> None:
    assert 2880 - 10 <= wait_s() == 2880 - credential.jitter_s(UID) <= 2880


@pytest.mark.parametrize(("life_s", "age_s"), [
    (3600, 2880), (3600, 3500), (3600, 7200), (86400, 69120), (86400, 25 * 3600), (600, 480),
], ids=["48m of 1h", "58m of 1h", "2h of 1h", "80% of a day", "25h", "8m of 10m"])
def test_44_due(life_s: int, age_s: float) -> None:
    assert wait_s(life_s=life_s, age_s=age_s) == 0


@pytest.mark.parametrize(("life_s", "age_s"), [(3600, 2869), (86400, 69109), (600, 469)])
def test_44_not_due_yet(life_s: int, age_s: float) -> None:
    assert wait_s(life_s=life_s, age_s=age_s) > 0


def test_a_token_for_a_week_is_renewed_after_a_day() -> None:
    assert 0 < wait_s(life_s=7 * 86400, age_s=86400 - 11) <= 11
    assert wait_s(life_s=7 * 86400, age_s=86400) == 0


@pytest.mark.parametrize("skew_s", [-7200, -60, 60, 7200])
def test_the_servers_clock_does_not_matter(skew_s: float) -> None:
    assert wait_s(skew_s=skew_s) == wait_s()
    assert wait_s(skew_s=skew_s, age_s=2880) == 0


def test_our_own_clock_was_set_back() -> None:
    assert wait_s(age_s=-3600) == 0
    assert wait_s(age_s=-5) > 2880 - 10, "another process of ours may be some seconds ahead"


def test_the_jitter_is_the_same_every_time_and_spreads() -> None:
    jitters = [credential.jitter_s(f"uid-{n}") for n in range(1000)]
    assert jitters == [credential.jitter_s(f"uid-{n}") for n in range(1000)]
    assert 0 <= min(jitters) < 0.1
    assert 9.9 < max(jitters) <= 10
    assert 4.5 < sum(jitters) / 1000 < 5.5


def test_a_mark_survives_its_annotation() -> None:
    secret = core.Secret(metadata=ObjectMeta(annotations={
        credential.MARK_ANNOTATION: credential.write_mark(a_mark())
    }))
    assert credential.read_mark(secret) == a_mark()


@pytest.mark.parametrize("text", [
    "", "{", "[]", "{}", "null",
    credential.write_mark(msgspec.structs.replace(a_mark(), expires="soon")),
    credential.write_mark(msgspec.structs.replace(a_mark(), requested="2026-01-01T00:00:00")),
])
def test_a_mark_that_makes_no_sense_is_none(text: str) -> None:
    secret = core.Secret(metadata=ObjectMeta(annotations={credential.MARK_ANNOTATION: text}))
    assert credential.read_mark(secret) is None


def a_snapshot(*, account_uid: str = "a", endpoint: Endpoint = ENDPOINT, status: bool = True, **spec: Any) -> Snapshot:
    """A request whose Secret holds what a request of `some.a_request()` would have got."""
    times = Times(issued="2026-01-01T00:00:00Z", expires="2026-01-01T01:00:00Z")
    asked = wanted.read(some.a_request())
    assert isinstance(asked, wanted.Wanted)
    data = build.data(asked, ENDPOINT, "t0ken")
    inputs = credential.inputs_digest(asked, "a", "c", ENDPOINT)
    mark = build.mark(asked, data, times, requested="2026-01-01T00:00:00Z", inputs=inputs)
    recorded = {"issuedAt": times.issued, "expirationTimestamp": times.expires} if status else {}
    return Snapshot(
        request=some.a_request(status=recorded, **spec), secret=build.secret(some.REQUEST, asked, data, mark),
        target=Place(
            cluster=some.DPU, uid="c", name=some.ACCOUNT, endpoint=endpoint,
            account=core.ServiceAccount(metadata=ObjectMeta(name="robot", namespace="services", uid=account_uid)),
        ),
    )


def is_held(snapshot: Snapshot) -> bool:
    asked = wanted.read(snapshot.request)
    return isinstance(asked, wanted.Wanted) and credential.held(snapshot, asked) is not None


def test_a_whole_credential_is_kept() -> None:
    assert is_held(a_snapshot())
    assert is_held(a_snapshot(status=False)), "a process that was killed before the status knows it again"
    assert is_held(a_snapshot(metadata={"labels": {"a": "b"}})), "metadata is no reason for a new token"
    assert is_held(a_snapshot(secret=Key("other", "place"))), "nor is another name"
    assert is_held(a_snapshot(duration=None)), "any life will do"


@pytest.mark.parametrize("snapshot", [
    a_snapshot(type="tokenFile"), a_snapshot(duration="2h"),
    a_snapshot(account=Key("services", "android")), a_snapshot(account_uid="b"),
    a_snapshot(endpoint=Endpoint(cluster_name="c", server="https://b")),
], ids=["type", "duration", "account", "another account of that name", "server"])
def test_a_credential_for_something_else_is_not(snapshot: Snapshot) -> None:
    assert not is_held(snapshot)


def test_the_digest_of_data_looks_at_our_keys_only() -> None:
    kept = {"kubeconfig": "eA=="}
    same = credential.data_digest(SecretType.KUBECONFIG, {**kept, "extra": "eQ=="})
    assert credential.data_digest(SecretType.KUBECONFIG, kept) == same
    assert credential.data_digest(SecretType.KUBECONFIG, {"kubeconfig": "eQ=="}) != same
    assert credential.data_digest(SecretType.KUBECONFIG, None) != same


def test_whose_it_is() -> None:
    request = some.a_request()
    ours = core.Secret(metadata=ObjectMeta(
        name="s", namespace="ns", labels=credential.owner_labels(some.REQUEST)
    ))
    others = core.Secret(metadata=ObjectMeta(
        name="s", namespace="ns", labels=credential.owner_labels(Key("a", "b"))
    ))
    plain = core.Secret(metadata=ObjectMeta(name="s", namespace="ns"))
    assert credential.belongs(ours, request, None)
    assert not credential.belongs(others, request, "ns/s")
    assert credential.belongs(plain, request, "ns/s")
    assert not credential.belongs(plain, request, "ns/t")
    assert not credential.belongs(plain, request, None)


def test_a_secret_without_labels_and_mark_is_not_ours_whatever_the_status_says() -> None:
    request = some.a_request(status={"secret": "ns/s"})
    marked = ObjectMeta(name="s", namespace="ns", annotations={credential.MARK_ANNOTATION: "{}"})
    assert credential.secret_belongs(core.Secret(metadata=marked), request)
    assert not credential.secret_belongs(core.Secret(metadata=ObjectMeta(name="s", namespace="ns")), request)


def test_nothing_is_known_while_a_cluster_is_being_connected() -> None:
    place = Place(cluster=HOST, uid="", name=some.ACCOUNT, account=Connecting(), endpoint=ENDPOINT)
    asked = wanted.read(some.a_request())
    assert isinstance(asked, wanted.Wanted)
    assert credential.current_inputs(place, asked) is None
