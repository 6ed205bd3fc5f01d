"""A real API server takes every CRD as it is generated."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.conftest import COLLECTION, CRDS
from tests.support.apiserver import RealAPIServer

pytestmark = pytest.mark.parts


@pytest.mark.parametrize("crd", CRDS, ids=[crd["metadata"]["name"] for crd in CRDS])
def test_crd_is_established_and_structural(crds: RealAPIServer, crd: dict[str, Any]) -> None:
    conditions = {
        c["type"]: c["status"]
        for c in crds.request("GET", f"{COLLECTION}/{crd['metadata']['name']}").expect()["status"]["conditions"]
    }

    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("crd", CRDS, ids=[crd["metadata"]["name"] for crd in CRDS])
def test_server_stores_the_crd_unchanged(crds: RealAPIServer, crd: dict[str, Any]) -> None:
    """Nothing was defaulted or dropped in the schema, so `kubectl apply` of the file stays a no-op."""
    stored = crds.request("GET", f"{COLLECTION}/{crd['metadata']['name']}").expect()

    assert stored["spec"]["versions"] == crd["spec"]["versions"]
    assert stored["spec"]["names"] == crd["spec"]["names"]
