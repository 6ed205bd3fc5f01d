"""What can keep a DPU from being let in. Messages name the object and the next step, and never hold a token.

    DriverError (runtime)
    └── JoinError
        └── ClusterUnreachable    a cluster did not answer: nothing is known about what is in it
"""

from __future__ import annotations

from enum import StrEnum

from dpf.runtime.reconciler import DriverError


class Reason(StrEnum):
    """Reasons of the condition BFBPrepared (behaviour-provisioning.md 5.7), and of Deleting."""

    FAILED_TO_GENERATE_JOIN_COMMAND = "FailedToGenerateJoinCommand"
    FAILED_TO_CREATE_KUBEADM_SECRET = "FailedToCreateKubeadmSecret"  # noqa: S105 - a reason
    FAILED_TO_ENSURE_RBAC = "FailedToEnsureRBAC"
    DELETE_DPU_AGENT_BOOTSTRAP_TOKENS_ERROR = "DeleteDPUAgentBootstrapTokensError"


class JoinError(DriverError):
    """A step failed; the same call may succeed later, because what stands in its way is nothing that we watch."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ClusterUnreachable(JoinError):
    """A cluster did not answer."""
