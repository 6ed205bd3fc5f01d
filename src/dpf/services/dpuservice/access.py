"""How Argo CD may reach a DPUCluster: its kubeconfig Secret, checked (behaviour-service.md section 8).

Called by this kind's observation. It connects to nothing. No text here contains a part of the kubeconfig.
"""

from __future__ import annotations

from functools import lru_cache

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, ObjectMeta
from dpf.kube import errors, kubeconfig
from dpf.runtime import kubeconfigsecret
from dpf.services.argocd.build import Credentials
from dpf.services.dpuservice.snapshot import Unusable


def secret_key(cluster: DPUCluster) -> Key | None:
    """The Secret with the cluster's kubeconfig; None while its cluster manager has not named one."""
    if not cluster.spec.kubeconfig:
        return None
    return Key(cluster.metadata.namespace or "", cluster.spec.kubeconfig)


def credentials(cluster: DPUCluster, secret: Secret | None) -> Credentials | Unusable:
    """What Argo CD needs to reach the cluster, or why it cannot be told."""
    key = secret_key(cluster)
    if key is None:
        return Unusable(
            why=f"dpuCluster is not ready (phase {cluster.status.phase}): spec.kubeconfig is not set;"
            f" {_next_step(cluster, static='name the Secret that holds its kubeconfig there')}"
        )
    if secret is None:
        return Unusable(
            why=f"secret {key} with its kubeconfig not found (phase {cluster.status.phase});"
            f" {_next_step(cluster, static='create it, or correct spec.kubeconfig of the DPUCluster')}"
        )
    data = secret.data or {}
    return _parse(key, tuple((name, data[name]) for name in kubeconfigsecret.KEYS if name in data))


def _next_step(cluster: DPUCluster, *, static: str) -> str:
    """Of a static cluster, people give the kubeconfig; of any other, its cluster manager does."""
    return static if cluster.spec.type == "static" else f"wait for its cluster manager ({cluster.spec.type})"


@lru_cache(maxsize=256)
def _parse(key: Key, data: tuple[tuple[str, str], ...]) -> Credentials | Unusable:
    """Cached: it is the same at every pass, and reading YAML and keys would be the most expensive part of one."""
    secret = Secret(metadata=ObjectMeta(name=key.name, namespace=key.namespace), data=dict(data))
    try:
        config = kubeconfig.parse(kubeconfigsecret.content(secret), source=f"secret {key}")
        kubeconfig.connection(config, trusted=False)
        identity = kubeconfig.single_identity(config)
    except errors.CredentialsError as error:
        return Unusable(why=str(error))
    if not identity.token and not (identity.cert_data and identity.key_data):
        return Unusable(
            why=f"secret {key} not in the expected format:"
            " its user has neither a client certificate with its key nor a token"
        )
    return Credentials(
        server=identity.server, ca_data=identity.ca_data or None, cert_data=identity.cert_data or None,
        key_data=identity.key_data or None, token=identity.token or None,
        server_name=identity.tls_server_name or None, insecure=identity.insecure,
    )
