"""A kubeconfig for a program in a pod of an emulated node: the pod's own service account.

A pod finds its account's token where every pod does, but below its volume root, and there is no address of the Service
`kubernetes` on the local platform. The token is a file that the kubelet renews, and is named, not copied.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import yaml

from dpf.local import files

ACCOUNT: Final = "var/run/secrets/kubernetes.io/serviceaccount"
FILE: Final = "kubeconfig"


def write_kubeconfig(root: Path, server: str) -> Path:
    """Put it beside the pod's mounts; returns where. `root` is the pod's volume root. Raises OSError."""
    account = root / ACCOUNT
    authority = base64.b64encode((account / "ca.crt").read_bytes()).decode()
    path = root / FILE
    files.write_atomic(path, yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "pod",
        "clusters": [{"name": "host", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "contexts": [{"name": "pod", "context": {"cluster": "host", "user": "pod"}}],
        "users": [{"name": "pod", "user": {"tokenFile": str(account / "token")}}],
    }).encode())
    return path
