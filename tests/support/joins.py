"""DPUs that are about to be let in, certificates and signing requests of their agents."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dpf.api import core
from dpf.api.dpu import DPU, DPUSpec
from dpf.api.meta import ObjectMeta
from dpf.provisioning.join import identity

NAMESPACE = "dpf-operator-system"
NAME = "worker-1-mt2402xz0001"
UID = "11111111-2222-4333-8444-555555555555"
SIGNER = "kubernetes.io/kube-apiserver-client"


def a_dpu(name: str = NAME, *, namespace: str = NAMESPACE, uid: str = UID, deleting: bool = False) -> DPU:
    """A DPU as the API server would return it."""
    return DPU(
        metadata=ObjectMeta(
            name=name, namespace=namespace, uid=uid, deletionTimestamp="2026-01-02T00:00:00Z" if deleting else None,
            finalizers=["provisioning.dpu.nvidia.com/dpu-protection"] if deleting else None,
        ),
        spec=DPUSpec(
            dpuNodeName="worker-1", dpuDeviceName="mt2402xz0001", serialNumber="MT2402XZ0001", bfb="bf-bundle",
            dpuFlavor="flavor",
        ),
    )


def a_ca(common_name: str = "ca") -> bytes:
    """A self-signed certificate, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def a_pkcs10(
    common_names: Sequence[str], organizations: Sequence[str] = (), *, units: Sequence[str] = (),
    sans: Sequence[str] = (),
) -> str:
    """A signing request as it stands in `spec.request`: base64 of PEM."""
    attributes = [
        *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations),
        *(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units),
        *(x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_names),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    if sans:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(san) for san in sans])
        builder = builder.add_extension(alternatives, critical=False)
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


def a_csr(
    dpu: DPU, *, name: str = "csr-1", username: str = "system:bootstrap:abcdef", request: str | None = None,
    **spec: Any,
) -> core.CertificateSigningRequest:
    """What the agent on `dpu` asks for with its token."""
    fields: dict[str, Any] = {
        "request": request or a_pkcs10([identity.agent_name(dpu.metadata.name)], identity.agent_groups(uid_of(dpu))),
        "signerName": SIGNER, "usages": ["digital signature", "client auth"], "username": username,
        "groups": [identity.BOOTSTRAP_GROUP, "system:bootstrappers", "system:authenticated"],
    }
    return core.CertificateSigningRequest(
        metadata=ObjectMeta(name=name), spec=core.CertificateSigningRequestSpec(**{**fields, **spec})
    )


def uid_of(dpu: DPU) -> str:
    """The uid that an API server has given it."""
    assert dpu.metadata.uid
    return dpu.metadata.uid


def plain(secret: core.Secret, key: str) -> str:
    """A value of a Secret as text."""
    return base64.b64decode((secret.data or {})[key]).decode()
