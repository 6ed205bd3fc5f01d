"""What all cluster managers share: which DPUClusters they act on, when, and which fact is theirs to report.

A manager is the one writer of the condition `Created`, of spec.kubeconfig and of the Secret that it names. It writes
spec.kubeconfig before `Created` turns True, and never touches phase or Ready (`provisioning.dpucluster`).
Source: behaviour-provisioning.md section 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, TypeVar

from dpf.api.dpucluster import ConditionType, DPUCluster, Phase
from dpf.runtime.reconciler import Permission, Reconciler, Watch

S = TypeVar("S")

ACTS_IN: Final = frozenset({Phase.CREATING, Phase.READY, Phase.NOT_READY})
"""Before that the DPUCluster has not been accepted; a Failed one waits for its spec to change."""

DPUCLUSTER_PERMISSION: Final = Permission(
    kind=DPUCluster, verbs=("get", "list", "watch", "patch"), subresources=("status", "finalizers"),
)


class ClusterManager(Reconciler[DPUCluster, S]):
    """Declarations of every manager; `type` is the spec.type that it answers to."""

    type: ClassVar[str]
    kind = DPUCluster
    condition_types: ClassVar[Sequence[str]] = (ConditionType.CREATED,)
    observes_generation = False

    @property
    def watches(self) -> Sequence[Watch]:
        """None beside the DPUClusters: Secrets are read fresh, and what a driver drives is no object."""
        return ()

    def selects(self, root: DPUCluster) -> bool:
        """DPUClusters of our type that were accepted; when being deleted, in every phase."""
        if root.spec.type != self.type:
            return False
        return root.metadata.deletionTimestamp is not None or root.status.phase in ACTS_IN
