"""A DPU and its agent get in: real API server and signer, our rights no wider than declared (section 16: 44, 50)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support import dpuflavors, grants, joinable, joins
from tests.support.agents import FakeSystem
from tests.support.joinable import Cluster

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.meta import Key, ObjectMeta
from dpf.api.provisioning import InstallInterface
from dpf.emulation.agent import agent, credentials
from dpf.emulation.agent.config import AgentConfig
from dpf.emulation.dpu.config import DPUConfig, parse_bfcfg
from dpf.emulation.join import bootstrap
from dpf.emulation.join import errors as join_errors
from dpf.emulation.join import identity as identities
from dpf.emulation.join.connection import Access
from dpf.emulation.join.token import BootstrapToken
from dpf.emulation.kubelet import nodeclient
from dpf.kube import errors, kubeconfig, wait
from dpf.kube.clusters import ClusterRegistry, Connected
from dpf.kube.http import HTTPClient
from dpf.local import resources
from dpf.local.platform import manifests
from dpf.provisioning.agentcsr.controller import AgentCSRController
from dpf.provisioning.flavor.render import render
from dpf.provisioning.join import identity
from dpf.provisioning.join.joiner import Joiner, Joining, JoinRequest
from dpf.provisioning.join.permissions import PERMISSIONS
from dpf.runtime.clock import SystemClock
from dpf.runtime.manager import Manager

pytestmark = pytest.mark.parts

CLUSTER = Key(joins.NAMESPACE, "same")
"""The host cluster is its own DPU cluster here; nothing of the one may do for the other."""
TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with joinable.running(tmp_path_factory.mktemp("joinable")) as running:
        asyncio.run(_prepare(running))
        yield running


async def _prepare(cluster: Cluster) -> None:
    async with cluster.admin() as client:
        crds = [
            obj for path in sorted(resources.folder("crds").glob("*.yaml")) for obj in manifests.read(path)
            if isinstance(obj, core.CustomResourceDefinition)
        ]
        await manifests.ensure_crds(client, crds)
        for name in (joins.NAMESPACE, "elsewhere"):
            await client.create(core.Namespace(metadata=ObjectMeta(name=name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`admin` may do everything; `joiner` and the approving controller what they declare."""

    admin: HTTPClient
    joiner: Joiner

    async def a_dpu(self, name: str, namespace: str = joins.NAMESPACE) -> DPU:
        made = joins.a_dpu(name, namespace=namespace)
        metadata = ObjectMeta(name=name, namespace=namespace)
        return await self.admin.create(DPU(metadata=metadata, spec=made.spec))

    async def prepared(self, dpu: DPU) -> Joining:
        return await self.joiner.prepare(JoinRequest(dpu=dpu, cluster=CLUSTER, with_agent=True))

    async def installed(self, dpu: DPU, **flavor: object) -> tuple[DPUConfig, AgentConfig]:
        """What the card finds in the bf.cfg that was made for it."""
        joining = await self.prepared(dpu)
        facts = dpuflavors.a_dpu(
            namespace=dpu.metadata.namespace, name=dpu.metadata.name, uid=dpu.metadata.uid, join=joining.join,
            agent=joining.agent, install_interface=InstallInterface.REDFISH, host_name=None,
        )
        bf_cfg = render(dpuflavors.a_flavor(**flavor), facts).bf_cfg
        assert bf_cfg is not None
        config = parse_bfcfg(bf_cfg)
        assert config.agent is not None
        return config, config.agent

    async def until_method(self, dpu: DPU, method: str, *, after: str = "") -> DPU:
        def reported(found: DPU | None) -> bool:
            status = found.status.agentStatus if found is not None else None
            return status is not None and status.rebootMethod == method and (status.lastStartupTime or "") > after

        key = dpu.metadata
        found = await wait.until(self.admin, DPU, key.name, key.namespace, accept=reported, timeout_s=TIMEOUT_S)
        assert found is not None
        return found


@pytest.fixture
async def place(cluster: Cluster) -> AsyncIterator[Place]:
    async with cluster.admin() as admin:
        granted = await grants.grant(
            admin, "joining", joins.NAMESPACE, (*PERMISSIONS, *AgentCSRController.permissions)
        )
        host = HTTPClient(kubeconfig.connection(kubeconfig.parse(granted, source="grant")), name="host")
        registry = ClusterRegistry(host)
        manager = Manager(registry, host, [AgentCSRController(clusters=registry)])
        registry.start()
        registry.ensure(CLUSTER, cluster.kubeconfig.read_bytes())
        running = asyncio.create_task(manager.run())
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await _connected(registry)
            yield Place(admin=admin, joiner=Joiner(clusters=registry, host=host, clock=SystemClock()))
        finally:
            await manager.stop(running)
            await registry.aclose()
            await host.aclose()


async def _connected(registry: ClusterRegistry) -> None:
    changed = asyncio.Event()
    unsubscribe = registry.subscribe_health(lambda _key, _old, _new: changed.set())
    while not isinstance(registry.health(CLUSTER), Connected):
        await changed.wait()
        changed.clear()
    unsubscribe()


@asynccontextmanager
async def running(config: AgentConfig, system: FakeSystem) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(agent.run(config, system))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_agent_reports_boot_after_boot_and_needs_its_token_once(place: Place, tmp_path: Path) -> None:
    dpu = await place.a_dpu("reporter")
    _, config = await place.installed(dpu, nvconfig=[{"device": "*", "parameters": ["PF_TOTAL_SF=20"]}])
    system = FakeSystem(tmp_path)
    async with running(config, system):
        first = await place.until_method(dpu, "SystemLevelReset")
    assert len(await place.joiner.revoke(dpu, CLUSTER)) == 3
    assert await place.joiner.revoke(dpu, CLUSTER) == ()

    system.boot_id = "boot-2"
    assert first.status.agentStatus is not None
    async with running(config, system):
        second = await place.until_method(dpu, "NoAction", after=first.status.agentStatus.lastStartupTime or "")
    report = second.status.agentStatus
    assert report is not None
    assert (report.initialBootID, report.rebootSequenceCount) == ("boot-1", 1)
    assert {c.type: c.status for c in report.conditions or ()} == {
        "NVConfigApplied": "True", "RebootMethodDiscovery": "True", "ReadyForReboot": "True",
    }
    assert config.token.secret not in str(system.lines)


async def test_the_node_of_that_dpu_joins_with_the_same_bfcfg(place: Place, tmp_path: Path) -> None:
    dpu = await place.a_dpu("joiner")
    config, _ = await place.installed(dpu)
    joined = await bootstrap.ensure_identity(config.join, tmp_path, nodeclient.connect, now=datetime.now(UTC))
    async with aclosing(nodeclient.connect(joined.access, node="joiner")) as client:
        assert (await client.create(core.Node(metadata=ObjectMeta(name="joiner")))).metadata.uid


async def test_a_second_preparation_writes_nothing(place: Place) -> None:
    dpu = await place.a_dpu("settled")
    first = await place.prepared(dpu)
    before = await _versions(place.admin)
    assert await place.prepared(dpu) == first
    assert await _versions(place.admin) == before


async def test_an_agent_may_report_on_its_own_dpu_and_nothing_else(place: Place, tmp_path: Path) -> None:
    dpu, namesake = await place.a_dpu("own"), await place.a_dpu("own", "elsewhere")
    other = await place.a_dpu("other")
    _, config = await place.installed(dpu)
    for one in (namesake, other):
        await place.prepared(one)
    got = await credentials.ensure(config, tmp_path, nodeclient.connect, now=datetime.now(UTC))
    patch = {"status": {"agentStatus": {"rebootMethod": "NoAction"}}}
    async with aclosing(nodeclient.connect(got.access)) as client:
        await client.get(DPU, "own", joins.NAMESPACE)
        await client.patch(DPU, "own", joins.NAMESPACE, patch=patch, subresource="status")
        for name, namespace in (("own", "elsewhere"), ("other", joins.NAMESPACE)):
            with pytest.raises(errors.Forbidden):
                await client.get(DPU, name, namespace)
            with pytest.raises(errors.Forbidden):
                await client.patch(DPU, name, namespace, patch=patch, subresource="status")
        with pytest.raises(errors.Forbidden):
            await client.patch(DPU, "own", joins.NAMESPACE, patch={"metadata": {"labels": {"a": "b"}}})
        with pytest.raises(errors.Forbidden):
            await client.get(core.Secret, "own-kubeadm-join", joins.NAMESPACE)
        with pytest.raises(errors.Forbidden):
            await client.list(DPU, joins.NAMESPACE)


async def test_the_system_of_a_dpu_that_was_deleted_may_not_speak_for_the_next(place: Place, tmp_path: Path) -> None:
    dpu = await place.a_dpu("reborn")
    _, config = await place.installed(dpu)
    got = await credentials.ensure(config, tmp_path, nodeclient.connect, now=datetime.now(UTC))
    await place.joiner.revoke(dpu, CLUSTER)
    assert len(await place.joiner.remove_agent_access(dpu)) == 2
    await place.admin.delete(DPU, "reborn", joins.NAMESPACE)
    await place.prepared(await place.a_dpu("reborn"))
    async with aclosing(nodeclient.connect(got.access)) as client:
        with pytest.raises(errors.Forbidden):
            await client.get(DPU, "reborn", joins.NAMESPACE)


async def test_a_certificate_is_renewed_by_itself(place: Place, tmp_path: Path) -> None:
    dpu = await place.a_dpu("renewer")
    _, config = await place.installed(dpu)
    first = await credentials.ensure(config, tmp_path, nodeclient.connect, now=datetime.now(UTC))
    await place.joiner.revoke(dpu, CLUSTER)
    second = await credentials.renew(config, first, tmp_path, nodeclient.connect)
    assert second.certificate != first.certificate
    assert identities.load(tmp_path) == second
    async with aclosing(nodeclient.connect(second.access)) as client:
        assert (await client.get(DPU, "renewer", joins.NAMESPACE)).metadata.uid == dpu.metadata.uid


async def test_a_revoked_token_is_told_by_its_id_and_tried_again(place: Place, tmp_path: Path) -> None:
    dpu = await place.a_dpu("late")
    _, config = await place.installed(dpu)
    await place.joiner.revoke_agent(dpu)
    with pytest.raises(join_errors.TokenUnknown, match=f"token {config.token.id} of the agent is unknown") as caught:
        await credentials.ensure(config, tmp_path, nodeclient.connect, now=datetime.now(UTC))
    assert config.token.secret not in str(caught.value)


async def test_tokens_are_good_for_what_they_were_made_for(place: Place) -> None:
    dpu, other = await place.a_dpu("modest"), await place.a_dpu("another")
    config, agent_config = await place.installed(dpu)
    own = joins.a_pkcs10([agent_config.user], agent_config.groups)
    greedy = joins.a_pkcs10([agent_config.user], (*agent_config.groups, identity.agent_group(joins.uid_of(other))))
    as_node = await _ask(agent_config, config.join.token, own)
    for_more = await _ask(agent_config, agent_config.token, greedy)
    for_itself = await _ask(agent_config, agent_config.token, own)

    await wait.until(
        place.admin, core.CertificateSigningRequest, for_itself, timeout_s=TIMEOUT_S,
        accept=lambda csr: csr is not None and csr.status.certificate is not None,
    )
    for name in (as_node, for_more):
        assert not (await place.admin.get(core.CertificateSigningRequest, name)).status.conditions
    with pytest.raises(join_errors.TokenUnknown):
        await bootstrap.join(
            replace(config.join, token=agent_config.token, discovery_timeout_s=0.5), nodeclient.connect
        )


async def _ask(config: AgentConfig, token: BootstrapToken, request: str) -> str:
    """Post a signing request with a token; returns its name."""
    access = Access(server=config.server, ca_pem=config.ca_pem, token=token.bearer)
    async with aclosing(nodeclient.connect(access)) as client:
        made = await client.create(core.CertificateSigningRequest(
            metadata=ObjectMeta(generateName="test-"), spec=core.CertificateSigningRequestSpec(
                request=request, signerName=joins.SIGNER, usages=["client auth"],
            ),
        ))
    return made.metadata.name


async def _versions(client: HTTPClient) -> list[tuple[str, str | None]]:
    found = [
        obj for kind, namespace in (
            (core.Secret, "kube-system"), (core.Secret, joins.NAMESPACE), (core.Role, joins.NAMESPACE),
            (core.RoleBinding, joins.NAMESPACE), (core.ClusterRoleBinding, None),
        )
        for obj in (await client.list(kind, namespace)).items
    ]
    return sorted((obj.metadata.name, obj.metadata.resourceVersion) for obj in found)
