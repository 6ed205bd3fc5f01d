"""Kubeconfigs are read as kubectl reads them, except that those of strangers can neither run nor read anything here."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from dpf.kube import errors, kubeconfig
from dpf.kube.client import Endpoint

from .certificates import Pair, a_pair

SECRET = "s3cr3t-token"


@pytest.fixture(scope="module")
def pair() -> Pair:
    return a_pair()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def a_config(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **top: Any) -> bytes:
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "cl", "cluster": {"server": "https://10.0.0.1:6443", **(cluster or {})}}],
        "users": [{"name": "us", "user": user or {}}],
        "contexts": [{"name": "c", "context": {"cluster": "cl", "user": "us", "namespace": "ns"}}], **top,
    }).encode()


def authorization(connection: kubeconfig.Connection) -> str | None:
    credential = connection.credentials.current()
    assert credential is not None
    return credential.authorization


def tls(connection: kubeconfig.Connection) -> ssl.SSLContext:
    credential = connection.credentials.current()
    assert credential is not None
    assert credential.tls is not None
    return credential.tls


def test_everything_in_one_file(pair: Pair) -> None:
    raw = a_config(
        {"certificate-authority-data": b64(pair.certificate), "tls-server-name": "api.example", "server": "https://h:1/"},
        {"client-certificate-data": b64(pair.certificate), "client-key-data": b64(pair.key), "token": SECRET},
    )
    connection = kubeconfig.from_secret(raw, source="x")
    assert (connection.server, connection.namespace, connection.tls_server_name) == ("https://h:1", "ns", "api.example")
    assert authorization(connection) == f"Bearer {SECRET}"
    context = tls(connection)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


def test_the_endpoint_is_the_server_without_who_we_are(pair: Pair) -> None:
    raw = a_config(
        {"certificate-authority-data": b64(pair.certificate), "tls-server-name": "api.example", "server": "https://h:1/"},
        {"token": SECRET},
    )
    assert kubeconfig.from_secret(raw, source="x").endpoint == Endpoint(
        server="https://h:1", ca_pem=pair.certificate, tls_server_name="api.example"
    )
    insecure = kubeconfig.from_secret(a_config({"insecure-skip-tls-verify": True}), source="x").endpoint
    assert (insecure.ca_pem, insecure.insecure) == (None, True)


def test_json_and_parsed_forms_are_read_as_well() -> None:
    document = yaml.safe_load(a_config(user={"token": SECRET}))
    for form in (json.dumps(document), document):
        connection = kubeconfig.connection(kubeconfig.parse(form, source="x"))
        assert authorization(connection) == f"Bearer {SECRET}"


def test_without_an_authority_the_systems_are_trusted() -> None:
    assert tls(kubeconfig.from_secret(a_config(), source="x")).verify_mode is ssl.CERT_REQUIRED


def test_verification_can_be_switched_off() -> None:
    context = tls(kubeconfig.from_secret(a_config({"insecure-skip-tls-verify": True}), source="x"))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_basic_authentication() -> None:
    connection = kubeconfig.from_secret(a_config(user={"username": "u", "password": "p"}), source="x")
    assert authorization(connection) == "Basic " + b64(b"u:p")


def test_files_are_relative_to_the_kubeconfig(tmp_path: Path, pair: Pair) -> None:
    (tmp_path / "ca.crt").write_bytes(pair.certificate)
    (tmp_path / "token").write_text(f"{SECRET}\n")
    file = tmp_path / "config"
    file.write_bytes(a_config({"certificate-authority": "ca.crt"}, {"tokenFile": "token"}))
    connection = kubeconfig.load(file)
    assert connection.credentials.current() is None


async def test_client_certificate_files(tmp_path: Path, pair: Pair) -> None:
    (tmp_path / "c.crt").write_bytes(pair.certificate)
    (tmp_path / "c.key").write_bytes(pair.key)
    file = tmp_path / "config"
    file.write_bytes(a_config(user={"client-certificate": "c.crt", "client-key": str(tmp_path / "c.key")}))
    assert (await kubeconfig.load(file).credentials.renew()).tls is not None


def test_another_context(tmp_path: Path) -> None:
    document = yaml.safe_load(a_config())
    document["clusters"].append({"name": "two", "cluster": {"server": "http://two:80"}})
    document["contexts"].append({"name": "other", "context": {"cluster": "two"}})
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(document))
    connection = kubeconfig.load(file, context="other")
    credential = connection.credentials.current()
    assert (connection.server, connection.namespace) == ("http://two:80", "default")
    assert credential is not None
    assert credential.tls is None


def test_one_cluster_and_one_user_need_no_context() -> None:
    raw = a_config(user={"token": SECRET}, **{"contexts": None, "current-context": ""})
    assert authorization(kubeconfig.from_secret(raw, source="x")) == f"Bearer {SECRET}"


def test_kubeconfig_variable_merges_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(yaml.safe_dump({"current-context": "c", "clusters": [
        {"name": "cl", "cluster": {"server": "https://first:1"}}]}).encode())
    (tmp_path / "b").write_bytes(a_config(user={"token": SECRET}))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'a'}:{tmp_path / 'missing'}:{tmp_path / 'b'}")
    connection = kubeconfig.load()
    assert connection.server == "https://first:1"
    assert authorization(connection) == f"Bearer {SECRET}"


def test_the_home_directory_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(errors.CredentialsError, match=r"cannot read .*\.kube/config: No such file"):
        kubeconfig.load()
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_bytes(a_config())
    assert kubeconfig.load().server == "https://10.0.0.1:6443"


async def test_in_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: Pair) -> None:
    (tmp_path / "ca.crt").write_bytes(pair.certificate)
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "namespace").write_text("dpf\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    connection = kubeconfig.in_cluster(tmp_path)
    assert (connection.server, connection.namespace) == ("https://[fd00::1]:6443", "dpf")
    assert connection.endpoint == Endpoint(server="https://[fd00::1]:6443", ca_pem=pair.certificate)
    assert (await connection.credentials.renew()).authorization == f"Bearer {SECRET}"


def test_not_in_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(errors.CredentialsError, match="give a kubeconfig"):
        kubeconfig.in_cluster(tmp_path)


@pytest.mark.parametrize(("raw", "words"), [
    (b"", "not a kubeconfig"),
    (b"just words", "not a kubeconfig"),
    (b"- a\n- b\n", "not a kubeconfig"),
    (b"clusters: [{name: x}]", "missing required field `cluster`"),
    (b"clusters: 7", r"Expected `array \| null`, got `str`"),
    (b"clusters: !!int '1:1:1'", "not valid YAML"),
    (b"1:" * 500_000 + b"1", "Expected `object`, got `str`"),
    (b"a: 1\n" * 200_000, "more than 10000 entries"),
    (b"a: b: c: " + SECRET.encode(), r"not valid YAML \(line 1\)"),
    (b"a: 1\nusers:\n\t- " + SECRET.encode(), r"not valid YAML \(line 3\)"),
    (b"token: !!python/object/apply:os.system [" + SECRET.encode() + b"]", "not valid YAML"),
    (b"\xff\xfe\x00" + SECRET.encode(), "not valid YAML"),
    (b"[" * 1_000_000, "nested more than 32 levels deep"),
    (b"- " * 500_000, "nested more than 32 levels deep"),
    (b"a: {b: " * 100_000, "not valid YAML"),
    (b"#" * ((1 << 20) + 1), "larger than"),
    (b"a: &a [x]\nb: *a\n", "aliases are not supported"),
    (a_config({"server": "ftp://x"}), "not an URL like https"),
    (a_config({"server": "10.0.0.1:6443"}), "not an URL like https"),
    (a_config({"server": ""}), "not an URL like https"),
    (a_config({"server": "https://h:99999"}), "not an URL like https"),
    (a_config({"server": f"https://u:{SECRET}@h"}), "not an URL like https"),
    (a_config({"server": "https://h/ HTTP/1.1\r\nX: y"}), "not an URL like https"),
    (a_config({"certificate-authority-data": "%%%"}), "certificate-authority-data is not base64"),
    (a_config({"certificate-authority-data": b64(b"no pem")}), "x: the certificate authority is not a PEM certificate"),
    (a_config({"certificate-authority-data": "eA==", "insecure-skip-tls-verify": True}), "exclude each other"),
    (a_config(user={"client-certificate-data": "eA==", "client-key-data": "eA=="}), "x: the client certificate and"),
    (a_config(user={"client-certificate-data": "eA==", "client-key-data": SECRET}), "client-key-data is not base64"),
    (a_config(user={"token": f"{SECRET}\r\nX-Evil: 1"}), "characters that a token cannot have"),
    (a_config(user={"token": True}), r"Expected `str`, got `bool` - at `\$.users\[0\].user.token`"),
    (a_config(user={"auth-provider": {"name": "gcp"}}), "auth-provider is not supported"),
    (a_config(user={"as": "admin"}), r"as \(impersonation\) is not supported"),
    (a_config({"proxy-url": "http://p"}), "proxy-url is not supported"),
    (a_config(**{"current-context": "none"}), "it has no context 'none'"),
    (a_config(contexts=[{"name": "c", "context": {"cluster": "no", "user": "us"}}]), "unknown cluster 'no'"),
    (a_config(contexts=[{"name": "c", "context": {"cluster": "cl", "user": "no"}}]), "unknown user 'no'"),
    (a_config(clusters=[], users=[], **{"current-context": ""}), "no current-context is set"),
])
def test_what_cannot_be_used_is_named_and_never_quoted(raw: bytes, words: str) -> None:
    with pytest.raises(errors.CredentialsError, match=words) as caught:
        kubeconfig.from_secret(raw, source="x")
    assert str(caught.value).startswith("x: ") or "x:" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(("cluster", "user", "name"), [
    ({}, {"exec": {"command": "/bin/true", "apiVersion": "client.authentication.k8s.io/v1"}}, "exec"),
    ({}, {"tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"}, "tokenFile"),
    ({}, {"client-certificate": "/etc/x", "client-key": "/etc/y"}, "client-certificate, client-key"),
    ({"certificate-authority": "/etc/passwd"}, {}, "certificate-authority"),
])
def test_a_kubeconfig_of_a_stranger_cannot_reach_this_machine(
    cluster: dict[str, Any], user: dict[str, Any], name: str
) -> None:
    with pytest.raises(errors.CredentialsError, match=f"x: {name} cannot be used here"):
        kubeconfig.from_secret(a_config(cluster, user), source="x")


@pytest.mark.parametrize(("plugin", "words"), [
    ({"apiVersion": "client.authentication.k8s.io/v1"}, "exec has no command"),
    ({"command": "x", "apiVersion": "client.authentication.k8s.io/v0"}, "is not one of"),
    ({"command": "x", "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Always"}, "a terminal"),
])
def test_exec_plugins_that_cannot_work(plugin: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.CredentialsError, match=words):
        kubeconfig.connection(kubeconfig.parse(a_config(user={"exec": plugin}), source="x"))


def test_the_identity_to_hand_on() -> None:
    user = {"client-certificate-data": "Yw==", "client-key-data": "aw=="}
    raw = a_config({"certificate-authority-data": "Y2E="}, user)
    identity = kubeconfig.single_identity(kubeconfig.parse(raw, source="x"))
    assert (identity.cluster_name, identity.server, identity.ca_data) == ("cl", "https://10.0.0.1:6443", "Y2E=")
    assert (identity.cert_data, identity.key_data, identity.token) == ("Yw==", "aw==", "")


def test_an_identity_must_be_single() -> None:
    document = yaml.safe_load(a_config())
    document["users"] *= 2
    with pytest.raises(errors.CredentialsError, match="it has 1 and 2"):
        kubeconfig.single_identity(kubeconfig.parse(document, source="x"))


def test_nothing_that_is_printed_holds_a_secret() -> None:
    raw = a_config(user={
        "token": SECRET, "password": SECRET, "client-key-data": b64(SECRET.encode()),
        "exec": {"command": "c", "args": [SECRET], "env": [{"name": "N", "value": SECRET}], "apiVersion": "x"},
    })
    config = kubeconfig.parse(raw, source="x")
    printed = repr(config) + repr(kubeconfig.single_identity(config))
    printed += repr(kubeconfig.from_secret(a_config(user={"token": SECRET}), source="x"))
    printed += repr(kubeconfig.from_secret(a_config(user={"token": SECRET}), source="x").credentials.current())
    assert SECRET not in printed
    assert b64(SECRET.encode()) not in printed
