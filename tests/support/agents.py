"""Agents of emulated DPUs: their configuration, a system to run on, and an identity without a control plane."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.support import joins

from dpf.emulation.agent.config import AgentConfig, Setup
from dpf.emulation.join import token
from dpf.emulation.join.identity import Identity
from dpf.kube.memory.authority import CA_PEM
from dpf.provisioning.join import identity

SECRET = "0123456789abcdef"
SERVER = "https://host.example:6443"
NOTHING_TO_DO = Setup(has_firmware_settings=False, needs_reboot=False, delays_host=False)


@dataclass(slots=True)
class FakeSystem:
    """`emulation.agent.system.System`; `restarts` and `is_off` say what the agent has done to it."""

    folder: Path
    boot_id: str = "boot-1"
    lines: list[str] = field(default_factory=list)
    restarts: int = 0
    is_off: bool = False

    def log(self, text: str) -> None:
        self.lines.append(text)

    async def restart(self) -> None:
        self.restarts += 1

    async def shut_down(self) -> None:
        self.is_off = True


def a_config(setup: Setup = NOTHING_TO_DO, **changes: Any) -> AgentConfig:
    """What the agent of `joins.a_dpu()` is told."""
    fields: dict[str, Any] = {
        "namespace": joins.NAMESPACE, "name": joins.NAME, "uid": joins.UID, "server": SERVER, "ca_pem": CA_PEM,
        "token": token.parse(f"abcdef.{SECRET}"), "user": identity.agent_name(joins.NAME),
        "groups": identity.agent_groups(joins.UID), "setup": setup,
    }
    return AgentConfig(**{**fields, **changes})


def an_identity(config: AgentConfig, now: datetime, *, life_s: float = 1e9, **changes: Any) -> Identity:
    """A certificate for the agent, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([
        *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in config.groups),
        x509.NameAttribute(NameOID.COMMON_NAME, config.user),
    ])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now.astimezone(UTC))
    signed = builder.not_valid_after(now + timedelta(seconds=life_s)).sign(key, hashes.SHA256())
    fields: dict[str, Any] = {
        "server": config.server, "ca": config.ca_pem.decode(),
        "certificate": signed.public_bytes(serialization.Encoding.PEM).decode(),
        "key": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    }
    return Identity(**{**fields, **changes})
