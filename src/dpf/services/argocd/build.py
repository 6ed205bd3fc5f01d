"""Builds the objects that Argo CD reads (behaviour-service.md 3.4 and 3.5).

Pure. Called by the planner of DPUServices. It decides neither which clusters are meant nor what an object is called.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dpf.api import argocd, names
from dpf.api.core import Secret
from dpf.api.dpuservice import HelmChartSource
from dpf.api.meta import FreeForm, Key, ObjectMeta

IN_CLUSTER: Final = "in-cluster"
"""The name that Argo CD itself gives to the cluster it runs in."""
DPU_PROJECT: Final = "doca-platform-project-dpu"
HOST_PROJECT: Final = "doca-platform-project-host"
COMPONENT: Final = "dpuservice-manager"
RELEASE_NAME_LIMIT: Final = 53
"""Helm refuses longer release names; Argo CD takes the Application's name where none is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How a cluster is reached, as Argo CD wants it. Data fields are base64 as in a kubeconfig."""

    server: str
    ca_data: str | None = None
    cert_data: str | None = field(default=None, repr=False)
    key_data: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    server_name: str | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where an Application goes: Argo CD's name of the cluster, and the DPUCluster (None is the host cluster)."""

    name: str
    cluster: Key | None = None

    @property
    def project(self) -> str:
        """The AppProject that admits this destination."""
        return DPU_PROJECT if self.cluster else HOST_PROJECT

    @property
    def labels(self) -> dict[str, str]:
        """Labels that say in which cluster the Application installs. The host cluster has no namespace."""
        if self.cluster is None:
            return {names.CLUSTER_LABEL: self.name}
        return {names.CLUSTER_LABEL: self.cluster.name, names.CLUSTER_NAMESPACE_LABEL: self.cluster.namespace}


def match_labels(service: Key) -> dict[str, str]:
    """The two labels that lead from an object back to its DPUService."""
    return {names.DPUSERVICE_NAME_LABEL: service.name, names.DPUSERVICE_NAMESPACE_LABEL: service.namespace}


def application(
    key: Key, *, service: Key, destination: Destination, chart: HelmChartSource, release_name: str | None,
    values: FreeForm,
) -> argocd.Application:
    """The Application named `key` that installs the chart of `service` at `destination`.

    It has no owner: its finalizer makes Argo CD remove what it installed, and the controller waits for that.
    """
    return argocd.Application(
        metadata=ObjectMeta(
            name=key.name, namespace=key.namespace, finalizers=[argocd.RESOURCES_FINALIZER],
            labels={**match_labels(service), **destination.labels, names.COMPONENT_LABEL: COMPONENT},
        ),
        spec=argocd.ApplicationSpec(
            project=destination.project,
            source=argocd.ApplicationSource(
                repoURL=chart.repoURL.removeprefix("oci://"), chart=chart.chart or None, path=chart.path or None,
                targetRevision=chart.version,
                helm=argocd.HelmSource(releaseName=release_name or None, valuesObject=values),
            ),
            destination=argocd.ApplicationDestination(name=destination.name, namespace=service.namespace),
            syncPolicy=argocd.SyncPolicy(automated=argocd.AutomatedSync(prune=True, selfHeal=True)),
        ),
    )


def project(
    name: str, *, namespace: str, destinations: Iterable[str], application_namespace: str
) -> argocd.AppProject:
    """An AppProject that lets Applications of `application_namespace` install anything at the named clusters."""
    return argocd.AppProject(
        metadata=ObjectMeta(name=name, namespace=namespace, labels={names.COMPONENT_LABEL: COMPONENT}),
        spec=argocd.AppProjectSpec(
            description="Installing DPU Services",
            sourceRepos=["*"],
            destinations=[argocd.ProjectDestination(name=cluster, namespace="*") for cluster in destinations],
            clusterResourceWhitelist=[argocd.GroupKind(group="*", kind="*")],
            orphanedResources={},
            sourceNamespaces=[application_namespace],
        ),
    )


def cluster_secret_name(cluster: Key) -> str:
    """Documented name of the Secret that makes a DPUCluster known to Argo CD."""
    return f"{cluster.namespace}-{cluster.name}"


def cluster_secret(
    cluster: Key, *, secret_name: str, name: str, namespace: str, credentials: Credentials
) -> Secret:
    """The Secret by which Argo CD knows the cluster as `name` and reaches it."""
    return Secret(
        metadata=ObjectMeta(
            name=secret_name, namespace=namespace,
            labels={
                argocd.SECRET_TYPE_LABEL: "cluster", names.CLUSTER_LABEL: cluster.name,
                names.CLUSTER_NAMESPACE_LABEL: cluster.namespace,
            },
        ),
        type="Opaque",
        data={
            "name": _base64(name), "server": _base64(credentials.server),
            "config": _base64(json.dumps(_config(credentials), sort_keys=True)),
        },
    )


def cluster_name_in(secret: Secret) -> str:
    """The name under which Argo CD knows the cluster of this Secret; empty when it cannot be read."""
    try:
        return base64.b64decode((secret.data or {}).get("name", ""), validate=True).decode()
    except ValueError:
        return ""


def _config(credentials: Credentials) -> Mapping[str, Any]:
    tls: dict[str, Any] = {
        "caData": credentials.ca_data, "certData": credentials.cert_data, "keyData": credentials.key_data,
        "serverName": credentials.server_name, "insecure": credentials.insecure or None,
    }
    config: dict[str, Any] = {"tlsClientConfig": {key: value for key, value in tls.items() if value is not None}}
    if credentials.token:
        config["bearerToken"] = credentials.token
    return config


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
