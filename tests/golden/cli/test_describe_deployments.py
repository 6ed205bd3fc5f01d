"""Whole tables of `dpfctl describe dpudeployments` and `all`: the producer and consumer of the DPUDeployment guide.

Once settled, once in the middle of a disruptive upgrade of the producer, and with objects that have lost their owner.
The files are for reading; after a change that is meant, write what the failing test prints into them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.describe import objects

from dpf.api import names
from dpf.api.dpudeployment import ConditionType
from dpf.cli.describe import document, filters, kinds, render, tree

HERE = Path(__file__).parent
NAMESPACE = "customer-namespace"
NAME = "producer-consumer"
NEW = f"{NAME}-producer-2444q"
TEMPLATES = ("producer", "consumer")


def described(inventory: kinds.Inventory, target: str, **texts: str) -> tree.Node:
    chosen = {name: filters.parse(text, kinds.filter_words()) for name, text in texts.items()}
    return tree.build(inventory, kinds.TARGETS[target], tree.Options(**chosen))  # type: ignore[arg-type]


def here(make: Any, name: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An object of the customer's namespace."""
    return make(name, *conditions, namespace=NAMESPACE, **more)


def child(make: Any, name: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An object that belongs to the deployment."""
    return here(make, name, *conditions, **objects.owned(NAME, namespace=NAMESPACE), **more)


def a_chain(name: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return objects.an_object(kinds.SERVICE_CHAIN, name, *conditions, **more)


def an_interface(name: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return objects.an_object(kinds.SERVICE_INTERFACE, name, *conditions, **more)


def dpu_of(number: int, dpuset: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return here(objects.a_dpu, f"dpu-node-{number}-mt2306xz00{number}", *conditions, dpuset=f"{NAME}-{dpuset}")


def application_of(service: str, **more: Any) -> dict[str, Any]:
    made = objects.an_application(service, "dpu-cplane-tenant1", **more)
    made["metadata"]["labels"][names.DPUSERVICE_NAMESPACE_LABEL] = NAMESPACE
    return made


def deployment_conditions(unready: dict[str, str]) -> list[dict[str, Any]]:
    """All conditions of a DPUDeployment; `unready` are those that do not hold, with the objects that they name."""
    rest = [type_ for type_ in ConditionType if type_ != ConditionType.READY]
    ready = objects.not_ready(*unready, since=objects.ago(minutes=4)) if unready else objects.a_condition("Ready")
    return [ready, *(
        objects.a_condition(
            type_, "False", "Pending", f"Objects are not ready:\n* {NAMESPACE}/{unready[type_]}",
            since=objects.ago(minutes=4),
        ) if type_ in unready else objects.a_condition(type_)
        for type_ in rest
    )]


def what_never_changes() -> list[dict[str, Any]]:
    return [
        objects.a_cluster("dpu-cplane-tenant1"), here(objects.a_bfb, "bf-bundle-2.9.1"),
        *(here(objects.a_template, name) for name in TEMPLATES),
        child(objects.a_service, f"{NAME}-consumer"), application_of(f"{NAME}-consumer"),
        child(an_interface, f"{NAME}-consumer-app-iface"), child(an_interface, f"{NAME}-producer-app-iface"),
        application_of(f"{NAME}-producer"),
    ]


def settled() -> kinds.Inventory:
    return objects.an_inventory(
        *what_never_changes(),
        here(objects.a_deployment, NAME, *deployment_conditions({}), templates=TEMPLATES),
        child(objects.a_service, f"{NAME}-producer"), child(a_chain, NAME),
        child(objects.a_dpuset, f"{NAME}-dpuset1", bfb="bf-bundle-2.9.1", phases={"Ready": 2}),
        child(objects.a_dpuset, f"{NAME}-dpuset2", bfb="bf-bundle-2.9.1", phases={"Ready": 1}),
        dpu_of(1, "dpuset1"), dpu_of(2, "dpuset1"), dpu_of(3, "dpuset2"),
    )


def upgrading() -> kinds.Inventory:
    """The new producer does not run everywhere yet, the old one is paused, and one DPU is being changed over."""
    young = objects.ago(minutes=4)
    unready = {
        ConditionType.DPU_SETS_READY: f"{NAME}-dpuset1", ConditionType.DPU_SERVICES_READY: NEW,
        ConditionType.DPU_SERVICE_CHAINS_READY: f"{NAME}-x4k7d",
    }
    old = child(objects.a_service, f"{NAME}-producer")
    old["spec"] = {"paused": True}
    message = f"The following applications are not ready:\n* {objects.NAMESPACE}/dpu-cplane-tenant1-{NEW}"
    return objects.an_inventory(
        *what_never_changes(), old,
        here(objects.a_deployment, NAME, *deployment_conditions(unready), templates=TEMPLATES),
        child(
            objects.a_service, NEW, objects.not_ready("ApplicationsReady", since=young),
            objects.a_condition("ApplicationsReady", "False", "Pending", message, since=young),
            objects.a_condition("ApplicationsReconciled", since=young),
        ),
        application_of(
            NEW, health="Progressing", message="1 of 3 pods are ready",
            resources=[objects.a_workload("producer", health="Progressing")],
        ),
        child(an_interface, f"{NAME}-producer-app-iface-2444q"),
        child(a_chain, NAME),
        child(
            a_chain, f"{NAME}-x4k7d", objects.not_ready("ServiceChainSetReady", since=young),
            objects.a_condition("ServiceChainSetReady", "False", "Pending", "1 of 3 DPUs have it", since=young),
        ),
        child(
            objects.a_dpuset, f"{NAME}-dpuset1", objects.not_ready("DPUsReady", since=young), bfb="bf-bundle-2.9.1",
            phases={"Ready": 1, "Node Effect": 1},
        ),
        child(objects.a_dpuset, f"{NAME}-dpuset2", bfb="bf-bundle-2.9.1", phases={"Ready": 1}),
        dpu_of(1, "dpuset1"), dpu_of(3, "dpuset2"),
        dpu_of(2, "dpuset1", objects.a_condition("Ready", "False", "NodeEffect", "the node is drained", since=young)),
    )


def orphaned() -> kinds.Inventory:
    """The deployment is gone by force; another one, of which everything is Ready, is there."""
    gone = [made for made in what_never_changes() if made["kind"] != kinds.DPU_CLUSTER.name]
    return objects.an_inventory(
        *gone, child(objects.a_service, f"{NAME}-producer", deleting=True), child(a_chain, NAME),
        child(objects.a_dpuset, f"{NAME}-dpuset1", bfb="lost"), dpu_of(1, "dpuset1"), dpu_of(2, "dpuset3"),
        objects.a_deployment("other", templates=["hbn"]), objects.a_template("hbn"),
        objects.a_service("other-hbn", **objects.owned("other")), objects.a_service("flannel"),
        objects.a_bfb("bf-bundle-3.0.0", "Downloading"),
    )


@pytest.mark.parametrize(
    ("name", "inventory", "target", "chosen"),
    [
        ("deployment-settled.txt", settled(), "dpudeployments", {}),
        ("deployment-settled-all.txt", settled(), "all", {"show_conditions": "dpudeployment"}),
        ("deployment-upgrading.txt", upgrading(), "dpudeployments", {}),
        ("deployment-upgrading-expanded.txt", upgrading(), "all", {"expand_resources": "dpuservices"}),
        ("deployment-upgrading-failed.txt", upgrading(), "all", {"show_resources": "failed"}),
        ("deployment-orphans.txt", orphaned(), "all", {}),
    ],
)
def test_tables(name: str, inventory: kinds.Inventory, target: str, chosen: dict[str, str]) -> None:
    printed = render.render(described(inventory, target, **chosen), objects.NOW)
    assert printed == (HERE / name).read_text().rstrip("\n")


def test_the_document_lists_every_object_once() -> None:
    found = document.document(described(upgrading(), "all"))
    listed = [(plural, entry["metadata"]["name"]) for plural, entries in found.items() for entry in entries]
    assert len(listed) == len(set(listed))
    assert {plural: len(entries) for plural, entries in found.items()} == {
        "DPFOperatorConfigs": 1, "dpuclusters": 1, "dpudeployments": 1, "dpuservicechains": 2,
        "dpuserviceinterfaces": 3, "dpusets": 2, "bfbs": 1, "dpus": 3, "dpuservicetemplates": 2, "dpuservices": 3,
        "applications": 1,
    }
