"""DPUs, their hosts and their cards in the tree: where they stand, when they are shown, and what their rows say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.cli.describe import objects

from dpf.api.meta import Key
from dpf.cli.describe import discover, filters, kinds, owners, tree, verdicts, views
from dpf.kube.client import Listing

WORDS = kinds.filter_words()
UNREADY = objects.not_ready("Initialized")


def described(*made: dict[str, Any], target: str = "dpusets", grouping: bool = True, **texts: str) -> list[Any]:
    """The outline below the root."""
    chosen = {name: filters.parse(text, WORDS) for name, text in texts.items()}
    options = tree.Options(grouping=grouping, **chosen)  # type: ignore[arg-type]
    built = tree.build(objects.an_inventory(*made), kinds.TARGETS[target], options)
    return [outline(child) for child in built.children]


def outline(node: tree.Node) -> Any:
    return {node.name: [outline(child) for child in node.children]} if node.children else node.name


def row(name: str, *made: dict[str, Any], target: str = "all", **texts: str) -> tree.Node:
    """The row of that name."""
    chosen = {key: filters.parse(text, WORDS) for key, text in texts.items()}
    found = [tree.build(objects.an_inventory(*made), kinds.TARGETS[target], tree.Options(**chosen))]  # type: ignore[arg-type]
    for node in found:
        if node.name == name:
            return node
        found.extend(node.children)
    raise AssertionError(f"no row {name}")


def a_dpu(*conditions: dict[str, Any], phase: str = "OS Installing", **more: Any) -> dict[str, Any]:
    return objects.a_dpu_in(phase, "w-1", *conditions, node="w", **more)


def a_host(*conditions: dict[str, Any]) -> dict[str, Any]:
    return objects.a_dpunode("w", *conditions, devices=["1", "2"])


def an_effect(status: str = "False", **more: Any) -> dict[str, Any]:
    told = objects.a_condition("NodeEffectApplied", status, "NodeEffectIsProcessing", "evicting")
    return objects.a_maintenance("w-k8sdrain", "w", told, requestors=["w-1"], **more)


class TestPlaces:
    """Hosts stand under their DPUs, cards and effects under their hosts, and what is well is not shown."""

    def test_all_is_well(self) -> None:
        assert described(a_dpu(), a_host(), objects.a_device("1"), an_effect("True")) == [{"DPUs": ["DPU/w-1"]}]

    def test_a_card_is_not_well(self) -> None:
        made = (a_dpu(), a_host(), objects.a_device("1", UNREADY), objects.a_device("2"))
        assert described(*made) == [{"DPUs": [{"DPU/w-1": [{"DPUNode/w": ["DPUDevice/1"]}]}]}]

    def test_an_effect_is_not_on_the_host_yet(self) -> None:
        assert described(a_dpu(), a_host(), an_effect()) == [
            {"DPUs": [{"DPU/w-1": [{"DPUNode/w": ["DPUNodeMaintenance/w-k8sdrain"]}]}]}
        ]

    def test_an_effect_that_is_going_is_shown(self) -> None:
        made = objects.a_maintenance("m", "w", objects.a_condition("NodeEffectRemoved"), deleting=True)
        assert described(a_dpu(), a_host(), made) == [
            {"DPUs": [{"DPU/w-1": [{"DPUNode/w": ["DPUNodeMaintenance/m"]}]}]}
        ]

    def test_bad_news_of_a_ready_host(self) -> None:
        host = a_host(objects.a_condition("Ready"), objects.a_condition("InvalidDPUDetails", message="it is missing"))
        assert described(a_dpu(), host) == [{"DPUs": [{"DPU/w-1": ["DPUNode/w"]}]}]

    def test_a_ready_dpu_whose_card_is_not_well_is_in_no_group(self) -> None:
        other = objects.a_dpu_in("Ready", "x-1", node="x")
        third = objects.a_dpu_in("Ready", "y-1", node="y")
        made = (a_dpu(phase="Ready"), other, third, a_host(), objects.a_device("2", UNREADY))
        assert described(*made) == [{"DPUs": ["2 DPUs...", {"DPU/w-1": [{"DPUNode/w": ["DPUDevice/2"]}]}]}]

    @pytest.mark.parametrize("chosen", [
        {"show_conditions": "all"}, {"show_conditions": "dpunode,dpudevices,dpunodemaintenances"},
        {"expand_resources": "all"}, {"show_resources": "dpu,dpunode,dpudevice,dpunodemaintenance"},
    ], ids=str)
    def test_what_is_well_is_shown_to_those_who_ask(self, chosen: dict[str, str]) -> None:
        made = (a_dpu(), a_host(), objects.a_device("1"), an_effect("True"))
        assert described(*made, grouping=False, **chosen) == [
            {"DPUs": [{"DPU/w-1": [{"DPUNode/w": ["DPUDevice/1", "DPUNodeMaintenance/w-k8sdrain"]}]}]}
        ]

    def test_hosts_and_cards_without_a_dpu_are_shown_by_themselves(self) -> None:
        made = (a_host(), objects.a_device("1", UNREADY), objects.a_device("3"), an_effect(), objects.a_dpunode("x"))
        assert described(*made) == [
            {"DPUDevices": ["DPUDevice/3"]},
            {"DPUNodes": [{"DPUNode/w": ["DPUDevice/1", "DPUNodeMaintenance/w-k8sdrain"]}, "DPUNode/x"]},
        ]

    def test_an_effect_on_a_host_that_is_gone(self) -> None:
        assert described(an_effect()) == [{"DPUNodeMaintenances": ["DPUNodeMaintenance/w-k8sdrain"]}]

    @pytest.mark.parametrize("spec", [
        None, [], {"dpus": {"name": "1"}}, {"dpus": [None, {"name": 1}, {"name": ""}, "1"]}, {"dpuNodeName": ["w"]},
    ], ids=str)
    def test_a_spec_of_another_version_does_no_harm(self, spec: Any) -> None:
        odd = {**an_effect(), "spec": spec}
        host, dpu = {**a_host(), "spec": spec}, {**a_dpu(), "spec": spec}
        found = described(odd, host, dpu, objects.a_device("1"), target="all")
        assert [next(iter(part)) for part in found] == ["DPUDevices", "DPUNodeMaintenances", "DPUNodes", "DPUs"]


class TestDPURow:
    """The row says the phase, what is waited for, and since when."""

    def told(self, *conditions: dict[str, Any], phase: str, **more: Any) -> tuple[str, str, str, str]:
        node = row("DPU/w-1", a_dpu(*conditions, phase=phase, **more))
        assert node.ready is not None
        return node.ready.reason, node.ready.message, node.ready.lastTransitionTime or "", node.note

    def test_since_when_is_told_by_the_condition_that_is_waited_for(self) -> None:
        found = self.told(*objects.waiting("OS Installing", "BFBTransferred", "TaskProgress", "40%"),
                          phase="OS Installing")
        assert found == ("TaskProgress", "OS Installing: 40%", objects.ago(minutes=4), "")

    def test_the_latest_of_two_that_say_the_same(self) -> None:
        both = objects.waiting("Pending", "Pending", "BFBNotFound", "no BFB", since=objects.ago(minutes=9))
        more = objects.a_condition("BFBReady", "False", "BFBNotFound", "no BFB", since=objects.ago(minutes=3))
        assert self.told(*both, more, phase="Pending")[2] == objects.ago(minutes=3)

    def test_nobody_else_says_it(self) -> None:
        message, since = "Prepare BFB: makes tokens", objects.ago(hours=1)
        ready = objects.a_condition("Ready", "False", "Pending", message, since=since)
        assert self.told(ready, phase="Prepare BFB") == ("Pending", message, since, "")

    def test_a_ready_dpu_tells_no_phase(self) -> None:
        assert self.told(objects.a_condition("Ready", reason="DPUReady"), phase="Ready") == (
            "DPUReady", "", objects.ago(hours=2), "",
        )

    def test_an_error_is_told_whole(self) -> None:
        why = "Tried 2 times"
        ready = objects.a_condition("Ready", "False", "FailToInstall", f"{why}. Next step: delete the DPU")
        error = objects.a_condition("Error", "True", "FailToInstall", why, since=objects.ago(minutes=7))
        assert self.told(ready, error, phase="Error") == (
            "FailToInstall", "Tried 2 times. Next step: delete the DPU", objects.ago(minutes=7), "Phase: Error",
        )

    @pytest.mark.parametrize(("status", "reason", "expected"), [
        ("True", "Deleting", "AwaitingDeletion"),
        ("False", "CannotDeleteWhileInstalling", "CannotDeleteWhileInstalling"),
    ])
    def test_what_keeps_a_dpu_from_going(self, status: str, reason: str, expected: str) -> None:
        ready = objects.a_condition("Ready", "False", "AwaitingDeletion", "The DPU is being deleted")
        going = objects.a_condition("Deleting", status, reason, "Still there: Node w-1", since=objects.ago(minutes=2))
        assert self.told(ready, going, phase="Deleting", deleting=True) == (
            expected, "Still there: Node w-1", objects.ago(minutes=2), "Phase: Deleting",
        )

    def test_what_the_row_says_is_not_said_again(self) -> None:
        waiting = objects.waiting("OS Installing", "BFBTransferred", "TaskProgress", "40%")
        other = objects.a_condition("OSInstalled", "False", "InstallationInProgress", "The installation begins")
        node = row("DPU/w-1", a_dpu(*waiting, other))
        assert [condition.type for condition in node.conditions] == ["OSInstalled"]

    def test_who_asks_gets_all_conditions(self) -> None:
        waiting = objects.waiting("OS Installing", "BFBTransferred", "TaskProgress", "40%")
        node = row("DPU/w-1", a_dpu(*waiting), show_conditions="dpu")
        assert [condition.type for condition in node.conditions] == ["BFBTransferred", "Initialized"]

    def test_what_the_agent_and_the_platform_say(self) -> None:
        made = a_dpu(objects.a_condition("Ready", "False", "AwaitingServices", "Service Readiness: x"))
        made["status"]["operationalConditions"] = [objects.a_condition("OperationalReady", "False", "Pending", "pods")]
        made["status"]["agentStatus"] = {"conditions": [objects.a_condition("NVConfigApplied", "False", "E", "mst")]}
        node = row("DPU/w-1", made)
        assert [(c.type, c.message) for c in node.conditions] == [
            ("Agent/NVConfigApplied", "mst"), ("Operational/OperationalReady", "pods"),
        ]

    @pytest.mark.parametrize("agent", ["odd", {"conditions": "odd"}, {"conditions": [{"no": "type"}]}, [1]], ids=str)
    def test_an_agent_that_says_nonsense(self, agent: Any) -> None:
        made = a_dpu()
        made["status"]["agentStatus"] = agent
        assert row("DPU/w-1", made).conditions == ()


class TestMaintenance:
    """Ready while the effect is on the host, and who needs it."""

    def conditions(self, made: dict[str, Any]) -> list[tuple[str, str, str]]:
        view = msgspec.convert(made, views.DPUNodeMaintenanceView)
        return [(c.type, c.status, c.reason) for c in verdicts.maintenance_conditions(view)]

    def test_requestors(self) -> None:
        made = objects.a_maintenance("m", "w", objects.a_condition("NodeEffectApplied", reason="A"),
                                     requestors=["w-1", "ns_dd_dd-svc-2444q"])
        assert self.conditions(made) == [
            ("Ready", "True", "A"), ("NodeEffectApplied", "True", "A"),
            ("Requestor/DPU/w-1", "False", "MaintenanceInProgress"),
            ("Requestor/ns/dd/dd-svc-2444q", "False", "MaintenanceInProgress"),
        ]

    def test_nobody_has_looked_at_it(self) -> None:
        made = {**an_effect(), "status": {}}
        assert self.conditions(made)[0] == ("Ready", "Unknown", "Pending")

    def test_going(self) -> None:
        made = objects.a_maintenance("m", "w", objects.a_condition("NodeEffectApplied"),
                                     objects.a_condition("NodeEffectRemoved", "False", "Pending"), deleting=True)
        assert self.conditions(made)[0] == ("Ready", "False", "Pending")

    @pytest.mark.parametrize("requestors", [None, "w-1", {"w-1": True}], ids=str)
    def test_requestors_that_are_no_list(self, requestors: Any) -> None:
        made = {**an_effect(), "spec": {"dpuNodeName": "w", "requestor": requestors}}
        assert [type_ for type_, *_ in self.conditions(made)] == ["Ready", "NodeEffectApplied"]


class TestClusters:
    """How many DPUs a cluster has, of how many."""

    def cluster(self, most: Any = 3) -> dict[str, Any]:
        made = objects.a_cluster("c")
        made["spec"], made["status"]["phase"] = {"maxNodes": most}, "Ready"
        return made

    def note(self, *dpus: dict[str, Any], most: Any = 3) -> str:
        return row("DPUCluster/c", self.cluster(most), *dpus, target="dpuclusters").note

    def test_assigned_dpus_are_counted(self) -> None:
        dpus = (
            objects.a_dpu_in("Ready", "a", cluster="c"), objects.a_dpu_in("Error", "b", cluster="c"),
            objects.a_dpu_in("Pending", "x", cluster="other"), objects.a_dpu_in("Initializing", "y"),
        )
        assert self.note(*dpus) == "Phase: Ready. DPUs: 2 of 3"

    def test_none_is_assigned(self) -> None:
        assert self.note() == "Phase: Ready. DPUs: 0 of 3"

    def test_a_limit_of_another_version(self) -> None:
        assert self.note(most="many") == "Phase: Ready. DPUs: 0"

    @pytest.mark.parametrize(("cluster", "expected"), [
        ({"name": "c"}, Key("ns", "c")), ({"name": "c", "namespace": "other"}, Key("other", "c")),
        ({"name": ""}, None), ({"namespace": "ns"}, None), ("c", None), (None, None), ({"name": ["c"]}, None),
    ], ids=str)
    def test_which_cluster(self, cluster: Any, expected: Key | None) -> None:
        made = {**objects.a_dpu("d", namespace="ns"), "spec": {"cluster": cluster}}
        assert owners.cluster_of(msgspec.convert(made, views.DPUView)) == expected

    async def test_dpus_are_read_to_be_counted_and_not_shown(self) -> None:
        class Lists:
            async def list(self, kind: type[Any], *, labels: str | None = None) -> Listing[Any]:
                made = {"DPFOperatorConfig": objects.a_root(), "DPUCluster": objects.a_cluster("c"),
                        "DPU": objects.a_dpu_in("Ready", "a", cluster="c")}
                return Listing((msgspec.convert(made[kind.resource.kind], kind),), "1")

        inventory = await discover.discover(Lists(), kinds.TARGETS["dpuclusters"])  # type: ignore[arg-type]
        built = tree.build(inventory, kinds.TARGETS["dpuclusters"], tree.Options())
        (heading,) = built.children
        assert [(node.name, node.note) for node in heading.children] == [("DPUCluster/c", "DPUs: 1")]
