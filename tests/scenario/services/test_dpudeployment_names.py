"""Names of what DPUDeployments make: unique, legal, deterministic, and nobody else's."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.support import deploymentplatform as platforms
from tests.support import dpudeployments as some
from tests.support import dpuservices
from tests.support.deploymentplatform import Platform, interfaces_of

from dpf.api.argocd import Application
from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Object, ObjectMeta

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
SUFFIX = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}")
CHAIN = [{"ports": [{"service": {"name": "producer", "interface": "eth0"}}]}]


def deployments(*names: str, **spec: Any) -> list[Object]:
    """Deployments that name the same dependencies, and these."""
    made = [some.a_deployment(name, **spec) for name in names]
    return [*made, *some.dependencies_of(made[0])]


def owners(platform: Platform, kind: type[Object]) -> dict[str, str]:
    """Who controls each object of a kind."""
    return {
        obj.metadata.name: next((ref.name for ref in obj.metadata.ownerReferences or () if ref.controller), "nobody")
        for obj in platform.host.objects(kind)
    }


def label_values(platform: Platform) -> set[str]:
    """Every label value, and every value that is compared with one, on and in children."""
    found: set[str] = set()
    for kind in some.CHILDREN:
        for obj in platform.host.objects(kind):
            found |= set((obj.metadata.labels or {}).values())
    for interface in platform.host.objects(DPUServiceInterface):
        assert interface.spec is not None
        selector = interface.spec.template.spec.nodeSelector
        assert selector is not None
        found |= {value for e in selector.matchExpressions or () for value in e.values or ()}
        metadata = interface.spec.template.spec.template.metadata
        assert metadata is not None
        found |= set((metadata.labels or {}).values())
    for dpuset in platform.host.objects(DPUSet):
        assert dpuset.spec is not None
        cluster = dpuset.spec.dpuTemplate.spec.cluster
        assert cluster is not None
        found |= set((cluster.nodeLabels or {}).values())
    return found


async def test_two_deployments_with_services_of_one_name() -> None:
    platform = platforms.a_platform(*deployments("one", "two", serviceChains=CHAIN))
    async with platform.running():
        await platform.work()
        assert owners(platform, DPUService) == {"one-producer": "one", "two-producer": "two"}
        assert owners(platform, DPUServiceChain) == {"one": "one", "two": "two"}
        assert interfaces_of(platform) == {
            "one-producer-eth0": ("eth0", "dpudeployment_one_producer"),
            "two-producer-eth0": ("eth0", "dpudeployment_two_producer"),
        }
        expected = platform.end_state(DPUService)
        await platform.delete(DPUDeployment, "one")
        await platform.work()
        assert owners(platform, DPUService) == {"two-producer": "two"}
        assert platform.end_state(DPUService) == {k: v for k, v in expected.items() if "two-producer" in k}


async def test_two_namespaces_with_deployments_of_one_name() -> None:
    there = some.a_deployment(namespace="elsewhere")
    platform = platforms.a_platform(*deployments("dd"), there, *some.dependencies_of(there))
    async with platform.running():
        await platform.work()
        apps = {app.metadata.name: app.spec.destination.namespace for app in platform.host.objects(Application)}
        assert sorted(map(str, apps.values())) == ["elsewhere", "tenant"]
        for namespace in ("tenant", "elsewhere"):
            assert platform.names(DPUService, namespace) == ["dd-producer"]
            assert platform.condition(ConditionType.READY, "dd", namespace).status == "True"
            spec = platform.one(DPUSet, "dd-workers", namespace).spec
            assert spec is not None
            assert spec.dpuTemplate.spec.cluster is not None
            labels = spec.dpuTemplate.spec.cluster.nodeLabels or {}
            assert labels["svc.dpu.nvidia.com/owned-by-dpudeployment"] == f"{namespace}_dd"
        await platform.configure("producer", replicas=2)
        revisions = {s.metadata.namespace: s.metadata.annotations for s in platform.host.objects(DPUService)}
        assert revisions["tenant"] != revisions["elsewhere"], "an edit here is none there"
        await platform.delete(DPUDeployment, "dd")
        await platform.work()
        assert platform.names(DPUService) == ["dd-producer"]
        assert platform.names(Application) == [name for name, ns in apps.items() if ns == "elsewhere"]


@pytest.mark.parametrize("first", ["a", "a-b"])
async def test_names_that_run_into_each_other_across_deployments(first: str) -> None:
    """Service `b-c` of `a` and service `c` of `a-b` would both be `a-b-c`: whoever comes first has it."""
    services = {"a": "b-c", "a-b": "c"}
    second = next(name for name in services if name != first)
    both = {name: some.a_deployment(name, services=(service,)) for name, service in services.items()}
    needed = {(type(d), d.metadata.name): d for dd in both.values() for d in some.dependencies_of(dd)}
    platform = platforms.a_platform(*needed.values(), both[first])
    async with platform.running():
        await platform.apply(both[second])
        await platform.work()
        for kind, plain in ((DPUService, "a-b-c"), (DPUServiceInterface, "a-b-c-eth0")):
            found = owners(platform, kind)
            assert found.pop(plain) == first
            ((other, owner),) = found.items()
            assert owner == second
            assert SUFFIX.fullmatch(other.removeprefix(plain))
        for name in services:
            assert platform.condition(ConditionType.READY, name).status == "True"
        ids = {service_id for _, service_id in interfaces_of(platform).values()}
        assert ids == {"dpudeployment_a_b-c", "dpudeployment_a-b_c"}
        assert await platform.look_again() == []
        kept = [n for n, owner in owners(platform, DPUService).items() if owner == second]
        await platform.delete(DPUDeployment, first)
        await platform.work()
        assert platform.names(DPUService) == kept, "a name that became free is no reason to move"
        assert await platform.look_again() == []


async def test_both_come_at_the_same_time() -> None:
    both = [some.a_deployment("a", services=("b-c",)), some.a_deployment("a-b", services=("c",))]
    needed = {(type(d), d.metadata.name): d for dd in both for d in some.dependencies_of(dd)}
    platform = platforms.a_platform(*needed.values(), *both)
    async with platform.running():
        await platform.work()
        assert sorted(owners(platform, DPUService).values()) == ["a", "a-b"]
        assert sorted(owners(platform, DPUServiceInterface).values()) == ["a", "a-b"]
        assert await platform.look_again() == []


@pytest.mark.parametrize("kind", some.CHILDREN, ids=lambda kind: kind.__name__)
async def test_what_the_user_has_made_under_a_plain_name_is_never_touched(kind: type[Object]) -> None:
    plain = {
        DPUService: "dd-producer", DPUServiceInterface: "dd-producer-eth0", DPUServiceChain: "dd", DPUSet: "dd-workers",
    }[kind]
    mine = dpuservices.a_service(plain) if kind is DPUService else kind(
        metadata=ObjectMeta(name=plain, namespace=some.TENANT, labels={"mine": "yes"})
    )
    configuration = some.a_configuration(interfaces=("eth0",), nodeEffect=True)
    platform = platforms.a_deployed("dd", mine, configuration, serviceChains=CHAIN)
    async with platform.running():
        await platform.work()
        user = platform.one(kind, plain).metadata
        (other,) = set(platform.names(kind)) - {plain}
        assert SUFFIX.fullmatch(other.removeprefix(plain))
        assert platform.condition(ConditionType.READY).status == "True"
        await platform.configure("producer", replicas=2)
        await platform.work()
        await platform.delete(DPUDeployment, "dd")
        await platform.work()
        assert platform.names(kind) == [plain]
        left = platform.one(kind, plain).metadata
        assert (left.uid, left.generation, left.labels, left.ownerReferences) == (
            user.uid, user.generation, user.labels, None,
        )


LONG_NAMESPACE, LONG_NAME, LONG_SERVICE, LONG_INTERFACE = "n" * 63, "d" * 20, "s" * 28, "i" * 15


def at_the_limits() -> Platform:
    """Everything as long as it may be, twice: two services that differ in the last character only."""
    services = (f"{LONG_SERVICE[:-1]}1", f"{LONG_SERVICE[:-1]}2")
    ports = [{"service": {"name": service, "interface": LONG_INTERFACE}} for service in services]
    deployment = some.a_deployment(
        LONG_NAME, LONG_NAMESPACE, services=services, serviceChains=[{"ports": ports}],
        dpus={"dpuSets": [{"nameSuffix": "x" * 24}]},
    )
    needed = [d for d in some.dependencies_of(deployment) if not isinstance(d, DPUServiceConfiguration)]
    configurations = [
        some.a_configuration(service, LONG_NAMESPACE, interfaces=(LONG_INTERFACE, f"{LONG_INTERFACE[:-3]}_sf"),
                             nodeEffect=True) for service in services
    ]
    return platforms.a_platform(deployment, *needed, *configurations)


async def test_names_at_the_limits() -> None:
    platform = at_the_limits()
    async with platform.running():
        await platform.work()
        for replicas in (1, 2):
            for kind, number in ((DPUService, 2), (DPUServiceInterface, 4), (DPUServiceChain, 1), (DPUSet, 1)):
                names = platform.names(kind)
                assert len(set(names)) == number
                assert all(len(name) <= 63 and NAME.fullmatch(name) for name in names), names
            values = label_values(platform)
            assert all(len(value) <= 63 and LABEL_VALUE.fullmatch(value) for value in values), values
            ids = {s.spec.serviceID for s in platform.host.objects(DPUService) if s.spec is not None}
            assert len(ids) == 2
            assert all(len(id_ or "") <= 63 and LABEL_VALUE.fullmatch(id_ or "") for id_ in ids)
            assert platform.condition(ConditionType.READY, LONG_NAME, LONG_NAMESPACE).status == "True"
            for configuration in platform.names(DPUServiceConfiguration):
                change = {"serviceConfiguration": {"helmChart": {"values": {"replicas": replicas}}}}
                await platform.edit(DPUServiceConfiguration, configuration, change, LONG_NAMESPACE)
            await platform.work()
        assert await platform.look_again() == []
        await platform.delete(DPUDeployment, LONG_NAME, LONG_NAMESPACE)
        await platform.work()
        assert platform.left() == []


async def test_a_service_id_at_its_limit_is_not_cut() -> None:
    platform = at_the_limits()
    async with platform.running():
        ids = sorted(str(s.spec.serviceID) for s in platform.host.objects(DPUService) if s.spec is not None)
        assert ids == [f"dpudeployment_{LONG_NAME}_{LONG_SERVICE[:-1]}{n}" for n in (1, 2)]
        assert {len(id_) for id_ in ids} == {63}


@pytest.mark.parametrize("interfaces", [("app_sf",), ("App0",), ("app_sf", "app-sf")])
async def test_interface_names_that_are_no_object_names(interfaces: tuple[str, ...]) -> None:
    platform = platforms.a_deployed("dd", some.a_configuration(interfaces=interfaces))
    async with platform.running():
        await platform.work()
        found = interfaces_of(platform)
        assert sorted(interface for interface, _ in found.values()) == sorted(interfaces)
        assert all(NAME.fullmatch(name) for name in found)
        assert platform.condition(ConditionType.READY).status == "True"
        assert await platform.look_again() == []


async def test_the_names_of_later_revisions_follow_from_what_they_are() -> None:
    lives: list[list[str]] = []
    for _ in range(2):
        platform = platforms.a_deployed("dd", some.a_configuration(interfaces=("eth0",), nodeEffect=True),
                                        serviceChains=CHAIN)
        async with platform.running():
            await platform.work()
            await platform.configure("producer", replicas=2)
            lives.append([name for kind in some.CHILDREN for name in platform.names(kind)])
    assert lives[0] == lives[1]
