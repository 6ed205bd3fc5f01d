"""What must exist in a cluster before an Application can work there: the service's namespace and its pull secrets.

Pure. Called by this kind's planner (behaviour-service.md 3.4); what Argo CD has to know is in `fleet`. Every cluster is
prepared, selected or not; which failures count is decided where the condition is computed. Namespaces are never
removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dpf.api import core, names
from dpf.api.meta import Key, ObjectMeta, object_key
from dpf.runtime import diff
from dpf.runtime.plan import HOST, Action, Apply, ClusterKey, Delete, Patch
from dpf.services.dpuservice.snapshot import ClusterView, Remote, Snapshot


def plan_host(snapshot: Snapshot) -> Iterator[Action]:
    """The labelled namespace of a service in the host cluster."""
    wanted = _namespace(snapshot.key.namespace)
    yield from _ensure(snapshot.host_namespace, wanted, because="DPUService is deployed in the host cluster")


def plan_cluster(snapshot: Snapshot, view: ClusterView, remote: Remote) -> Iterator[Action]:
    """The namespace in one DPU cluster and, unless it is being deleted, the pull secrets in it."""
    if is_terminating(remote.namespace):
        return
    wanted = _namespace(snapshot.key.namespace)
    yield from _ensure(remote.namespace, wanted, cluster=view.key, because="DPUService needs its namespace")
    there = {secret.metadata.name: secret for secret in remote.pull_secrets}
    for secret in snapshot.pull_secrets:
        yield from _mirror(there.pop(secret.metadata.name, None), secret, view.key)
    yield from remove_pull_secrets(view.key, there.values(), because="there is no such pull secret in the host cluster")


def remove_pull_secrets(cluster: ClusterKey, secrets: Iterable[core.Secret], *, because: str) -> Iterator[Delete]:
    """Removes mirrored pull secrets from one DPU cluster."""
    for secret in secrets:
        if secret.metadata.deletionTimestamp is None:
            yield Delete(cluster=cluster, kind=core.Secret, key=object_key(secret), uid=secret.metadata.uid,
                         because=because)


def is_terminating(namespace: core.Namespace | None) -> bool:
    """Whether nothing can be created in the namespace any more."""
    return namespace is not None and namespace.metadata.deletionTimestamp is not None


def _namespace(name: str) -> core.Namespace:
    labels = {names.PREREQ_NAMESPACE_LABEL: name, names.PREREQ_LABEL: "true"}
    return core.Namespace(metadata=ObjectMeta(name=name, labels=labels))


def _mirror(actual: core.Secret | None, source: core.Secret, cluster: ClusterKey) -> Iterator[Action]:
    """Makes the copy equal: what it lacks is applied, what only it has is taken away, whoever wrote it."""
    wanted = core.Secret(
        metadata=ObjectMeta(
            name=source.metadata.name, namespace=source.metadata.namespace, labels=source.metadata.labels
        ),
        type=source.type, data=source.data, immutable=source.immutable,
    )
    if actual is not None and _must_be_replaced(actual, wanted):
        yield Delete(cluster=cluster, kind=core.Secret, key=object_key(actual), uid=actual.metadata.uid,
                     because="its type or its immutable content changed in the host cluster")
        actual = None
    if actual is None or not diff.covers(actual, wanted):
        yield Apply(cluster=cluster, object=wanted, because="pull secret of the host cluster")
    if actual is not None and (surplus := _surplus(actual, wanted)):
        yield Patch(cluster=cluster, kind=core.Secret, key=object_key(actual), patch=surplus,
                    because="the pull secret of the host cluster does not have it")


def _surplus(actual: core.Secret, wanted: core.Secret) -> dict[str, Any]:
    """The merge patch that removes labels and data that only `actual` has; empty when there are none."""
    labels = _without(actual.metadata.labels, wanted.metadata.labels)
    data = _without(actual.data, wanted.data)
    return {**({"metadata": {"labels": labels}} if labels else {}), **({"data": data} if data else {})}


def _without(have: Mapping[str, str] | None, want: Mapping[str, str] | None) -> dict[str, None]:
    return {key: None for key in have or {} if key not in (want or {})}


def _must_be_replaced(actual: core.Secret, wanted: core.Secret) -> bool:
    """Kubernetes never changes the type of a Secret, nor anything in an immutable one."""
    frozen = bool(actual.immutable) and ((actual.data or {}) != (wanted.data or {}) or not wanted.immutable)
    return (actual.type or "Opaque") != (wanted.type or "Opaque") or frozen


def _ensure(
    actual: core.Namespace | None, wanted: core.Namespace, *, because: str, cluster: Key = HOST
) -> Iterator[Apply]:
    have = (actual.metadata.labels or {}) if actual is not None else None
    if have is None or not (wanted.metadata.labels or {}).items() <= have.items():
        yield Apply(cluster=cluster, object=wanted, because=because)
