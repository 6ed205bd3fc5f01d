"""What a spec asks for, and how it is told that it cannot be followed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import credentialrequests as some

from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest
from dpf.api.meta import Key, ObjectMeta
from dpf.services.credentialrequest import wanted

NO_NAME = "cannot be the namespace and name of an object; correct it"


def read(**spec: Any) -> wanted.Wanted:
    found = wanted.read(some.a_request(**spec))
    assert isinstance(found, wanted.Wanted), found
    return found


@pytest.mark.parametrize(("duration", "seconds"), [
    (None, None), ("10m", 600), ("1h", 3600), ("1h30m", 5400), ("0.5h", 1800), ("600000ms", 600), ("3600s", 3600),
    ("24h", 86400), ("24h1s", 86400), ("100000h", 86400), ("9" * 400 + "h", 86400), ("601.9s", 601),
])
def test_the_life_of_a_token_in_seconds(duration: str | None, seconds: int | None) -> None:
    assert read(duration=duration).life_s == seconds


def test_missing_namespaces_are_default() -> None:
    found = read(account=Key("", "a"), secret=Key("", "b"), target=Key("", "c"))
    assert [found.account, found.secret, found.target] == [Key("default", name) for name in "abc"]


def test_no_target_is_the_host() -> None:
    assert read(target=None).target is None


@pytest.mark.parametrize(("spec", "told"), [
    ({"duration": "9m59s"}, "spec.duration 9m59s is shorter than 10m, the shortest life of a token; raise it"),
    ({"duration": "1d"}, "spec.duration '1d' is not a duration; write for example 1h or 30m"),
    ({"duration": "10m\n"}, "spec.duration '10m\\n' is not a duration; write for example 1h or 30m"),
    ({"type": "x509"}, "spec.type 'x509' is not one of kubeconfig, tokenFile"),
    ({"account": Key("a", "B")}, f"spec.serviceAccount: a/B {NO_NAME}"),
    ({"account": Key("a.b", "c")}, f"spec.serviceAccount: a.b/c {NO_NAME}"),
    ({"secret": Key("a", "")}, f"spec.secret: a/ {NO_NAME}"),
    ({"secret": Key("a", "x" * 254)}, f"spec.secret: a/{'x' * 254} {NO_NAME}"),
    ({"target": Key("..", "a")}, f"spec.targetCluster: ../a {NO_NAME}"),
])
def test_what_cannot_be_followed_is_told(spec: dict[str, Any], told: str) -> None:
    found = wanted.read(some.a_request(**spec))
    assert isinstance(found, wanted.Invalid)
    assert found.why == told


def test_an_object_without_a_spec() -> None:
    found = wanted.read(DPUServiceCredentialRequest(metadata=ObjectMeta(name="a")))
    assert isinstance(found, wanted.Invalid)
    assert found.why.startswith("spec is missing")
