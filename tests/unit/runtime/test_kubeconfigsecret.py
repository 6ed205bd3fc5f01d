"""The documented words for kubeconfig Secrets that cannot be used (behaviour-service.md section 8)."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from tests.support.world import a_kubeconfig

from dpf.api.core import Secret
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import errors
from dpf.runtime import kubeconfigsecret

GOOD = a_kubeconfig(Key("ns", "dpu"))


def a_secret(**data: bytes | str) -> Secret:
    encoded = {k.replace("_", "-") + ".conf": v if isinstance(v, str) else base64.b64encode(v).decode()
               for k, v in data.items()}
    return Secret(metadata=ObjectMeta(name="kc", namespace="ns"), data=encoded or None)


def doubled(member: str) -> bytes:
    tree: dict[str, Any] = msgspec.json.decode(GOOD)
    return msgspec.json.encode({**tree, member: tree[member] * 2})


@pytest.mark.parametrize("secret", [
    a_secret(super_admin=GOOD), a_secret(admin=GOOD), a_secret(super_admin=GOOD, admin=b"old"),
], ids=["super-admin.conf", "admin.conf", "super-admin.conf first"])
def test_the_kubeconfig_is_found(secret: Secret) -> None:
    assert kubeconfigsecret.content(secret) == GOOD


NOT_FOUND = "secret ns/kc not in the expected format: data.super-admin.conf not found"


@pytest.mark.parametrize(("secret", "words"), [
    pytest.param(a_secret(), NOT_FOUND, id="empty"),
    pytest.param(a_secret(other=GOOD), NOT_FOUND, id="wrong key"),
    pytest.param(
        a_secret(admin="%%%"), "secret ns/kc not in the expected format: data.admin.conf is not base64", id="no base64",
    ),
    pytest.param(
        a_secret(admin=doubled("users")), "secret not in the expected format: auth info list should have one member",
        id="two users",
    ),
    pytest.param(
        a_secret(admin=doubled("clusters")), "secret not in the expected format: cluster list should have one member",
        id="two clusters",
    ),
])
def test_what_is_wrong_is_said_in_the_documented_words(secret: Secret, words: str) -> None:
    with pytest.raises(errors.CredentialsError) as caught:
        kubeconfigsecret.content(secret)
    assert str(caught.value) == words


def test_no_value_of_the_secret_is_quoted() -> None:
    with pytest.raises(errors.CredentialsError) as caught:
        kubeconfigsecret.content(a_secret(admin=b"users: [{user: {token: hunter2}}\n: broken"))
    assert "hunter2" not in str(caught.value)
    assert "secret ns/kc, data.admin.conf" in str(caught.value)
