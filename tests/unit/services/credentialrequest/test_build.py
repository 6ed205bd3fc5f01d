"""The layouts of the Secret, byte by byte where programs read them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from tests.support import credentialrequests as some

from dpf.services.credentialrequest import build, wanted
from dpf.services.credentialrequest.snapshot import Endpoint
from dpf.services.credentialrequest.wanted import Wanted

CA = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()


def an_endpoint(server: str = "https://192.0.2.1:6443", **fields: Any) -> Endpoint:
    return Endpoint(cluster_name="tenant1", server=server, **{"ca_data": CA, **fields})


def a_wish(type_: str) -> Wanted:
    found = wanted.read(some.a_request(type=type_))
    assert isinstance(found, Wanted)
    return found


def plain(type_: str, endpoint: Endpoint) -> dict[str, str]:
    data = build.data(a_wish(type_), endpoint, "t0ken")
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_a_kubeconfig() -> None:
    assert yaml.safe_load(plain("kubeconfig", an_endpoint())["kubeconfig"]) == {
        "apiVersion": "v1", "kind": "Config", "current-context": "robot",
        "clusters": [{"name": "tenant1", "cluster": {
            "server": "https://192.0.2.1:6443", "certificate-authority-data": CA,
        }}],
        "contexts": [{"name": "robot", "context": {"cluster": "tenant1", "user": "robot", "namespace": "services"}}],
        "users": [{"name": "robot", "user": {"token": "t0ken"}}],
    }


def test_a_kubeconfig_keeps_how_the_server_is_verified() -> None:
    text = plain("kubeconfig", an_endpoint(ca_data="", insecure=True, tls_server_name="api"))["kubeconfig"]
    assert yaml.safe_load(text)["clusters"][0]["cluster"] == {
        "server": "https://192.0.2.1:6443", "insecure-skip-tls-verify": True, "tls-server-name": "api",
    }


@pytest.mark.parametrize(("server", "host", "port"), [
    ("https://192.0.2.1:6443", "192.0.2.1", "6443"), ("https://api.example", "api.example", "443"),
    ("https://[2001:db8::1]:6443", "2001:db8::1", "6443"),
])
def test_token_file(server: str, host: str, port: str) -> None:
    assert plain("tokenFile", an_endpoint(server)) == {
        "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "TOKEN_FILE": "t0ken",
        "KUBERNETES_CA_DATA": "-----BEGIN CERTIFICATE-----\n",
    }


@pytest.mark.parametrize("server", ["https://rancher.example/k8s/clusters/c-1", "http://192.0.2.1:8080"])
def test_what_token_file_cannot_say(server: str) -> None:
    assert build.problem(a_wish("tokenFile"), an_endpoint(server)) == (
        f"type tokenFile has room for a host and a port only, not for {server}; use type kubeconfig"
    )
    assert build.problem(a_wish("kubeconfig"), an_endpoint(server)) is None
    assert build.problem(a_wish("tokenFile"), an_endpoint("https://a/")) is None
