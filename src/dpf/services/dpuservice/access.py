"""How Argo CD may reach a DPUCluster: its kubeconfig Secret, in the form that Argo CD wants (behaviour-service.md 8).

Called by this kind's observation. It connects to nothing. Whether the Secret can be used is judged by
`runtime.kubeconfigsecret`; only what Argo CD needs beyond that is asked for here.
"""

from __future__ import annotations

from functools import lru_cache

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, ObjectMeta
from dpf.runtime import kubeconfigsecret
from dpf.services.argocd.build import Credentials
from dpf.services.dpuservice.fleet import Unusable


def credentials(cluster: DPUCluster, secret: Secret | None) -> Credentials | Unusable:
    """What Argo CD needs to reach the cluster, or why it cannot be told."""
    key = kubeconfigsecret.secret_key(cluster)
    if key is None:
        return Unusable(
            why=f"dpuCluster is not ready (phase {cluster.status.phase}): {kubeconfigsecret.NOT_NAMED};"
            f" {_next_step(cluster, static='name the Secret that holds its kubeconfig there')}"
        )
    if secret is None:
        missing = kubeconfigsecret.missing(key)
        return Unusable(
            why=f"{missing.why} (phase {cluster.status.phase}); {_next_step(cluster, static=missing.advice)}"
        )
    data = secret.data or {}
    return _read(key, tuple((name, data[name]) for name in kubeconfigsecret.KEYS if name in data))


def _next_step(cluster: DPUCluster, *, static: str) -> str:
    """Of a static cluster, people give the kubeconfig; of any other, its cluster manager does."""
    return static if cluster.spec.type == "static" else f"wait for its cluster manager ({cluster.spec.type})"


@lru_cache(maxsize=1024)
def _read(key: Key, data: tuple[tuple[str, str], ...]) -> Credentials | Unusable:
    """Cached: reading YAML and keys of every cluster anew, because one of them changed, would take long."""
    secret = Secret(metadata=ObjectMeta(name=key.name, namespace=key.namespace), data=dict(data))
    found = kubeconfigsecret.judge(secret)
    if isinstance(found, kubeconfigsecret.Unusable):
        return Unusable(why=f"{found.why}; {found.advice}")
    identity = found.identity
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
