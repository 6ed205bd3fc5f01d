"""Which DPUSets hear of a change: those that it concerns, and no other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpusets as some
from tests.support.world import NAMESPACE

from dpf.api.dpu import DPU
from dpf.api.dpudevice import DPUDevice
from dpf.api.dpunode import DPUNode
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object
from dpf.kube.cache import Cache
from dpf.kube.client import Listing
from dpf.provisioning.dpuset import watches


def nothing(_: Key) -> None:
    """Nobody rests."""


def a_cache(*objects: Object) -> Cache:
    cache = Cache("host")
    for watch in watches.build(lambda: cache, nothing):
        store = cache.register(watch.kind, indexes=watch.indexes)
        store.replace(Listing(tuple(o for o in objects if type(o) is watch.kind), "1"))
    return cache


def concerned(cache: Cache, old: Any, new: Any) -> set[str]:
    """Names of the DPUSets that hear that `old` became `new`."""
    kind = type(new if new is not None else old)
    (maps,) = [watch.maps for watch in watches.build(lambda: cache, nothing) if watch.kind is kind]
    keys = list(maps(old, new))
    assert all(key.namespace == NAMESPACE for key in keys)
    return {key.name for key in keys}


def changed(obj: Any, **metadata: Any) -> Any:
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, **metadata))


SETS: tuple[Object, ...] = (
    some.a_dpuset("all"), some.a_dpuset("zone1", dpuNodeSelector={"matchLabels": {"zone": "1"}}),
    some.a_dpuset("zone2", nodeSelector={"matchLabels": {"zone": "2"}}),
    some.a_dpuset("rack1", dpuDeviceSelector={"matchLabels": {"rack": "1"}}),
    some.a_dpuset("broken", dpuNodeSelector={"matchExpressions": [{"key": "a", "operator": "Like"}]}),
    some.a_dpuset("elsewhere", namespace="other"),
)
NODE = some.a_node("n", zone="1")
DEVICE = some.a_device("d", "n")


def test_a_host_concerns_those_that_select_it_or_did() -> None:
    cache = a_cache(*SETS)
    moved = changed(NODE, labels={"zone": "2"})
    assert concerned(cache, None, NODE) == {"all", "zone1", "rack1"}
    assert concerned(cache, NODE, moved) == {"all", "zone1", "zone2", "rack1"}
    assert concerned(cache, NODE, None) == {"all", "zone1", "rack1"}
    assert concerned(cache, NODE, changed(NODE, deletionTimestamp="now")) == {"all", "zone1", "rack1"}


def test_a_device_concerns_those_that_select_it_and_who_has_its_dpu() -> None:
    cache = a_cache(*SETS, NODE, some.a_dpu("n-d", device="d", node="n", owner="zone2"))
    assert concerned(cache, None, DEVICE) == {"all", "zone1", "zone2"}
    racked = changed(DEVICE, labels={**(DEVICE.metadata.labels or {}), "rack": "1"})
    assert concerned(cache, DEVICE, racked) == {"all", "zone1", "zone2", "rack1"}
    assert concerned(cache, None, some.a_device("e", None)) == set()


def test_a_dpu_concerns_its_set_and_when_it_comes_or_goes_those_that_want_its_device() -> None:
    cache = a_cache(*SETS, NODE, DEVICE)
    dpu = some.a_dpu("n-d", device="d", node="n", owner="zone1")
    assert concerned(cache, None, dpu) == concerned(cache, dpu, None) == {"all", "zone1"}
    assert concerned(cache, dpu, some.a_dpu("n-d", device="d", node="n", owner="zone1", phase="Error")) == {"zone1"}
    assert concerned(cache, dpu, some.a_dpu("n-d", device="d", node="n", owner="all")) == {"all", "zone1"}


@pytest.mark.parametrize("new", [
    some.a_dpu(phase="Error"), some.a_dpu(ready=False), some.a_dpu(observed=None), some.a_dpu(generation=2),
    some.a_dpu(deleting=True), some.a_dpu(labels={"a": "b"}), some.a_dpu(dpuFlavor="another"),
    some.a_dpu(outdated={"timeStamp": "2026-01-01T00:00:00Z", "reason": "OutdatedBFB", "message": "x"}),
])
def test_its_set_hears_of_all_that_it_reads_of_a_dpu(new: DPU) -> None:
    cache = a_cache(*SETS)
    assert concerned(cache, some.a_dpu(), new) == concerned(cache, new, some.a_dpu()) == {"dpuset-dk"}


def test_only_what_is_to_be_acted_on_ends_a_rest() -> None:
    urged: list[str] = []
    cache = a_cache(*SETS, NODE)
    by_kind = {watch.kind: watch.maps for watch in watches.build(lambda: cache, lambda key: urged.append(key.name))}
    list(by_kind[DPU](some.a_dpu(), some.a_dpu(phase="Error", ready=False, observed=None)))
    assert urged == []
    list(by_kind[DPU](some.a_dpu(), some.a_dpu(deleting=True)))
    assert urged == ["dpuset-dk", "dpuset-dk"]
    list(by_kind[DPUDevice](None, DEVICE))
    assert set(urged) == {"dpuset-dk", "all", "zone1"}


def test_those_that_wait_for_a_device_hear_of_its_end_also_when_it_is_gone_itself() -> None:
    label = "provisioning.dpu.nvidia.com/collision-dpuset-zone2"
    assert concerned(a_cache(*SETS), some.a_dpu(owner="all", labels={label: "true"}), None) == {"all", "zone2"}


def test_a_dpu_that_has_lost_its_owner_concerns_the_set_on_its_labels() -> None:
    labels = {
        "provisioning.dpu.nvidia.com/dpuset-name": "all", "provisioning.dpu.nvidia.com/dpuset-namespace": NAMESPACE,
    }
    dpu = some.a_dpu(owner="", labels=labels)
    assert concerned(a_cache(*SETS), None, dpu) == {"all"}
    assert list(watches.owner_index(dpu)) == [f"{NAMESPACE}/all"]
    assert list(watches.owner_index(some.a_dpu(labels=labels))) == ["uid-dpuset-dk"]


NOISE: list[tuple[Any, Any]] = [
    (some.a_dpu(), msgspec.structs.replace(
        some.a_dpu(), status=msgspec.structs.replace(some.a_dpu().status, bfbVersion="4.9", requiredReset=True)
    )),
    (some.a_dpu(), changed(some.a_dpu(), resourceVersion="9", annotations={"note": "x"}, finalizers=["f"])),
    (NODE, msgspec.structs.replace(NODE, status=msgspec.structs.replace(NODE.status, rebootInProgress=True))),
    (DEVICE, msgspec.structs.replace(DEVICE, status=msgspec.structs.replace(DEVICE.status, pf0Name="ens1"))),
    (some.a_cluster(), msgspec.structs.replace(
        some.a_cluster(), status=msgspec.structs.replace(some.a_cluster().status, phase="NotReady")
    )),
    (some.a_config(), some.a_config(provisioningController={"dmsTimeout": 5})),
]


@pytest.mark.parametrize(("old", "new"), NOISE)
def test_what_nobody_reads_wakes_nobody(old: Any, new: Any) -> None:
    choosy = some.a_dpuset("choosy", template=some.a_template(cluster={"selector": {"matchLabels": {"a": "b"}}}))
    cache = a_cache(*SETS, choosy, NODE, DEVICE)
    assert concerned(cache, old, new) == set()


def test_a_cluster_concerns_those_that_choose_and_the_configuration_all() -> None:
    choosy = some.a_dpuset("choosy", template=some.a_template(cluster={"selector": {"matchLabels": {"a": "b"}}}))
    cache = a_cache(some.a_dpuset("all"), choosy)
    assert concerned(cache, some.a_cluster(), some.a_cluster(a="b")) == {"choosy"}
    assert concerned(cache, some.a_config(), some.a_config(deploymentMode="zero-trust")) == {"all", "choosy"}


def test_every_kind_that_is_read_is_watched() -> None:
    kinds = {watch.kind for watch in watches.build(lambda: Cache("host"), nothing)}
    assert {DPUSet, DPU, DPUDevice, DPUNode} <= kinds
