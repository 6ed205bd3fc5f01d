"""The static cluster manager: Created, from the kubeconfig that somebody handed over."""

from __future__ import annotations

import pytest
from tests.support.dpuclusters import NAMESPACE, SERVER, a_dpucluster, a_secret

from dpf.kube.memory import MemoryCluster
from dpf.provisioning.clustermanager.static import plan
from dpf.provisioning.clustermanager.static.controller import StaticClusterManager
from dpf.provisioning.clustermanager.static.plan import Snapshot
from dpf.provisioning.dpucluster import kubeconfig
from dpf.provisioning.dpucluster.kubeconfig import Unusable, Usable

CLUSTER = a_dpucluster("static", phase="Creating", kubeconfig="admin")
USABLE = kubeconfig.judge(a_secret())
BROKEN = Unusable(why="it is broken", advice="mend it")


@pytest.mark.parametrize(("access", "status", "reason", "message"), [
    (USABLE, "True", "Created", f"Secret 'admin' has a kubeconfig for {SERVER}"),
    (BROKEN, "False", "EmptyKubeconfig", "No usable kubeconfig: it is broken. Next step: mend it"),
    (None, "False", "EmptyKubeconfig", (
        "spec.kubeconfig is empty. Next step: put the administrator's kubeconfig of the cluster into a Secret of "
        f"namespace {NAMESPACE} under the key super-admin.conf, and name that Secret in spec.kubeconfig"
    )),
], ids=["usable", "broken", "empty"])
def test_created(access: Usable | Unusable | None, status: str, reason: str, message: str) -> None:
    states = plan.status(Snapshot(cluster=CLUSTER, access=access)).states
    assert list(states) == ["Created"]
    assert (states["Created"].status, states["Created"].reason, states["Created"].message) == (status, reason, message)


@pytest.mark.parametrize(("access", "after_s"), [(USABLE, 30.0), (BROKEN, 5.0), (None, None)])
def test_when_to_look_again(access: Usable | Unusable | None, after_s: float | None) -> None:
    assert plan.plan(Snapshot(cluster=CLUSTER, access=access)).wake_after_s == after_s


@pytest.mark.parametrize(("type_", "phase", "deleting", "selected"), [
    ("static", "Pending", False, False), ("static", "Creating", False, True), ("static", "Ready", False, True),
    ("static", "NotReady", False, True), ("static", "Failed", False, False), ("static", "Failed", True, True),
    ("dpf/local", "Ready", False, False), ("kamaji", "Ready", True, False), ("notstatic", "Ready", False, False),
])
def test_whom_it_is_responsible_for(type_: str, phase: str, deleting: bool, selected: bool) -> None:
    manager = StaticClusterManager(host=MemoryCluster())
    assert manager.selects(a_dpucluster(type_, phase=phase, deleting=deleting)) is selected
