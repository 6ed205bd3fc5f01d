"""What is in the tree: filters, children on demand, headings, grouping, conditions, order (behaviour-service.md 10)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.cli.describe import objects

from dpf.cli.describe import filters, kinds, tree

WORDS = kinds.filter_words()


def options(*, grouping: bool = True, **texts: str) -> tree.Options:
    return tree.Options(grouping=grouping, **{name: filters.parse(text, WORDS) for name, text in texts.items()})


def outline(node: tree.Node) -> Any:
    """The tree as nested names."""
    return {node.name: [outline(child) for child in node.children]} if node.children else node.name


def described(
    *made: dict[str, Any], target: str = "all", root: dict[str, Any] | None = None, **chosen: Any
) -> list[Any]:
    """The outline below the root."""
    built = tree.build(objects.an_inventory(*made, root=root), kinds.TARGETS[target], options(**chosen))
    return [outline(child) for child in built.children]


def node_of(name: str, *made: dict[str, Any], **chosen: Any) -> tree.Node:
    """The node with that row name."""
    found = [tree.build(objects.an_inventory(*made), kinds.TARGETS["all"], options(**chosen))]
    for node in found:
        if node.name == name:
            return node
        found.extend(node.children)
    raise AssertionError(f"no row {name}")


def listed(node: tree.Node) -> list[str]:
    return [condition.type for condition in node.conditions]


def test_a_cluster_without_objects_is_its_root() -> None:
    assert described() == []


@pytest.mark.parametrize(
    ("target", "headings"),
    [
        (
            "all",
            [
                "BFBs", "DPUClusters", "DPUDeployments", "DPUDevices", "DPUNodeMaintenances", "DPUNodes",
                "DPUServiceChains", "DPUServiceCredentialRequests", "DPUServiceInterfaces", "DPUServices", "DPUSets",
                "DPUs",
            ],
        ),
        ("dpuclusters", ["DPUClusters"]),
        ("dpudeployments", ["DPUDeployments"]),
        ("dpuservices", ["DPUServiceCredentialRequests", "DPUServices"]),
        (
            "dpusets",
            [
                "BFBs", "DPUDevices", "DPUNodeMaintenances", "DPUNodes", "DPUServiceChains", "DPUServiceInterfaces",
                "DPUSets", "DPUs",
            ],
        ),
    ],
)
def test_a_target_shows_its_kinds_under_sorted_headings(target: str, headings: list[str]) -> None:
    shown = {branch.kind.name: branch.kind for _, branch in kinds.walk(kinds.TARGETS["all"])}
    made = [objects.an_object(kind, "x") for kind in shown.values()]
    assert [next(iter(part)) for part in described(*made, target=target)] == headings


def test_siblings_are_sorted_by_name_and_then_by_namespace() -> None:
    made = [objects.a_cluster("b"), objects.a_cluster("a", namespace="z"), objects.a_cluster("a", namespace="y")]
    (heading,) = tree.build(objects.an_inventory(*made), kinds.TARGETS["all"], tree.Options()).children
    assert [(row.name, row.namespace) for row in heading.children] == [
        ("DPUCluster/a", "y"), ("DPUCluster/a", "z"), ("DPUCluster/b", objects.NAMESPACE),
    ]


class TestApplications:
    """An Application is shown under a DPUService that is not Ready or that is expanded."""

    def test_under_a_service_that_is_not_ready(self) -> None:
        made = [objects.a_broken_service("hbn"), objects.an_application("hbn"), objects.an_application("hbn", "two")]
        assert described(*made, grouping=False) == [
            {"DPUServices": [{"DPUService/hbn": ["Application/dpu-cplane-tenant1-hbn", "Application/two-hbn"]}]}
        ]

    def test_under_a_service_that_says_nothing_yet(self) -> None:
        made = objects.a_service("hbn", objects.a_condition("Ready", "Unknown", "Pending"))
        assert described(made, objects.an_application("hbn"))[0]["DPUServices"][0] == {
            "DPUService/hbn": ["Application/dpu-cplane-tenant1-hbn"]
        }

    def test_not_under_a_ready_service(self) -> None:
        made = [objects.a_service("hbn"), objects.an_application("hbn")]
        assert described(*made) == [{"DPUServices": ["DPUService/hbn"]}]

    @pytest.mark.parametrize("expand", ["all", "dpuservices", "dpuservice/hbn"])
    def test_under_an_expanded_service(self, expand: str) -> None:
        made = [objects.a_service("hbn"), objects.an_application("hbn"), objects.an_application("dts")]
        assert described(*made, expand_resources=expand) == [
            {"DPUServices": [{"DPUService/hbn": ["Application/dpu-cplane-tenant1-hbn"]}]}
        ]

    def test_of_a_service_with_the_same_name_elsewhere_is_not_taken(self) -> None:
        made = [objects.a_broken_service("hbn", namespace="tenant-b"), objects.an_application("hbn")]
        assert described(*made) == [{"DPUServices": ["DPUService/hbn"]}]

    def test_without_our_labels_is_not_shown(self) -> None:
        foreign = objects.an_application("hbn")
        foreign["metadata"]["labels"] = {"app": "hbn"}
        assert described(objects.a_broken_service("hbn"), foreign) == [{"DPUServices": ["DPUService/hbn"]}]

    @pytest.mark.parametrize(
        ("health", "errors", "status", "reason"),
        [
            ("Healthy", [], "True", "Success"),
            ("Degraded", [], "False", "Degraded"),
            (None, [], "False", "Unknown"),
            ("Healthy", [{"type": "ComparisonError", "message": "no such chart"}], "False", "Healthy"),
        ],
    )
    def test_ready_is_its_health_without_errors(
        self, health: str | None, errors: list[dict[str, str]], status: str, reason: str
    ) -> None:
        made = objects.an_application("hbn", health=health, conditions=errors)
        ready = node_of("Application/dpu-cplane-tenant1-hbn", objects.a_broken_service("hbn"), made).ready
        assert ready is not None
        assert (ready.status, ready.reason) == (status, reason)
        assert ready.lastTransitionTime == objects.ago(minutes=3)

    def test_conditions_are_its_errors_and_its_workloads(self) -> None:
        made = objects.an_application(
            "hbn", conditions=[{"type": "ComparisonError", "message": "no such chart"}],
            resources=[
                objects.a_workload("pods", sync="OutOfSync", health="Progressing"),
                objects.a_workload("web", kind="Deployment", health=None),
                objects.a_workload("settings", kind="ConfigMap"),
            ],
        )
        node = node_of("Application/dpu-cplane-tenant1-hbn", objects.a_broken_service("hbn"), made)
        assert [(c.type, c.status, c.reason, c.message) for c in node.conditions] == [
            ("ComparisonError", "False", "", "no such chart"),
            ("DaemonSet/pods", "OutOfSync", "Progressing", ""),
            ("Deployment/web", "Synced", "", ""),
        ]


class TestConditions:
    """The row carries Ready; the others follow when they are bad or asked for."""

    SERVICE = objects.a_service(
        "hbn", objects.not_ready("B", "C"), objects.a_condition("C", "Unknown", "Pending"), objects.a_condition("A"),
        objects.a_condition("B", "False", "Error"),
    )

    def test_the_row_carries_ready(self) -> None:
        ready = node_of("DPUService/hbn", self.SERVICE).ready
        assert ready is not None
        assert (ready.status, ready.reason) == ("False", "Pending")

    @pytest.mark.parametrize("chosen", ["", "failed", "dpucluster", "dpuservice/other"])
    def test_what_does_not_hold_is_listed_unasked(self, chosen: str) -> None:
        assert listed(node_of("DPUService/hbn", self.SERVICE, show_conditions=chosen)) == ["B", "C"]

    @pytest.mark.parametrize("chosen", ["all", "dpuservices", "dpuservice/hbn"])
    def test_all_but_ready_are_listed_by_type_when_selected(self, chosen: str) -> None:
        assert listed(node_of("DPUService/hbn", self.SERVICE, show_conditions=chosen)) == ["A", "B", "C"]

    @pytest.mark.parametrize(("status", "shown"), [("True", []), ("False", ["SPIFFEEntriesReady"])])
    def test_spiffe_is_no_topic_while_it_holds(self, status: str, shown: list[str]) -> None:
        service = objects.a_service("hbn", objects.a_condition("SPIFFEEntriesReady", status), objects.not_ready("X"))
        assert listed(node_of("DPUService/hbn", service, show_conditions="all")) == shown

    def test_an_object_without_a_status_is_a_bare_row(self) -> None:
        bare = objects.a_service("new")
        del bare["status"]
        node = node_of("DPUService/new", bare)
        assert (node.ready, node.conditions) == (None, ())


class TestResources:
    """--show-resources: an object is shown when it, something above it or something below it is selected."""

    MADE = (
        objects.a_broken_service("hbn"), objects.an_application("hbn"), objects.a_broken_service("dts"),
        objects.an_application("dts"), objects.a_cluster("one"),
    )

    @pytest.mark.parametrize(
        ("chosen", "shown"),
        [
            ("dpucluster", [{"DPUClusters": ["DPUCluster/one"]}]),
            ("dpfoperatorconfig", []),
            ("dpuservice/none", []),
            (
                "dpuservice/hbn",
                [{"DPUServices": [{"DPUService/hbn": ["Application/dpu-cplane-tenant1-hbn"]}]}],
            ),
            (
                "application/dpu-cplane-tenant1-dts,dpuclusters",
                [
                    {"DPUClusters": ["DPUCluster/one"]},
                    {"DPUServices": [{"DPUService/dts": ["Application/dpu-cplane-tenant1-dts"]}]},
                ],
            ),
        ],
    )
    def test_what_is_shown(self, chosen: str, shown: list[Any]) -> None:
        assert described(*self.MADE, show_resources=chosen) == shown

    def test_failed_leaves_out_what_is_ready(self) -> None:
        made = [objects.a_service("good"), objects.a_broken_service("bad"), objects.a_cluster("one")]
        assert described(*made, show_resources="failed") == [{"DPUServices": ["DPUService/bad"]}]


class TestGrouping:
    """Ready siblings of one kind become one row (test 56)."""

    def test_nine_ready_services_are_one_row_and_the_other_stays_apart(self) -> None:
        ready = [objects.a_service(f"s{n}") for n in range(9)]
        made = [*ready, objects.a_broken_service("bad"), objects.an_application("bad"), objects.an_application("s1")]
        assert described(*made) == [
            {"DPUServices": ["9 DPUServices...", {"DPUService/bad": ["Application/dpu-cplane-tenant1-bad"]}]}
        ]

    def test_without_grouping_every_object_has_its_row(self) -> None:
        made = [objects.a_service("b"), objects.a_service("a")]
        assert described(*made, grouping=False) == [{"DPUServices": ["DPUService/a", "DPUService/b"]}]

    def test_the_row_tells_the_members_and_the_oldest_time(self) -> None:
        old = objects.a_service("b", objects.a_condition("Ready", since=objects.ago(days=3)))
        node = node_of("2 DPUServices...", old, objects.a_service("a"))
        assert node.ready is not None
        assert node.ready.message == "See a, b"
        assert node.ready.lastTransitionTime == objects.ago(days=3)
        assert (node.ready.status, node.ready.reason, node.namespace) == ("True", "Success", objects.NAMESPACE)

    def test_a_single_object_is_no_group(self) -> None:
        assert described(objects.a_service("a")) == [{"DPUServices": ["DPUService/a"]}]

    def test_clusters_are_never_grouped(self) -> None:
        assert described(objects.a_cluster("a"), objects.a_cluster("b")) == [
            {"DPUClusters": ["DPUCluster/a", "DPUCluster/b"]}
        ]

    @pytest.mark.parametrize(
        "other",
        [
            objects.a_service("x", namespace="elsewhere"),
            objects.a_service("x", objects.a_condition("Ready", reason="Other")),
            objects.a_service("x", deleting=True),
            objects.a_service("x", objects.a_condition("Ready"), objects.a_condition("Extra", "False", "Error")),
            objects.a_service("x", objects.a_condition("Ready", "Unknown")),
        ],
        ids=["another namespace", "another reason", "deleting", "a bad condition", "not known to be ready"],
    )
    def test_what_differs_stays_apart(self, other: dict[str, Any]) -> None:
        made = [objects.a_service("a"), objects.a_service("b"), other]
        assert described(*made) == [{"DPUServices": ["2 DPUServices...", "DPUService/x"]}]

    @pytest.mark.parametrize(
        ("chosen", "rows"),
        [
            ({"show_conditions": "all"}, ["3 DPUServices..."]),
            ({"show_conditions": "dpuservice/b"}, ["2 DPUServices...", "DPUService/b"]),
            ({"show_conditions": "dpuservices"}, ["DPUService/a", "DPUService/b", "DPUService/c"]),
            ({"expand_resources": "all"}, ["2 DPUServices...", {"DPUService/a": ["Application/dpu-cplane-tenant1-a"]}]),
        ],
        ids=str,
    )
    def test_what_was_asked_for_is_not_folded_away(self, chosen: dict[str, str], rows: list[Any]) -> None:
        made = [objects.a_service(name) for name in "abc"]
        assert described(*made, objects.an_application("a"), **chosen) == [{"DPUServices": rows}]


def test_items_are_the_objects_in_table_order_and_groups_give_their_members() -> None:
    made = [objects.a_service("b"), objects.a_service("a"), objects.a_broken_service("c"), objects.a_cluster("one")]
    root = tree.build(objects.an_inventory(*made), kinds.TARGETS["all"], tree.Options())
    assert [item.name for item in tree.items(root)] == [
        "DPFOperatorConfig/dpfoperatorconfig", "DPUCluster/one", "DPUService/a", "DPUService/b", "DPUService/c",
    ]
