"""The kubeconfig Secret of a DPUCluster: built by managers, read and judged for the health check.

`read` is the only effect; the rest is pure. The outer form of the Secret is `runtime.kubeconfigsecret`'s to judge,
which the cluster follower uses too. A kubeconfig comes out of an API object and is not trusted: it may not name files
or programs (`kube.kubeconfig`). No text made here holds a credential.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, ObjectMeta, OwnerReference
from dpf.kube import errors
from dpf.kube import kubeconfig as kubeconfigs
from dpf.kube.client import Client
from dpf.runtime import kubeconfigsecret
from dpf.runtime.kubeconfigsecret import KEYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Usable:
    """A kubeconfig one can connect with."""

    connection: kubeconfigs.Connection = field(repr=False)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self.connection.server


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Why the Secret cannot be used, and the next step."""

    why: str
    advice: str


def secret_name(cluster: Key) -> str:
    """The Secret a manager writes for `cluster`, named as Kamaji names it."""
    return f"{cluster.name}-admin-kubeconfig"


def build_secret(cluster: DPUCluster, content: bytes, annotations: dict[str, str]) -> Secret:
    """The Secret that hands `content` over; it goes away with `cluster`."""
    encoded = base64.b64encode(content).decode()
    meta = cluster.metadata
    owner = OwnerReference(
        apiVersion=DPUCluster.resource.api_version, kind=DPUCluster.resource.kind, name=meta.name, uid=meta.uid or "",
        controller=True, blockOwnerDeletion=True,
    )
    name = secret_name(Key(meta.namespace or "", meta.name))
    return Secret(
        metadata=ObjectMeta(
            name=name, namespace=meta.namespace, annotations=annotations or None, ownerReferences=[owner],
        ),
        type="Opaque",
        data=dict.fromkeys(KEYS, encoded),
    )


async def read(host: Client, cluster: DPUCluster) -> Usable | Unusable:
    """The kubeconfig that spec.kubeconfig of `cluster` names, fresh from the API server.

    Raises kube.errors.Error when the Secret cannot be read: that says nothing about whether it exists.
    """
    name, namespace = cluster.spec.kubeconfig or "", cluster.metadata.namespace or ""
    if not name:
        return Unusable(why="spec.kubeconfig is not set", advice="name the Secret that holds it in spec.kubeconfig")
    try:
        secret = await host.get(Secret, name, namespace)
    except (errors.NotFound, errors.BadRequest):  # a name that no Secret can have is refused as a bad request
        return missing(Key(namespace, name))
    return judge(secret)


def missing(secret: Key) -> Unusable:
    """The Secret that spec.kubeconfig names is not there."""
    return Unusable(
        why=f"secret {secret}, which spec.kubeconfig names, does not exist",
        advice=f"create it with the administrator's kubeconfig under the key {KEYS[0]}",
    )


def judge(secret: Secret) -> Usable | Unusable:
    """Whether `secret` holds a kubeconfig one can connect with."""
    where = f"{secret.metadata.namespace}/{secret.metadata.name}"
    try:
        content = kubeconfigsecret.content(secret)
        return Usable(connection=kubeconfigs.from_secret(content, source=f"secret {where}"))
    except errors.CredentialsError as error:
        return Unusable(
            why=error.message,
            advice=f"put a kubeconfig with one cluster and one user into data.{KEYS[0]} of secret {where}",
        )
