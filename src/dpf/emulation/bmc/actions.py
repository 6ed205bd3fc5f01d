"""What an emulated BMC does when it is told to: POST, PATCH, DELETE -> changes of the card.

Called by `server`, which has made sure who asks. Bodies are whatever JSON came: what does not fit is refused as a BMC
refuses it. Source: behaviour-provisioning.md 9.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from dpf.emulation.bmc import certificates, documents, replies
from dpf.emulation.bmc.card import Card
from dpf.emulation.bmc.documents import ACCOUNTS, HTTPS, MANAGER, ROOT, SYSTEM, TRUSTSTORE
from dpf.emulation.bmc.replies import Reply

Body = Mapping[str, Any]

MOST_TRUSTED: Final = 10
SHORTEST_PASSWORD: Final = 8
OS_TARGET: Final = "redfish/v1/UpdateService/FirmwareInventory/DPU_OS"

_RESTARTS: Final = frozenset({"ForceRestart", "GracefulRestart", "PowerCycle", "On", "ForceOn"})
_STOPS: Final = frozenset({"ForceOff", "GracefulShutdown"})


def act(method: str, path: str, body: Body, card: Card) -> Reply:
    """Do it, or say why not."""
    for (wanted, pattern), action in _ACTIONS.items():
        found = re.fullmatch(pattern, path)
        if wanted == method and found is not None:
            return action(card, body, *found.groups())
    return replies.missing(path)


def accept_firmware(card: Card, head: bytes) -> Reply:
    """New firmware for the BMC itself; its version is the first line of the file, and counts after a restart."""
    version = head.split(b"\n", 1)[0].strip().decode("ascii", "replace")
    if not re.fullmatch(r"BF-\d+\.\d+-\d+", version):
        return replies.problem(400, "InvalidUpload", "The file is no BMC firmware.")
    task = card.add_task("bmc")
    task.state, task.percent = "Completed", 100
    card.change(pending_bmc_firmware=version)
    return Reply(status=202, document=documents.task(task))


def _set_password(card: Card, body: Body, user: str) -> Reply:
    password = body.get("Password")
    if user not in card.record.accounts:
        return replies.missing(user)
    if not isinstance(password, str) or len(password) < SHORTEST_PASSWORD or _is_old(card, user, password):
        return replies.bad_value(password, "Password")
    card.set_password(user, password)
    return replies.success()


def _is_old(card: Card, user: str, password: str) -> bool:
    account = card.record.accounts[user]
    return account.must_change and account.password == password


def _set_login(card: Card, body: Body) -> Reply:
    wanted = _at(body, "Oem", "OpenBMC", "AuthMethods", "TLS")
    if not isinstance(wanted, bool):
        return replies.bad_value(wanted, "TLS")
    card.change(is_tls_login_on=wanted)
    return replies.success()


def _trust(card: Card, body: Body) -> Reply:
    pem = body.get("CertificateString")
    if body.get("CertificateType") != "PEM" or not isinstance(pem, str) or not certificates.is_certificate(pem):
        return replies.bad_value(pem, "CertificateString")
    if len(card.record.trusted) >= MOST_TRUSTED:
        return replies.problem(
            500, "CreateLimitReachedForResource", "The create operation failed because the limit of certificates "
            "has been reached.")
    number = card.trust(pem)
    return Reply(status=201, document=documents.document(f"{TRUSTSTORE}/{number}", _source(card)) or {})


def _distrust(card: Card, body: Body, number: str) -> Reply:  # noqa: ARG001 - one signature for all
    if number not in card.record.trusted:
        return replies.missing(number)
    card.distrust(number)
    return Reply(status=204)


def _request_certificate(card: Card, body: Body) -> Reply:
    name, alternatives = body.get("CommonName"), body.get("AlternativeNames", [])
    if not isinstance(name, str) or not isinstance(alternatives, list):
        return replies.bad_value(name, "CommonName")
    if _at(body, "CertificateCollection", "@odata.id") != HTTPS:
        return replies.bad_value(body.get("CertificateCollection"), "CertificateCollection")
    try:
        request = card.request_certificate(name, [str(one) for one in alternatives])
    except ValueError:
        return replies.bad_value(name, "CommonName")
    return Reply(document={"CSRString": request, "CertificateCollection": {"@odata.id": HTTPS}})


def _replace_certificate(card: Card, body: Body) -> Reply:
    pem = body.get("CertificateString")
    if _at(body, "CertificateUri", "@odata.id") != f"{HTTPS}/1":
        return replies.bad_value(body.get("CertificateUri"), "CertificateUri")
    if not isinstance(pem, str) or not certificates.is_certificate(pem):
        return replies.bad_value(pem, "CertificateString")
    if not card.replace_certificate(pem):
        return replies.problem(500, "InternalError", "The request failed: the private key does not fit.")
    return replies.success()


def _install(card: Card, body: Body) -> Reply:
    if body.get("TransferProtocol") != "HTTPS":
        return replies.bad_value(body.get("TransferProtocol"), "TransferProtocol")
    image = body.get("ImageURI")
    if not isinstance(image, str) or not image or "://" in image:
        return replies.bad_value(image, "ImageURI")
    if body.get("Targets") != [OS_TARGET]:
        return replies.bad_value(body.get("Targets"), "Targets")
    if any(one.kind == "os" and one.state == "Running" for one in card.record.tasks) or card.strikes("busy"):
        return replies.problem(400, "ResourceInUse", "Another update is in progress. Try again when it is done.")
    return Reply(status=202, document=documents.task(card.install(image)))


def _reset_system(card: Card, body: Body) -> Reply:
    kind = body.get("ResetType")
    if kind in _RESTARTS:
        card.restart()
    elif kind in _STOPS:
        card.power_off_arm()
    else:
        return replies.bad_value(kind, "ResetType")
    return Reply(status=204)


def _reset_chip(card: Card, body: Body) -> Reply:  # noqa: ARG001 - one signature for all
    card.power_cycle()
    return replies.success()


def _set_secure_boot(card: Card, body: Body) -> Reply:
    wanted = body.get("SecureBootEnable")
    if not isinstance(wanted, bool):
        return replies.bad_value(wanted, "SecureBootEnable")
    card.change(secure_boot_wanted=wanted, secure_boot_restarts=0)
    return replies.success()


def _set_bios(card: Card, body: Body) -> Reply:
    model = _at(body, "Attributes", "InternalCPUModel")
    if model not in {"Privileged", "Restricted"}:
        return replies.bad_value(model, "InternalCPUModel")
    card.change(cpu_model=model)
    return replies.success()


def _set_mode(card: Card, body: Body) -> Reply:
    mode = body.get("Mode")
    if mode not in {"DpuMode", "NicMode"}:
        return replies.bad_value(mode, "Mode")
    card.change(staged_mode=mode)
    return replies.success()


def _set_host_rshim(card: Card, body: Body) -> Reply:
    wanted = body.get("HostRshim")
    if wanted not in {"Enabled", "Disabled"}:
        return replies.bad_value(wanted, "HostRshim")
    card.change(is_host_rshim_on=wanted == "Enabled")
    return replies.success()


def _set_bmc_rshim(card: Card, body: Body) -> Reply:
    wanted = _at(body, "BmcRShim", "BmcRShimEnabled")
    if not isinstance(wanted, bool):
        return replies.bad_value(wanted, "BmcRShimEnabled")
    card.change(is_bmc_rshim_on=wanted)
    return replies.success()


def _reset_bmc(card: Card, body: Body) -> Reply:
    if body.get("ResetType") not in {"GracefulRestart", "ForceRestart"}:
        return replies.bad_value(body.get("ResetType"), "ResetType")
    return replies.success(then=card.reset_bmc)


def _reset_to_factory(card: Card, body: Body) -> Reply:
    if "ResetAll" not in {body.get("ResetToDefaultsType"), body.get("ResetType")}:
        return replies.bad_value(body.get("ResetToDefaultsType"), "ResetToDefaultsType")
    return replies.success(then=lambda: card.reset_bmc(to_factory=True))


def _source(card: Card) -> documents.Source:
    return documents.Source(card.settings, card.record, card.now)


def _at(document: object, *path: str) -> Any:  # noqa: ANN401 - whatever stands there
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return document


_NAME: Final = "/([^/]+)"
_CERTIFICATES: Final = f"{ROOT}/CertificateService/Actions/CertificateService"
_ACTIONS: Final[Mapping[tuple[str, str], Callable[..., Reply]]] = {
    ("PATCH", ACCOUNTS + _NAME): _set_password,
    ("PATCH", f"{ROOT}/AccountService"): _set_login,
    ("POST", TRUSTSTORE): _trust,
    ("DELETE", TRUSTSTORE + _NAME): _distrust,
    ("POST", f"{_CERTIFICATES}.GenerateCSR"): _request_certificate,
    ("POST", f"{_CERTIFICATES}.ReplaceCertificate"): _replace_certificate,
    ("POST", f"{ROOT}/UpdateService/Actions/UpdateService.SimpleUpdate"): _install,
    ("POST", f"{SYSTEM}/Actions/ComputerSystem.Reset"): _reset_system,
    ("POST", f"{SYSTEM}/Oem/Nvidia/SOC.ForceReset"): _reset_chip,
    ("PATCH", f"{SYSTEM}/SecureBoot"): _set_secure_boot,
    ("PATCH", f"{SYSTEM}/Bios/Settings"): _set_bios,
    ("POST", f"{SYSTEM}/Oem/Nvidia/Actions/Mode.Set"): _set_mode,
    ("POST", f"{SYSTEM}/Oem/Nvidia/Actions/HostRshim.Set"): _set_host_rshim,
    ("PATCH", f"{MANAGER}/Oem/Nvidia"): _set_bmc_rshim,
    ("POST", f"{MANAGER}/Actions/Manager.Reset"): _reset_bmc,
    ("POST", f"{MANAGER}/Actions/Manager.ResetToDefaults"): _reset_to_factory,
}
