"""Whether a signing request is one of an agent of ours: approve it, or leave it alone.

Pure. It never denies: what is no request of ours may be somebody else's to answer. Source: design.md section 12
(signer, subject, all organizations and requester are checked).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dpf.api import core
from dpf.provisioning.agentcsr.snapshot import Snapshot
from dpf.provisioning.join import identity
from dpf.runtime.plan import Drive, Plan, Step

SIGNER: Final = "kubernetes.io/kube-apiserver-client"
STEP: Final = "approval"
_NEEDED: Final = "client auth"
_ALLOWED: Final = frozenset({_NEEDED, "digital signature", "key encipherment"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Intent: approve exactly the request that was looked at."""

    csr: core.CertificateSigningRequest
    message: str


def concerns(csr: core.CertificateSigningRequest) -> bool:
    """Whether it is worth a look: unanswered, for our signer, from somebody who could be an agent."""
    spec, status = csr.spec, csr.status
    answered = status.certificate is not None or bool(status.conditions)
    by_token = identity.BOOTSTRAP_GROUP in (spec.groups or ())
    by_agent = identity.AGENTS_GROUP in (spec.groups or ())
    return spec.signerName == SIGNER and not answered and (by_token or by_agent)


def plan(snapshot: Snapshot) -> Plan:
    """Approve a request that is in order; nothing for any other."""
    requester = snapshot.requester
    if requester is None or not _is_for_agent(snapshot):
        return Plan()
    message = f"The agent on DPU {requester.dpu} asks for its own certificate."
    return Plan(steps=(Step(name=STEP, actions=(
        Drive(intent=Approve(csr=snapshot.csr, message=message), because=message),
    )),))


def _is_for_agent(snapshot: Snapshot) -> bool:
    """Signer and requester belong together, the DPU lives, and nothing but its agent's identity is asked for."""
    asked, requester, dpu, usages = snapshot.asked, snapshot.requester, snapshot.dpu, snapshot.csr.spec.usages or ()
    if asked is None or requester is None or dpu is None:
        return False
    return (
        concerns(snapshot.csr)
        and dpu.metadata.uid == requester.uid and dpu.metadata.deletionTimestamp is None
        and asked.common_name == identity.agent_name(dpu.metadata.name)
        and sorted(asked.organizations) == sorted(identity.agent_groups(requester.uid))
        and not asked.others
        and _NEEDED in usages and _ALLOWED.issuperset(usages)
    )
