"""Objects for Argo CD (behaviour-service.md 3.4 and 3.5)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from dpf.api.core import Secret
from dpf.api.dpuservice import HelmChartSource
from dpf.api.meta import Key, ObjectMeta
from dpf.services.argocd import build

CLUSTER = Key("clusters", "dpu-1")
SERVICE = Key("tenant", "blueman")
IN_DPU = build.Destination(name="dpu-1", cluster=CLUSTER)
IN_HOST = build.Destination(name=build.IN_CLUSTER)


def an_application(*, destination: build.Destination = IN_DPU, repo: str = "https://charts.example", **chart: Any):
    source = HelmChartSource(repoURL=repo, version="1.2.3", **{"chart": "web", **chart})
    return build.application(
        Key("dpf", "dpu-1-blueman"), service=SERVICE, destination=destination, chart=source, release_name=None,
        values={"a": 1},
    )


def test_application() -> None:
    app = an_application()
    assert app.metadata.labels == {
        "dpu.nvidia.com/dpuservice-name": "blueman", "dpu.nvidia.com/dpuservice-namespace": "tenant",
        "dpu.nvidia.com/cluster": "dpu-1", "dpu.nvidia.com/cluster-namespace": "clusters",
        "dpu.nvidia.com/component": "dpuservice-manager",
    }
    assert app.metadata.finalizers == ["resources-finalizer.argocd.argoproj.io"]
    assert app.metadata.ownerReferences is None
    assert (app.spec.destination.name, app.spec.destination.namespace) == ("dpu-1", "tenant")
    assert app.spec.syncPolicy is not None
    assert app.spec.syncPolicy.automated is not None
    assert (app.spec.syncPolicy.automated.prune, app.spec.syncPolicy.automated.selfHeal) == (True, True)


def test_the_host_cluster_has_its_own_project_and_no_namespace() -> None:
    app = an_application(destination=IN_HOST)
    assert app.spec.project == "doca-platform-project-host"
    assert (app.metadata.labels or {})["dpu.nvidia.com/cluster"] == "in-cluster"
    assert "dpu.nvidia.com/cluster-namespace" not in (app.metadata.labels or {})


def test_what_is_empty_is_not_sent() -> None:
    source = an_application(chart="", path="").spec.source
    assert source is not None
    assert (source.chart, source.path) == (None, None)


@pytest.mark.parametrize(("url", "told"), [
    ("oci://registry.example/charts", "registry.example/charts"),
    ("https://charts.example/oci://x", "https://charts.example/oci://x"),
])
def test_argo_cd_wants_registries_without_scheme(url: str, told: str) -> None:
    source = an_application(repo=url).spec.source
    assert source is not None
    assert source.repoURL == told


def test_chart_by_path() -> None:
    source = an_application(chart=None, path="charts/web").spec.source
    assert source is not None
    assert (source.chart, source.path, source.targetRevision) == (None, "charts/web", "1.2.3")


CERTIFICATE = {"ca_data": "Q0E=", "cert_data": "Q0VSVA==", "key_data": "S0VZ"}


@pytest.mark.parametrize(("credentials", "config"), [
    (CERTIFICATE, {"tlsClientConfig": {"caData": "Q0E=", "certData": "Q0VSVA==", "keyData": "S0VZ"}}),
    ({"ca_data": "Q0E=", "token": "t"}, {"bearerToken": "t", "tlsClientConfig": {"caData": "Q0E="}}),
    ({"insecure": True, "token": "t"}, {"bearerToken": "t", "tlsClientConfig": {"insecure": True}}),
    ({**CERTIFICATE, "server_name": "api"}, {"tlsClientConfig": {
        "caData": "Q0E=", "certData": "Q0VSVA==", "keyData": "S0VZ", "serverName": "api",
    }}),
], ids=["certificate", "token", "insecure", "server-name"])
def test_cluster_secret(credentials: dict[str, Any], config: dict[str, Any]) -> None:
    secret = build.cluster_secret(
        CLUSTER, secret_name="clusters-dpu-1", name="dpu-1", namespace="argocd",
        credentials=build.Credentials(server="https://dpu.example:6443", **credentials),
    )
    data = {key: base64.b64decode(value).decode() for key, value in (secret.data or {}).items()}
    assert (data["name"], data["server"]) == ("dpu-1", "https://dpu.example:6443")
    assert json.loads(data["config"]) == config
    assert secret.metadata.labels == {
        "argocd.argoproj.io/secret-type": "cluster", "dpu.nvidia.com/cluster": "dpu-1",
        "dpu.nvidia.com/cluster-namespace": "clusters",
    }
    assert build.cluster_name_in(secret) == "dpu-1"


@pytest.mark.parametrize("data", [None, {}, {"name": "not base64!"}, {"name": "/w=="}], ids=str)
def test_a_secret_of_somebody_else_may_hold_anything(data: dict[str, str] | None) -> None:
    assert build.cluster_name_in(Secret(metadata=ObjectMeta(name="x"), data=data)) == ""


def test_credentials_do_not_show() -> None:
    shown = repr(build.Credentials(server="https://x", cert_data="CERT", key_data="KEY", token="TOKEN"))
    assert not {"CERT", "KEY", "TOKEN"} & set(shown.replace("'", " ").split())


def test_project() -> None:
    project = build.project("p", namespace="argocd", destinations=["a", "b"], application_namespace="dpf")
    spec = project.spec
    assert [(d.name, d.namespace) for d in spec.destinations or ()] == [("a", "*"), ("b", "*")]
    assert (spec.sourceRepos, spec.sourceNamespaces, spec.orphanedResources) == (["*"], ["dpf"], {})
    assert [(w.group, w.kind) for w in spec.clusterResourceWhitelist or ()] == [("*", "*")]
    assert spec.description == "Installing DPU Services"
    assert project.metadata.labels == {"dpu.nvidia.com/component": "dpuservice-manager"}
