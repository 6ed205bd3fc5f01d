"""The kubeconfig Secret of a DPUCluster: what is accepted, what is said about the rest, what managers write."""

from __future__ import annotations

import base64

import pytest
from tests.support.dpuclusters import NAMESPACE, SERVER, a_dpucluster, a_kubeconfig, a_secret

from dpf.api.core import Secret
from dpf.kube import errors
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.dpucluster import kubeconfig
from dpf.runtime import kubeconfigsecret
from dpf.runtime.kubeconfigsecret import Unusable, Usable


@pytest.mark.parametrize("key", ["super-admin.conf", "admin.conf"])
def test_both_documented_keys_are_read(key: str) -> None:
    found = kubeconfigsecret.judge(a_secret(key=key))
    assert isinstance(found, Usable)
    assert found.server == SERVER


def test_super_admin_wins() -> None:
    other = base64.b64encode(a_kubeconfig("https://192.0.2.9:6443")).decode()
    secret = a_secret()
    both = Secret(metadata=secret.metadata, data={**(secret.data or {}), "admin.conf": other})
    found = kubeconfigsecret.judge(both)
    assert isinstance(found, Usable)
    assert found.server == SERVER


@pytest.mark.parametrize(("secret", "words"), [
    pytest.param(a_secret(key="kubeconfig"), "not in the expected format: data.super-admin.conf not found", id="key"),
    pytest.param(a_secret(content=b"{"), "not a kubeconfig", id="no YAML"),
    pytest.param(a_secret(content=b"[]"), "not a kubeconfig", id="a list"),
    pytest.param(a_secret(content=b"\xff\xfe\x00"), "not a kubeconfig", id="no text"),
    pytest.param(a_secret(content=b""), "", id="empty"),
    pytest.param(a_secret(content=a_kubeconfig(users=2)), "auth info list should have one member", id="two users"),
    pytest.param(a_secret(content=a_kubeconfig(users=0)), "auth info list should have one member", id="no user"),
    pytest.param(a_secret(content=a_kubeconfig(clusters=2)), "cluster list should have one member", id="two clusters"),
    pytest.param(a_secret(content=a_kubeconfig("not a server")), "https://host:6443", id="server"),
    pytest.param(
        a_secret(content=a_kubeconfig(user={"exec": {"command": "/bin/sh", "args": ["not-for-eyes"]}})), "exec",
        id="it may not run programs",
    ),
    pytest.param(
        a_secret(content=a_kubeconfig(user={"tokenFile": "/var/run/secrets/token"})), "tokenFile",
        id="it may not read our files",
    ),
])
def test_what_cannot_be_used_is_explained_without_its_content(secret: Secret, words: str) -> None:
    found = kubeconfigsecret.judge(secret)
    assert isinstance(found, Unusable)
    assert words in found.why
    assert f"secret {NAMESPACE}/admin" in found.advice
    assert "not-for-eyes" not in f"{found}"


def test_a_usable_one_does_not_show_its_credentials() -> None:
    assert "not-for-eyes" not in repr(kubeconfigsecret.judge(a_secret()))


@pytest.mark.parametrize(("name", "words"), [
    pytest.param("absent", f"secret {NAMESPACE}/absent, which spec.kubeconfig names, does not exist", id="absent"),
    pytest.param("a/../b", "does not exist", id="no name for an object"),
    pytest.param("", "spec.kubeconfig is not set", id="none"),
])
async def test_a_secret_that_is_not_there(name: str, words: str) -> None:
    found = await kubeconfig.read(MemoryCluster(), a_dpucluster(kubeconfig=name))
    assert isinstance(found, Unusable)
    assert words in found.why


async def test_a_failed_read_is_not_an_absent_secret() -> None:
    host = MemoryCluster()
    host.fail_next(lambda request: request.verb == "get", errors.Unreachable("no connection"))
    with pytest.raises(errors.Unreachable):
        await kubeconfig.read(host, a_dpucluster(kubeconfig="admin"))


def test_managers_write_both_keys_and_the_secret_goes_with_the_cluster() -> None:
    secret = kubeconfig.build_secret(a_dpucluster(uid="u-7"), b"content", {"a": "b"})
    (owner,) = secret.metadata.ownerReferences or ()
    assert secret.metadata.name == "tenant1-admin-kubeconfig"
    assert secret.metadata.annotations == {"a": "b"}
    assert {key: base64.b64decode(value) for key, value in (secret.data or {}).items()} == {
        "super-admin.conf": b"content", "admin.conf": b"content",
    }
    assert (owner.kind, owner.name, owner.uid) == ("DPUCluster", "tenant1", "u-7")


def test_what_managers_write_can_be_read() -> None:
    secret = kubeconfig.build_secret(a_dpucluster(), a_kubeconfig(), {})
    assert isinstance(kubeconfigsecret.judge(secret), Usable)
