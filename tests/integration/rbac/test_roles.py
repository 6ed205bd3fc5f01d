"""A real API server takes the generated roles, and whoever is bound to them may do just that."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.apiserver import RealAPIServer

pytestmark = pytest.mark.parts

FOLDER = Path(__file__).parents[3] / "deploy" / "rbac"
API = "/apis/rbac.authorization.k8s.io/v1"
NAMESPACE = "dpf-operator-system"
HOST_ROLES = [role for path in sorted(FOLDER.glob("*.yaml")) for role in yaml.safe_load_all(path.read_text())]
DPU_ROLES = [role for path in sorted(FOLDER.glob("*/*.yaml")) for role in yaml.safe_load_all(path.read_text())]


@pytest.fixture
def namespace(real_api_server: RealAPIServer) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    real_api_server.request("POST", "/api/v1/namespaces", body).expect(201, 409)


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize(
    "role", [*HOST_ROLES, *DPU_ROLES], ids=lambda role: f"{role['kind']}-{role['metadata']['name']}"
)
def test_role_is_accepted(real_api_server: RealAPIServer, role: dict[str, Any]) -> None:
    path = f"{_collection(role['kind'], role)}?fieldValidation=Strict&dryRun=All"

    assert real_api_server.request("POST", path, role).expect(201)["rules"] == role["rules"]


ALLOWED = [
    ("dpf-runtime", "create", "coordination.k8s.io", "leases", NAMESPACE),
    ("dpf-runtime", "patch", "", "events", "anywhere"),
    ("dpf-dpuservice", "patch", "svc.dpu.nvidia.com", "dpuservices/status", "anywhere"),
    ("dpf-dpuservice", "create", "argoproj.io", "applications", "anywhere"),
    ("dpf-dpucluster", "patch", "provisioning.dpu.nvidia.com", "dpuclusters/status", "anywhere"),
    ("dpf-cluster-manager-local", "create", "", "secrets", "anywhere"),
]
REFUSED = [
    ("dpf-runtime", "create", "coordination.k8s.io", "leases", "anywhere"),
    ("dpf-runtime", "create", "", "secrets", NAMESPACE),
    ("dpf-dpuservice", "delete", "svc.dpu.nvidia.com", "dpuservices", "anywhere"),
    ("dpf-dpuservice", "delete", "", "namespaces", ""),
    ("dpf-dpuservice", "patch", "provisioning.dpu.nvidia.com", "dpuclusters", "anywhere"),
    ("dpf-dpucluster", "create", "", "secrets", "anywhere"),
    ("dpf-cluster-manager-static", "create", "", "secrets", "anywhere"),
]


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize(("question", "expected"), [
    *((question, True) for question in ALLOWED), *((question, False) for question in REFUSED),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_bound_user_may_do_just_that(
    real_api_server: RealAPIServer, question: tuple[str, str, str, str, str], expected: bool
) -> None:
    role, verb, group, resource, namespace = question
    user = _bind(real_api_server, role)
    plural, _, subresource = resource.partition("/")
    attributes = {
        "verb": verb, "group": group, "resource": plural, "subresource": subresource, "namespace": namespace,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }

    answer = real_api_server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review).expect(201)

    assert answer["status"]["allowed"] is expected


def _bind(server: RealAPIServer, name: str) -> str:
    """Make the roles of that name and bind a new user to them; returns the user."""
    user = f"{name}-{uuid.uuid4().hex[:8]}"
    for role in (role for role in HOST_ROLES if role["metadata"]["name"] == name):
        server.request("POST", _collection(role["kind"], role), role).expect(201, 409)
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": f"{role['kind']}Binding",
            "metadata": {"name": user},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
        server.request("POST", _collection(binding["kind"], role), binding).expect(201)
    return user


def _collection(kind: str, role: dict[str, Any]) -> str:
    namespace = role["metadata"].get("namespace")
    return f"{API}/namespaces/{namespace}/{kind.lower()}s" if namespace else f"{API}/{kind.lower()}s"
