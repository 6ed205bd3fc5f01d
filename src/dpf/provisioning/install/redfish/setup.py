"""Making a BMC ours, in small steps: each can be observed, and each may be repeated (behaviour-provisioning.md 9.2).

Called by the DPUDevice controller, which decides the order from what `observe` says: the CAs that the BMC trusts, a
certificate of our CA for it, and client certificates as a way to log in. Between request and certificate the key waits
in the BMC, which loses it when it restarts: then `install_certificate` fails, and a new request is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from dpf.provisioning.install.redfish import errors, reading
from dpf.provisioning.install.redfish.bmc import BMC, ROOT, Names
from dpf.provisioning.install.redfish.transport import segment

MOST_TRUSTED: Final = 10
"""Certificates that a BMC's truststore holds."""
MINIMUM_FIRMWARE: Final = (24, 10)

_ACCOUNTS: Final = f"{ROOT}/AccountService"
_CERTIFICATES: Final = f"{ROOT}/CertificateService/Actions/CertificateService"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """One CA in the truststore; `sha256` is the hex digest of its DER form, "" when it cannot be read."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The certificate that the BMC shows. Whether our CA issued it is seen by connecting, not by what it says here."""

    sha256: str
    common_name: str
    issuer: str
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far a BMC is set up. None is "not told"."""

    firmware: str | None
    clock_skew_s: float | None
    trusted: tuple[Trusted, ...]
    served: Served | None
    is_tls_login_on: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """How many certificates a synchronisation of the truststore has changed; nothing when it was right already."""

    added: int = 0
    removed: int = 0


class Setup:
    """The steps for one BMC. Every method raises RedfishError."""

    def __init__(self, bmc: BMC, names: Names | None = None) -> None:
        self._bmc = bmc
        self._names = names or Names()

    async def observe(self, now: Callable[[], datetime]) -> State:
        """Everything that decides the next step."""
        before = now()
        manager = await self._bmc.get(self._names.manager)
        middle = before + (now() - before) / 2
        return State(
            firmware=reading.text(manager, "FirmwareVersion"), clock_skew_s=reading.clock_skew_s(manager, middle),
            trusted=await self.trusted(), served=await self.served(), is_tls_login_on=await self.is_tls_login_on(),
        )

    async def trusted(self) -> tuple[Trusted, ...]:
        """What is in the truststore."""
        paths = reading.members(await self._bmc.get(self._truststore))[:2 * MOST_TRUSTED]
        names = filter(None, (segment(reading.last_part(path)) for path in paths))
        found = [(path, await self._bmc.find(path)) for path in (f"{self._truststore}/{name}" for name in names)]
        return tuple(
            Trusted(path=path, sha256=_digest_of(reading.at(document, "CertificateString")))
            for path, document in found if document is not None
        )

    async def sync_trusted(self, bundle: bytes) -> Synced:
        """Make the truststore hold the CAs of `bundle` (PEM), and no others.

        What is stale goes first only as far as room is needed: while our own certificate is renewed, the BMC had better
        know both CAs. A synchronisation that was cut short is completed by the next one.
        """
        wanted = _bundle(bundle)
        present = await self.trusted()
        missing = [pem for digest, pem in wanted.items() if digest not in {one.sha256 for one in present}]
        stale = _superfluous(present, wanted)
        needed = max(0, len(present) + len(missing) - MOST_TRUSTED)
        await self._remove(stale[:needed])
        for pem in missing:
            await self._bmc.send("POST", self._truststore, {"CertificateString": pem, "CertificateType": "PEM"})
        await self._remove(stale[needed:])
        return Synced(added=len(missing), removed=len(stale))

    async def served(self) -> Served | None:
        """The certificate for https, None when the BMC has none that can be read."""
        document = await self._bmc.find(f"{self._names.manager}/NetworkProtocol/HTTPS/Certificates/1")
        return _served(reading.at(document, "CertificateString"))

    async def request_certificate(self, host: str) -> str:
        """A certificate signing request (PEM) for `host`, the BMC's address. The key is the BMC's and stays there."""
        answer = await self._bmc.send("POST", f"{_CERTIFICATES}.GenerateCSR", {
            "CommonName": host, "AlternativeNames": [host], "Organization": "DPF", "OrganizationalUnit": "DPF",
            "Country": "US", "State": "CA", "City": "SC", "KeyPairAlgorithm": "EC", "KeyCurveId": "secp384r1",
            "KeyUsage": ["ServerAuthentication"],
            "CertificateCollection": {"@odata.id": f"{self._names.manager}/NetworkProtocol/HTTPS/Certificates"},
        })
        request = reading.at(answer.document, "CSRString")
        if not isinstance(request, str) or not _is_request(request):
            raise errors.Unreadable(f"{self._bmc} answers no certificate signing request", sent=True)
        return request

    async def install_certificate(self, pem: str) -> None:
        """Give the BMC the certificate that was issued for its last request. It serves it from then on.

        Refused: its key is gone, or is that of a later request; ask for a new request.
        """
        await self._bmc.send("POST", f"{_CERTIFICATES}.ReplaceCertificate", {
            "CertificateString": pem, "CertificateType": "PEM",
            "CertificateUri": {"@odata.id": f"{self._names.manager}/NetworkProtocol/HTTPS/Certificates/1"},
        })

    async def is_tls_login_on(self) -> bool | None:
        """Whether a client certificate is a way to log in."""
        told = reading.at(await self._bmc.get(_ACCOUNTS), "Oem", "OpenBMC", "AuthMethods", "TLS")
        return told if isinstance(told, bool) else None

    async def turn_tls_login_on(self) -> None:
        """Accept client certificates of the trusted CAs."""
        await self._bmc.send("PATCH", _ACCOUNTS, {"Oem": {"OpenBMC": {"AuthMethods": {"TLS": True}}}})

    async def restart(self) -> None:
        """Restart the BMC. It loses tasks and pending keys."""
        await self._bmc.send("POST", f"{self._names.manager}/Actions/Manager.Reset", {"ResetType": "GracefulRestart"})

    async def reset_to_factory(self) -> None:
        """Wipe accounts, certificates and truststore; the BMC restarts with the factory's password."""
        path = f"{self._names.manager}/Actions/Manager.ResetToDefaults"
        await self._bmc.send("POST", path, {"ResetToDefaultsType": "ResetAll"})

    async def update_firmware(self, content: bytes) -> str:
        """Give the BMC new firmware; returns the task. It counts after `restart`."""
        answer = await self._bmc.upload(f"{ROOT}/UpdateService", content)
        task = reading.text(answer.document, "Id")
        if task is None:
            raise errors.Unreadable(f"{self._bmc} took the firmware and names no task for it", sent=True)
        return task

    @property
    def _truststore(self) -> str:
        return f"{self._names.manager}/Truststore/Certificates"

    async def _remove(self, certificates: Iterable[Trusted]) -> None:
        for one in certificates:
            try:
                await self._bmc.send("DELETE", one.path)
            except errors.Missing:
                continue


def is_outdated(firmware: str | None) -> bool | None:
    """Whether BMC firmware, e.g. `BF-24.10-17`, is older than what we need; None when it cannot be told."""
    digits = [part for part in (firmware or "").replace("-", ".").split(".") if part.isdigit()]
    return (int(digits[0]), int(digits[1])) < MINIMUM_FIRMWARE if len(digits) >= len(MINIMUM_FIRMWARE) else None


def _bundle(pem: bytes) -> Mapping[str, str]:
    """The CAs of a bundle: digest to PEM. Raises RedfishError."""
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise errors.RedfishError("the CA bundle for BMCs is not a list of PEM certificates; correct it") from None
    found = {_digest(one): one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates}
    if len(found) > MOST_TRUSTED:
        raise errors.RedfishError(
            f"the CA bundle for BMCs holds {len(found)} certificates; a BMC takes {MOST_TRUSTED}: shorten it"
        )
    return found


def _superfluous(present: Iterable[Trusted], wanted: Mapping[str, str]) -> list[Trusted]:
    """What is not wanted, and the second of two that are the same."""
    seen: set[str] = set()
    superfluous = []
    for one in present:
        if one.sha256 not in wanted or one.sha256 in seen:
            superfluous.append(one)
        seen.add(one.sha256)
    return superfluous


def _served(pem: object) -> Served | None:
    certificate = _parse(pem)
    if certificate is None:
        return None
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return Served(
        sha256=_digest(certificate), common_name=str(names[0].value) if names else "",
        issuer=certificate.issuer.rfc4514_string(), not_after=certificate.not_valid_after_utc,
    )


def _digest_of(pem: object) -> str:
    certificate = _parse(pem)
    return _digest(certificate) if certificate is not None else ""


def _digest(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _parse(pem: object) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(pem.encode()) if isinstance(pem, str) else None
    except ValueError:
        return None


def _is_request(pem: str) -> bool:
    try:
        return x509.load_pem_x509_csr(pem.encode()).is_signature_valid
    except ValueError:
        return False
