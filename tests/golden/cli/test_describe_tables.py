"""Whole tables of `dpfctl describe`, compared with files a person can read.

`document-001.txt` is the table of the DPUService guide as that document prints it: runs of blanks are squeezed to one,
and one line is broken where the document broke it. `service-guide.txt` is the same table as the terminal gets it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.cli.describe import objects

from dpf.cli.describe import filters, kinds, render, tree

HERE = Path(__file__).parent
EVERYTHING = tree.Options(show_conditions=filters.EVERYTHING)

SYSTEM_SERVICES = (
    "servicechainset-controller", "servicechainset-rbac-and-crds", "sfc-controller", "sriov-device-plugin", "flannel",
    "multus", "nvidia-k8s-ipam", "ovs-cni", "ovs-helper",
)


def table(target: str, inventory: kinds.Inventory, options: tree.Options = EVERYTHING, *, colour: bool = False) -> str:
    return render.render(tree.build(inventory, kinds.TARGETS[target], options), objects.NOW, colour=colour)


def golden(name: str) -> str:
    return (HERE / name).read_text().rstrip("\n")


def a_system_service(name: str) -> dict[str, object]:
    """The oldest of them is three hours old, which is the age of the group."""
    since = objects.ago(hours=3 if name == "flannel" else 2)
    conditions = map(objects.a_condition, objects.SERVICE_CONDITIONS)
    return objects.a_service(name, objects.a_condition("Ready", since=since), *conditions)


def a_service_out_of_sync(name: str) -> dict[str, object]:
    message = (
        "Application is not ready (Sync: OutOfSync, Health: Healthy). Run 'kubectl describe application "
        f"dpu-cplane-tenant1-{name} -n dpf-operator-system' for details."
    )
    conditions = [objects.a_condition(type_) for type_ in objects.SERVICE_CONDITIONS if type_ != "ApplicationsReady"]
    bad = objects.a_condition("ApplicationsReady", "False", "Pending", message)
    return objects.a_service(name, objects.not_ready("ApplicationsReady"), bad, *conditions)


def the_guides_cluster() -> kinds.Inventory:
    old = objects.ago(hours=3)
    request_conditions = ("Ready", "ServiceAccountReconciled", "SecretReconciled")
    return objects.an_inventory(
        *map(a_system_service, SYSTEM_SERVICES),
        a_service_out_of_sync("dts-rrjlp"),
        a_service_out_of_sync("blueman-l2xsl"),
        objects.an_object(
            kinds.CREDENTIAL_REQUEST, "servicesetcontroller",
            *(objects.a_condition(type_, since=old) for type_ in request_conditions),
        ),
        root=objects.a_root(
            objects.a_condition("Ready"), objects.a_condition("ImagePullSecretsReconciled", since=old),
            objects.a_condition("SystemComponentsReconciled"), objects.a_condition("SystemComponentsReady"),
        ),
    )


def a_busy_cluster() -> kinds.Inventory:
    """Everything that a table can hold at once."""
    answers = objects.a_condition("Ready", reason="HealthCheckPassed")
    created = objects.a_condition("Created", reason="Created")
    silent = objects.a_condition("Ready", "False", "HealthCheckFailed", "no answer within 10 s")
    failed_sync = {
        "type": "SyncError", "message": "one object failed to apply", "lastTransitionTime": objects.ago(seconds=50),
    }
    message = (
        "The following applications are not ready:\n* dpf-operator-system/dpu-cplane-tenant1-hbn\n"
        f"Run this for more: {'kubectl describe application ' * 4}"
    )
    return objects.an_inventory(
        objects.a_cluster("dpu-cplane-tenant1", answers, created), objects.a_cluster("dpu-cplane-tenant2", silent),
        objects.a_service("flannel"), objects.a_service("multus"), objects.a_service("apart", namespace="tenant-a"),
        objects.a_service("going", deleting=True), objects.a_broken_service("hbn", message),
        objects.an_application(
            "hbn", health="Degraded", sync="OutOfSync", message="1 of 2 pods are ready", conditions=[failed_sync],
            resources=[
                objects.a_workload("hbn", health="Degraded"), objects.a_workload("cfg", kind="ConfigMap", health=None),
            ],
        ),
        objects.an_application("hbn", "dpu-cplane-tenant2"), objects.an_application("flannel"),
        objects.an_application("nobody"),
        root=objects.a_root(
            objects.not_ready("SystemComponentsReady"),
            objects.a_condition("SystemComponentsReady", "False", "Error", "hbn"),
        ),
    )


def test_the_service_guides_table() -> None:
    assert table("dpuservices", the_guides_cluster()) == golden("service-guide.txt")


def test_the_service_guides_table_is_the_one_in_the_document() -> None:
    printed = table("dpuservices", the_guides_cluster()).splitlines()
    documented = golden("document-001.txt").replace("for\ndetails.", "for details.").splitlines()
    assert [re.sub(" +", " ", line).strip() for line in printed] == documented


@pytest.mark.parametrize(
    ("name", "target", "options"),
    [
        ("busy-all.txt", "all", tree.Options()),
        ("busy-clusters.txt", "dpuclusters", EVERYTHING),
        ("busy-expanded.txt", "dpuservices", tree.Options(expand_resources=filters.EVERYTHING, grouping=False)),
    ],
)
def test_a_busy_cluster(name: str, target: str, options: tree.Options) -> None:
    assert table(target, a_busy_cluster(), options) == golden(name)


def test_colours_change_no_character_of_the_table() -> None:
    coloured = table("all", a_busy_cluster(), colour=True)
    assert re.sub("\x1b\\[[0-9]+m", "", coloured) == table("all", a_busy_cluster())
    assert coloured != table("all", a_busy_cluster())
