"""CertificateSigningRequest: guarantees that the agent on a DPU gets a certificate, and nobody else by this way.

A request is approved when it was made with a token that was made for that DPU's agent (`provisioning/join`), or with
the agent's present certificate, and asks for exactly the agent's user and groups. All others are left alone. Continues:
the signer of the control plane issues the certificate. Source: design.md section 12; behaviour-provisioning.md 5.7.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.meta import Key
from dpf.kube.clusters import ClusterRegistry
from dpf.provisioning.agentcsr import apply, observe
from dpf.provisioning.agentcsr import plan as planner
from dpf.provisioning.agentcsr.plan import Approve
from dpf.provisioning.agentcsr.snapshot import Snapshot
from dpf.provisioning.dpucluster.bootstrap import TOKEN_NAMESPACE
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch

_BY_UID = "uid"


class AgentCSRController(Reconciler[core.CertificateSigningRequest, Snapshot]):
    """One controller for the signing requests of the host cluster."""

    kind = core.CertificateSigningRequest
    name = "agentcsr"
    field_owner = "agentcsr-controller"
    observes_generation = False
    permissions: ClassVar[Sequence[Permission]] = (
        Permission(
            kind=core.CertificateSigningRequest, verbs=("get", "list", "watch"), subresources=("approval",)
        ),
        Permission(kind=core.Signer, verbs=("approve",), names=(planner.SIGNER,)),
        Permission(kind=core.Secret, verbs=("get",), namespace=TOKEN_NAMESPACE),
        Permission(kind=DPU, verbs=("get", "list", "watch")),
    )

    def __init__(self, *, clusters: ClusterRegistry) -> None:
        self._clusters = clusters

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """DPUs are only looked up: a request is answered when it comes, or never."""
        return (Watch(kind=DPU, maps=_nobody, indexes={_BY_UID: lambda dpu: (dpu.metadata.uid or "",)}),)

    def selects(self, root: core.CertificateSigningRequest) -> bool:
        """See `plan.concerns`."""
        return planner.concerns(root)

    async def observe(self, root: core.CertificateSigningRequest) -> Snapshot:
        """See `observe.snapshot_of`."""
        return await observe.snapshot_of(self._clusters.host.client, self._by_uid, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan`."""
        return planner.plan(snapshot)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """Nothing was made."""
        return Plan()

    async def drive(self, intent: Approve) -> None:
        """See `apply.carry_out`."""
        await apply.carry_out(intent, self._clusters.host.client)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """A request says by itself what became of it."""
        return Verdict(states={})

    def _by_uid(self, uid: str) -> Iterable[DPU]:
        return self._clusters.host.cache.by_index(DPU, _BY_UID, uid)


def _nobody(old: DPU | None, new: DPU | None) -> Iterable[Key]:  # noqa: ARG001 - the contract
    return ()
