"""Whatever happens in whatever order, and wherever passes are cut short: the end is the same, and then all is quiet."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import dpudeployments as some
from tests.support import rollouts
from tests.support.rollouts import World

from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import DPUSet

SERVICES = ("web", "api")
CHILDREN: tuple[type[Any], ...] = (DPUService, DPUServiceInterface, DPUServiceChain, DPUSet)

Operation = tuple[Any, ...]
service = st.sampled_from(SERVICES)
edits = st.one_of(
    st.tuples(st.just("values"), service, st.integers(0, 3)),
    st.tuples(st.just("flag"), service, st.booleans()),
    st.tuples(st.just("interfaces"), service, st.lists(st.sampled_from(["eth0", "eth1"]), unique=True), st.booleans()),
    st.tuples(st.just("in_cluster"), service, st.booleans()),
    st.tuples(st.just("services"), st.lists(service, min_size=1, unique=True)),
    st.tuples(
        st.just("chain"), st.sampled_from(["none", "uplink", "service", "both"]), st.sampled_from([None, False, True])
    ),
    st.tuples(st.just("sets"), st.lists(st.sampled_from(["one", "two"]), unique=True)),
    st.tuples(st.just("limit"), st.integers(1, 4)),
)
mischief = st.one_of(
    st.tuples(
        st.just("strip"), st.sampled_from(CHILDREN), st.integers(0, 5), st.sampled_from(["labels", "annotations"])
    ),
    st.tuples(st.just("delete"), st.sampled_from(CHILDREN), st.integers(0, 5)),
)
progress = st.one_of(
    st.tuples(st.just("pass"), st.integers(0, 9)), st.just(("report",)), st.just(("collect",)),
    st.tuples(st.just("say"), st.sampled_from(CHILDREN), st.integers(0, 5), st.booleans()),
)
operations = st.lists(st.one_of(edits, progress, progress, mischief), max_size=14)


def world(*, disruptive: bool = False) -> World:
    return World(
        some.a_deployment(services=SERVICES),
        *(some.a_configuration(name, interfaces=("eth0",), nodeEffect=disruptive) for name in SERVICES),
        finalizers=True,
    )


def perform(found: World, operation: Operation) -> None:
    if not (configured(found, operation) or respecified(found, operation)):
        happened(found, operation)


def configured(found: World, operation: Operation) -> bool:
    """Edits of the configuration of a service."""
    match operation:
        case ("values", name, value):
            values = {"helmChart": {"values": {"revision": value}}}
            found.edit(DPUServiceConfiguration, name, {"spec": {"serviceConfiguration": values}})
        case ("flag", name, flag):
            found.edit(DPUServiceConfiguration, name, {"spec": {"nodeEffect": flag}})
        case ("interfaces", name, interfaces, virtual):
            more = {"virtualNetwork": "blue"} if virtual else {}
            listed = [{"name": i, "network": "n", **more} for i in interfaces] or None
            in_cluster = {"deployInCluster": None}
            found.edit(DPUServiceConfiguration, name, {"spec": {
                "interfaces": listed, "serviceConfiguration": in_cluster,
            }})
        case ("in_cluster", name, flag):
            found.edit(DPUServiceConfiguration, name, {"spec": {
                "interfaces": None, "serviceConfiguration": {"deployInCluster": flag},
            }})
        case _:
            return False
    return True


def respecified(found: World, operation: Operation) -> bool:
    """Edits of the deployment."""
    match operation:
        case ("services", wanted):
            references = {n: {"serviceTemplate": n, "serviceConfiguration": n} for n in wanted}
            respec(found, services=references)
        case ("chain", ports, policy):
            respec(found, serviceChains=chain(ports, policy))
        case ("sets", suffixes):
            dpus = {"bfb": "bfb", "flavor": "flavor", "dpuSets": [{"nameSuffix": s} for s in suffixes] or None}
            respec(found, dpus={name: value for name, value in dpus.items() if value})
        case ("limit", limit):
            respec(found, revisionHistoryLimit=limit)
        case _:
            return False
    return True


def happened(found: World, operation: Operation) -> None:
    """Passes, controllers of children, and mischief."""
    match operation:
        case ("strip", kind, index, what):
            strip(found, kind, index, what)
        case ("delete", kind, index):
            if names := found.names(kind):
                found.remove(kind, names[index % len(names)])
        case ("pass", actions):
            found.step(cut=actions)
        case ("say", kind, index, ready):
            if names := found.names(kind):
                found.say(kind, names[index % len(names)], ready=ready)
        case ("report",):
            found.report()
        case ("collect",):
            found.collect()


def respec(found: World, **spec: Any) -> None:
    found.edit(DPUDeployment, "dd", lambda tree: {**tree, "spec": {**tree["spec"], **spec}})


def chain(ports: str, policy: bool | None) -> Any:
    uplink = {"serviceInterface": {"matchLabels": {"uplink": "p0"}}}
    web = {"service": {"name": "web", "interface": "eth0"}}
    switches = [{"ports": {"uplink": [uplink], "service": [web], "both": [web, uplink], "none": []}[ports]}]
    if ports == "none":
        return None
    return switches if policy is None else {"switches": switches, "upgradePolicy": {"applyNodeEffect": policy}}


def strip(found: World, kind: type[Any], index: int, what: str) -> None:
    """Takes off a mark. Owner reference and owner label are never both gone: then it is nobody's child."""
    if names := found.names(kind):
        found.edit(kind, names[index % len(names)], {"metadata": {what: None}})


def check(found: World) -> None:
    """The end that the deployment and its configurations ask for."""
    assert found.settle() == 0, "a settled deployment writes nothing"
    spec = found.deployment.spec
    assert spec is not None
    if found.findings():  # the chain names a service that is not there any more
        assert set(found.findings()) == {
            "failed to resolve service chain switches: service web not found in patched services"
        }
        return
    services = {s.metadata.labels["svc.dpu.nvidia.com/dpudeployment-service"]: s for s in found.list(DPUService)}
    assert len(services) == len(found.names(DPUService))
    assert services.keys() == spec.services.keys()
    assert rollouts.service_names(found, paused=True) == []
    for name, service in services.items():
        configuration = found.get(DPUServiceConfiguration, name).spec
        assert len(service.spec.interfaces or ()) == len(configuration.interfaces or ())
        chart = configuration.serviceConfiguration.helmChart if configuration.serviceConfiguration else None
        assert service.spec.helmChart.values == (chart.values if chart else None)
    listed = sorted(i for s in services.values() for i in s.spec.interfaces or ())
    assert listed == found.names(DPUServiceInterface)
    assert len(found.names(DPUServiceChain)) == (spec.serviceChains is not None)
    assert found.names(DPUSet) == sorted(f"dd-{entry.nameSuffix}" for entry in spec.dpus.dpuSets or ())
    assert rollouts.follows_labels(found) <= {False}
    for dpuset in found.list(DPUSet):
        labels = dict(dpuset.spec.dpuTemplate.spec.cluster.nodeLabels)
        labels.pop("svc.dpu.nvidia.com/owned-by-dpudeployment")
        assert sorted(labels.values()) == sorted([*found.names(DPUService), *found.names(DPUServiceChain)])
    ids = [s.spec.serviceID for s in services.values()]
    assert len(ids) == len(set(ids))
    assert found.plan.wake_after_s is None


@settings(max_examples=100, deadline=None)
@given(operations)
def test_everything_converges(given_operations: list[Operation]) -> None:
    found = world()
    for operation in given_operations:
        perform(found, operation)
    found.converge()
    check(found)


@settings(max_examples=30, deadline=None)
@given(st.lists(edits, max_size=3), st.lists(st.integers(0, 4), min_size=40, max_size=40))
def test_passes_that_are_cut_short_end_where_whole_ones_do(changes: list[Operation], cuts: list[int]) -> None:
    whole, broken = world(disruptive=True), world(disruptive=True)
    for found in (whole, broken):
        found.converge()
    for change in changes:
        perform(whole, change)
        whole.settle()
        perform(broken, change)
        for cut in cuts[:8]:
            broken.step(cut=cut)
        broken.settle()

    for kind in CHILDREN:
        assert whole.names(kind) == broken.names(kind)
        assert [obj.spec for obj in whole.list(kind)] == [obj.spec for obj in broken.list(kind)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(edits.filter(lambda e: e[0] in {"values", "flag", "interfaces", "chain", "limit"}), progress),
                max_size=14))
def test_a_service_is_never_without_a_revision(given_operations: list[Operation]) -> None:
    """And of several, exactly one works in the end; the others are paused or go in the next pass."""
    found = world(disruptive=True)
    found.converge()
    for operation in given_operations:
        perform(found, operation)
        for name in SERVICES:
            alive = [
                s for s in found.list(DPUService) if s.metadata.deletionTimestamp is None
                and s.metadata.labels["svc.dpu.nvidia.com/dpudeployment-service"] == name
            ]
            assert alive, found.log
    found.settle()
    for name in SERVICES:
        alive = [
            s for s in found.list(DPUService) if s.metadata.deletionTimestamp is None
            and s.metadata.labels["svc.dpu.nvidia.com/dpudeployment-service"] == name
        ]
        assert sum(not s.spec.paused for s in alive) == 1, found.log
