"""What triggers a pass over a DPUServiceCredentialRequest, and the indexes by which its observation finds things.

Called by the controller (declarations) and the observation (names of the indexes). Mappings only name requests; what
has changed is forgotten on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from dpf.api import core, names
from dpf.api.dpucluster import DPUCluster
from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest
from dpf.api.meta import Key, Object, object_key
from dpf.runtime import kubeconfigsecret
from dpf.runtime.reconciler import Watch
from dpf.services.credentialrequest import credential, wanted

BY_REQUEST: Final = "credentialrequest"
"""Objects made for a request, by its `namespace/name`."""
BY_TARGET: Final = "credentialrequest-target"
BY_SECRET: Final = "credentialrequest-secret"  # noqa: S105 - the name of an index
BY_ACCOUNT: Final = "credentialrequest-serviceaccount"
"""Requests, by `namespace/name` of what their spec or status names."""
BY_KUBECONFIG: Final = "credentialrequest-kubeconfig"
"""DPUClusters, by `namespace/name` of their kubeconfig Secret."""

Lookup = Callable[[type[Object], str, str], Iterable[Key]]


def build(lookup: Lookup) -> list[Watch]:
    """All watches. `lookup(kind, index, value)` names the objects that the host's cache has under a value."""

    def requests(index: str, key: Key) -> Iterable[Key]:
        return lookup(DPUServiceCredentialRequest, index, str(key))

    def of_cluster(old: DPUCluster | None, new: DPUCluster | None) -> Iterable[Key]:
        changed = new if new is not None else old
        if changed is None or _cluster_facts(old) == _cluster_facts(new):
            return ()
        return requests(BY_TARGET, object_key(changed))

    def of_secret(old: core.Secret | None, new: core.Secret | None) -> Iterable[Key]:
        changed = new if new is not None else old
        if changed is None or _secret_facts(old) == _secret_facts(new):
            return ()
        key = object_key(changed)
        found = {*requests(BY_SECRET, key), *_owners(old, new)}
        for cluster in lookup(DPUCluster, BY_KUBECONFIG, str(key)):
            found.update(requests(BY_TARGET, cluster))
        return sorted(found)

    def of_account(old: core.ServiceAccount | None, new: core.ServiceAccount | None) -> Iterable[Key]:
        """Also those that wait for another one's to go, in whatever cluster."""
        changed = new if new is not None else old
        named = requests(BY_ACCOUNT, object_key(changed)) if changed is not None else ()
        return sorted({*named, *_owners(old, new)})

    ours = f"{names.MANAGED_BY_CONTROLLER_LABEL}={credential.MANAGED_BY}"
    return [
        Watch(kind=DPUServiceCredentialRequest, maps=_nobody, indexes={
            BY_TARGET: target_index, BY_SECRET: secret_index, BY_ACCOUNT: account_index,
        }),
        Watch(kind=DPUCluster, maps=of_cluster, indexes={BY_KUBECONFIG: _kubeconfig}),
        Watch(kind=core.Secret, maps=of_secret, indexes={BY_REQUEST: request_index}),
        Watch(kind=core.ServiceAccount, maps=of_account, labels=ours),
        Watch(kind=core.ServiceAccount, maps=of_account, labels=ours, everywhere=True),
    ]


def parse_key(text: str | None) -> Key | None:
    """`namespace/name` as the status has it; None when it is something else."""
    namespace, separator, name = (text or "").partition("/")
    return Key(namespace, name) if separator and namespace and name and "/" not in name else None


def request_index(obj: Object) -> Iterable[str]:
    """The request for which an object was made."""
    owner = credential.owner_of(obj)
    return (str(owner),) if owner else ()


def target_index(request: DPUServiceCredentialRequest) -> Iterable[str]:
    """DPUClusters that matter to a request."""
    asked = wanted.read(request)
    named = asked.target if isinstance(asked, wanted.Wanted) else None
    return _both(named, request.status.targetCluster)


def secret_index(request: DPUServiceCredentialRequest) -> Iterable[str]:
    """Secrets that matter to a request."""
    asked = wanted.read(request)
    return _both(asked.secret if isinstance(asked, wanted.Wanted) else None, request.status.secret)


def account_index(request: DPUServiceCredentialRequest) -> Iterable[str]:
    """ServiceAccounts that matter to a request, in whatever cluster."""
    asked = wanted.read(request)
    return _both(asked.account if isinstance(asked, wanted.Wanted) else None, request.status.serviceAccount)


def _both(named: Key | None, recorded: str | None) -> Iterable[str]:
    return {*([str(named)] if named else []), *([recorded] if recorded else [])}


def _nobody(_old: Any, _new: Any) -> Iterable[Key]:  # noqa: ANN401 - any object
    """The root is watched anyway; this declaration only declares indexes."""
    return ()


def _owners(*objects: Object | None) -> Iterable[Key]:
    return {owner for obj in objects if obj is not None and (owner := credential.owner_of(obj))}


def _kubeconfig(cluster: DPUCluster) -> Iterable[str]:
    key = kubeconfigsecret.secret_key(cluster)
    return (str(key),) if key else ()


def _cluster_facts(cluster: DPUCluster | None) -> object:
    """What is read of a DPUCluster: heartbeats and node counts concern nobody."""
    return None if cluster is None else (cluster.metadata.uid, cluster.status.phase, cluster.spec.kubeconfig)


def _secret_facts(secret: core.Secret | None) -> object:
    if secret is None:
        return None
    meta = secret.metadata
    return meta.uid, meta.labels, meta.annotations, secret.data, secret.immutable
