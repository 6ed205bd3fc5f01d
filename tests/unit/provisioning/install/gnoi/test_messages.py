"""The declared messages against bytes that were written down from the published definitions, not from ours."""

from __future__ import annotations

from typing import Any

import pytest

from dpf.provisioning.install.gnoi import messages as m
from dpf.provisioning.install.gnoi.messages import Method, NotActivated, Refusal, Status


@pytest.mark.parametrize(("message", "wire"), [
    (m.InstallRequest(transfer_request=m.TransferRequest(version="a.bfb", package_size=300)),
     (b"\x0a\x0a" b"\x0a\x05a.bfb" b"\x18\xac\x02")),
    (m.InstallRequest(transfer_content=b"xyz"), b"\x12\x03xyz"),
    (m.InstallRequest(transfer_end=m.TransferEnd()), b"\x1a\x00"),
    (m.InstallResponse(transfer_ready=m.TransferReady()), b"\x0a\x00"),
    (m.InstallResponse(transfer_progress=m.TransferProgress(bytes_received=5)), b"\x12\x02\x08\x05"),
    (m.InstallResponse(validated=m.Validated(version="v", description="d")), b"\x22\x06\x0a\x01v\x12\x01d"),
    (m.InstallResponse(install_error=m.InstallError(type=Refusal.INSTALL_IN_PROGRESS, detail="d")),
     b"\x2a\x05\x08\x06\x12\x01d"),
    (m.ActivateRequest(version="v", no_reboot=True), b"\x0a\x01v\x18\x01"),
    (m.ActivateResponse(activate_ok=m.ActivateOK()), b"\x0a\x00"),
    (m.ActivateResponse(activate_error=m.ActivateError(type=NotActivated.NON_EXISTENT_VERSION, detail="d")),
     b"\x12\x05\x08\x01\x12\x01d"),
    (m.VerifyResponse(version="v", activation_fail_message="f"), b"\x0a\x01v\x12\x01f"),
    (m.RebootStatusRequest(subcomponents=[m.SystemPath(elem=[m.SystemPathElem(name="CPU")])]),
     (b"\x0a\x07" b"\x1a\x05" b"\x0a\x03CPU")),
    (m.RebootStatusResponse(active=True, reason="r", count=2, status=m.RebootStatus(status=Status.FAILURE)),
     b"\x08\x01\x22\x01r\x28\x02\x3a\x02\x08\x03"),
    (m.RebootRequest(method=1), b"\x08\x01"),
    (m.SetRequest(update=[m.Update(path=m.path("a", "b"), val=m.TypedValue(string_val="DPU"))]),
     (b"\x22\x13" b"\x0a\x0a" b"\x1a\x03\x0a\x01a" b"\x1a\x03\x0a\x01b" b"\x1a\x05" b"\x0a\x03DPU")),
    (m.SetResponse(response=[m.UpdateResult(op=3)]), b"\x12\x02\x20\x03"),
    (m.GetRequest(path=[m.path("a")]), b"\x12\x05\x1a\x03\x0a\x01a"),
    (m.GetResponse(notification=[m.Notification(update=[m.Update(val=m.TypedValue(json_ietf_val=b"1"))])]),
     (b"\x0a\x07" b"\x22\x05" b"\x1a\x03" b"\x5a\x011")),
], ids=lambda value: type(value).__name__ if not isinstance(value, bytes) else "")
def test_a_message_has_the_published_bytes(message: Any, wire: bytes) -> None:
    assert message.SerializeToString(deterministic=True) == wire
    assert type(message).FromString(wire) == message


@pytest.mark.parametrize(("method", "path"), [
    (m.INSTALL, "/gnoi.os.OS/Install"), (m.ACTIVATE, "/gnoi.os.OS/Activate"), (m.VERIFY, "/gnoi.os.OS/Verify"),
    (m.REBOOT, "/gnoi.system.System/Reboot"), (m.REBOOT_STATUS, "/gnoi.system.System/RebootStatus"),
    (m.SET, "/gnmi.gNMI/Set"), (m.GET, "/gnmi.gNMI/Get"),
])
def test_a_call_has_the_published_address(method: Method, path: str) -> None:
    assert method.path == path


def test_of_a_choice_the_last_one_counts() -> None:
    request = m.InstallRequest(transfer_content=b"x")
    request.transfer_end.SetInParent()

    assert request.WhichOneof("request") == "transfer_end"


def test_what_we_do_not_know_is_no_error() -> None:
    newer = m.VerifyResponse.FromString(b"\x0a\x01v" b"\x20\x01" b"\x2a\x03abc")

    assert newer.version == "v"


def test_the_names_of_prefix_and_path_follow_each_other() -> None:
    assert m.names_of(m.path("nvidia", "mode"), m.path("config", "mode")) == m.MODE
