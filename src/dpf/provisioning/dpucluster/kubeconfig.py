"""The kubeconfig Secret of a DPUCluster, as managers write it and as the health check reads it.

`read` is the only effect; the rest is pure. Whether a Secret can be used is `runtime.kubeconfigsecret`'s to judge, as
for everybody else.
"""

from __future__ import annotations

import base64

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, ObjectMeta, OwnerReference
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.runtime import kubeconfigsecret
from dpf.runtime.kubeconfigsecret import KEYS, Unusable, Usable


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
    key = kubeconfigsecret.secret_key(cluster)
    if key is None:
        return Unusable(why=kubeconfigsecret.NOT_NAMED, advice="name the Secret that holds it in spec.kubeconfig")
    try:
        secret = await host.get(Secret, key.name, key.namespace)
    except (errors.NotFound, errors.BadRequest):  # a name that no Secret can have is refused as a bad request
        return kubeconfigsecret.missing(key)
    return kubeconfigsecret.judge(secret)
