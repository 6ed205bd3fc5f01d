"""DPUDeployments on the local platform: the users' guide from its first table to its last, and what it does not show.

Chains are spoken for by `tools.standin`; everything else is real. Where DPUs matter they are installed (`site`), else
there are Nodes without an installation (`platform`). Assertions look at what the API servers of host and DPU cluster
hold, and at what the pods do.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from tests.e2e.test_dpuservice import CLUSTER, ask
from tests.support import hostnodes, rolledout, tenanthosts, tenants
from tests.support.ownrepository import Repository
from tests.support.platform import Platform, Standin
from tests.support.tenanthosts import DPUS
from tests.support.tenants import NAME, Manifest, Tenant, Where

from dpf.api import core, names
from dpf.api.argocd import Application
from dpf.api.bfb import BFB
from dpf.api.dpu import DPU, Phase
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Object
from dpf.api.names import DPF_NAMESPACE

PRODUCER, CONSUMER = f"{NAME}-producer", f"{NAME}-consumer"
PRODUCER_LABEL = names.DPUSERVICE_NODE_LABEL.format(service="producer")
CONSUMER_LABEL = names.DPUSERVICE_NODE_LABEL.format(service="consumer")
CHILDREN: tuple[type[Object], ...] = (DPUService, DPUServiceInterface, DPUServiceChain, DPUSet)
DEPENDENCIES: tuple[type[Object], ...] = (BFB, DPUFlavor, DPUServiceTemplate, DPUServiceConfiguration)

SERVICE_COLUMNS = ("NAME", "READY", "PHASE")
DISRUPTIVE = {"op": "add", "path": "/spec/nodeEffect", "value": True}


def renamed(interface: str) -> dict[str, object]:
    """The guide's edit of a DPUServiceConfiguration."""
    return {"op": "replace", "path": "/spec/interfaces/0/name", "value": interface}


async def test_the_users_guide(site: Platform, sitestandin: Standin) -> None:
    """Seed 003 verbatim: roll-out, update without and with disruption, deletion."""
    async with tenanthosts.tenant(site, "customer-namespace") as guide:
        site.apply(*guide.producer_consumer(where=None))
        await guide.ready()
        await see_the_rollout(guide)
        await update_without_disruption(guide)
        await update_with_disruption(guide, sitestandin)
        await delete(guide)


async def see_the_rollout(guide: Tenant) -> None:
    """The tables of the guide, and what runs where."""
    assert rolledout.table(guide, "dpuset", "NAME") == [[f"{NAME}-dpuset1"], [f"{NAME}-dpuset2"]]
    assert rolledout.table(guide, "dpuserviceinterface", "NAME", "IFTYPE", "IFNAME") == [
        [f"{name}-app-iface", "service", "app-iface"] for name in (CONSUMER, PRODUCER)
    ]
    assert rolledout.table(guide, "dpuservicechain", "NAME") == [[NAME]]
    assert rolledout.table(guide, "dpuservice", *SERVICE_COLUMNS) == [
        [name, "True", "Success"] for name in (CONSUMER, PRODUCER)
    ]
    producers, consumers = await guide.pods("producer", 2), await guide.pods("consumer", 2)
    assert set(producers) == set(consumers) == set(DPUS.values())
    for pod in consumers.values():
        assert rolledout.environment(pod)["PARALLELIZATION"] == "10", "the configuration wins over the template"
        assert (pod.metadata.annotations or {})["sre.nvidia.com/page"] == "true"
    for dpu in await guide.all(DPU):
        assert dpu.status.phase == Phase.READY
    for node in (await guide.dpu.list(core.Node)).items:
        assert node.metadata.name in DPUS.values()
        assert rolledout.revision_labels(node).items() >= {
            names.OWNED_BY_DPUDEPLOYMENT_LABEL: f"{guide.namespace}_{NAME}", PRODUCER_LABEL: PRODUCER,
            CONSUMER_LABEL: CONSUMER, names.DPUSERVICECHAIN_NODE_LABEL: NAME,
        }.items()
    for dependency in await dependencies(guide):
        assert rolledout.is_held(dependency)
        assert len(rolledout.consumers(dependency)) == 1
    assert list(rolledout.described(guide, "DPUSet")) == [f"{NAME}-dpuset1", f"{NAME}-dpuset2"]
    assert rolledout.described(guide, "DPUDeployment")[NAME].split()[:2] == ["True", "Success"]


async def update_without_disruption(guide: Tenant) -> None:
    """The same object is changed in place, there and back."""
    (before,) = await guide.services("producer")
    for interface in ("app-iface2", "app-iface"):
        guide.patch("dpuserviceconfiguration/producer", [renamed(interface)])
        await until_interface(guide, interface)
        await guide.pods("producer", 2, network=interface)
        (after,) = await guide.services("producer")
        assert after.metadata.uid == before.metadata.uid
        assert after.spec is not None
        assert after.spec.interfaces == [f"{PRODUCER}-{interface}"]
    assert rolledout.version(after) == rolledout.version(before), "the digest is that of what was asked for"


async def update_with_disruption(guide: Tenant, standin: Standin) -> None:
    """A second object beside the first, and one in the end; the hosts are out of service until all works again."""
    old_pods = await guide.pods("producer", 2)
    async with tenants.recorded(guide, DPUService) as states:
        with standin.silent():
            async with tenanthosts.busy(guide, *DPUS):
                guide.patch("dpuserviceconfiguration/producer", [DISRUPTIVE])
                guide.patch("dpuserviceconfiguration/producer", [renamed("app-iface2")])
                new = await second_revision(guide)
                await see_two_revisions(guide, new.metadata.name)
                assert rolledout.uids(await guide.pods("producer", 2)) == rolledout.uids(old_pods), "none stopped yet"
            await guide.pods("producer", 2, network="app-iface2")
            await see_who_holds_the_hosts(guide)
            assert PRODUCER in {service.metadata.name for service in await guide.services("producer")}
        await guide.until_gone(DPUService, PRODUCER)
        await guide.until_all(DPUSet, lambda found: not any(rolledout.follows_labels(dpuset) for dpuset in found))
    pods = await guide.pods("producer", 2, network="app-iface2")
    assert set(pods) == set(DPUS.values())
    assert not rolledout.uids(pods) & rolledout.uids(old_pods)
    (left,) = await guide.services("producer")
    assert left.metadata.uid == new.metadata.uid
    for state in states:
        revisions = [service for service in state.values() if service.metadata.name.startswith(PRODUCER)]
        assert 1 <= len(revisions) <= 2
        if len(revisions) == 1 and revisions[0].metadata.name == new.metadata.name:
            assert tenants.is_ready(revisions[0]), "the old one was there until the new one was ready"
    await guide.ready()
    assert list(rolledout.described(guide, "DPUService")) == [CONSUMER, new.metadata.name]
    assert list(rolledout.described(guide, "DPUServiceTemplate")) == ["consumer", "producer"]


async def see_two_revisions(guide: Tenant, new: str) -> None:
    """The old one rests; DPUs are told of the new one, and wait for their hosts, which are busy."""
    await guide.until_all(DPUSet, lambda found: all(rolledout.follows_labels(dpuset) for dpuset in found))
    rows = rolledout.table(guide, "dpuservices", *SERVICE_COLUMNS)
    assert [row[0] for row in rows] == [CONSUMER, PRODUCER, new]
    for dpuset in await guide.all(DPUSet):
        assert rolledout.node_labels(dpuset)[PRODUCER_LABEL] == new
        assert f"{guide.namespace}_{NAME}_{new}" in rolledout.requestors(dpuset)
    await guide.until_all(DPU, lambda found: all(dpu.status.phase == Phase.NODE_EFFECT for dpu in found))
    for host in DPUS:
        assert f"{guide.namespace}_{NAME}_{new}" in (await tenanthosts.requestors(guide, host))
    shown = rolledout.described(guide, "DPUService")
    assert list(shown) == [CONSUMER, PRODUCER, new]
    assert "Paused" in shown[PRODUCER]
    assert "DPUSetsReady" in rolledout.described(guide, "DPUDeployment")[NAME]


async def see_who_holds_the_hosts(guide: Tenant) -> None:
    """Everything runs but the chain, of which nobody says that it is ready: it alone keeps the hosts from others."""
    (chain,) = [c.metadata.name for c in await guide.all(DPUServiceChain) if not tenants.is_ready(c)]
    for host in DPUS:
        await tenanthosts.until_requestors(guide, host, [f"{guide.namespace}_{NAME}_{chain}"])


async def delete(guide: Tenant) -> None:
    """Everything goes in the end, in both clusters, and the dependencies are free."""
    await guide.delete("dpudeployment", NAME)
    for kind in (*CHILDREN, DPU, DPUNodeMaintenance):
        assert await guide.all(kind) == ()
    await tenanthosts.free(guide)
    assert (await guide.dpu.list(core.Node)).items == ()
    labels = f"{names.DPUSERVICE_NAMESPACE_LABEL}={guide.namespace}"
    assert (await guide.host.list(Application, DPF_NAMESPACE, labels=labels)).items == ()
    assert (await guide.dpu.list(core.DaemonSet, guide.namespace)).items == ()
    for dependency in await dependencies(guide):
        assert not rolledout.is_held(dependency)
        assert rolledout.consumers(dependency) == []


async def test_a_revert_in_the_middle_costs_nothing(site: Platform, sitestandin: Standin) -> None:
    """The old revision is the wanted one again while its DPU waits for its host: its pods never stop.

    Then the deployment is deleted in the middle of another update: the paused revision must not hang, nor the host.
    """
    async with tenanthosts.tenant(site, "reverted") as mine:
        *others, deployment = mine.producer_consumer(Where.FIRST)
        for obj in others:
            if obj["kind"] == "DPUServiceConfiguration":
                obj["spec"]["upgradePolicy"] = {"applyNodeEffect": True}
        site.apply(*others, deployment)
        await mine.ready()
        before = await mine.pods("consumer", 1)
        async with tenanthosts.busy(mine, Where.FIRST):
            mine.configure("consumer", worker={"parallelization": 11})
            new = await second_revision(mine, "consumer")
            await mine.until(DPU, DPUS[Where.FIRST], lambda dpu: dpu.status.phase == Phase.NODE_EFFECT)
            mine.configure("consumer", worker={"parallelization": 10})
            await mine.until(DPUService, CONSUMER, lambda service: not tenants.is_paused(service))
        await mine.until_gone(DPUService, new.metadata.name)
        await mine.ready()
        await tenanthosts.free(mine)
        assert rolledout.uids(await mine.pods("consumer", 1)) == rolledout.uids(before)
        async with tenanthosts.busy(mine, Where.FIRST):
            mine.configure("consumer", worker={"parallelization": 12})
            await second_revision(mine, "consumer")
            await mine.until(DPU, DPUS[Where.FIRST], lambda dpu: dpu.status.phase == Phase.NODE_EFFECT)
            mine.kubectl("delete", "dpudeployment", NAME, "--wait=false")
            await mine.until_all(DPUService, lambda found: not found)
            await mine.until_gone(DPUDeployment, NAME)
            await tenanthosts.free(mine)


async def test_what_cannot_work_is_said_and_nothing_is_made(
    platform: Platform, standin: Standin, repository: Repository,
) -> None:
    """behaviour-service.md 6.3 and 6.4, in the words of seed 003; corrected, each goes on by itself."""
    async with tenants.tenant(platform, "mismatch") as versions, tenants.tenant(platform, "too-small") as sizes:
        *others, deployment = versions.producer_consumer()
        template = rolledout.find(others, "DPUServiceTemplate", "producer")
        template["spec"]["helmChart"]["source"] = repository.source("v0.0.3")
        bfb = rolledout.find(others, "BFB")
        bfb["spec"]["url"] = "http://internal-nfs/bf-bundle-2.9.1.bfb"
        platform.apply(*others, deployment)
        *others, deployment = sizes.producer_consumer()
        rolledout.find(others, "DPUServiceTemplate", "producer")["spec"]["resourceRequirements"]["cpu"] = 11
        platform.apply(*others, deployment)

        mismatch = await versions.condition("VersionMatchingReady", lambda c: c.status == "False")
        assert mismatch.reason == "Error"
        assert mismatch.message == (
            "Error occurred: version constraint for 'dpu.nvidia.com/doca-version' found in DPUServiceTemplate"
            " 'producer' is not satisfied by the version '2.9.1' found in the given BFB"
        )
        shortage = await sizes.condition("ResourceFittingReady", lambda c: c.status == "False")
        assert shortage.reason == "Failure"
        assert shortage.message == (
            "Error occurred: there are not enough resources for DPUServices to fit in this DPUDeployment:  Additional"
            " resources needed: [cpu: 1]"
        )
        for tenant in (versions, sizes):
            for kind in CHILDREN:
                assert await tenant.all(kind) == ()

        newer = {**bfb, "metadata": {**bfb["metadata"], "name": "bfb-3.0"}, "spec": {
            "fileName": "bfb-3.0.0.bfb", "url": "http://internal-nfs/bf-bundle-3.0.0.bfb",
        }}
        platform.apply(newer)
        versions.patch(f"dpudeployment/{NAME}", {"spec": {"dpus": {"bfb": "bfb-3.0"}}})
        sizes.patch("dpuservicetemplate/producer", {"spec": {"resourceRequirements": {"cpu": 10}}})
        await asyncio.gather(versions.ready(), sizes.ready())
        released = await versions.host.get(BFB, bfb["metadata"]["name"], versions.namespace)
        assert rolledout.consumers(released) == []
        assert not rolledout.is_held(released)


async def test_two_deployments_share_what_they_build_on(platform: Platform, standin: Standin) -> None:
    """behaviour-service.md 13.25: what is shared is held until the last one lets it go."""
    async with tenants.tenant(platform, "shared") as mine:
        *others, first = mine.producer_consumer()
        second = tenants.in_namespace(first, mine.namespace)
        second["metadata"]["name"] = "other"
        platform.apply(*others, first, second)
        await asyncio.gather(mine.ready(), mine.ready("other"))
        assert [len(rolledout.consumers(dependency)) for dependency in await dependencies(mine)] == [2] * 6
        assert rolledout.service_ids(await mine.all(DPUService)) == {
            f"dpudeployment_{deployment}_{service}" for deployment in (NAME, "other")
            for service in ("producer", "consumer")
        }
        mine.kubectl("delete", "bfb", "bfb-2.9", "--wait=false")
        await mine.delete("dpudeployment", NAME)
        assert [len(rolledout.consumers(dependency)) for dependency in await dependencies(mine)] == [1] * 6
        assert len(await mine.all(DPUService)) == 2
        await mine.delete("dpudeployment", "other")
        await mine.until_gone(BFB, "bfb-2.9")


async def test_two_deployments_that_want_one_dpu_do_not_fight(site: Platform, sitestandin: Standin) -> None:
    """The first has it, and the Node's labels are its own; the other says what is in its way, and has it afterwards."""
    async with tenanthosts.tenant(site, "rivals") as mine:
        *others, first = mine.producer_consumer(Where.FIRST)
        second = tenants.in_namespace(first, mine.namespace)
        second["metadata"]["name"] = "other"
        site.apply(*others, first)
        await mine.ready()
        name = DPUS[Where.FIRST]
        async with tenants.recorded(mine, core.Node, dpu=True) as states, tenants.recorded(mine, DPU) as lives:
            site.apply(second)
            refused = await mine.condition("Ready", lambda c: "another" in c.message, name="other-set", kind=DPUSet)
            assert refused.message == f"1/1 DPU(s) cannot be provisioned, owned by another DPUSet: {name}"
            waiting = await mine.condition("DPUSetsReady", lambda c: c.status == "False", name="other")
            assert waiting.message.splitlines() == ["Objects are not ready:", f"* {mine.namespace}/other-set"]
            await mine.ready()
        assert {rolledout.owner(state[name]) for state in states} == {f"{mine.namespace}_{NAME}"}
        assert {state[name].status.phase for state in lives} == {Phase.READY}
        await mine.delete("dpudeployment", NAME)
        await mine.ready("other")
        (node,) = (await mine.dpu.list(core.Node)).items
        assert (node.metadata.name, rolledout.owner(node)) == (name, f"{mine.namespace}_other")


async def test_a_new_bfb_is_installed_on_one_dpu_after_the_other(site: Platform, sitestandin: Standin) -> None:
    """Seed 003: an update of `spec.dpus.bfb` installs anew; the services are where they were in the end."""
    async with tenanthosts.tenant(site, "reflashed") as mine:
        *others, deployment = mine.producer_consumer()
        deployment["spec"]["dpus"]["dpuSets"] = [everywhere()]
        bfb = rolledout.find(others, "BFB")
        newer = {**bfb, "metadata": {**bfb["metadata"], "name": "newer"}, "spec": {
            "url": "http://internal-nfs/bf-bundle-2.9.1.bfb",
        }}
        site.apply(*others, newer, deployment)
        await mine.ready()
        async with tenants.recorded(mine, DPU) as states:
            mine.patch(f"dpudeployment/{NAME}", {"spec": {"dpus": {"bfb": "newer"}}})
            await mine.until_all(DPU, lambda found: len(found) == 2 and all(map(rolledout.runs("newer"), found)))
        assert min(sum(dpu.status.phase == Phase.READY for dpu in state.values()) for state in states) == 1
        await mine.ready()
        assert set(await mine.pods("producer", 2)) == set(DPUS.values())


async def test_a_service_knows_the_one_that_it_depends_on(site: Platform, sitestandin: Standin) -> None:
    """`dependsOn` with templating (6.6), and config ports (3.6): the running process is asked on every endpoint."""
    async with tenanthosts.tenant(site, "dependent") as mine:
        site.apply(*frontend_and_backend(mine))
        await mine.ready("duo")
        slices = json.loads(mine.kubectl("get", "endpointslices", "-o", "json"))["items"]
        (found,) = [s for s in slices if s["metadata"]["labels"][names.DPUSERVICE_NAME_LABEL] == "duo-frontend"]
        port = next(p["port"] for p in found["ports"] if p["name"] == "exampletcp")
        addresses = [address for endpoint in found["endpoints"] for address in endpoint["addresses"]]
        answers = [await ask(address, port) for address in addresses]
        assert sorted(answer["node"] for answer in answers) == sorted(DPUS.values())
        for answer in answers:
            assert answer["environment"]["SERVICE_ID"] == "talks to duo-backend in dependent"
        service = json.loads(mine.kubectl("get", "service", "duo-frontend", "-o", "json"))
        assert service["spec"]["type"] == "NodePort"
        status = (await mine.host.get(DPUService, "duo-frontend", mine.namespace)).status
        assert [port.port for port in (status.configPorts or {})[CLUSTER]] == [8080]


async def test_a_service_in_the_host_cluster_follows_its_node_label(platform: Platform, standin: Standin) -> None:
    """behaviour-service.md 6.11, on a host Node that nobody runs: its kubelet is played here.

    The first roll-out labels the node at once; a disruptive update waits for the node effect.
    """
    async with tenants.tenant(platform, "inside") as mine:
        *others, deployment = mine.producer_consumer()
        configuration = rolledout.find(others, "DPUServiceConfiguration", "consumer")
        configuration["spec"]["serviceConfiguration"]["deployInCluster"] = True
        configuration["spec"]["upgradePolicy"] = {"applyNodeEffect": True}
        del configuration["spec"]["interfaces"], deployment["spec"]["serviceChains"]
        async with hostnodes.host_node(mine, "host-1"):
            platform.apply(*others, deployment)
            await until_labelled(mine, "host-1", CONSUMER)
            await mine.ready()
            mine.configure("consumer", worker={"parallelization": 11})
            new = (await second_revision(mine, "consumer")).metadata.name
            requestor = f"{mine.namespace}_{NAME}_{new}"
            await mine.until_all(DPUSet, lambda found: all(requestor in rolledout.requestors(d) for d in found))
            node = await mine.host.get(core.Node, "host-1")
            assert rolledout.in_cluster_labels(node) == [CONSUMER], "not before the node effect"
            maintenance = hostnodes.maintain(mine, "host-1", "somebody", requestor)
            await until_labelled(mine, "host-1", new)
            await mine.until(
                DPUNodeMaintenance, maintenance, lambda found: (found.spec and found.spec.requestor) == ["somebody"]
            )
            await mine.until_gone(DPUService, CONSUMER)
            await mine.ready()
            (pod,) = (await mine.host.list(core.Pod, mine.namespace)).items
            assert (pod.spec.nodeName, rolledout.environment(pod)["PARALLELIZATION"]) == ("host-1", "11")
            await mine.delete("dpudeployment", NAME)
            await until_labelled(mine, "host-1")


async def second_revision(tenant: Tenant, service: str = "producer") -> DPUService:
    """The newer of two revisions, once the older is paused and the newer one is not."""
    plain = f"{NAME}-{service}"

    def is_under_way(found: Sequence[DPUService]) -> bool:
        revisions = {s.metadata.name: tenants.is_paused(s) for s in found if s.metadata.name.startswith(plain)}
        return len(revisions) == 2 and revisions.pop(plain, False) and not any(revisions.values())

    found = await tenant.until_all(DPUService, is_under_way)
    return next(s for s in found if s.metadata.name.startswith(f"{plain}-"))


async def until_labelled(tenant: Tenant, node: str, *revisions: str) -> None:
    """Until a host node is meant to run exactly these revisions of in-cluster services."""
    await tenant.until(core.Node, node, lambda found: rolledout.in_cluster_labels(found) == list(revisions))


async def until_interface(tenant: Tenant, name: str) -> None:
    """Until this is the only interface of the producer."""
    await tenant.until_all(DPUServiceInterface, lambda found: rolledout.interfaces(found, "producer") == [name])


async def dependencies(tenant: Tenant) -> list[Object]:
    """Everything that the guide's DPUDeployment names."""
    return [obj for kind in DEPENDENCIES for obj in await tenant.all(kind)]


def everywhere() -> Manifest:
    """An entry of `dpuSets` for the DPUs of all hosts that the tenant has."""
    return {"nameSuffix": "all", "nodeSelector": {"matchExpressions": [{"key": tenants.RACK, "operator": "Exists"}]}}


def frontend_and_backend(tenant: Tenant) -> list[Manifest]:
    """A deployment of two services on all DPUs: a frontend with a port, whose values name the backend."""
    *others, deployment = tenant.producer_consumer()
    chart = tenant.platform.service("x")["spec"]["helmChart"]
    settings = {"frontend": (chart, {
        "helmChart": {"values": {
            "serviceID": "talks to {{ .Services.backend.Name }} in {{ .Services.backend.Namespace }}",
        }},
        "configPorts": {"serviceType": "NodePort", "ports": [{"name": "exampletcp", "port": 8080, "protocol": "TCP"}]},
    }), "backend": (chart, {})}
    parts: list[Manifest] = []
    for name, (chart_, configuration) in settings.items():
        about = {"apiVersion": "svc.dpu.nvidia.com/v1alpha1", "metadata": {"name": name, "namespace": tenant.namespace}}
        common = {"deploymentServiceName": name}
        parts += (
            {**about, "kind": "DPUServiceTemplate", "spec": {**common, "helmChart": chart_}},
            {**about, "kind": "DPUServiceConfiguration", "spec": {**common, "serviceConfiguration": configuration}},
        )
    deployment["metadata"]["name"] = "duo"
    deployment["spec"]["services"] = {
        name: {"serviceTemplate": name, "serviceConfiguration": name} for name in settings
    }
    deployment["spec"]["services"]["frontend"]["dependsOn"] = [{"name": "backend"}]
    deployment["spec"]["dpus"]["dpuSets"] = [everywhere()]
    del deployment["spec"]["serviceChains"]
    return [*(obj for obj in others if obj["kind"] in {"BFB", "DPUFlavor"}), *parts, deployment]
