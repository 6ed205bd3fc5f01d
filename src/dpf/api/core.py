"""Kubernetes' own kinds, the fields that this project reads or writes.

Core kinds are decoded on every watch event; what nobody reads is not kept. Add a field here when a planner needs it.
Source of the names: the Kubernetes API reference, v1.36.
"""

from __future__ import annotations

from typing import Any, ClassVar

from dpf.api.meta import Condition, FreeForm, Model, Object, Resource

IntOrString = int | str


class NamespaceStatus(Model):
    """Phase is Active or Terminating."""

    phase: str | None = None


class Namespace(Object):
    """core/v1 Namespace."""

    resource: ClassVar[Resource] = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
    status: NamespaceStatus = NamespaceStatus()


class Secret(Object):
    """core/v1 Secret; values of `data` are base64."""

    resource: ClassVar[Resource] = Resource("", "v1", "Secret", "secrets")
    type: str | None = None
    data: dict[str, str] | None = None
    stringData: dict[str, str] | None = None
    immutable: bool | None = None

    def __repr__(self) -> str:
        """Without values: a Secret must not reach a log or a test report by accident."""
        keys = sorted([*(self.data or {}), *(self.stringData or {})])
        return f"Secret({self.metadata.namespace}/{self.metadata.name}, keys={keys})"


class ConfigMap(Object):
    """core/v1 ConfigMap."""

    resource: ClassVar[Resource] = Resource("", "v1", "ConfigMap", "configmaps")
    data: dict[str, str] | None = None


class ServiceAccount(Object):
    """core/v1 ServiceAccount."""

    resource: ClassVar[Resource] = Resource("", "v1", "ServiceAccount", "serviceaccounts")
    automountServiceAccountToken: bool | None = None


class TokenRequestSpec(Model):
    """`audiences` None means the API server itself; `expirationSeconds` None its default, an hour."""

    audiences: list[str] | None = None
    expirationSeconds: int | None = None
    boundObjectRef: FreeForm | None = None


class TokenRequestStatus(Model):
    """What was given: the token, and when it ends (RFC 3339)."""

    token: str = ""
    expirationTimestamp: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"TokenRequestStatus(expirationTimestamp={self.expirationTimestamp})"


class TokenRequest(Object):
    """authentication.k8s.io/v1 TokenRequest: posted to the subresource `token` of a ServiceAccount, never stored."""

    resource: ClassVar[Resource] = Resource("authentication.k8s.io", "v1", "TokenRequest", "tokenrequests")
    spec: TokenRequestSpec = TokenRequestSpec()
    status: TokenRequestStatus = TokenRequestStatus()


class Eviction(Object):
    """policy/v1 Eviction: posted to the subresource `eviction` of a Pod. Refused with 429 while a budget forbids it."""

    resource: ClassVar[Resource] = Resource("policy", "v1", "Eviction", "evictions")
    deleteOptions: FreeForm | None = None


class Taint(Model):
    """core/v1 Taint."""

    key: str
    effect: str
    value: str | None = None
    timeAdded: str | None = None


class NodeSpec(Model):
    """core/v1 NodeSpec."""

    podCIDR: str | None = None
    taints: list[Taint] | None = None
    unschedulable: bool | None = None


class NodeAddress(Model):
    """type is InternalIP, Hostname, ..."""

    type: str
    address: str


class NodeCondition(Model):
    """Conditions of nodes and pods carry a heartbeat and no generation."""

    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    lastHeartbeatTime: str | None = None
    lastTransitionTime: str | None = None


class NodeSystemInfo(Model):
    """What the kubelet reports about its machine."""

    architecture: str = ""
    bootID: str = ""
    containerRuntimeVersion: str = ""
    kernelVersion: str = ""
    kubeProxyVersion: str = ""
    kubeletVersion: str = ""
    machineID: str = ""
    operatingSystem: str = ""
    osImage: str = ""
    systemUUID: str = ""


class DaemonEndpoint(Model):
    """Port of the kubelet; the API server's JSON name is upper case."""

    Port: int


class NodeDaemonEndpoints(Model):
    """Where the kubelet listens."""

    kubeletEndpoint: DaemonEndpoint | None = None


class NodeStatus(Model):
    """core/v1 NodeStatus."""

    capacity: dict[str, IntOrString] | None = None
    allocatable: dict[str, IntOrString] | None = None
    conditions: list[NodeCondition] | None = None
    addresses: list[NodeAddress] | None = None
    nodeInfo: NodeSystemInfo | None = None
    daemonEndpoints: NodeDaemonEndpoints | None = None


class Node(Object):
    """core/v1 Node."""

    resource: ClassVar[Resource] = Resource("", "v1", "Node", "nodes", namespaced=False)
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class EnvVar(Model):
    """`valueFrom` is kept raw: the kubelet resolves fieldRef, secretKeyRef and configMapKeyRef."""

    name: str
    value: str | None = None
    valueFrom: FreeForm | None = None


class ContainerPort(Model):
    """core/v1 ContainerPort."""

    containerPort: int
    name: str | None = None
    protocol: str | None = None
    hostPort: int | None = None


class ResourceRequirements(Model):
    """Requests and limits by resource name."""

    limits: dict[str, IntOrString] | None = None
    requests: dict[str, IntOrString] | None = None


class VolumeMount(Model):
    """core/v1 VolumeMount."""

    name: str
    mountPath: str
    readOnly: bool | None = None
    subPath: str | None = None


class Container(Model):
    """core/v1 Container."""

    name: str
    image: str = ""
    command: list[str] | None = None
    args: list[str] | None = None
    workingDir: str | None = None
    env: list[EnvVar] | None = None
    envFrom: list[FreeForm] | None = None
    ports: list[ContainerPort] | None = None
    resources: ResourceRequirements = ResourceRequirements()
    volumeMounts: list[VolumeMount] | None = None
    livenessProbe: FreeForm | None = None
    readinessProbe: FreeForm | None = None
    startupProbe: FreeForm | None = None
    securityContext: FreeForm | None = None
    imagePullPolicy: str | None = None


class PodSpec(Model):
    """core/v1 PodSpec; `volumes` stay raw, only the kubelet reads them."""

    nodeName: str | None = None
    containers: list[Container] = []
    initContainers: list[Container] | None = None
    volumes: list[FreeForm] | None = None
    restartPolicy: str | None = None
    hostNetwork: bool | None = None
    serviceAccountName: str | None = None
    terminationGracePeriodSeconds: int | None = None
    nodeSelector: dict[str, str] | None = None
    tolerations: list[FreeForm] | None = None
    imagePullSecrets: list[FreeForm] | None = None


class ContainerStateWaiting(Model):
    """A container that does not run yet."""

    reason: str | None = None
    message: str | None = None


class ContainerStateRunning(Model):
    """A running container."""

    startedAt: str | None = None


class ContainerStateTerminated(Model):
    """A container that ended."""

    exitCode: int
    reason: str | None = None
    message: str | None = None
    signal: int | None = None
    startedAt: str | None = None
    finishedAt: str | None = None
    containerID: str | None = None


class ContainerState(Model):
    """Exactly one member is set."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(Model):
    """core/v1 ContainerStatus; `ready` and `restartCount` are required by the API and therefore always sent."""

    name: str
    image: str
    imageID: str
    ready: bool
    restartCount: int
    containerID: str | None = None
    started: bool | None = None
    state: ContainerState = ContainerState()
    lastState: ContainerState = ContainerState()


class PodIP(Model):
    """One address of a pod."""

    ip: str


class PodStatus(Model):
    """core/v1 PodStatus."""

    phase: str | None = None
    conditions: list[NodeCondition] | None = None
    message: str | None = None
    reason: str | None = None
    hostIP: str | None = None
    hostIPs: list[PodIP] | None = None
    podIP: str | None = None
    podIPs: list[PodIP] | None = None
    startTime: str | None = None
    qosClass: str | None = None
    containerStatuses: list[ContainerStatus] | None = None
    initContainerStatuses: list[ContainerStatus] | None = None


class Pod(Object):
    """core/v1 Pod."""

    resource: ClassVar[Resource] = Resource("", "v1", "Pod", "pods")
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class ServicePort(Model):
    """core/v1 ServicePort."""

    port: int
    name: str | None = None
    protocol: str | None = None
    targetPort: IntOrString | None = None
    nodePort: int | None = None


class ServiceSpec(Model):
    """core/v1 ServiceSpec."""

    type: str | None = None
    clusterIP: str | None = None
    ports: list[ServicePort] | None = None
    selector: dict[str, str] | None = None
    internalTrafficPolicy: str | None = None
    externalTrafficPolicy: str | None = None


class Service(Object):
    """core/v1 Service."""

    resource: ClassVar[Resource] = Resource("", "v1", "Service", "services")
    spec: ServiceSpec = ServiceSpec()


class EndpointAddress(Model):
    """core/v1 EndpointAddress."""

    ip: str
    nodeName: str | None = None


class EndpointPort(Model):
    """Port of an EndpointSlice or of an Endpoints subset."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None


class EndpointSubset(Model):
    """core/v1 EndpointSubset."""

    addresses: list[EndpointAddress] | None = None
    ports: list[EndpointPort] | None = None


class Endpoints(Object):
    """core/v1 Endpoints: kept beside the EndpointSlice for old readers."""

    resource: ClassVar[Resource] = Resource("", "v1", "Endpoints", "endpoints")
    subsets: list[EndpointSubset] | None = None


class EndpointConditions(Model):
    """discovery/v1 EndpointConditions."""

    ready: bool | None = None


class Endpoint(Model):
    """discovery/v1 Endpoint."""

    addresses: list[str]
    conditions: EndpointConditions = EndpointConditions()
    nodeName: str | None = None


class EndpointSlice(Object, kw_only=True):
    """discovery.k8s.io/v1 EndpointSlice."""

    resource: ClassVar[Resource] = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
    addressType: str
    endpoints: list[Endpoint] | None = None
    ports: list[EndpointPort] | None = None


class ObjectReference(Model):
    """core/v1 ObjectReference."""

    apiVersion: str | None = None
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None
    resourceVersion: str | None = None
    fieldPath: str | None = None


class EventSource(Model):
    """core/v1 EventSource."""

    component: str | None = None
    host: str | None = None


class Event(Object, kw_only=True):
    """core/v1 Event."""

    resource: ClassVar[Resource] = Resource("", "v1", "Event", "events")
    involvedObject: ObjectReference
    type: str | None = None
    reason: str | None = None
    message: str | None = None
    count: int | None = None
    firstTimestamp: str | None = None
    lastTimestamp: str | None = None
    source: EventSource | None = None
    reportingComponent: str | None = None
    reportingInstance: str | None = None


class LeaseSpec(Model):
    """coordination.k8s.io/v1 LeaseSpec; times are RFC 3339 with microseconds."""

    holderIdentity: str | None = None
    leaseDurationSeconds: int | None = None
    acquireTime: str | None = None
    renewTime: str | None = None
    leaseTransitions: int | None = None


class Lease(Object):
    """coordination.k8s.io/v1 Lease."""

    resource: ClassVar[Resource] = Resource("coordination.k8s.io", "v1", "Lease", "leases")
    spec: LeaseSpec = LeaseSpec()


class CertificateSigningRequestSpec(Model):
    """certificates.k8s.io/v1 CertificateSigningRequestSpec; `request` is base64 of PEM."""

    request: str
    signerName: str
    usages: list[str] | None = None
    expirationSeconds: int | None = None
    username: str | None = None
    groups: list[str] | None = None


class CertificateSigningRequestStatus(Model):
    """`certificate` is base64 of PEM."""

    certificate: str | None = None
    conditions: list[Condition] | None = None


class CertificateSigningRequest(Object, kw_only=True):
    """certificates.k8s.io/v1 CertificateSigningRequest."""

    resource: ClassVar[Resource] = Resource(
        "certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", namespaced=False
    )
    spec: CertificateSigningRequestSpec
    status: CertificateSigningRequestStatus = CertificateSigningRequestStatus()


class Signer(Object):
    """certificates.k8s.io signers: no stored kind, the name under which RBAC knows who may approve for which signer."""

    resource: ClassVar[Resource] = Resource("certificates.k8s.io", "v1", "Signer", "signers", namespaced=False)


class PolicyRule(Model):
    """rbac.authorization.k8s.io/v1 PolicyRule."""

    verbs: list[str]
    apiGroups: list[str] | None = None
    resources: list[str] | None = None
    resourceNames: list[str] | None = None
    nonResourceURLs: list[str] | None = None


class RoleRef(Model):
    """rbac.authorization.k8s.io/v1 RoleRef."""

    apiGroup: str
    kind: str
    name: str


class Subject(Model):
    """rbac.authorization.k8s.io/v1 Subject."""

    kind: str
    name: str
    apiGroup: str | None = None
    namespace: str | None = None


_RBAC = "rbac.authorization.k8s.io"


class Role(Object):
    """rbac.authorization.k8s.io/v1 Role."""

    resource: ClassVar[Resource] = Resource(_RBAC, "v1", "Role", "roles")
    rules: list[PolicyRule] | None = None


class RoleBinding(Object, kw_only=True):
    """rbac.authorization.k8s.io/v1 RoleBinding."""

    resource: ClassVar[Resource] = Resource(_RBAC, "v1", "RoleBinding", "rolebindings")
    roleRef: RoleRef
    subjects: list[Subject] | None = None


class ClusterRole(Object):
    """rbac.authorization.k8s.io/v1 ClusterRole."""

    resource: ClassVar[Resource] = Resource(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False)
    rules: list[PolicyRule] | None = None


class ClusterRoleBinding(Object, kw_only=True):
    """rbac.authorization.k8s.io/v1 ClusterRoleBinding."""

    resource: ClassVar[Resource] = Resource(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
    roleRef: RoleRef
    subjects: list[Subject] | None = None


class DaemonSetStatus(Model):
    """apps/v1 DaemonSetStatus."""

    currentNumberScheduled: int = 0
    desiredNumberScheduled: int = 0
    numberReady: int = 0
    updatedNumberScheduled: int = 0
    observedGeneration: int = 0


class DaemonSet(Object):
    """apps/v1 DaemonSet: read for display only."""

    resource: ClassVar[Resource] = Resource("apps", "v1", "DaemonSet", "daemonsets")
    spec: FreeForm | None = None
    status: DaemonSetStatus = DaemonSetStatus()


class CustomResourceDefinitionStatus(Model):
    """Established and NamesAccepted conditions."""

    conditions: list[Condition] | None = None


class CustomResourceDefinition(Object):
    """apiextensions.k8s.io/v1 CustomResourceDefinition; `spec` is written whole from a generated file."""

    resource: ClassVar[Resource] = Resource(
        "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
    )
    spec: dict[str, Any] = {}
    status: CustomResourceDefinitionStatus = CustomResourceDefinitionStatus()


