"""Argo CD on the local platform: redis, repository server and application controller, and the objects they need.

Flags, environment and the list of needed objects were measured (docs/adr/0003); one binary runs by its name. As
processes they read certificate authorities and known hosts from folders where a pod would mount ConfigMaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dpf.api import core, names
from dpf.api.meta import Object, ObjectMeta
from dpf.local import controlplane, files
from dpf.local import parts as local_parts
from dpf.local.pki import certificates
from dpf.local.pki import cluster as pki
from dpf.local.pki.cluster import ClusterPKI
from dpf.local.platform import settings as platform_settings
from dpf.local.supervisor.spec import ProcessSpec

USER: Final = "argocd-application-controller"
REDIS: Final = "argocd-redis"
REPO_SERVER: Final = "argocd-repo-server"
CONTROLLER: Final = "argocd-application-controller"
_RBAC: Final = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Folders of Argo CD inside the state folder."""

    root: Path

    @property
    def redis_socket(self) -> Path:
        """Where redis listens; nobody else can reach a socket in a private folder."""
        return self.root / "redis.sock"

    @property
    def certificate_authorities(self) -> Path:
        """One PEM file per repository host, named by the host without its port."""
        return self.root / "tls"

    def prepare(self, repository_host: str, repository_ca: bytes) -> None:
        """Make the folders and trust `repository_ca` for `repository_host`."""
        for folder in ("tmp", "home", "tls", "ssh", "helm"):
            (self.root / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.root / "ssh" / "ssh_known_hosts").touch()
        files.write_atomic(self.certificate_authorities / repository_host, repository_ca)


def layout(state: Path) -> Layout:
    """Argo CD's folders in this state folder."""
    return Layout(root=state / "argocd")


def specs(
    settings: platform_settings.Settings, parts: local_parts.Parts, kubeconfig: Path,
) -> tuple[ProcessSpec, ProcessSpec, ProcessSpec]:
    """Redis, the repository server and the application controller, which uses `kubeconfig`."""
    where = layout(settings.state)
    environment = _environment(where, parts)
    redis = ProcessSpec(
        name=REDIS, cwd=where.root, log=settings.state / "logs" / f"{REDIS}.log",
        argv=(
            str(parts["redis-server"]), "--port", "0", "--unixsocket", str(where.redis_socket), "--unixsocketperm",
            "700", "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", str(where.root),
            # With a title of its own it would wipe the marks by which the supervisor finds it.
            "--set-proc-title", "no",
        ),
    )
    repo_server = ProcessSpec(
        name=REPO_SERVER, cwd=where.root, env=environment, log=settings.state / "logs" / f"{REPO_SERVER}.log",
        argv=(
            str(parts["argocd-repo-server"]), "--address=127.0.0.1", f"--port={settings.port('argocd-repo-server')}",
            "--metrics-address=127.0.0.1", f"--metrics-port={settings.port('argocd-repo-server-metrics')}",
            "--disable-tls", f"--redis={where.redis_socket}", "--logformat=text", "--loglevel=info",
        ),
    )
    controller = ProcessSpec(
        name=CONTROLLER, cwd=where.root, log=settings.state / "logs" / f"{CONTROLLER}.log",
        env={**environment, "ARGOCD_FAKE_IN_CLUSTER": "true", "KUBECONFIG": str(kubeconfig)},
        argv=(
            str(parts["argocd-application-controller"]), f"--kubeconfig={kubeconfig}",
            f"--repo-server=127.0.0.1:{settings.port('argocd-repo-server')}", "--repo-server-plaintext",
            f"--redis={where.redis_socket}",
            f"--metrics-port={settings.port('argocd-application-controller-metrics')}", "--app-resync=30",
            "--app-resync-jitter=0", "--status-processors=8", "--operation-processors=8", "--logformat=text",
            "--loglevel=info",
        ),
    )
    return redis, repo_server, controller


def ensure_kubeconfig(cluster: ClusterPKI, now: datetime) -> Path:
    """Credentials of the application controller on the host cluster; its context names the namespace it works in."""
    request = certificates.Request(common_name=USER)
    return pki.ensure_kubeconfig(cluster, CONTROLLER, request, now=now, namespace=names.DPF_NAMESPACE)


def objects(repository_host: str, repository_ca: bytes) -> list[Object]:
    """What both processes need on the host cluster, beside the CRDs and the namespace.

    The controller may do anything there, as in Argo CD's own installation: it installs charts with `deployInCluster`.
    Argo CD's processes read the authority of the chart repository from a folder; whoever else reads charts finds it in
    the ConfigMap that a pod of Argo CD would mount there.
    """
    namespace = names.DPF_NAMESPACE
    part_of = {"app.kubernetes.io/part-of": "argocd"}
    return [
        core.ConfigMap(
            metadata=ObjectMeta(name="argocd-tls-certs-cm", namespace=namespace, labels=part_of),
            data={repository_host: repository_ca.decode()},
        ),
        core.ConfigMap(
            metadata=ObjectMeta(name="argocd-cm", namespace=namespace, labels=part_of),
            data={
                "application.resourceTrackingMethod": "annotation",
                "timeout.reconciliation": "30s",
                "timeout.reconciliation.jitter": "0s",
            },
        ),
        core.ClusterRoleBinding(
            metadata=ObjectMeta(name="argocd-application-controller"),
            roleRef=core.RoleRef(apiGroup=_RBAC, kind="ClusterRole", name="cluster-admin"),
            subjects=[core.Subject(kind="User", name=USER, apiGroup=_RBAC)],
        ),
    ]


def _environment(where: Layout, parts: local_parts.Parts) -> dict[str, str]:
    return {
        **controlplane.ENGINE_ENV,
        "HOME": str(where.root / "home"),
        "TMPDIR": str(where.root / "tmp"),
        "PATH": f"{parts['helm'].parent}:/usr/bin:/bin",
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_TLS_DATA_PATH": str(where.certificate_authorities),
        "ARGOCD_SSH_DATA_PATH": str(where.root / "ssh"),
        "ARGOCD_ASK_PASS_SOCK": str(where.root / "askpass.sock"),
        "HELM_CACHE_HOME": str(where.root / "helm" / "cache"),
        "HELM_CONFIG_HOME": str(where.root / "helm" / "config"),
        "HELM_DATA_HOME": str(where.root / "helm" / "data"),
        "ARGOCD_K8S_CLIENT_QPS": "300",
        "ARGOCD_K8S_CLIENT_BURST": "600",
        "ARGOCD_SYNC_WAVE_DELAY": "0",
        "ARGOCD_CLUSTER_CACHE_EVENTS_PROCESSING_INTERVAL": "20ms",
    }
