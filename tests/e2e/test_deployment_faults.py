"""What goes wrong around a DPUDeployment on the local platform, and that it ends as if nothing had."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from tests.e2e import test_dpudeployment as stories
from tests.e2e.test_dpudeployment import CHILDREN, CONSUMER, PRODUCER
from tests.e2e.test_dpuservice import CLUSTER
from tests.e2e.test_faults import controllers, stopped
from tests.support import installations, rolledout, tenanthosts, tenants
from tests.support.platform import Platform, Standin
from tests.support.tenanthosts import DPUS
from tests.support.tenants import NAME, Tenant, Where

from dpf.api import names
from dpf.api.argocd import Application
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Object
from dpf.api.names import DPF_NAMESPACE

MOST_WRITES = 8
"""The last process of the crash story dies after so many writes, the first after one."""
MARKED = (
    f"dpuservice/{PRODUCER}", f"dpuserviceinterface/{PRODUCER}-app-iface", f"dpuservicechain/{NAME}",
    f"dpuset/{NAME}-set",
)
"""One child of each kind."""
OWN_KINDS = (
    "dpudeployments,dpuservices,dpuserviceinterfaces,dpuservicechains,dpuservicetemplates,dpuserviceconfigurations,"
    "dpusets,dpus,dpunodes,dpudevices,dpunodemaintenances,bfbs,dpuflavors,dpuclusters,appprojects,secrets,configmaps"
)


async def test_our_process_is_killed_in_the_middle_of_an_update(site: Platform, sitestandin: Standin) -> None:
    """A disruptive update by processes that die after one write, two, three...: one revision, no gap, no leftovers.

    The host is back in service, and no card was installed again. Then the platform's own process starts where nothing
    is left to do, and writes nothing.
    """
    async with tenanthosts.tenant(site, "stubborn-update") as mine:
        site.apply(*disruptive(mine, Where.FIRST))
        await mine.ready()
        installed = await asyncio.to_thread(installations.installs, site)
        site.kill_controllers()
        try:
            async with tenants.recorded(mine, DPUService) as states:
                mine.configure("consumer", worker={"parallelization": 11})
                lives = await update_by_mortals(mine)
            assert lives > 3
            see_no_gap(states)
            (left,) = await mine.services("consumer")
            pods = await mine.pods("consumer", 1)
            assert rolledout.environment(pods[DPUS[Where.FIRST]])["PARALLELIZATION"] == "11"
            assert [len(await mine.all(kind)) for kind in CHILDREN] == [2, 2, 1, 1]
            (dpuset,) = await mine.all(DPUSet)
            assert rolledout.node_labels(dpuset)[stories.CONSUMER_LABEL] == left.metadata.name
            assert await asyncio.to_thread(installations.installs, site) == installed
            before = resource_versions(mine)
        finally:
            site.up()
        await mine.until_looked_at()
        assert resource_versions(mine) == before


async def test_the_api_server_of_the_dpu_cluster_hangs(platform: Platform, standin: Standin) -> None:
    """During a roll-out and an update: one says which cluster it is, the other keeps what runs, both end by themselves.

    For as long as a request may take; how a cluster is given up is `test_a_lost_control_plane...`.
    """
    pid = platform.pids()[f"{DPF_NAMESPACE}.{CLUSTER}-kube-apiserver"]
    assert pid is not None
    async with tenants.tenant(platform, "cut-off") as mine, tenants.tenant(platform, "cut-off-late") as late:
        platform.apply(*disruptive(mine))
        await mine.ready()
        with stopped(pid):
            mine.configure("consumer", worker={"parallelization": 11})
            platform.apply(*late.producer_consumer())
            new = (await stories.second_revision(mine, "consumer")).metadata.name
            for service in (CONSUMER, PRODUCER):
                said = await late.condition(
                    "ApplicationPrereqsReconciled", lambda c: c.status == "False", name=service, kind=DPUService
                )
                assert said.reason == "Error"
                assert said.message.startswith("Unable to reconcile application prereq for cluster namespaces: ")
                assert CLUSTER in said.message
            waiting = await late.condition("DPUServicesReady", lambda c: c.status == "False")
            unready = [f"* {late.namespace}/{service}" for service in (CONSUMER, PRODUCER)]
            assert waiting.message.splitlines() == ["Objects are not ready:", *unready]
            revisions = {service.metadata.name: service for service in await mine.services("consumer")}
            assert tenants.is_paused(revisions[CONSUMER])
            assert not tenants.is_ready(revisions[new])
        await mine.until_gone(DPUService, CONSUMER)
        await asyncio.gather(mine.ready(), late.ready())


async def test_children_that_were_edited_by_hand_are_put_right(platform: Platform, standin: Standin) -> None:
    """With kubectl as people use it: edits, labels, owner references and finalizers taken off, forced applies."""
    async with tenants.tenant(platform, "fiddled") as mine:
        platform.apply(*mine.producer_consumer())
        await mine.ready()
        wanted = await essence(mine)
        for spoil in (spoil_services, spoil_others, strip_labels, strip_owners):
            spoil(mine)
            await until_right(mine, wanted)
        await mine.ready()
        await until_right(mine, wanted)


async def test_children_that_were_deleted_by_hand_come_back(platform: Platform, standin: Standin) -> None:
    """All of them at once: in the end there is one of each again, and nothing of the old ones."""
    async with tenants.tenant(platform, "emptied") as mine:
        platform.apply(*mine.producer_consumer())
        await mine.ready()
        old = {child.metadata.uid for kind in CHILDREN for child in await mine.all(kind)}
        await mine.delete("dpuservices,dpuserviceinterfaces,dpuservicechains,dpusets", "--all")

        async def are_back() -> bool:
            found = [await mine.all(kind) for kind in CHILDREN]
            new = {child.metadata.uid for some in found for child in some}
            return [len(some) for some in found] == [2, 2, 1, 1] and not new & old

        await tenants.poll(are_back)
        await mine.ready()
        labels = f"{names.DPUSERVICE_NAMESPACE_LABEL}={mine.namespace}"
        assert len((await mine.host.list(Application, DPF_NAMESPACE, labels=labels)).items) == 2


def disruptive(tenant: Tenant, where: Where = Where.NOWHERE) -> list[tenants.Manifest]:
    """The guide's deployment, whose services are updated disruptively."""
    objects = tenant.producer_consumer(where)
    for obj in objects:
        if obj["kind"] == "DPUServiceConfiguration":
            obj["spec"]["upgradePolicy"] = {"applyNodeEffect": True}
    return objects


async def update_by_mortals(tenant: Tenant) -> int:
    """Processes that die after 1, 2, 3... writes, each after the other, until the update is done. How many it took."""
    done = asyncio.create_task(until_updated(tenant))
    for lives in range(1, 60):
        writes = min(lives, MOST_WRITES)
        process = controllers(tenant.platform, {"DPF_CRASH_AFTER_WRITES": str(writes)})
        ended = asyncio.create_task(asyncio.to_thread(process.wait))
        await asyncio.wait((done, ended), return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            process.terminate()
            await ended
            await done
            return lives
        assert ended.result() == 137
    raise AssertionError("it never ended")


async def until_updated(tenant: Tenant) -> None:
    """Until only the new revision of the consumer is there, and everything says Ready."""
    await tenant.until_gone(DPUService, CONSUMER)
    await tenant.until_all(DPUSet, lambda found: not any(rolledout.follows_labels(dpuset) for dpuset in found))
    await tenant.ready()
    await tenanthosts.free(tenant)


def see_no_gap(states: Sequence[Mapping[str, DPUService]]) -> None:
    """There were never more than two revisions, and the old one was there until the new one was ready."""
    for state in states:
        revisions = [service for name, service in state.items() if name.startswith(CONSUMER)]
        assert 1 <= len(revisions) <= 2
        if len(revisions) == 1 and revisions[0].metadata.name != CONSUMER:
            assert tenants.is_ready(revisions[0])


def resource_versions(tenant: Tenant) -> dict[str, str]:
    """Of everything that our process writes in the host cluster, but what Argo CD writes too."""
    found: dict[str, str] = {}
    for namespace in (tenant.namespace, DPF_NAMESPACE):
        listing = json.loads(tenant.platform.kubectl("get", OWN_KINDS, "-n", namespace, "-o", "json").stdout)
        found |= {f"{i['kind']} {i['metadata']['name']}": i["metadata"]["resourceVersion"] for i in listing["items"]}
    listing = json.loads(tenant.platform.kubectl("get", "applications", "-n", DPF_NAMESPACE, "-o", "json").stdout)
    return found | {f"Application {i['metadata']['name']}": i["metadata"]["generation"] for i in listing["items"]}


async def essence(tenant: Tenant) -> dict[str, object]:
    """What a hand could have changed of children and dependencies, and nobody else changes."""
    found: dict[str, object] = {}
    kinds: tuple[type[Object], ...] = (*CHILDREN, *stories.DEPENDENCIES, DPUDeployment)
    for kind in kinds:
        for obj in await tenant.all(kind):
            metadata = obj.metadata
            about = {
                "uid": metadata.uid, "labels": metadata.labels, "annotations": metadata.annotations,
                "owners": metadata.ownerReferences, "finalizers": sorted(metadata.finalizers or ()),
                "spec": getattr(obj, "spec", None),
            }
            found[f"{kind.resource.kind} {metadata.name}"] = msgspec.to_builtins(about)
    return found


async def until_right(tenant: Tenant, wanted: Mapping[str, object]) -> None:
    """Until everything is again as `wanted`."""
    async def is_right() -> bool:
        return await essence(tenant) == wanted

    with contextlib.suppress(TimeoutError):
        await tenants.poll(is_right)
    found = await essence(tenant)
    assert found.keys() == wanted.keys()
    assert {name: about for name, about in found.items() if about != wanted[name]} == {}


def spoil_services(tenant: Tenant) -> None:
    """Both DPUServices in every place of their spec that says something."""
    tenant.patch(f"dpuservice/{PRODUCER}", {"spec": {
        "paused": True, "serviceID": "mine", "helmChart": {"values": {"container1": None, "container9": {"a": 1}}},
    }})
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}
    tenant.patch(f"dpuservice/{CONSUMER}", {"spec": {
        "serviceDaemonSet": {"nodeSelector": {"nodeSelectorTerms": [term]}, "labels": {"colour": "blue"}},
        "interfaces": [f"{PRODUCER}-app-iface"],
    }})
    tenant.patch(f"dpuserviceinterface/{CONSUMER}-app-iface", [
        {"op": "replace", "path": "/spec/template/spec/template/spec/service/network", "value": "othernad"},
    ])


def spoil_others(tenant: Tenant) -> None:
    """Chain and DPUSet; the latter by somebody who takes the fields over."""
    tenant.patch(f"dpuservicechain/{NAME}", [
        {"op": "remove", "path": "/spec/template/spec/template/spec/switches/0/ports/1"},
    ])
    forced: dict[str, Any] = {
        "apiVersion": "provisioning.dpu.nvidia.com/v1alpha1", "kind": "DPUSet",
        "metadata": {"name": f"{NAME}-set", "namespace": tenant.namespace},
        "spec": {
            "dpuNodeSelector": {"matchLabels": {"added": "by-hand", tenants.RACK: "elsewhere"}},
            "dpuTemplate": {"spec": {
                "cluster": {"nodeLabels": {stories.CONSUMER_LABEL: "nothing", "added": "by-hand"}},
                "nodeEffect": {"drain": True, "force": True},
            }},
        },
    }
    tenant.platform.apply(forced, options=["--server-side", "--force-conflicts", "--field-manager=somebody"])


def strip_labels(tenant: Tenant) -> None:
    """Labels, annotations and finalizers, everywhere; and a label that lies."""
    for resource in MARKED:
        tenant.patch(resource, {"metadata": {"labels": None, "annotations": None, "finalizers": None}})
    for resource in ("bfb/bfb-2.9", "dpuservicetemplate/producer", f"dpudeployment/{NAME}"):
        tenant.patch(resource, {"metadata": {"labels": None, "finalizers": None}})
    tenant.kubectl("label", "dpuservice", CONSUMER, f"{names.DPUDEPLOYMENT_SERVICE_LABEL}=producer", "--overwrite")


def strip_owners(tenant: Tenant) -> None:
    """Owner references, everywhere."""
    for resource in MARKED:
        tenant.patch(resource, {"metadata": {"ownerReferences": None}})
