"""Which Secret has the password of a BMC (behaviour-provisioning.md 9.2)."""

from __future__ import annotations

import pytest
from tests.support.bmcdevices import a_secret

from dpf.api import core
from dpf.api.dpudevice import DPUDevice, DPUDeviceSpec, DPUDeviceStatus
from dpf.api.meta import Key, ObjectMeta
from dpf.provisioning.dpudevice import credentials

NS = "ns"


def a_device(own: str | None = None, before: str | None = None) -> DPUDevice:
    return DPUDevice(
        metadata=ObjectMeta(name="d", namespace=NS), spec=DPUDeviceSpec(bmcCredentialSecretName=own),
        status=DPUDeviceStatus(bmcCredentialSecretName=before),
    )


def some(*secrets: core.Secret) -> dict[Key, core.Secret]:
    return {Key(NS, secret.metadata.name): secret for secret in secrets}


@pytest.mark.parametrize(("own", "before", "password", "former"), [
    (None, None, "shared", None),
    (None, credentials.SHARED_SECRET, "shared", None),
    ("a", None, "of-a", None),
    ("a", "a", "of-a", None),
    ("a", credentials.SHARED_SECRET, "of-a", "shared"),
    ("a", "b", "of-a", "of-b"),
    ("a", "gone", "of-a", None),
])
def test_the_password_and_the_former_one(
    own: str | None, before: str | None, password: str, former: str | None
) -> None:
    secrets = some(a_secret(password="shared"), a_secret("a", "of-a"), a_secret("b", "of-b"))
    found = credentials.read(a_device(own, before), secrets.get)

    assert (found.password, found.former, found.problem) == (password, former, None)


def test_nobody_goes_back_to_the_shared_secret() -> None:
    found = credentials.read(a_device(None, "a"), some(a_secret(), a_secret("a")).get)

    assert found.problem is not None
    assert (found.problem.reason, found.password) == ("ModeSwitchNotAllowed", "")


def test_a_password_is_not_shown_and_its_change_is_noticed() -> None:
    one, two = (credentials.read(a_device(), some(a_secret(password=p)).get) for p in ("first-one", "second-one"))

    assert "first-one" not in repr(one)
    assert one.digest != two.digest
