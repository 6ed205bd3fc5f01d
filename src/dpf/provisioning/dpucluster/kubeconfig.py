"""The kubeconfig Secret of a DPUCluster: built by managers, read by whoever connects, judged in one place.

`read` is the only effect; the rest is pure. A kubeconfig comes out of an API object and is not trusted: it may not name
files or programs (`kube.kubeconfig`). No text made here holds a credential.

Sources: behaviour-service.md section 8 (texts), resolutions.md row 5 (keys).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, ObjectMeta, OwnerReference
from dpf.kube import errors
from dpf.kube import kubeconfig as kubeconfigs
from dpf.kube.client import Client

KEYS: Final = ("super-admin.conf", "admin.conf")
"""Data keys in order of preference; managers write both."""


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
    """Whether `secret` holds a kubeconfig one can connect with, under the first of `KEYS` that it has."""
    where = f"{secret.metadata.namespace}/{secret.metadata.name}"
    data = secret.data or {}
    key = next((k for k in KEYS if k in data), None)
    if key is None:
        return _unusable(f"secret {where} not in the expected format: data.{KEYS[0]} not found", where)
    try:
        raw = base64.b64decode(data[key], validate=True)
        config = kubeconfigs.parse(raw, source=f"secret {where}, data.{key}")
        if len(config.users) != 1:
            return _unusable("secret not in the expected format: auth info list should have one member", where)
        if len(config.clusters) != 1:
            return _unusable("secret not in the expected format: cluster list should have one member", where)
        return Usable(connection=kubeconfigs.connection(config, trusted=False))
    except binascii.Error:
        return _unusable(f"secret {where} not in the expected format: data.{key} is not base64", where)
    except errors.CredentialsError as error:
        return _unusable(error.message, where)


def _unusable(why: str, where: str) -> Unusable:
    return Unusable(
        why=why, advice=f"put a kubeconfig with one cluster and one user into data.{KEYS[0]} of secret {where}",
    )
