"""What one Kubernetes cluster needs to know whom to trust, in its own folder.

Called by `controlplane.write_cluster_files` for the host cluster and for every DPU cluster. etcd needs nothing from
here: it listens on a unix socket in a private folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dpf.local import files
from dpf.local.pki import kubeconfig, store
from dpf.local.pki.certificates import Authority, Request, Usage

MASTERS = "system:masters"
SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
_COMPONENTS = {
    "admin": Request(common_name="kubernetes-admin", organizations=(MASTERS,)),
    "controller-manager": Request(common_name="system:kube-controller-manager"),
    "scheduler": Request(common_name="system:kube-scheduler"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPKI:
    """The keys of one cluster. `server` is the API server's URL, `name` the cluster's name in kubeconfigs."""

    folder: Path
    name: str
    server: str
    authority: Authority = field(repr=False)

    def kubeconfig(self, client: str) -> Path:
        """Where the kubeconfig of `client` stands."""
        return self.folder / f"{client}.kubeconfig"


def ensure(folder: Path, *, name: str, server: str, addresses: tuple[str, ...], now: datetime) -> ClusterPKI:
    """Everything one cluster needs: CA, serving certificate, service account key, components' kubeconfigs.

    `addresses` are IP addresses and names by which the API server is reached, beside its Service's names. The names of
    files: ca, apiserver, apiserver-kubelet-client (.crt, .key), sa (.key, .pub), {admin, controller-manager,
    scheduler} (.crt, .key, .kubeconfig). Raises PKIError, OSError.
    """
    files.ensure_private_folder(folder)
    authority = store.ensure_authority(folder, "ca", "kubernetes", now)
    pki = ClusterPKI(folder=folder, name=name, server=server, authority=authority)
    sans = tuple(dict.fromkeys((*addresses, "localhost", *SERVICE_NAMES)))
    serving = Request(common_name="kube-apiserver", sans=sans, usage=Usage.SERVER)
    store.ensure_certificate(folder, "apiserver", serving, authority, now)
    to_kubelets = Request(common_name="kube-apiserver-kubelet-client", organizations=(MASTERS,))
    store.ensure_certificate(folder, "apiserver-kubelet-client", to_kubelets, authority, now)
    store.ensure_signing_key(folder, "sa")
    for client, request in _COMPONENTS.items():
        ensure_kubeconfig(pki, client, request, now=now)
    return pki


def ensure_kubeconfig(
    pki: ClusterPKI, client: str, request: Request, *, now: datetime, namespace: str | None = None,
) -> Path:
    """The file `<client>.kubeconfig` with a client certificate for `request`; returns where it stands."""
    pair = store.ensure_certificate(pki.folder, client, request, pki.authority, now)
    content = kubeconfig.build(
        server=pki.server, ca=pki.authority.pem, user=client, pair=pair, cluster=pki.name, namespace=namespace,
    )
    files.write_atomic(pki.kubeconfig(client), content)
    return pki.kubeconfig(client)
