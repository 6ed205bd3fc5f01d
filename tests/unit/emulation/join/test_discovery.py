"""Trust in cluster-info: signature first, then pin."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
import yaml

from dpf.emulation.join import discovery, errors, token
from dpf.local.pki import certificates

TOKEN = token.parse("abcdef.0123456789abcdef")
SERVER = "https://198.51.100.1:6443"
AUTHORITY = certificates.new_authority("kubernetes", certificates.new_key(), datetime(2026, 1, 1, tzinfo=UTC))


def _kubeconfig(authority: bytes = AUTHORITY.pem) -> str:
    cluster = {"server": SERVER, "certificate-authority-data": base64.b64encode(authority).decode()}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": cluster}]})


def _jws(payload: str, *, header: dict[str, str] | None = None, secret: str = TOKEN.secret) -> str:
    """An independent detached JWS: RFC 7515 appendix F over RFC 7518 HS256."""
    protected = _b64(json.dumps(header or {"alg": "HS256", "kid": TOKEN.id}).encode())
    mac = hmac.new(secret.encode(), f"{protected}.{_b64(payload.encode())}".encode(), hashlib.sha256)
    return f"{protected}..{_b64(mac.digest())}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _data(kubeconfig: str, jws: str | None = None) -> dict[str, str]:
    return {"kubeconfig": kubeconfig, "jws-kubeconfig-abcdef": jws or _jws(kubeconfig)}


def test_accepts_what_is_signed_and_pinned() -> None:
    info = discovery.verify(_data(_kubeconfig()), TOKEN, {"sha256:" + "1" * 64, AUTHORITY.spki_pin})
    assert (info.server, info.ca_pem) == (SERVER, AUTHORITY.pem)


@pytest.mark.parametrize("jws", [
    _jws(_kubeconfig(), secret="f" * 16),
    _jws(_kubeconfig() + " "),
    _jws(_kubeconfig(), header={"alg": "none", "kid": "abcdef"}),
    _jws(_kubeconfig(), header={"alg": "HS512", "kid": "abcdef"}),
    _jws(_kubeconfig(), header={"alg": "HS256", "kid": "fedcba"}),
    _jws(_kubeconfig()).replace("..", ".e30."),
    "%%%..%%%",
    "",
], ids=["other secret", "other text", "alg none", "other alg", "other token", "attached", "not base64", "empty"])
def test_refuses_a_signature_that_is_not_ours(jws: str) -> None:
    data = {"kubeconfig": _kubeconfig(), "jws-kubeconfig-abcdef": jws}
    with pytest.raises(errors.UntrustedCluster, match="not signed with bootstrap token abcdef"):
        discovery.verify(data, TOKEN, {AUTHORITY.spki_pin})


@pytest.mark.parametrize("pins", [set(), {"sha256:" + "0" * 64}], ids=["no pin", "another pin"])
def test_refuses_an_authority_that_is_not_pinned(pins: set[str]) -> None:
    with pytest.raises(errors.UntrustedCluster, match=f"found {AUTHORITY.spki_pin}"):
        discovery.verify(_data(_kubeconfig()), TOKEN, pins)


@pytest.mark.parametrize("kubeconfig", [
    "", "clusters: []", "[1, 2", "clusters: [{cluster: {server: x}}]",
    "clusters: [{cluster: {server: x, certificate-authority-data: '###'}}]", _kubeconfig(b"no certificate"),
], ids=["empty", "no cluster", "no YAML", "no CA", "no base64", "no PEM"])
def test_a_signed_but_useless_kubeconfig_is_an_error_in_words(kubeconfig: str) -> None:
    with pytest.raises(errors.UntrustedCluster):
        discovery.verify(_data(kubeconfig), TOKEN, {AUTHORITY.spki_pin})


def test_waits_for_the_signature_of_this_token() -> None:
    assert discovery.is_signed(_data(_kubeconfig()), TOKEN)
    assert not discovery.is_signed({"kubeconfig": "x", "jws-kubeconfig-fedcba": "x"}, TOKEN)


@pytest.mark.parametrize(("text", "valid"), [
    ("sha256:" + "a" * 64, True), (" SHA256:" + "A" * 64, True), ("sha256:" + "a" * 63, False),
    ("sha512:" + "a" * 64, False), ("a" * 64, False), ("sha256:" + "g" * 64, False),
])
def test_pins_have_one_form(text: str, valid: bool) -> None:
    if valid:
        assert discovery.parse_pin(text) == "sha256:" + "a" * 64
    else:
        with pytest.raises(errors.InvalidJoinConfig, match="CA pin"):
            discovery.parse_pin(text)
