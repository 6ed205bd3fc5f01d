"""The static cluster manager: Created, from the Secret that somebody named."""

from __future__ import annotations

import pytest
from tests.support.dpuclusters import NAMESPACE, a_dpucluster

from dpf.provisioning.clustermanager.static.controller import StaticClusterManager
from dpf.provisioning.clustermanager.static.status import Snapshot, compute


@pytest.mark.parametrize(("kubeconfig", "status", "reason", "message"), [
    ("admin", "True", "Created", "spec.kubeconfig names Secret 'admin'"),
    *((empty, "False", "EmptyKubeconfig", (
        "spec.kubeconfig is empty. Next step: put the administrator's kubeconfig of the cluster into a Secret of "
        f"namespace {NAMESPACE} under the key super-admin.conf, and name that Secret in spec.kubeconfig"
    )) for empty in (None, "")),
], ids=["named", "absent", "empty"])
def test_created(kubeconfig: str | None, status: str, reason: str, message: str) -> None:
    states = compute(Snapshot(cluster=a_dpucluster("static", phase="Creating", kubeconfig=kubeconfig))).states
    assert list(states) == ["Created"]
    assert (states["Created"].status, states["Created"].reason, states["Created"].message) == (status, reason, message)


@pytest.mark.parametrize(("type_", "phase", "deleting", "selected"), [
    ("static", "Pending", False, False), ("static", "Creating", False, True), ("static", "Ready", False, True),
    ("static", "NotReady", False, True), ("static", "Failed", False, False), ("static", "Failed", True, True),
    ("dpf/local", "Ready", False, False), ("kamaji", "Ready", True, False), ("notstatic", "Ready", False, False),
])
def test_whom_it_is_responsible_for(type_: str, phase: str, deleting: bool, selected: bool) -> None:
    manager = StaticClusterManager()
    assert manager.selects(a_dpucluster(type_, phase=phase, deleting=deleting)) is selected
