"""An API server that serves the CRDs of `deploy/crds`, and a namespace for each test."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.apiserver import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, TABLE, Answer, RealAPIServer

ROOT = Path(__file__).parents[3]
CRDS = tuple(yaml.safe_load(path.read_text()) for path in sorted((ROOT / "deploy" / "crds").glob("*.yaml")))
COLLECTION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OWNER = "fieldManager=tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """What a user of kubectl does, always with strict field validation."""

    server: RealAPIServer
    namespace: str

    def create(self, manifest: Mapping[str, Any]) -> Answer:
        return self.server.request("POST", f"{self._path(manifest)}?fieldValidation=Strict&{OWNER}", manifest)

    def would_store(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """The object with the server's defaults, without creating it."""
        path = f"{self._path(manifest)}?fieldValidation=Strict&dryRun=All&{OWNER}"
        return self.server.request("POST", path, manifest).expect(201)

    def apply(self, manifest: Mapping[str, Any]) -> Answer:
        """`kubectl apply --server-side`."""
        return self._patch(manifest, manifest, APPLY_PATCH, "")

    def get(self, manifest: Mapping[str, Any], *, accept: str = "application/json") -> dict[str, Any]:
        return self.server.request("GET", self._object(manifest), accept=accept).expect()

    def table(self, manifest: Mapping[str, Any]) -> dict[str, str]:
        """The row that `kubectl get` prints, by column."""
        table = self.get(manifest, accept=TABLE)
        names = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
        return dict(zip(names, table["rows"][0]["cells"], strict=True))

    def merge(self, manifest: Mapping[str, Any], patch: Mapping[str, Any], *, subresource: str = "") -> Answer:
        return self._patch(manifest, patch, MERGE_PATCH, subresource)

    def json_patch(self, manifest: Mapping[str, Any], *operations: Mapping[str, Any]) -> Answer:
        return self._patch(manifest, list(operations), JSON_PATCH, "")

    def _patch(self, manifest: Mapping[str, Any], patch: Any, content_type: str, subresource: str) -> Answer:
        path = f"{self._object(manifest)}{'/' if subresource else ''}{subresource}?fieldValidation=Strict&{OWNER}"
        return self.server.request("PATCH", path, patch, content_type=content_type)

    def _object(self, manifest: Mapping[str, Any]) -> str:
        return f"{self._path(manifest)}/{manifest['metadata']['name']}"

    def _path(self, manifest: Mapping[str, Any]) -> str:
        names = next(c["spec"]["names"] for c in CRDS if c["spec"]["names"]["kind"] == manifest["kind"])
        namespace = manifest["metadata"].get("namespace", self.namespace)
        return f"/apis/{manifest['apiVersion']}/namespaces/{namespace}/{names['plural']}"


@pytest.fixture(scope="session")
def crds(real_api_server: RealAPIServer) -> RealAPIServer:
    """The server once it serves every CRD."""
    for crd in CRDS:
        real_api_server.request("POST", f"{COLLECTION}?fieldValidation=Strict", crd).expect()
    waiting = {crd["metadata"]["name"] for crd in CRDS}
    for event in real_api_server.watch(COLLECTION):
        conditions = {c["type"]: c["status"] for c in event["object"]["status"]["conditions"] or ()}
        if conditions.get("Established") == "True":
            waiting.discard(event["object"]["metadata"]["name"])
        if not waiting:
            return real_api_server
    raise AssertionError(f"not established: {sorted(waiting)}")


@pytest.fixture
def kubectl(crds: RealAPIServer) -> Kubectl:
    """A client in a namespace of its own."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    ensure_namespace(crds, namespace)
    return Kubectl(server=crds, namespace=namespace)


def ensure_namespace(server: RealAPIServer, name: str) -> None:
    """Create the namespace unless it is there."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    server.request("POST", "/api/v1/namespaces", body).expect(201, 409)


def assert_refused(answer: Answer, message: str) -> None:
    """The server refuses for exactly one reason, in these words."""
    assert answer.status == 422, answer.body
    (cause,) = answer.causes
    assert re.sub(r'^Invalid value: ("[^"]*": )?', "", cause) == message


def refused_fields(answer: Answer) -> set[str]:
    """The fields at fault. `<nil>` stands for a note that the rules were not tried any more."""
    return {cause["field"] for cause in answer.body["details"]["causes"]} - {"<nil>"}
