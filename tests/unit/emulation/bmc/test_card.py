"""A card without its socket: what it remembers, what it forgets, and what Redfish may make it do."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from dpf.emulation.bmc import actions, documents
from dpf.emulation.bmc.actions import accept_firmware, act
from dpf.emulation.bmc.card import FACTORY_PASSWORD, Card
from dpf.emulation.bmc.documents import ACCOUNTS, HTTPS, MANAGER, ROOT, SYSTEM, TRUSTSTORE
from dpf.emulation.bmc.faults import Faults
from dpf.emulation.bmc.records import Store
from dpf.emulation.bmc.settings import NO_LATENCY, CardSettings, Hooks

SETTINGS = CardSettings(name="dpu-0", serial="MT1")
CERTIFICATES = f"{ROOT}/CertificateService/Actions/CertificateService"
UPDATE = f"{ROOT}/UpdateService/Actions/UpdateService.SimpleUpdate"
IMAGE = {"TransferProtocol": "HTTPS", "ImageURI": "h:1/a.bfb", "Targets": [actions.OS_TARGET]}


def a_card(folder: Path) -> Card:
    return Card(SETTINGS, Store(folder, "dpu-0"), timings=NO_LATENCY, hooks=Hooks())


def read(card: Card, path: str) -> Any:
    return documents.document(path, documents.Source(card.settings, card.record, card.now))


async def test_a_card_is_the_same_after_a_restart_of_the_emulator(tmp_path: Path) -> None:
    card = a_card(tmp_path)
    card.set_password("root", "a-password-of-ours")
    card.trust(card.record.certificate_pem)
    card.set_faults(Faults(busy=3))

    assert a_card(tmp_path).record == card.record


async def test_nobody_else_reads_what_a_card_remembers(tmp_path: Path) -> None:
    a_card(tmp_path / "bmc")

    assert stat.S_IMODE((tmp_path / "bmc").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "bmc" / "dpu-0.json").stat().st_mode) == 0o600


async def test_a_restart_of_the_bmc_forgets_tasks_and_the_key_of_a_request(tmp_path: Path) -> None:
    card = a_card(tmp_path)
    card.request_certificate("10.0.0.1", ["10.0.0.1"])
    accept_firmware(card, b"BF-24.10-17\n")
    card.reset_bmc()

    assert (card.record.tasks, card.record.pending_key_pem) == ([], "")
    assert card.record.accounts["root"].password == FACTORY_PASSWORD
    await card.close()


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("PATCH", f"{ACCOUNTS}/root", {"Password": FACTORY_PASSWORD}, 400),
    ("PATCH", f"{ACCOUNTS}/root", {"Password": "short"}, 400),
    ("PATCH", f"{ACCOUNTS}/root", {"Password": 12345678}, 400),
    ("PATCH", f"{ACCOUNTS}/root", {"Password": "long-enough"}, 200),
    ("PATCH", f"{ACCOUNTS}/somebody", {"Password": "long-enough"}, 404),
    ("PATCH", f"{ROOT}/AccountService", {"Oem": {"OpenBMC": {"AuthMethods": {"TLS": True}}}}, 200),
    ("PATCH", f"{ROOT}/AccountService", {"Oem": []}, 400),
    ("POST", TRUSTSTORE, {"CertificateString": "no", "CertificateType": "PEM"}, 400),
    ("DELETE", f"{TRUSTSTORE}/1", {}, 404),
    ("POST", f"{CERTIFICATES}.GenerateCSR",
     {"CommonName": "10.0.0.1", "CertificateCollection": {"@odata.id": HTTPS}}, 200),
    ("POST", f"{CERTIFICATES}.GenerateCSR", {"CommonName": "10.0.0.1"}, 400),
    ("POST", f"{CERTIFICATES}.GenerateCSR",
     {"CommonName": "x" * 100, "CertificateCollection": {"@odata.id": HTTPS}}, 400),
    ("POST", f"{CERTIFICATES}.ReplaceCertificate",
     {"CertificateString": "no", "CertificateUri": {"@odata.id": f"{HTTPS}/1"}}, 400),
    ("POST", UPDATE, {**IMAGE, "TransferProtocol": "HTTP"}, 400),
    ("POST", UPDATE, {**IMAGE, "ImageURI": "https://h:1/a.bfb"}, 400),
    ("POST", UPDATE, {**IMAGE, "Targets": []}, 400),
    ("POST", UPDATE, {}, 400),
    ("POST", f"{SYSTEM}/Actions/ComputerSystem.Reset", {"ResetType": "ForceRestart"}, 204),
    ("POST", f"{SYSTEM}/Actions/ComputerSystem.Reset", {"ResetType": "Sometimes"}, 400),
    ("PATCH", f"{SYSTEM}/SecureBoot", {"SecureBootEnable": "yes"}, 400),
    ("PATCH", f"{SYSTEM}/Bios/Settings", {"Attributes": {"InternalCPUModel": "Privileged"}}, 200),
    ("POST", f"{SYSTEM}/Oem/Nvidia/Actions/Mode.Set", {"Mode": "AnyMode"}, 400),
    ("PATCH", f"{MANAGER}/Oem/Nvidia", {"BmcRShim": {"BmcRShimEnabled": True}}, 200),
    ("POST", f"{MANAGER}/Actions/Manager.Reset", {}, 400),
    ("POST", f"{MANAGER}/Actions/Manager.ResetToDefaults", {"ResetToDefaultsType": "Some"}, 400),
    ("PUT", SYSTEM, {}, 404),
])
async def test_requests_are_judged(tmp_path: Path, method: str, path: str, body: dict[str, Any], status: int) -> None:
    card = a_card(tmp_path)
    reply = act(method, path, body, card)

    assert reply.status == status
    assert (status >= 400) == ("error" in reply.document)
    await card.close()


async def test_the_truststore_is_full_at_ten(tmp_path: Path) -> None:
    card = a_card(tmp_path)
    body = {"CertificateString": card.record.certificate_pem, "CertificateType": "PEM"}

    assert [act("POST", TRUSTSTORE, body, card).status for _ in range(11)] == [201] * 10 + [500]
    assert act("DELETE", f"{TRUSTSTORE}/3", {}, card).status == 204
    assert act("POST", TRUSTSTORE, body, card).status == 201
    assert list(card.record.trusted)[-1] == "11"


async def test_only_one_installation_runs(tmp_path: Path) -> None:
    card = a_card(tmp_path)
    first, second = act("POST", UPDATE, IMAGE, card), act("POST", UPDATE, IMAGE, card)

    assert (first.status, second.status) == (202, 400)
    assert "Another update is in progress" in str(second.document)
    assert len(card.record.installs) == 1
    await card.close()


@pytest.mark.parametrize(("count", "struck"), [(0, [False] * 3), (2, [True, True, False]), (-1, [True] * 3)])
async def test_a_fault_is_used_up(tmp_path: Path, count: int, struck: list[bool]) -> None:
    card = a_card(tmp_path)
    card.set_faults(Faults(exception=count))

    assert [card.strikes("exception") for _ in range(3)] == struck


async def test_every_row_of_the_table_is_served(tmp_path: Path) -> None:
    card = a_card(tmp_path)
    card.trust(card.record.certificate_pem)
    card.add_task("bmc")
    paths = [
        ROOT, f"{ROOT}/Managers", f"{ROOT}/Systems", MANAGER, f"{MANAGER}/Oem/Nvidia", TRUSTSTORE, f"{TRUSTSTORE}/1",
        f"{HTTPS}/1", SYSTEM, f"{SYSTEM}/SecureBoot", f"{SYSTEM}/Oem/Nvidia", f"{SYSTEM}/Bios/Settings",
        f"{SYSTEM}/LogServices/SEL/Entries", documents.CHASSIS, f"{documents.FUNCTIONS}/eth0f0",
        f"{ROOT}/TaskService/Tasks/1", f"{ROOT}/AccountService", f"{ACCOUNTS}/root",
        *(f"{documents.INVENTORY}/{name}" for name in (
            "BMC_Firmware", "DPU_UEFI", "DPU_BSP", "DPU_NIC", "DPU_OS", "DPU_BOARD")),
    ]

    assert {path: read(card, path)["@odata.id"] for path in paths} == {path: path for path in paths}
    assert read(card, f"{SYSTEM}/Nothing") is None
    assert FACTORY_PASSWORD not in str([read(card, path) for path in paths])
