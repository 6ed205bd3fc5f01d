"""What triggers a pass over a DPUService, and the indexes by which its observation finds things (table 3.1).

Called by the controller (declarations) and the observation (names of the indexes). Mappings only name DPUServices; what
has changed is forgotten on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from dpf.api import core, names
from dpf.api.argocd import SECRET_TYPE_LABEL, Application, AppProject
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservice import DPUService
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicenad import DPUServiceNAD
from dpf.api.meta import Key, Object, object_key
from dpf.runtime import kubeconfigsecret
from dpf.runtime.reconciler import Watch
from dpf.services.dpuservice import interfaces, networks

BY_SERVICE: Final = "dpuservice"
"""Objects that carry the match labels, by `namespace/name` of the DPUService."""
BY_NAME: Final = "dpuservice-by-name"
BY_CONFIG_PORTS: Final = "dpuservice-with-config-ports"
BY_PULL_SECRET_NAMESPACE: Final = "image-pull-secret-namespace"  # noqa: S105 - the name of an index
BY_ARGOCD_NAMESPACE: Final = "argocd-cluster-secret-namespace"
BY_INTERFACE: Final = "dpuservice-by-interface"
"""DPUServices by `namespace/name` of each DPUServiceInterface that they list."""
WITH_INTERFACES: Final = "dpuservice-with-interfaces"
BY_CONSUMER: Final = "dpuserviceinterface-by-consumer"
"""DPUServiceInterfaces by `namespace/name` of the DPUService that claims them."""
BY_KUBECONFIG: Final = "dpucluster-kubeconfig"

Lookup = Callable[[type[Object], str, str], Iterable[Key]]

_EXPOSED: Final = names.DPUSERVICE_NAME_LABEL
"""Selects whatever carries the match labels."""


def build(keys: Callable[[], Iterable[Key]], lookup: Lookup) -> list[Watch]:
    """All watches. `keys` names every DPUService, `lookup(kind, index, value)` the objects of an index."""

    def in_namespace(old: Object | None, new: Object | None) -> Iterable[Key]:
        namespaces = {obj.metadata.namespace for obj in (old, new) if obj is not None}
        return [key for key in keys() if key.namespace in namespaces]

    def of_cluster(old: DPUCluster | None, new: DPUCluster | None) -> Iterable[Key]:
        return keys() if _cluster_facts(old) != _cluster_facts(new) else ()

    def of_config(old: DPFOperatorConfig | None, new: DPFOperatorConfig | None) -> Iterable[Key]:
        return keys() if argocd_namespace(old) != argocd_namespace(new) else ()

    def of_project(old: AppProject | None, new: AppProject | None) -> Iterable[Key]:
        changed = old is not None and (new is None or new.spec != old.spec)
        return keys() if changed else ()

    def of_host_secret(old: core.Secret | None, new: core.Secret | None) -> Iterable[Key]:
        both = [secret for secret in (old, new) if secret is not None]
        if len(both) == 2 and _secret_facts(both[0]) == _secret_facts(both[1]):
            return ()
        if any(pull_secret_namespace(secret) for secret in both):
            return in_namespace(old, new)
        # A new cluster Secret is our own work; one that changed or went may need repair.
        repair = old is not None and bool(argocd_cluster_namespace(old))
        return keys() if repair or any(is_kubeconfig(secret) for secret in both) else ()

    def is_kubeconfig(secret: core.Secret) -> bool:
        return bool(list(lookup(DPUCluster, BY_KUBECONFIG, str(object_key(secret)))))

    def of_namespace(old: core.Namespace | None, new: core.Namespace | None) -> Iterable[Key]:
        changed = {obj.metadata.name for obj in (old, new) if obj is not None}
        return [key for key in keys() if key.namespace in changed]

    def of_node(old: core.Node | None, new: core.Node | None) -> Iterable[Key]:
        return lookup(DPUService, BY_CONFIG_PORTS, "") if _node_facts(old) != _node_facts(new) else ()

    prereq, pull_secrets = f"{names.PREREQ_LABEL}=true", names.IMAGE_PULL_SECRET_LABEL
    by_service: dict[str, Callable[[Any], Iterable[str]]] = {BY_SERVICE: service_index}
    return [
        *_interface_watches(lookup),
        Watch(kind=Application, maps=_of_match_labels, indexes=by_service),
        Watch(kind=AppProject, maps=of_project),
        Watch(kind=DPUCluster, maps=of_cluster, indexes={BY_KUBECONFIG: _kubeconfig}),
        Watch(kind=DPFOperatorConfig, maps=of_config),
        Watch(kind=core.Namespace, maps=of_namespace, labels=prereq),
        Watch(kind=core.Secret, maps=of_host_secret, indexes={
            BY_PULL_SECRET_NAMESPACE: pull_secret_index, BY_ARGOCD_NAMESPACE: argocd_cluster_index,
        }),
        Watch(kind=core.Service, maps=_of_match_labels, labels=_EXPOSED, indexes=by_service),
        Watch(kind=core.EndpointSlice, maps=_of_match_labels, labels=_EXPOSED, indexes=by_service),
        Watch(kind=core.Endpoints, maps=_of_match_labels, labels=_EXPOSED, indexes=by_service),
        Watch(kind=core.Namespace, maps=of_namespace, labels=prereq, everywhere=True),
        Watch(kind=core.Secret, maps=in_namespace, labels=pull_secrets, everywhere=True,
              indexes={BY_PULL_SECRET_NAMESPACE: pull_secret_index}),
        Watch(kind=core.Service, maps=_of_match_labels, labels=_EXPOSED, everywhere=True, indexes=by_service),
        Watch(kind=core.Node, maps=of_node, everywhere=True),
    ]


def _interface_watches(lookup: Lookup) -> list[Watch]:
    def of_interface(old: DPUServiceInterface | None, new: DPUServiceInterface | None) -> Iterable[Key]:
        """Level-based where table 3.1 is not: also one that appears, goes, or changes hands (not our own claim)."""
        changed = new if new is not None else old
        listing = lookup(DPUService, BY_INTERFACE, str(object_key(changed))) if changed is not None else ()
        if _interface_facts(old) != _interface_facts(new):
            return listing
        before, after = (interfaces.consumer(obj) if obj is not None else "" for obj in (old, new))
        return [key for key in listing if key.name != after] if before != after else ()

    def of_rival(old: DPUService | None, new: DPUService | None) -> Iterable[Key]:
        """Whoever lists an interface that another DPUService has dropped: a claim without an owner is free."""
        dropped = set(interface_index(old)) - set(interface_index(new))
        return [key for value in sorted(dropped) for key in lookup(DPUService, BY_INTERFACE, value)]

    def of_nad(old: DPUServiceNAD | None, new: DPUServiceNAD | None) -> Iterable[Key]:
        return lookup(DPUService, WITH_INTERFACES, "") if _nad_facts(old) != _nad_facts(new) else ()

    return [
        Watch(kind=DPUService, maps=of_rival, indexes={
            BY_NAME: _name, BY_CONFIG_PORTS: _with_config_ports, BY_INTERFACE: interface_index,
            WITH_INTERFACES: _with_interfaces,
        }),
        Watch(kind=DPUServiceInterface, maps=of_interface, indexes={BY_CONSUMER: _consumer}),
        Watch(kind=DPUServiceNAD, maps=of_nad),
    ]


def service_index(obj: Object) -> Iterable[str]:
    """`namespace/name` of the DPUService that the match labels name."""
    labels = obj.metadata.labels or {}
    name, namespace = labels.get(names.DPUSERVICE_NAME_LABEL), labels.get(names.DPUSERVICE_NAMESPACE_LABEL)
    return (f"{namespace}/{name}",) if name and namespace else ()


def pull_secret_namespace(secret: core.Secret) -> str:
    """The namespace of a labelled pull secret; empty for other Secrets."""
    labelled = names.IMAGE_PULL_SECRET_LABEL in (secret.metadata.labels or {})
    return (secret.metadata.namespace or "") if labelled else ""


def argocd_cluster_namespace(secret: core.Secret) -> str:
    """The namespace of a Secret that makes a cluster known to Argo CD; empty for other Secrets."""
    is_cluster = (secret.metadata.labels or {}).get(SECRET_TYPE_LABEL) == "cluster"
    return (secret.metadata.namespace or "") if is_cluster else ""


def pull_secret_index(secret: core.Secret) -> Iterable[str]:
    """Pull secrets by namespace."""
    namespace = pull_secret_namespace(secret)
    return (namespace,) if namespace else ()


def argocd_cluster_index(secret: core.Secret) -> Iterable[str]:
    """Cluster Secrets of Argo CD by namespace."""
    namespace = argocd_cluster_namespace(secret)
    return (namespace,) if namespace else ()


def argocd_namespace(config: DPFOperatorConfig | None) -> str | None:
    """Where Argo CD runs; None when there is no DPFOperatorConfig to ask."""
    if config is None:
        return None
    overrides = config.spec.overrides if config.spec else None
    return (overrides.argoCDNamespace if overrides else None) or config.metadata.namespace


def interface_index(service: DPUService | None) -> Iterable[str]:
    """`namespace/name` of the interfaces that a DPUService lists."""
    if service is None or service.spec is None:
        return ()
    return [f"{service.metadata.namespace}/{name}" for name in service.spec.interfaces or ()]


def _of_match_labels(old: Object | None, new: Object | None) -> Iterable[Key]:
    found = {value for obj in (old, new) if obj is not None for value in service_index(obj)}
    return [Key(*value.split("/", 1)) for value in sorted(found)]


def _name(service: DPUService) -> Iterable[str]:
    return (service.metadata.name,)


def _with_config_ports(service: DPUService) -> Iterable[str]:
    return ("",) if service.spec and service.spec.configPorts else ()


def _with_interfaces(service: DPUService) -> Iterable[str]:
    return ("",) if service.spec and service.spec.interfaces else ()


def _consumer(interface: DPUServiceInterface) -> Iterable[str]:
    name = interfaces.consumer(interface)
    return (f"{interface.metadata.namespace}/{name}",) if name else ()


def _interface_facts(interface: DPUServiceInterface | None) -> object:
    """What the planner reads of an interface beside its claim: its chains and selectors are somebody else's."""
    return None if interface is None else (interface.metadata.uid, interfaces.definition(interface))


def _nad_facts(nad: DPUServiceNAD | None) -> object:
    return None if nad is None else networks.resource_name(nad)


def _kubeconfig(cluster: DPUCluster) -> Iterable[str]:
    key = kubeconfigsecret.secret_key(cluster)
    return (str(key),) if key else ()


def _cluster_facts(cluster: DPUCluster | None) -> object:
    """What the planner reads of a DPUCluster: heartbeats and node counts concern nobody."""
    if cluster is None:
        return None
    meta = cluster.metadata
    return meta.uid, meta.labels, meta.deletionTimestamp is None, cluster.status.phase, cluster.spec.kubeconfig


def _secret_facts(secret: core.Secret) -> object:
    return secret.metadata.labels, secret.type, secret.data, secret.immutable


def _node_facts(node: core.Node | None) -> object:
    return None if node is None else (node.metadata.labels, node.status.addresses)
