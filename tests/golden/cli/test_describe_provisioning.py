"""Whole tables of `dpfctl describe` while DPUs are installed: what each of them waits for, since when, and on whom.

The files are for reading; after a change that is meant, write what the failing test prints into them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.describe import objects

from dpf.cli.describe import filters, kinds, render, tree

HERE = Path(__file__).parent
CLUSTER = "dpu-cplane-tenant1"
EVERYTHING = tree.Options(show_conditions=filters.EVERYTHING)


def a_dpu(number: int, phase: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    node = f"worker-{number}"
    return objects.a_dpu_in(
        phase, f"{node}-mt2306xz{number:03}", *conditions, node=node, cluster=CLUSTER, dpuset="dpuset-dk", **more
    )


def ready(number: int) -> dict[str, Any]:
    return a_dpu(number, "Ready", objects.a_condition("Ready", reason="DPUReady"))


def host(number: int, *conditions: dict[str, Any]) -> dict[str, Any]:
    return objects.a_dpunode(f"worker-{number}", *conditions, devices=[f"mt2306xz{number:03}"])


def out_of_service(number: int) -> list[dict[str, Any]]:
    """What a DPUNode says during a drain."""
    maintenance = f"DPUNodeMaintenance worker-{number}-k8sdrain"
    since = objects.ago(minutes=5)
    return [
        objects.a_condition("Ready", "False", "Pending", f"The host is out of service because of {maintenance}",
                            since=since),
        objects.a_condition("InvalidDPUDetails", "False"),
        objects.a_condition("DPUNodeNodeEffectInProgress", reason="DPUNodeNodeEffectInProgress", message=maintenance,
                            since=since),
        objects.a_condition("OOBBridgeConfigured", "Unknown", "Pending"),
    ]


def drain(number: int, status: str, reason: str, message: str, *more: str) -> dict[str, Any]:
    name = f"worker-{number}-mt2306xz{number:03}"
    return objects.a_maintenance(
        f"worker-{number}-k8sdrain", f"worker-{number}",
        objects.a_condition("NodeEffectApplied", status, reason, message, since=objects.ago(minutes=4)),
        objects.a_condition("NodeEffectRemoved", "Unknown", "Pending"), requestors=[*more, name],
    )


def a_cluster(name: str, phase: str, *conditions: dict[str, Any], most: int = 1000) -> dict[str, Any]:
    made = objects.a_cluster(name, *conditions)
    made["spec"] = {"type": "kamaji", "maxNodes": most}
    made["status"]["phase"] = phase
    return made


PDB = "apps/db-0: Cannot evict pod as it would violate the pod's disruption budget db-budget"
BMC = "BMC 192.0.2.5:443 does not answer within 10 s; see that it is on, and that a firewall lets us through"


def a_fleet() -> kinds.Inventory:
    """Two DPUs are Ready; of the others each is somewhere else."""
    why = f"DPUNodeMaintenance {objects.NAMESPACE}/worker-3-k8sdrain has not put the effect on the host yet: {PDB}"
    failed = "Not installed within 3600 s; last boot progress: OSBootStarted"
    error = (
        f"{failed}. Next step: mend that, then delete the DPU: it is made and installed again by its DPUSet"
    )
    deleting = a_dpu(
        7, "OS Installing",
        objects.a_condition("Ready", "False", "TaskProgress", "OS Installing: install task 40% complete"),
        objects.a_condition("BFBTransferred", "False", "TaskProgress", "install task 40% complete",
                            since=objects.ago(minutes=6)),
        objects.a_condition(
            "Deleting", "False", "CannotDeleteWhileInstalling",
            "The DPU is being installed; it is deleted as soon as that has ended", since=objects.ago(minutes=2),
        ), deleting=True,
    )
    return objects.an_inventory(
        a_cluster(CLUSTER, "Ready", objects.a_condition(
            "Ready", reason="HealthCheckPassed", message="The API server at https://192.0.2.1:6443 answers (v1.34.1)",
        )),
        a_cluster("dpu-cplane-tenant2", "Creating", objects.a_condition(
            "Ready", "False", "ClusterNotReady", "The TenantControlPlane is Provisioning", since=objects.ago(minutes=1),
        ), most=2),
        objects.a_dpuset(
            "dpuset-dk", objects.not_ready("DPUsReady"), bfb="bf-bundle-dk-ga",
            phases={"Ready": 2, "Node Effect": 1, "OS Installing": 2, "Error": 1, "Initialize Interface": 1},
        ),
        a_bfb_downloading(), objects.a_bfb("bf-bundle-dk-ga"),
        ready(1), ready(2), host(1), host(2),
        a_dpu(3, "Node Effect", *objects.waiting("Node Effect", "NodeEffectReady", "NodeEffectInProgress", why)),
        host(3, *out_of_service(3)),
        drain(3, "False", "NodeEffectIsProcessing", PDB, "customer_producer-consumer_producer-2444q"),
        a_dpu(4, "OS Installing", *objects.waiting(
            "OS Installing", "BFBTransferred", "TaskProgress", "install task 60% complete")),
        host(4, *out_of_service(4)),
        drain(4, "True", "NodeEffectApplied", "The drain effect is on the host"),
        a_dpu(5, "Initialize Interface", *objects.waiting(
            "Initialize Interface", "InterfaceInitialized", "DPUDeviceNotReady",
            f"DPUDevice mt2306xz005 is not ready: {BMC}")),
        host(5),
        objects.a_device(
            "mt2306xz005", objects.not_ready("Initialized"), objects.a_condition("Discovered"),
            objects.a_condition("Initialized", "False", "Error", BMC, since=objects.ago(minutes=9)),
            objects.a_condition("BMCCredentialsReady", reason="CredentialsValid"),
        ),
        a_dpu(
            6, "Error", objects.a_condition("Ready", "False", "InstallationTimeout", error, since=objects.ago(hours=5)),
            objects.a_condition("OSInstalled", "False", "InstallationTimeout", failed, since=objects.ago(hours=4)),
            objects.a_condition("Error", "True", "InstallationTimeout", failed, since=objects.ago(minutes=55)),
        ),
        host(6), deleting, host(7), *(objects.a_device(f"mt2306xz{n:03}") for n in (1, 2, 3, 4, 6, 7, 8)),
        a_dpu(
            8, "Deleting", objects.a_condition("Ready", "False", "AwaitingDeletion", "The DPU is being deleted"),
            objects.a_condition("Deleting", "True", "Deleting", f"Still there: Node worker-8-mt2306xz008 in DPUCluster "
                                f"{objects.NAMESPACE}/{CLUSTER}", since=objects.ago(minutes=1)), deleting=True,
        ),
        host(8), objects.a_dpunode("worker-9"), objects.a_dpunode("worker-10"),
        objects.a_device("mt2306xz010", objects.not_ready("NodeAttached")),
    )


def a_bfb_downloading() -> dict[str, Any]:
    made = objects.a_bfb("bf-bundle-new", "Downloading")
    made["status"]["conditions"] = [
        objects.not_ready("Downloaded"), objects.a_condition("Initialized"),
        objects.a_condition("Downloaded", "False", "Pending", "Downloading from example.com: 40 % of 1480 MiB",
                            since=objects.ago(minutes=3)),
        objects.a_condition("Error", "False"),
    ]
    return made


@pytest.mark.parametrize(
    ("name", "target", "options"),
    [
        ("provisioning-sets.txt", "dpusets", tree.Options()),
        ("provisioning-sets-conditions.txt", "dpusets", EVERYTHING),
        ("provisioning-clusters.txt", "dpuclusters", tree.Options()),
    ],
)
def test_tables(name: str, target: str, options: tree.Options) -> None:
    printed = render.render(tree.build(a_fleet(), kinds.TARGETS[target], options), objects.NOW)
    assert printed == (HERE / name).read_text().rstrip("\n")
