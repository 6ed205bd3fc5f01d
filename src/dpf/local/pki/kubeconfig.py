"""Write kubeconfigs: one cluster, one user, one context, everything embedded.

Called by `cluster` and by the local cluster manager. Reading kubeconfigs is `kube.kubeconfig`.
"""

from __future__ import annotations

import base64
from typing import Any

import yaml

from dpf.local.pki.certificates import Pair


def build(
    *, server: str, ca: bytes, user: str, pair: Pair, cluster: str = "local", namespace: str | None = None,
) -> bytes:
    """The kubeconfig of a client that proves itself with `pair`, as YAML.

    `server` is the URL of the API server, `ca` the PEM that it is checked against, `namespace` the context's default.
    """
    context: dict[str, Any] = {"cluster": cluster, "user": user}
    if namespace is not None:
        context["namespace"] = namespace
    credentials = {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}
    endpoint = {"server": server, "certificate-authority-data": _base64(ca)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": endpoint}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": f"{user}@{cluster}", "context": context}],
        "current-context": f"{user}@{cluster}",
    }
    return yaml.safe_dump(config, sort_keys=False, width=10_000).encode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
