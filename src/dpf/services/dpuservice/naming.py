"""Names that must not collide: clusters in Argo CD, their Secrets, Applications, Helm releases.

Pure. Called by this kind's planner. The documented names leave namespaces out, so two owners may want one. Then the
first keeps the documented name and a later one gets a digest of its full identity appended. A name once given is kept,
because renaming an Application or a cluster means removing and installing everything again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, Object, object_key
from dpf.runtime import digest
from dpf.services.argocd import build

LABEL_LIMIT: Final = 63


def seniority(obj: Object) -> tuple[str, Key]:
    """Sorts the oldest object first; objects of one second by namespace and name."""
    return obj.metadata.creationTimestamp or "", object_key(obj)


def unique(documented: str, owner: Key, limit: int = LABEL_LIMIT) -> str:
    """`documented` made unique by a digest of its owner."""
    suffix = digest.short(owner.namespace, owner.name)
    return f"{documented[: limit - len(suffix) - 1].rstrip('-.')}-{suffix}"


def assign(
    wanted: Iterable[tuple[Key, str]], *, held: Mapping[Key, str], foreign: Collection[str] = ()
) -> dict[Key, str]:
    """One name for each owner: the one it holds, else the documented one if nobody has it, else a unique one.

    `wanted` lists owners with their documented names, the oldest first. A held name counts only if it is one of the two
    that this function could have given. `foreign` names belong to others for good.
    """
    claims = list(wanted)
    kept = {owner: held[owner] for owner, name in claims if _could_be(held.get(owner), name, owner)}
    taken = {*foreign, *kept.values()}
    given: dict[Key, str] = {}
    for owner, documented in claims:
        given[owner] = kept.get(owner) or (unique(documented, owner) if documented in taken else documented)
        taken.add(given[owner])
    return given


def _could_be(held: str | None, documented: str, owner: Key) -> bool:
    return held == documented or (held is not None and held == unique(documented, owner))


def cluster_aliases(
    clusters: Iterable[DPUCluster], held: Mapping[Key, str], foreign: Collection[str] = ()
) -> dict[Key, str]:
    """Argo CD's name for each DPUCluster: its own name, unless another one of that name is older.

    `in-cluster` would lead to the host cluster and is never given away.
    """
    oldest_first = sorted(clusters, key=seniority)
    wanted = [(object_key(cluster), cluster.metadata.name) for cluster in oldest_first]
    return assign(wanted, held=held, foreign={*foreign, build.IN_CLUSTER})


def cluster_secret_names(
    clusters: Iterable[DPUCluster], held: Mapping[Key, str], foreign: Collection[str] = ()
) -> dict[Key, str]:
    """Name of the Argo CD Secret for each DPUCluster: `<namespace>-<name>`, which a/b-c and a-b/c would share."""
    oldest_first = sorted(clusters, key=seniority)
    wanted = [(object_key(cluster), build.cluster_secret_name(object_key(cluster))) for cluster in oldest_first]
    return assign(wanted, held=held, foreign=foreign)


def application_name(cluster: str, service: str) -> str:
    """The documented name `<cluster>-<service>`, shortened where it would pass the limit of a label value."""
    return digest.fit(f"{cluster}-{service}", LABEL_LIMIT)


def release_name(application: str, wanted: str | None) -> str | None:
    """The user's release name; else None where the Application's name serves, or a shortened one where it does not."""
    if wanted or len(application) <= build.RELEASE_NAME_LIMIT:
        return wanted or None
    return digest.fit(application, build.RELEASE_NAME_LIMIT)
