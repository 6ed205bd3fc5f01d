"""What `plan` decides on: a signing request, and who is behind it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.meta import Key
from dpf.provisioning.agentcsr.request import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """The DPU for whose agent the requester speaks, as its token or its own certificate says."""

    dpu: Key
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`asked` None: unreadable. `requester` None: nobody of ours. `dpu` None: there is no such DPU."""

    csr: core.CertificateSigningRequest
    asked: Asked | None
    requester: Requester | None
    dpu: DPU | None
