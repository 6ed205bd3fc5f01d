"""Where the API server of a target cluster is, as told to whoever uses the credential.

Called by `observe`. For a DPU cluster its kubeconfig says so; for the host cluster, the connection of this process: the
environment and the mounted CA in a pod, else its kubeconfig (behaviour-service.md section 7). No text made here holds a
part of a kubeconfig.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Final

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import client
from dpf.runtime import kubeconfigsecret
from dpf.services.credentialrequest.snapshot import Endpoint, Unusable

HOST_CLUSTER: Final = "incluster"
"""Name of the host cluster in a kubeconfig."""


def of_host(known: client.Endpoint) -> Endpoint:
    """The host cluster as this process reaches it."""
    return Endpoint(
        cluster_name=HOST_CLUSTER, server=known.server, ca_data=base64.b64encode(known.ca_pem or b"").decode(),
        insecure=known.insecure, tls_server_name=known.tls_server_name,
    )


def of_dpucluster(cluster: DPUCluster, secret: core.Secret | None) -> Endpoint | Unusable:
    """The DPU cluster as its kubeconfig Secret says; `secret` is None when it does not exist."""
    key = kubeconfigsecret.secret_key(cluster)
    if key is None:
        return Unusable(why=f"{kubeconfigsecret.NOT_NAMED} (phase {cluster.status.phase})")
    if secret is None:
        missing = kubeconfigsecret.missing(key)
        return Unusable(why=f"{missing.why}; {missing.advice}")
    data = secret.data or {}
    return _read(key, tuple((name, data[name]) for name in kubeconfigsecret.KEYS if name in data))


@lru_cache(maxsize=256)
def _read(key: Key, data: tuple[tuple[str, str], ...]) -> Endpoint | Unusable:
    """Cached: it is the same in every pass, and reading keys and YAML takes long."""
    found = kubeconfigsecret.judge(
        core.Secret(metadata=ObjectMeta(name=key.name, namespace=key.namespace), data=dict(data))
    )
    if isinstance(found, kubeconfigsecret.Unusable):
        return Unusable(why=f"{found.why}; {found.advice}")
    identity = found.identity
    return Endpoint(
        cluster_name=identity.cluster_name, server=found.server, ca_data="".join(identity.ca_data.split()),
        insecure=identity.insecure, tls_server_name=identity.tls_server_name,
    )
