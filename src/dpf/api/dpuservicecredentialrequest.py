"""svc.dpu.nvidia.com/v1alpha1 DPUServiceCredentialRequest: a rotating token for a service (api-svc.md section 9)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api.dpuservicechain import TemplateMetadata
from dpf.api.meta import Condition, Model, Object, Resource
from dpf.api.schema import CRD, READY_PHASE_AGE, Schema, name_length_rule

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"


class ConditionType(StrEnum):
    """Conditions of a DPUServiceCredentialRequest, in the order in which they are written."""

    READY = "Ready"
    """All of the others hold."""
    SERVICE_ACCOUNT_RECONCILED = "ServiceAccountReconciled"
    """The ServiceAccount exists in the target cluster and no earlier one is left."""
    SECRET_RECONCILED = "SecretReconciled"  # noqa: S105 - a condition type
    """The Secret holds a token that is valid, in the requested layout."""


class SecretType(StrEnum):
    """Layout of the Secret."""

    KUBECONFIG = "kubeconfig"
    """One key with a whole kubeconfig."""
    TOKEN_FILE = "tokenFile"  # noqa: S105 - a layout
    """Token, host, port and CA under keys of their own."""


class NamespacedName(Model):
    """An object by name; the controller takes `default` for an absent namespace."""

    name: Annotated[str, Schema(description="Name of the object.")]
    namespace: Annotated[str | None, Schema(description="Namespace of the object; `default` when absent.")] = None


class DPUServiceCredentialRequestSpec(Model):
    """Who gets access to which cluster, and where the token goes."""

    serviceAccount: Annotated[NamespacedName, Schema(description="ServiceAccount to make in the target cluster.")]
    type: Annotated[str, Schema(enum=tuple(SecretType), description="Layout of the Secret.")]
    secret: Annotated[NamespacedName, Schema(description="Secret of the host cluster to write.")]
    duration: Annotated[
        str | None, Schema(pattern=DURATION_PATTERN, description="Life of a token, such as 1h; at most 24h.")
    ] = None
    targetCluster: Annotated[
        NamespacedName | None, Schema(description="DPUCluster to give access to; absent means the host cluster.")
    ] = None
    metadata: Annotated[TemplateMetadata | None, Schema(description="Metadata of the Secret.")] = None


class DPUServiceCredentialRequestStatus(Model):
    """What was made, and for how long it holds. Names are `namespace/name`."""

    conditions: list[Condition] | None = None
    serviceAccount: Annotated[str | None, Schema(description="ServiceAccount that was made.")] = None
    targetCluster: Annotated[str | None, Schema(description="DPUCluster in which it was made.")] = None
    targetClusterUID: Annotated[str | None, Schema(description="Tells a recreated DPUCluster from the old.")] = None
    secret: Annotated[str | None, Schema(description="Secret that was written.")] = None
    expirationTimestamp: Annotated[
        str | None, Schema(format="date-time", description="When the token ends.")
    ] = None
    issuedAt: Annotated[str | None, Schema(format="date-time", description="When the token began.")] = None


class DPUServiceCredentialRequest(Object):
    """Access of a ServiceAccount to a cluster, kept fresh in a Secret."""

    resource: ClassVar[Resource] = Resource(
        "svc.dpu.nvidia.com", "v1alpha1", "DPUServiceCredentialRequest", "dpuservicecredentialrequests"
    )
    crd: ClassVar[CRD] = CRD(columns=READY_PHASE_AGE, rules=(name_length_rule(63),))
    spec: DPUServiceCredentialRequestSpec | None = None
    status: DPUServiceCredentialRequestStatus = DPUServiceCredentialRequestStatus()
