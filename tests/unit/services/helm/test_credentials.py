"""Which of Argo CD's repository Secrets is meant for a repository, and what is in it."""

from __future__ import annotations

import base64

import pytest

from dpf.api.core import ConfigMap, Secret
from dpf.api.meta import ObjectMeta
from dpf.services.helm import credentials
from dpf.services.helm.port import Access, ChartError, Credentials

URL = "https://charts.example.com/stable"


def a_secret(name: str = "stable", *, secret_type: str = "repository", **data: str | bytes) -> Secret:
    values = {"type": "helm", "url": URL, "username": "me", "password": "hunter2", **data}
    return Secret(
        metadata=ObjectMeta(name=name, namespace="argocd", labels={"argocd.argoproj.io/secret-type": secret_type}),
        data={
            key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
            for key, value in values.items()
        },
    )


@pytest.mark.parametrize(("url", "asked"), [
    (URL, URL),
    (URL + "/", URL),
    (URL, URL + "//"),
    ("nvcr.example.com/dpf", "oci://nvcr.example.com/dpf/"),
    ("oci://nvcr.example.com/dpf/", "oci://nvcr.example.com/dpf"),
])
def test_the_url_counts_but_for_oci_and_slashes_at_the_end(url: str, asked: str) -> None:
    assert credentials.choose([a_secret(url=url)], asked) is not None


@pytest.mark.parametrize("secret", [
    pytest.param(a_secret(url="https://charts.example.com/stable2"), id="another repository"),
    pytest.param(a_secret(url="https://charts.example.com"), id="a prefix"),
    pytest.param(a_secret(url="https://Charts.example.com/stable"), id="another spelling"),
    pytest.param(a_secret(url="charts.example.com/stable"), id="without its scheme"),
    pytest.param(a_secret(url=""), id="no url"),
    pytest.param(a_secret(url=b"\xff"), id="no text"),
    pytest.param(a_secret(type="git"), id="git"),
    pytest.param(a_secret(type=b"\xff"), id="type is no text"),
    pytest.param(a_secret(secret_type="cluster"), id="a cluster"),
    pytest.param(a_secret(secret_type="repo-creds"), id="a template of credentials"),
    pytest.param(Secret(metadata=ObjectMeta(name="x")), id="empty"),
])
def test_other_secrets_are_not_used(secret: Secret) -> None:
    assert credentials.choose([secret], URL) is None
    assert credentials.access([secret], None, URL) == Access()


def test_of_several_the_first_by_name_counts() -> None:
    both = [a_secret("b", username="second"), a_secret("a", username="first")]
    for order in (both, both[::-1]):
        chosen = credentials.access(order, None, URL).credentials
        assert chosen is not None
        assert chosen.username == "first"


def test_what_argo_cd_knows_is_taken_over() -> None:
    secret = a_secret(tlsClientCertData="CERT", tlsClientCertKey="KEY", insecure="true", enableOCI="true")
    authorities = ConfigMap(metadata=ObjectMeta(name=credentials.TLS_CERTS), data={"charts.example.com": "PEM"})
    assert credentials.access([secret], authorities, URL) == Access(
        credentials=Credentials(
            username="me", password="hunter2", certificate_pem="CERT", key_pem="KEY", insecure=True
        ),
        authorities={"charts.example.com": "PEM"},
    )


@pytest.mark.parametrize("value", ["false", "", "1", "yes"])
def test_certificates_are_checked_unless_it_says_true(value: str) -> None:
    found = credentials.access([a_secret(insecure=value)], None, URL).credentials
    assert found is not None
    assert not found.insecure


def test_a_value_that_is_no_text_names_the_secret_and_the_key() -> None:
    with pytest.raises(ChartError) as caught:
        credentials.access([a_secret(password=b"hunter2\xff")], None, URL)
    assert str(caught.value) == "repository Secret argocd/stable: its password is not text; correct the Secret"


def test_no_password_is_shown_by_accident() -> None:
    found = credentials.access([a_secret(tlsClientCertKey="KEY-hunter2")], None, URL)
    assert "hunter2" not in f"{found!r}{found}{a_secret()!r}"
