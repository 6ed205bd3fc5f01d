"""Places for installations and in DPUClusters: never more than there are, however late the cache is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from tests.unit.provisioning.dpu import snapshots as given
from tests.unit.provisioning.dpu.snapshots import a_dpu

from dpf.api.dpu import DPU, Phase
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, Object
from dpf.kube.cache import Cache
from dpf.kube.client import Listing
from dpf.provisioning.dpu import watches
from dpf.provisioning.dpu.places import Places
from dpf.provisioning.dpu.snapshot import ADMITTED

MOST = 50


def a_cache(*objects: Object) -> Cache:
    cache = Cache("host")
    for watch in watches.build(lambda: cache):
        if not watch.everywhere:
            cache.register(watch.kind, indexes=watch.indexes)
    show(cache, *objects)
    return cache


def show(cache: Cache, *objects: Object) -> None:
    """From now on the cache holds this and nothing else."""
    for kind in (DPU, DPUCluster):
        cache.store(kind).replace(Listing(tuple(o for o in objects if type(o) is kind), "1"))


def a_waiting(number: int, phase: str = Phase.PENDING, *, cluster: str | None = None, **spec: Any) -> DPU:
    assigned = {"name": cluster, "namespace": given.NAMESPACE} if cluster is not None else {}
    name = f"w{number}-mt{number}"
    return a_dpu(phase, name=name, uid=f"uid-{number}", spec={"cluster": {**assigned, **spec}})


def waiting(count: int) -> list[DPU]:
    return [a_waiting(number) for number in range(count)]


def admitted(places: Places, dpus: Iterable[DPU], most: int = MOST) -> list[str]:
    return [dpu.metadata.name for dpu in dpus if places.admit(dpu, most)[0]]


def a_cluster(
    name: str, phase: str = "Ready", *, most: int = 1000, labels: dict[str, str] | None = None, going: bool = False,
) -> DPUCluster:
    return msgspec.convert({
        "metadata": {
            "name": name, "namespace": given.NAMESPACE, "labels": labels or {},
            "deletionTimestamp": given.ago(minutes=1) if going else None,
        },
        "spec": {"type": "kamaji", "maxNodes": most}, "status": {"phase": phase},
    }, DPUCluster)


def key(name: str) -> Key:
    return Key(given.NAMESPACE, name)


class TestAdmission:
    """At most so many from Node Effect to OS Installing."""

    def test_fifty_of_sixty_while_the_cache_shows_nothing_of_it(self) -> None:
        dpus = waiting(60)
        places = Places(a_cache(*dpus))
        assert admitted(places, dpus) == [f"w{n}-mt{n}" for n in range(50)]
        assert places.admit(dpus[55], MOST) == (False, 50)

    def test_who_has_a_place_keeps_it(self) -> None:
        dpus = waiting(60)
        places = Places(a_cache(*dpus))
        admitted(places, dpus)
        assert len(admitted(places, reversed(dpus))) == 50

    def test_a_place_moves_from_memory_into_the_objects(self) -> None:
        dpus = waiting(60)
        cache = a_cache(*dpus)
        places = Places(cache)
        admitted(places, dpus)
        show(cache, *(a_waiting(n, Phase.NODE_EFFECT) for n in range(50)), *dpus[50:])
        assert admitted(places, dpus[50:]) == []

    @pytest.mark.parametrize("phase", sorted(ADMITTED))
    def test_every_phase_of_an_installation_occupies_a_place(self, phase: Phase) -> None:
        cache = a_cache(a_waiting(1, phase), a_waiting(2))
        assert Places(cache).admit(a_waiting(2), 1) == (False, 1)

    @pytest.mark.parametrize("phase", sorted(set(Phase) - ADMITTED))
    def test_no_other_phase_does(self, phase: Phase) -> None:
        cache = a_cache(a_waiting(1, phase), a_waiting(2))
        assert Places(cache).admit(a_waiting(2), 1) == (True, 0)

    def test_after_a_restart_the_objects_tell(self) -> None:
        cache = a_cache(*(a_waiting(n, Phase.OS_INSTALLING) for n in range(50)), a_waiting(99))
        assert Places(cache).admit(a_waiting(99), MOST) == (False, 50)

    @pytest.mark.parametrize("then", [Phase.DPU_CONFIG, Phase.ERROR, Phase.READY, None], ids=str)
    def test_a_place_is_free_again(self, then: Phase | None) -> None:
        cache = a_cache(a_waiting(1), a_waiting(2))
        places = Places(cache)
        assert admitted(places, [a_waiting(1), a_waiting(2)], 1) == ["w1-mt1"]
        show(cache, *([a_waiting(1, then)] if then is not None else []), a_waiting(2))
        assert admitted(places, [a_waiting(2)], 1) == ["w2-mt2"]

    def test_a_namesake_does_not_hold_the_place_of_the_one_before(self) -> None:
        cache = a_cache(a_waiting(1))
        places = Places(cache)
        places.admit(a_waiting(1), 1)
        show(cache, a_dpu(Phase.PENDING, name="w1-mt1", uid="another"), a_waiting(2))
        assert places.admit(a_waiting(2), 1) == (True, 0)

    def test_who_is_deleted_gives_it_back(self) -> None:
        places = Places(a_cache(*waiting(2)))
        places.admit(a_waiting(0), 1)
        places.give_back(a_waiting(0))
        assert places.admit(a_waiting(1), 1)[0]


class TestClusters:
    """The fullest of those that take one more."""

    def assigned(self, *objects: Object, **spec: Any) -> tuple[Key | None, str]:
        dpu = a_waiting(99, Phase.INITIALIZING, **spec)
        return Places(a_cache(dpu, *objects)).assign(dpu)

    def test_the_fullest_first(self) -> None:
        members = [a_waiting(n, Phase.READY, cluster="b") for n in range(3)]
        assert self.assigned(a_cluster("a"), a_cluster("b"), a_cluster("c"), *members) == (key("b"), "")

    def test_fullest_is_meant_by_share(self) -> None:
        members = [a_waiting(1, cluster="a"), a_waiting(2, cluster="a"), a_waiting(3, cluster="b")]
        assert self.assigned(a_cluster("a", most=1000), a_cluster("b", most=2), *members)[0] == key("b")

    def test_of_equals_the_first_by_name(self) -> None:
        assert self.assigned(a_cluster("b"), a_cluster("a"), a_cluster("ab"))[0] == key("a")

    def test_only_what_is_selected(self) -> None:
        clusters = (a_cluster("a"), a_cluster("b", labels={"zone": "1"}))
        assert self.assigned(*clusters, selector={"matchLabels": {"zone": "1"}})[0] == key("b")

    @pytest.mark.parametrize(("clusters", "why"), [
        ((), "no cluster available"),
        ((a_cluster("a", going=True),), "no cluster available"),
        ((a_cluster("a", "Creating"),),
         f"no feasible cluster found: cluster {given.NAMESPACE}/a is not ready, phase: Creating"),
        ((a_cluster("a", most=1), a_waiting(1, cluster="a")),
         f"no feasible cluster found: cluster {given.NAMESPACE}/a is full, max node: 1"),
        ((a_cluster("b", "NotReady"), a_cluster("a", most=1), a_waiting(1, cluster="a")),
         (f"no feasible cluster found: cluster {given.NAMESPACE}/a is full, max node: 1; "
          f"cluster {given.NAMESPACE}/b is not ready, phase: NotReady")),
    ], ids=["none", "going", "not ready", "full", "both"])
    def test_why_there_is_none(self, clusters: tuple[Object, ...], why: str) -> None:
        assert self.assigned(*clusters) == (None, why)

    def test_a_selector_that_matches_none(self) -> None:
        assert self.assigned(a_cluster("a"), selector={"matchLabels": {"zone": "1"}}) == (
            None, "no feasible cluster found: the DPU's cluster selector matches none",
        )

    def test_at_most_five_reasons(self) -> None:
        _, why = self.assigned(*(a_cluster(f"c{n}", "Failed") for n in range(9)))
        assert why.count("is not ready") == 5

    def test_a_late_cache_does_not_overfill_a_cluster(self) -> None:
        dpus = [a_waiting(n, Phase.INITIALIZING) for n in range(7)]
        places = Places(a_cache(a_cluster("a", most=3), a_cluster("b", most=3), *dpus))
        found = [places.assign(dpu)[0] for dpu in dpus]
        assert found == [key("a")] * 3 + [key("b")] * 3 + [None]

    def test_who_was_assigned_hears_the_same_again(self) -> None:
        dpus = [a_waiting(n, Phase.INITIALIZING) for n in range(2)]
        places = Places(a_cache(a_cluster("a", most=1), a_cluster("b", most=1), *dpus))
        first = [places.assign(dpu) for dpu in dpus]
        assert [places.assign(dpu) for dpu in reversed(dpus)] == list(reversed(first))

    def test_a_cluster_that_has_gone_meanwhile_is_not_held(self) -> None:
        dpu = a_waiting(1, Phase.INITIALIZING)
        cache = a_cache(a_cluster("a"), dpu)
        places = Places(cache)
        places.assign(dpu)
        show(cache, a_cluster("a", going=True), a_cluster("b"), dpu)
        assert places.assign(dpu) == (key("b"), "")

    def test_who_is_gone_leaves_its_room(self) -> None:
        dpus = [a_waiting(n, Phase.INITIALIZING) for n in range(2)]
        cache = a_cache(a_cluster("a", most=1), *dpus)
        places = Places(cache)
        places.assign(dpus[0])
        assert places.assign(dpus[1])[0] is None
        show(cache, a_cluster("a", most=1), dpus[1])
        assert places.assign(dpus[1])[0] == key("a")


def test_a_cluster_with_a_node_of_that_name_takes_no_second_one() -> None:
    """Two DPUs of one name, in two namespaces, would be one Node."""
    first = a_waiting(1, Phase.READY, cluster="a")
    second = msgspec.structs.replace(
        a_waiting(1), metadata=msgspec.structs.replace(first.metadata, namespace="other", uid="uid-other"),
    )
    cache = a_cache(first, second, a_cluster("a"), a_cluster("b"))
    assert Places(cache).assign(second) == (Key(given.NAMESPACE, "b"), "")
    show(cache, first, second, a_cluster("a"))
    assert Places(cache).assign(second) == (
        None, f"no feasible cluster found: cluster {given.NAMESPACE}/a has a Node of that name, which is another DPU's",
    )


def test_two_dpus_of_one_name_do_not_meet_over_a_cache_that_is_late() -> None:
    first, other = a_waiting(1), a_waiting(1)
    second = msgspec.structs.replace(
        other, metadata=msgspec.structs.replace(other.metadata, namespace="other", uid="uid-other"),
    )
    places = Places(a_cache(first, second, a_cluster("a"), a_cluster("b")))
    assert places.assign(first) == (Key(given.NAMESPACE, "a"), "")
    assert places.assign(second) == (Key(given.NAMESPACE, "b"), "")
