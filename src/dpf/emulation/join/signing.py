"""A client certificate from the control plane: post a signing request, wait for the answer.

Called by `bootstrap` for nodes and by `emulation.agent` for agents. Neither key nor request is ever part of an error.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.emulation.join import errors
from dpf.kube import errors as kube_errors
from dpf.kube import wait
from dpf.kube.client import Client

USAGES: Final[Sequence[str]] = ("digital signature", "client auth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A request: PEM, for which signer; `who` names the one it is for in messages, `prefix` begins its name."""

    who: str
    prefix: str
    signer: str
    csr_pem: bytes


async def request_certificate(client: Client, wanted: Wanted, *, timeout_s: float) -> str:
    """The PEM certificate, once it is there. Raises CertificateDenied, JoinTimeout, kube.errors.Error."""
    created = await client.create(core.CertificateSigningRequest(
        metadata=ObjectMeta(generateName=wanted.prefix),
        spec=core.CertificateSigningRequestSpec(
            request=base64.b64encode(wanted.csr_pem).decode(), signerName=wanted.signer, usages=list(USAGES)
        ),
    ))
    name = created.metadata.name
    try:
        answered = await wait.until(
            client, core.CertificateSigningRequest, name, accept=lambda csr: csr is None or _is_answered(csr),
            timeout_s=timeout_s,
        )
    except kube_errors.Timeout as error:
        raise errors.JoinTimeout(
            f"certificate signing request {name} of {wanted.who} was not answered within {timeout_s:.0f} s: check that "
            f"kube-controller-manager runs and the request is approved (`kubectl get csr {name}`)"
        ) from error
    return _certificate(answered, name, wanted.who)


def _is_answered(csr: core.CertificateSigningRequest) -> bool:
    refused = any(c.type in {"Denied", "Failed"} for c in csr.status.conditions or ())
    return refused or csr.status.certificate is not None


def _certificate(csr: core.CertificateSigningRequest | None, name: str, who: str) -> str:
    """The PEM certificate of an answered request. Raises CertificateDenied."""
    if csr is None:
        raise errors.CertificateDenied(f"signing request {name} of {who} was deleted before it was answered")
    refusals = [c for c in csr.status.conditions or () if c.type in {"Denied", "Failed"}]
    if refusals or csr.status.certificate is None:
        why = "; ".join(f"{c.type}: {c.message or c.reason}" for c in refusals)
        raise errors.CertificateDenied(
            f"certificate signing request {name} of {who} was refused ({why}). Ask who approves requests in this "
            "cluster, then join again"
        )
    return base64.b64decode(csr.status.certificate).decode()
