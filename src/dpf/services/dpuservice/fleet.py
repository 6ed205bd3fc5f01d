"""All DPUClusters, what Argo CD knows about them, and what it lacks: the same for every DPUService.

Pure. `fleetcache` observes a `Fleet` when something in it has changed, and all passes share it until then, so that each
costs its own DPUService only. What follows from a `Fleet` alone is computed once, when it is first asked for: names,
and the actions that bring Argo CD up to date (behaviour-service.md 3.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dpf.api import core, names
from dpf.api.argocd import AppProject
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, object_key
from dpf.runtime import diff
from dpf.runtime.plan import Action, Apply, Delete
from dpf.services.argocd import build
from dpf.services.dpuservice import naming


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Something exists but cannot be used now, which is not the same as absent. `why` is for the user."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Member:
    """One DPUCluster, and how Argo CD may reach it. (Without slots, for what is computed once.)"""

    cluster: DPUCluster
    credentials: build.Credentials | Unusable

    @cached_property
    def key(self) -> Key:
        """Namespace and name of the DPUCluster."""
        return object_key(self.cluster)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoNames:
    """What Argo CD calls each DPUCluster, and the Secret of each."""

    aliases: Mapping[Key, str]
    secrets: Mapping[Key, str]


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """`secrets` are all cluster Secrets of Argo CD, `projects` our AppProjects by name.

    `unreadable` DPUClusters exist, but their objects do not fit our type: nothing of theirs may be taken for left over.
    (Without slots, for what is computed once.)
    """

    dpf_namespace: str
    argocd_namespace: str
    members: tuple[Member, ...] = ()
    unreadable: frozenset[Key] = frozenset()
    secrets: tuple[core.Secret, ...] = ()
    projects: Mapping[str, AppProject] = field(default_factory=dict)

    @cached_property
    def names(self) -> ArgoNames:
        """Names for all DPUClusters: those they hold, and none that a Secret of somebody else has."""
        return _names([member.cluster for member in self.members], self.secrets)

    @cached_property
    def wanted(self) -> tuple[Action, ...]:
        """AppProjects, and one cluster Secret for each DPUCluster that can be reached.

        Broken clusters are left as they are: an older Secret may still serve.
        """
        return (*_plan_projects(self), *_plan_secrets(self))

    @cached_property
    def orphans(self) -> tuple[Action, ...]:
        """Removal of cluster Secrets whose DPUCluster is gone.

        As long as Argo CD believes in the cluster, it waits for it before it lets go of the Applications there.
        """
        return tuple(_plan_orphans(self))


def secret_owner(secret: core.Secret) -> Key | None:
    """The DPUCluster that a cluster Secret stands for; None for one that somebody else made."""
    labels = secret.metadata.labels or {}
    if names.CLUSTER_LABEL not in labels or names.CLUSTER_NAMESPACE_LABEL not in labels:
        return None
    return Key(labels[names.CLUSTER_NAMESPACE_LABEL], labels[names.CLUSTER_LABEL])


def _names(clusters: Iterable[DPUCluster], secrets: Iterable[core.Secret]) -> ArgoNames:
    every = tuple(clusters)
    owned: dict[Key, core.Secret] = {}
    foreign: list[core.Secret] = []
    for secret in secrets:
        owner = secret_owner(secret)
        if owner is None:
            foreign.append(secret)
        else:
            owned[owner] = secret
    return ArgoNames(
        aliases=naming.cluster_aliases(
            every, {key: build.cluster_name_in(secret) for key, secret in owned.items()},
            {build.cluster_name_in(secret) for secret in foreign},
        ),
        secrets=naming.cluster_secret_names(
            every, {key: secret.metadata.name for key, secret in owned.items()},
            {secret.metadata.name for secret in foreign},
        ),
    )


def _plan_projects(fleet: Fleet) -> Iterator[Action]:
    unreadable = [s for s in fleet.secrets if secret_owner(s) in fleet.unreadable]
    aliases = {*fleet.names.aliases.values(), *(build.cluster_name_in(s) for s in unreadable)}
    for name, destinations in ((build.DPU_PROJECT, sorted(aliases)), (build.HOST_PROJECT, [build.IN_CLUSTER])):
        wanted = build.project(
            name, namespace=fleet.argocd_namespace, destinations=destinations,
            application_namespace=fleet.dpf_namespace,
        )
        actual = fleet.projects.get(name)
        if actual is None or not diff.covers(actual, wanted):
            yield Apply(object=wanted, because="Applications of DPUServices need their project")


def _plan_secrets(fleet: Fleet) -> Iterator[Action]:
    existing = {s.metadata.name: s for s in fleet.secrets}
    for member in fleet.members:
        if isinstance(member.credentials, Unusable):
            continue
        wanted = build.cluster_secret(
            member.key, secret_name=fleet.names.secrets[member.key], name=fleet.names.aliases[member.key],
            namespace=fleet.argocd_namespace, credentials=member.credentials,
        )
        actual = existing.get(wanted.metadata.name)
        if actual is None or not diff.covers(actual, wanted):
            yield Apply(object=wanted, because=f"Argo CD must reach DPUCluster {member.key}")


def _plan_orphans(fleet: Fleet) -> Iterator[Action]:
    known = {*fleet.unreadable, *(member.key for member in fleet.members)}
    for secret in fleet.secrets:
        owner = secret_owner(secret)
        if owner is not None and owner not in known and secret.metadata.deletionTimestamp is None:
            yield Delete(kind=core.Secret, key=object_key(secret), uid=secret.metadata.uid,
                         because=f"DPUCluster {owner} is gone")
