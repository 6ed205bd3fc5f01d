"""JSON and YAML for programs (behaviour-service.md 10.2, test 59)."""

from __future__ import annotations

import json

import yaml
from tests.unit.cli.describe import objects

from dpf.cli.describe import document, kinds, tree

READY = objects.a_condition("Ready")


def the_tree() -> tree.Node:
    made = [objects.a_service("b"), objects.a_service("a"), objects.a_broken_service("c"), objects.an_application("c")]
    return tree.build(objects.an_inventory(*made), kinds.TARGETS["all"], tree.Options())


def test_headings_and_groups_are_not_in_it() -> None:
    found = json.loads(document.to_json(the_tree()))
    assert {plural: [entry["metadata"]["name"] for entry in entries] for plural, entries in found.items()} == {
        "DPFOperatorConfigs": ["dpfoperatorconfig"],
        "dpuservices": ["a", "b", "c"],
        "applications": ["dpu-cplane-tenant1-c"],
    }


def test_an_entry_is_metadata_type_and_conditions() -> None:
    assert json.loads(document.to_json(the_tree()))["dpuservices"][0] == {
        "metadata": {"name": "a", "namespace": objects.NAMESPACE, "uid": "uid-a"},
        "typeMeta": {"kind": "DPUService", "apiVersion": "svc.dpu.nvidia.com/v1alpha1"},
        "conditions": [READY],
    }


def test_all_conditions_are_in_it_and_ready_is_first() -> None:
    conditions = json.loads(document.to_json(the_tree()))["dpuservices"][2]["conditions"]
    assert [condition["type"] for condition in conditions] == ["Ready", "ApplicationsReady", "ApplicationsReconciled"]


def test_yaml_says_the_same_as_json() -> None:
    assert yaml.load(document.to_yaml(the_tree()), Loader=yaml.BaseLoader) == yaml.load(
        document.to_json(the_tree()), Loader=yaml.BaseLoader
    )


def test_what_stands_below_a_group_is_in_it() -> None:
    made = [
        objects.a_deployment("a", templates=["t"]), objects.a_deployment("b", templates=["t"]), objects.a_template("t"),
        objects.a_service("s", **objects.owned("b")),
    ]
    root = tree.build(objects.an_inventory(*made), kinds.TARGETS["all"], tree.Options())
    assert root.children[0].children[0].name == "2 DPUDeployments..."
    found = document.document(root)
    assert {plural: [entry["metadata"]["name"] for entry in entries] for plural, entries in found.items()} == {
        "DPFOperatorConfigs": ["dpfoperatorconfig"], "dpudeployments": ["a", "b"], "dpuservicetemplates": ["t"],
        "dpuservices": ["s"],
    }


def test_a_note_is_for_people_only() -> None:
    paused = objects.a_service("s")
    paused["spec"] = {"paused": True}
    root = tree.build(objects.an_inventory(paused), kinds.TARGETS["all"], tree.Options())
    assert document.document(root)["dpuservices"][0]["conditions"] == [READY]
