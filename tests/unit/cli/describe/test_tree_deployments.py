"""DPUDeployments in the tree: what hangs below them, what is left over, and when a row is a group (test 57)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.cli.describe import objects

from dpf.api import names
from dpf.api.meta import Key
from dpf.cli.describe import filters, kinds, tree
from dpf.services.dpudeployment import naming

OWNED = objects.owned("dd")
LABELLED = {"labels": OWNED["labels"]}
REFERRED = {"ownerReferences": OWNED["ownerReferences"]}
WORDS = kinds.filter_words()


def options(*, grouping: bool = True, **texts: str) -> tree.Options:
    return tree.Options(grouping=grouping, **{name: filters.parse(text, WORDS) for name, text in texts.items()})


def outline(node: tree.Node) -> Any:
    """The tree as nested names."""
    return {node.name: [outline(child) for child in node.children]} if node.children else node.name


def described(*made: dict[str, Any], target: str = "all", **chosen: Any) -> list[Any]:
    """The outline below the root."""
    built = tree.build(objects.an_inventory(*made), kinds.TARGETS[target], options(**chosen))
    return [outline(child) for child in built.children]


def a_chain(name: str, **more: Any) -> dict[str, Any]:
    return objects.an_object(kinds.SERVICE_CHAIN, name, **more)


def an_interface(name: str, **more: Any) -> dict[str, Any]:
    return objects.an_object(kinds.SERVICE_INTERFACE, name, **more)


def whole_deployment() -> list[dict[str, Any]]:
    """One of everything that belongs to a DPUDeployment."""
    return [
        objects.a_deployment("dd", templates=["t"]), objects.a_template("t"), a_chain("c", **OWNED),
        an_interface("i", **OWNED), objects.a_dpuset("set", bfb="b", **OWNED), objects.a_bfb("b"),
        objects.a_dpu("dpu", dpuset="set"), objects.a_service("s", **OWNED),
    ]


WHOLE_TREE = {"DPUDeployments": [{"DPUDeployment/dd": [
    {"DPUServiceChains": ["DPUServiceChain/c"]},
    {"DPUServiceInterfaces": ["DPUServiceInterface/i"]},
    {"DPUSets": [{"DPUSet/set": ["BFB/b", {"DPUs": ["DPU/dpu"]}]}]},
    {"Services": [{"DPUServiceTemplates": ["DPUServiceTemplate/t"]}, {"DPUServices": ["DPUService/s"]}]},
]}]}


class TestOrder:
    """What hangs below a DPUDeployment, and only there."""

    @pytest.mark.parametrize("target", ["all", "dpudeployments"])
    def test_everything_has_its_place(self, target: str) -> None:
        assert described(*whole_deployment(), target=target) == [WHOLE_TREE]

    def test_the_order_in_which_objects_come_makes_no_difference(self) -> None:
        assert described(*reversed(whole_deployment())) == [WHOLE_TREE]

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("dpuservices", [{"DPUServices": ["DPUService/s"]}]),
            (
                "dpusets",
                [
                    {"DPUServiceChains": ["DPUServiceChain/c"]}, {"DPUServiceInterfaces": ["DPUServiceInterface/i"]},
                    {"DPUSets": [{"DPUSet/set": ["BFB/b", {"DPUs": ["DPU/dpu"]}]}]},
                ],
            ),
        ],
    )
    def test_a_target_without_deployments_shows_their_objects_itself(self, target: str, expected: list[Any]) -> None:
        assert described(*whole_deployment(), target=target) == expected

    def test_a_deployment_without_objects_is_a_row(self) -> None:
        assert described(objects.a_deployment("dd")) == [{"DPUDeployments": ["DPUDeployment/dd"]}]

    def test_a_template_of_two_deployments_stands_under_both(self) -> None:
        made = [
            objects.a_deployment("a", templates=["t"]), objects.a_deployment("b", templates=["t", "missing"]),
            objects.a_template("t"),
        ]
        below = {"Services": [{"DPUServiceTemplates": ["DPUServiceTemplate/t"]}]}
        assert described(*made, grouping=False) == [
            {"DPUDeployments": [{"DPUDeployment/a": [below]}, {"DPUDeployment/b": [below]}]}
        ]

    def test_a_template_of_another_namespace_is_not_meant(self) -> None:
        made = [objects.a_deployment("a", templates=["t"]), objects.a_template("t", namespace="elsewhere")]
        assert described(*made) == [{"DPUDeployments": ["DPUDeployment/a"]}]

    def test_a_bfb_of_two_sets_stands_under_both(self) -> None:
        made = [objects.a_dpuset("x", bfb="b"), objects.a_dpuset("y", bfb="b"), objects.a_bfb("b")]
        assert described(*made) == [{"DPUSets": [{"DPUSet/x": ["BFB/b"]}, {"DPUSet/y": ["BFB/b"]}]}]


class TestOwners:
    """A child is found by its controller reference or its label."""

    @pytest.mark.parametrize("metadata", [OWNED, LABELLED, REFERRED], ids=["both", "label", "reference"])
    def test_either_is_enough(self, metadata: dict[str, Any]) -> None:
        made = [objects.a_deployment("dd"), objects.a_service("s", **metadata)]
        assert described(*made) == [
            {"DPUDeployments": [{"DPUDeployment/dd": [{"Services": [{"DPUServices": ["DPUService/s"]}]}]}]}
        ]

    def test_the_reference_counts_more_than_the_label(self) -> None:
        made = [
            objects.a_deployment("dd"), objects.a_deployment("other"),
            a_chain("c", labels=objects.owned("other")["labels"], **REFERRED),
        ]
        assert described(*made, grouping=False) == [
            {"DPUDeployments": [
                {"DPUDeployment/dd": [{"DPUServiceChains": ["DPUServiceChain/c"]}]}, "DPUDeployment/other",
            ]}
        ]

    def test_a_label_that_had_to_be_cut_is_recognised(self) -> None:
        namespace = "n" * 62
        label = naming.owner_value(Key(namespace, "dd"))
        assert len(label) <= 63 < len(f"{namespace}_dd")
        made = [
            objects.a_deployment("dd", namespace=namespace),
            a_chain("c", namespace=namespace, labels={names.OWNED_BY_DPUDEPLOYMENT_LABEL: label}),
        ]
        assert described(*made) == [
            {"DPUDeployments": [{"DPUDeployment/dd": [{"DPUServiceChains": ["DPUServiceChain/c"]}]}]}
        ]

    def test_deployments_of_one_name_in_two_namespaces_are_two(self) -> None:
        made = [
            objects.a_deployment("dd", namespace="a"), objects.a_deployment("dd", namespace="b"),
            a_chain("c", namespace="b", **objects.owned("dd", namespace="b")),
        ]
        assert described(*made, grouping=False) == [
            {"DPUDeployments": [
                "DPUDeployment/dd", {"DPUDeployment/dd": [{"DPUServiceChains": ["DPUServiceChain/c"]}]},
            ]}
        ]

    @pytest.mark.parametrize(
        "owner",
        [
            {"apiVersion": "apps/v1", "kind": "DPUDeployment", "controller": True},
            {"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "DPUService", "controller": True},
            {"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "DPUDeployment", "controller": False},
        ],
        ids=["group", "kind", "no controller"],
    )
    def test_another_reference_does_not_count(self, owner: dict[str, Any]) -> None:
        made = [objects.a_deployment("dd"), a_chain("c", ownerReferences=[{"name": "dd", "uid": "u", **owner}])]
        assert described(*made) == [
            {"DPUDeployments": ["DPUDeployment/dd"]}, {"DPUServiceChains": ["DPUServiceChain/c"]}
        ]

    def test_a_dpu_is_found_by_reference_too(self) -> None:
        owner = {
            "apiVersion": "provisioning.dpu.nvidia.com/v1alpha1", "kind": "DPUSet", "name": "set", "uid": "u",
            "controller": True,
        }
        made = [objects.a_dpuset("set"), objects.a_dpu("dpu", ownerReferences=[owner])]
        assert described(*made) == [{"DPUSets": [{"DPUSet/set": [{"DPUs": ["DPU/dpu"]}]}]}]


def test_what_has_lost_its_owner_is_not_lost() -> None:
    gone = objects.owned("gone")
    made = [
        objects.a_service("s", **gone), a_chain("c", **gone), an_interface("i", **gone),
        objects.a_dpuset("set", **gone), objects.a_dpu("dpu", dpuset="gone"), objects.a_dpu("lone"),
        objects.a_bfb("unreferenced"),
    ]
    assert described(*made) == [
        {"BFBs": ["BFB/unreferenced"]},
        {"DPUServiceChains": ["DPUServiceChain/c"]},
        {"DPUServiceInterfaces": ["DPUServiceInterface/i"]},
        {"DPUServices": ["DPUService/s"]},
        {"DPUSets": ["DPUSet/set"]},
        {"DPUs": ["2 DPUs..."]},
    ]
    assert described(*made, target="dpudeployments") == []


class TestRows:
    """What stands in the row of a kind that has its own way to say how it is."""

    @staticmethod
    def row_of(made: dict[str, Any]) -> tree.Node:
        (heading,) = tree.build(objects.an_inventory(made), kinds.TARGETS["all"], tree.Options()).children
        return heading.children[0]

    def test_a_ready_bfb_tells_file_and_version(self) -> None:
        ready = self.row_of(objects.a_bfb("b")).ready
        assert ready is not None
        assert (ready.status, ready.reason, ready.message) == (
            "True", "Ready", "File: bf-bundle-2.9.1.bfb, DOCA: 2.9.1",
        )

    @pytest.mark.parametrize("phase", ["Initializing", "Downloading", "Error"])
    def test_any_other_phase_is_the_reason(self, phase: str) -> None:
        made = objects.a_bfb("b", phase)
        made["status"]["conditions"] = [objects.a_condition("Ready", "False", "Pending", "half of it is here")]
        ready = self.row_of(made).ready
        assert ready is not None
        assert (ready.status, ready.reason, ready.message) == ("False", phase, "half of it is here")

    @pytest.mark.parametrize(
        ("spec", "status", "message"),
        [
            ({"url": "https://x/y/z.bfb?sig=1"}, {}, "File: z.bfb?sig=1"),
            ({"fileName": "own.bfb", "url": "https://x/z.bfb"}, {}, "File: own.bfb"),
            ({"versions": {"doca": "3.0.0"}}, {"fileName": "dir/own.bfb"}, "File: own.bfb, DOCA: 3.0.0"),
            ({}, {}, ""),
        ],
    )
    def test_a_bfb_tells_what_is_known(self, spec: dict[str, Any], status: dict[str, Any], message: str) -> None:
        made = objects.a_bfb("b")
        made["spec"], made["status"] = spec, {"phase": "Ready", **status}
        ready = self.row_of(made).ready
        assert ready is not None
        assert ready.message == message

    def test_a_new_bfb_is_being_initialised(self) -> None:
        made = objects.a_bfb("b")
        made["status"] = {}
        ready = self.row_of(made).ready
        assert ready is not None
        assert (ready.status, ready.reason) == ("False", "Initializing")

    @pytest.mark.parametrize(
        ("phases", "note"),
        [
            ({"Ready": 2, "OS Installing": 1, "Error": 0}, "DPUs: 1 OS Installing, 2 Ready"),
            ({}, ""),
            ({"Ready": 0}, ""),
            (None, ""),
        ],
    )
    def test_a_set_tells_how_many_dpus_are_in_which_phase(self, phases: dict[str, int] | None, note: str) -> None:
        assert self.row_of(objects.a_dpuset("set", phases=phases)).note == note

    @pytest.mark.parametrize(
        ("generation", "seen", "note"),
        [(2, 1, "Changed since; its controller has not looked at it yet"), (2, 2, ""), (2, None, ""), (None, 1, "")],
    )
    def test_a_verdict_about_an_older_generation_is_told(
        self, generation: int | None, seen: int | None, note: str
    ) -> None:
        made = objects.a_dpuset("set")
        made["metadata"]["generation"] = generation
        made["status"] = {"conditions": [{**objects.a_condition("Ready", "True"), "observedGeneration": seen}]}
        assert self.row_of(made).note == note

    @pytest.mark.parametrize(("spec", "note"), [({"paused": True}, "Paused"), ({"paused": False}, ""), (None, "")])
    def test_a_paused_service_says_so(self, spec: dict[str, Any] | None, note: str) -> None:
        made = objects.a_service("s")
        made["spec"] = spec
        assert self.row_of(made).note == note

    @pytest.mark.parametrize("status", [None, {}, {"conditions": None}, {"versions": {"a": "b"}}])
    def test_a_template_that_nobody_looks_after_is_no_failure(self, status: dict[str, Any] | None) -> None:
        template = objects.a_template("t")
        template["status"] = status
        if status is None:
            del template["status"]
        made = [objects.a_deployment("dd", templates=["t"]), template]
        (tree_,) = described(*made)
        assert "DPUServiceTemplate/t" in str(tree_)
        assert described(*made, show_resources="failed") == []

    def test_a_template_that_fails_is_one(self) -> None:
        made = [
            objects.a_deployment("dd", templates=["t"]),
            objects.a_template("t", objects.a_condition("Ready", "False", "Pending")),
        ]
        assert "DPUServiceTemplate/t" in str(described(*made, show_resources="failed"))


class TestFilters:
    """Words of the new kinds (test 58)."""

    @pytest.mark.parametrize(
        ("chosen", "shown"),
        [
            ("dpudeployment", [WHOLE_TREE]),
            ("DPUDeployments/dd", [WHOLE_TREE]),
            ("bfb", [{"DPUDeployments": [{"DPUDeployment/dd": [{"DPUSets": [{"DPUSet/set": ["BFB/b"]}]}]}]}]),
            (
                "dpuservicetemplates,dpuservicechain/c",
                [{"DPUDeployments": [{"DPUDeployment/dd": [
                    {"DPUServiceChains": ["DPUServiceChain/c"]},
                    {"Services": [{"DPUServiceTemplates": ["DPUServiceTemplate/t"]}]},
                ]}]}],
            ),
            ("dpuservice/none", []),
            ("failed", []),
        ],
    )
    def test_what_is_shown(self, chosen: str, shown: list[Any]) -> None:
        assert described(*whole_deployment(), show_resources=chosen) == shown

    def test_failed_shows_what_failed_and_the_way_to_it(self) -> None:
        made = [made for made in whole_deployment() if made["metadata"]["name"] not in {"dd", "s"}]
        unready = objects.a_deployment("dd", objects.not_ready("DPUServicesReady"), templates=["t"])
        service = objects.a_broken_service("s", **OWNED)
        assert described(*made, unready, service, objects.an_application("s"), show_resources="failed") == [
            {"DPUDeployments": [{"DPUDeployment/dd": [
                {"Services": [{"DPUServices": [{"DPUService/s": ["Application/dpu-cplane-tenant1-s"]}]}]},
            ]}]}
        ]

    @pytest.mark.parametrize("expand", ["all", "dpuservices", "dpuservice/s"])
    def test_a_service_of_a_deployment_is_expanded_like_any_other(self, expand: str) -> None:
        made = [*whole_deployment(), objects.an_application("s")]
        expanded = str(described(*made, expand_resources=expand))
        assert "{'DPUService/s': ['Application/dpu-cplane-tenant1-s']}" in expanded
        assert "Application" not in str(described(*made))


class TestGrouping:
    """Deployments that are Ready down to the last leaf may be folded."""

    @staticmethod
    def two(*made: dict[str, Any], **chosen: Any) -> list[str]:
        """Row names below the heading of two deployments, the first of which has `made`."""
        found = [objects.a_deployment("a"), objects.a_deployment("b", templates=["t"]), objects.a_template("t"), *made]
        (heading,) = tree.build(objects.an_inventory(*found), kinds.TARGETS["all"], options(**chosen)).children
        return [row.name for row in heading.children]

    def test_ready_ones_are_one_row(self) -> None:
        assert self.two(objects.a_service("s", **objects.owned("a"))) == ["2 DPUDeployments..."]

    @pytest.mark.parametrize(
        "made",
        [
            objects.a_broken_service("s", **objects.owned("a")),
            objects.a_service("s", deleting=True, **objects.owned("a")),
            objects.a_dpuset("set", phases={"Ready": 1}, **objects.owned("a")),
        ],
        ids=["not ready", "deleting", "has something to tell"],
    )
    def test_something_below_keeps_them_apart(self, made: dict[str, Any]) -> None:
        assert self.two(made) == ["DPUDeployment/a", "DPUDeployment/b"]

    @pytest.mark.parametrize(
        "chosen",
        [
            {"show_conditions": "dpuservice"}, {"show_resources": "dpuservice/s"}, {"expand_resources": "dpuservice"},
            {"expand_resources": "dpudeployments"}, {"grouping": False},
        ],
        ids=str,
    )
    def test_what_was_asked_for_is_not_folded_away(self, chosen: dict[str, Any]) -> None:
        assert "DPUDeployment/a" in self.two(objects.a_service("s", **objects.owned("a")), **chosen)

    def test_children_of_one_kind_are_grouped_under_their_own_heading(self) -> None:
        made = [objects.a_deployment("dd"), *(an_interface(name, **OWNED) for name in "ab"), an_interface("c")]
        assert described(*made) == [
            {"DPUDeployments": [{"DPUDeployment/dd": [{"DPUServiceInterfaces": ["2 DPUServiceInterfaces..."]}]}]},
            {"DPUServiceInterfaces": ["DPUServiceInterface/c"]},
        ]

    def test_a_paused_revision_stays_apart(self) -> None:
        paused = objects.a_service("old", **OWNED)
        paused["spec"] = {"paused": True}
        made = [objects.a_deployment("dd"), paused, objects.a_service("a", **OWNED), objects.a_service("b", **OWNED)]
        (heading,) = described(*made)
        assert heading["DPUDeployments"][0]["DPUDeployment/dd"] == [
            {"Services": [{"DPUServices": ["2 DPUServices...", "DPUService/old"]}]}
        ]

    def test_sets_are_never_grouped(self) -> None:
        assert described(objects.a_dpuset("a"), objects.a_dpuset("b")) == [{"DPUSets": ["DPUSet/a", "DPUSet/b"]}]
