"""The agent over a host cluster in memory, on a system that only notes what is done to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from tests.support import agents, joins
from tests.support.agents import FakeSystem
from tests.support.clock import START, FakeClock, turns

from dpf.api.core import CertificateSigningRequest
from dpf.api.dpu import DPU
from dpf.api.dpuagent import AgentStatus
from dpf.emulation.agent import agent, credentials
from dpf.emulation.agent.config import Setup
from dpf.emulation.join import identity as identities
from dpf.emulation.join.connection import Access
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.agentcsr import request

FIRMWARE = Setup(has_firmware_settings=True, needs_reboot=False, delays_host=False)
KERNEL = Setup(has_firmware_settings=False, needs_reboot=True, delays_host=False)
PATCH = "patch/status"


class Place:
    """A host cluster with the DPU, a disk with a certificate, and a clock."""

    def __init__(self, folder: Path, setup: Setup = agents.NOTHING_TO_DO) -> None:
        self.clock = FakeClock()
        self.host = MemoryCluster(now=self.clock.now)
        self.host.add(joins.a_dpu())
        self.config = agents.a_config(setup)
        self.system = FakeSystem(folder)
        self.accesses: list[Access] = []
        identities.store(folder, agents.an_identity(self.config, START))

    def connect(self, access: Access) -> Client:
        self.accesses.append(access)
        return self.host

    @property
    def reported(self) -> AgentStatus:
        (dpu,) = self.host.objects(DPU)
        assert dpu.status.agentStatus is not None
        return dpu.status.agentStatus

    @property
    def patches(self) -> int:
        return [write.verb for write in self.host.writes].count(PATCH)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(agent.run(self.config, self.system, connect=self.connect, clock=self.clock))
        try:
            await turns()
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_it_reports_its_start_and_then_what_has_to_restart(tmp_path: Path) -> None:
    place = Place(tmp_path, FIRMWARE)
    methods = []
    place.host.after_write = lambda _request: methods.append(place.reported.rebootMethod)
    async with place.running():
        assert methods == ["Unknown", "SystemLevelReset"]
        assert place.reported.lastStartupTime == "2026-01-01T00:00:00Z"
        assert place.reported.kubeletVersion == "v1.36.3+dpf-emulated"
        await place.clock.run_for(60.0)
    assert (place.patches, place.system.restarts, place.system.is_off) == (2, 0, False)


async def test_after_the_reset_it_reports_anew_that_nothing_is_left_to_do(tmp_path: Path) -> None:
    place = Place(tmp_path, FIRMWARE)
    async with place.running():
        pass
    place.clock.advance(30.0)
    place.system.boot_id = "boot-2"
    place.host.writes.clear()
    async with place.running():
        assert place.reported.rebootMethod == "NoAction"
        assert place.reported.lastStartupTime == "2026-01-01T00:00:30Z"
        assert (place.reported.initialBootID, place.reported.rebootSequenceCount) == ("boot-1", 1)


async def test_the_agents_own_restart_says_nothing_new(tmp_path: Path) -> None:
    place = Place(tmp_path, FIRMWARE)
    async with place.running():
        pass
    before = place.reported
    place.clock.advance(30.0)
    async with place.running():
        await place.clock.run_for(10.0)
    assert place.reported == before
    assert place.patches == 2


async def test_it_says_again_what_somebody_took_away(tmp_path: Path) -> None:
    place = Place(tmp_path)
    async with place.running():
        before = place.reported
        await place.host.patch(
            DPU, joins.NAME, joins.NAMESPACE, patch={"status": {"agentStatus": None}}, subresource="status"
        )
        await place.clock.run_for(31.0)
    assert place.reported.lastStartupTime == before.lastStartupTime
    assert place.reported.rebootMethod == "NoAction"


async def test_a_new_kernel_command_line_restarts_the_arm_cores_once(tmp_path: Path) -> None:
    place = Place(tmp_path, KERNEL)
    async with place.running() as task:
        assert task.done()
    assert (place.reported.rebootMethod, place.system.restarts) == ("DPUWarmReboot", 1)
    place.system.boot_id = "boot-2"
    place.host.writes.clear()
    async with place.running() as task:
        await place.clock.run_for(60.0)
        assert not task.done()
    assert (place.reported.rebootMethod, place.system.restarts) == ("NoAction", 1)


async def test_it_shuts_down_when_the_host_waits_for_it(tmp_path: Path) -> None:
    place = Place(tmp_path, FIRMWARE)
    async with place.running() as task:
        await place.host.patch(
            DPU, joins.NAME, joins.NAMESPACE, patch={"status": {"rebootStatus": {"phase": "WaitForShutdown"}}},
            subresource="status",
        )
        await place.clock.run_for(2.0)
        assert task.done()
    assert place.system.is_off


@pytest.mark.parametrize("error", [
    errors.Unreachable("connection refused"), errors.Forbidden("dpus is forbidden"), errors.NotFound("not found"),
], ids=["unreachable", "forbidden", "gone"])
async def test_it_goes_on_trying_and_says_why_once(tmp_path: Path, error: errors.Error) -> None:
    place = Place(tmp_path)
    place.host.fail_next(lambda r: r.verb == "get", error, times=3)
    async with place.running():
        assert place.patches == 0
        await place.clock.run_for(60.0)
    assert place.patches == 2
    assert [line for line in place.system.lines if "cannot report" in line] == [f"the agent cannot report: {error}"]


async def test_a_certificate_that_is_not_accepted_is_thrown_away(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.host.fail_next(lambda r: r.verb == "get", errors.Unauthorized("Unauthorized"))
    place.host.fail_next(lambda r: r.verb == "create", errors.Unauthorized("Unauthorized"), times=99)
    async with place.running():
        assert identities.load(tmp_path) is None
        await place.clock.run_for(60.0)
    assert "bootstrap token abcdef of the agent is unknown" in place.system.lines[-1]
    assert agents.SECRET not in str(place.system.lines)


async def test_the_token_is_not_used_while_there_is_a_certificate(tmp_path: Path) -> None:
    place = Place(tmp_path)
    async with place.running():
        pass
    assert [access.token for access in place.accesses] == [None]


@pytest.mark.parametrize("change", [
    {"user": "da-another"}, {"groups": ("dpf:dpu-agents", "dpf:dpu-agent:another")}, {"server": "https://other:6443"},
    {"ca_pem": joins.a_ca()},
], ids=lambda change: next(iter(change)))
def test_a_certificate_of_another_installation_is_not_used(change: dict[str, object]) -> None:
    config = agents.a_config()
    identity = agents.an_identity(config, START)
    assert credentials.is_usable(identity, config, START)
    assert not credentials.is_usable(identity, agents.a_config(**change), START)


def test_an_expired_certificate_is_not_used() -> None:
    config = agents.a_config()
    identity = agents.an_identity(config, START, life_s=60.0)
    assert not credentials.is_usable(identity, config, msgspec.convert("2026-01-01T00:01:00Z", type(START)))


def test_a_configuration_does_not_show_its_token() -> None:
    assert agents.SECRET not in repr(agents.a_config())


async def test_a_certificate_is_renewed_in_time_by_itself(tmp_path: Path) -> None:
    place = Place(tmp_path)
    identities.store(tmp_path, agents.an_identity(place.config, START, life_s=1000.0))
    async with place.running():
        await place.clock.run_for(780.0)
        assert [write.verb for write in place.host.writes] == [PATCH, PATCH]
        await place.clock.run_for(31.0)
        (csr,) = place.host.objects(CertificateSigningRequest)
    assert csr.spec.signerName == "kubernetes.io/kube-apiserver-client"
    assert request.read(csr) == request.Asked(
        common_name=place.config.user, organizations=place.config.groups, others=False
    )
    assert [access.token for access in place.accesses] == [None, None]
