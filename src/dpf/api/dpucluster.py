"""provisioning.dpu.nvidia.com/v1alpha1 DPUCluster: a cluster whose nodes are DPUs (api-provisioning.md section 5)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from dpf.api.meta import Condition, FreeForm, Model, Object, Resource
from dpf.api.schema import AGE, CRD, READY_STATUS, Column, Rule, Schema, name_length_rule


class Phase(StrEnum):
    """Where the DPUCluster is in its life."""

    PENDING = "Pending"
    CREATING = "Creating"
    READY = "Ready"
    NOT_READY = "NotReady"
    FAILED = "Failed"


class ConditionType(StrEnum):
    """Conditions of a DPUCluster, each with its writer."""

    CREATED = "Created"
    """The control plane is there and its kubeconfig is known; written by the cluster manager."""
    READY = "Ready"
    """The API server of the cluster answers; written by the health check."""
    KEEPALIVED_READY = "KeepalivedReady"
    """The virtual address of the API server is up; written by a cluster manager that was asked for one."""
    UPGRADED = "Upgraded"
    """The control plane runs the wanted Kubernetes version; written by a cluster manager that upgrades in place."""


class ConditionReason(StrEnum):
    """Reasons beside those that all kinds share (behaviour-provisioning.md section 12)."""

    CREATED = "Created"
    """The cluster manager has made or found the control plane."""
    EMPTY_KUBECONFIG = "EmptyKubeconfig"
    """A static cluster names no kubeconfig Secret."""
    CLUSTER_NOT_READY = "ClusterNotReady"
    """The control plane is not up yet."""
    DEPLOYED = "Deployed"
    """What carries the virtual address is deployed."""
    HEALTH_CHECK_PASSED = "HealthCheckPassed"
    """The API server answered."""
    HEALTH_CHECK_FAILED = "HealthCheckFailed"
    """The API server did not answer."""


class Keepalived(Model):
    """A virtual address for the API server of the cluster."""

    vip: Annotated[str, Schema(description="Virtual IP address.")]
    virtualRouterID: Annotated[int, Schema(minimum=1, maximum=255, description="VRRP router id.")]
    interface: Annotated[str, Schema(min_length=1, description="Interface that carries the address.")]
    nodeSelector: Annotated[dict[str, str] | None, Schema(description="Nodes that may carry the address.")] = None


class ClusterEndpoint(Model):
    """How the API server of the cluster is reached."""

    keepalived: Keepalived | None = None


class ScriptTemplateRef(Model):
    """ConfigMap that holds a join script."""

    name: Annotated[str, Schema(min_length=1)]
    key: str | None = None


class JoinToken(Model):
    """How DPUs get a token to join (static clusters only)."""

    type: Annotated[str, Schema(enum=("kubeadm",), default="kubeadm", required=False)] = "kubeadm"
    ttl: Annotated[
        str,
        Schema(
            format="duration", default="2h", max_length=10, required=False,
            rules=(
                Rule(rule="duration(self) >= duration('10m')",
                     message="ttl has to be at least 10m so a token outlives BFB flashing"),
                Rule(rule="duration(self) <= duration('24h')",
                     message="ttl has to be at most 24h so a leaked token ages out"),
            ),
        ),
    ] = "2h"
    config: Annotated[FreeForm | None, Schema(preserve_unknown=True)] = None
    scriptTemplateRef: ScriptTemplateRef | None = None


class DPUClusterSpec(Model):
    """What kind of cluster is wanted."""

    type: Annotated[
        str,
        Schema(pattern="kamaji|static|[^/]+/.*", description="Its cluster manager: kamaji, static or vendor/name."),
    ]
    maxNodes: Annotated[
        int, Schema(minimum=1, maximum=3000, default=1000, required=False, description="How many DPUs it takes.")
    ] = 1000
    version: Annotated[str | None, Schema(description="Wanted Kubernetes version; a hint.")] = None
    kubeconfig: Annotated[
        str | None,
        Schema(
            description="Secret of the same namespace with the administrator's kubeconfig; written by the manager.",
            rules=(Rule(rule="oldSelf == '' || self == oldSelf", message="kubeconfig is immutable"),),
        ),
    ] = None
    clusterEndpoint: ClusterEndpoint | None = None
    clusterManagerConfig: Annotated[FreeForm | None, Schema(preserve_unknown=True)] = None
    joinToken: JoinToken | None = None


class DPUClusterStatus(Model):
    """What was observed."""

    phase: Annotated[str, Schema(enum=tuple(Phase), default="Pending", required=True)] = Phase.PENDING
    version: Annotated[str | None, Schema(description="Observed Kubernetes version.")] = None
    nodesCount: Annotated[int | None, Schema(minimum=0, description="DPUs assigned to it.")] = None
    conditions: list[Condition] | None = None


class DPUCluster(Object, kw_only=True):
    """A Kubernetes cluster whose nodes are DPUs."""

    resource: ClassVar[Resource] = Resource("provisioning.dpu.nvidia.com", "v1alpha1", "DPUCluster", "dpuclusters")
    crd: ClassVar[CRD] = CRD(
        columns=(
            Column(name="Ready", path=READY_STATUS),
            Column(name="Phase", path=".status.phase"),
            Column(name="Type", path=".spec.type"),
            Column(name="MaxNodes", path=".spec.maxNodes", type="integer"),
            Column(name="Version", path=".status.version"),
            Column(name="NodesCount", path=".status.nodesCount", type="integer"),
            AGE,
        ),
        rules=(
            name_length_rule(63),
            Rule(
                rule="oldSelf.hasValue() || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
                message="name must be a DNS-1035 label: start with a lowercase letter, contain only lowercase "
                        "alphanumerics or '-', and end with an alphanumeric",
                optional_old_self=True,
            ),
        ),
    )
    spec: Annotated[
        DPUClusterSpec,
        Schema(rules=(
            Rule(
                rule="!has(oldSelf.kubeconfig) || oldSelf.kubeconfig == '' || has(self.kubeconfig)",
                message="kubeconfig is immutable",
            ),
            Rule(
                rule="self.type == oldSelf.type || !has(oldSelf.kubeconfig) || oldSelf.kubeconfig == ''",
                message="type is immutable once kubeconfig is set",
            ),
        )),
    ]
    status: Annotated[DPUClusterStatus, Schema(default={"phase": "Pending"})] = DPUClusterStatus()
