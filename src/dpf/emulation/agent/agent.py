"""The agent on one emulated DPU, from a boot to the next: gets its identity, reports, and restarts what has to restart.

Called by the hardware when a system starts whose bf.cfg has an agent. What it needs to know again is on the card's disk
or in the DPU object, so that it may be ended at any point. Nothing that it logs holds a secret.
"""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from typing import Final

from dpf.api.dpu import DPU
from dpf.api.dpuagent import AgentStatus
from dpf.api.meta import Key
from dpf.emulation.agent import credentials, record, report
from dpf.emulation.agent.config import AgentConfig
from dpf.emulation.agent.record import Boot
from dpf.emulation.agent.system import System
from dpf.emulation.join import errors as join_errors
from dpf.emulation.join import identity as identities
from dpf.emulation.join.connection import Connect
from dpf.emulation.kubelet import nodeclient
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.local.parts.table import KUBERNETES
from dpf.runtime.clock import Clock, SystemClock, rfc3339

KUBELET_VERSION: Final = f"{KUBERNETES}+dpf-emulated"
WATCHFUL_S: Final = 2.0
"""Between looks while something is expected of the agent."""
SETTLED_S: Final = 30.0
FIRST_RETRY_S: Final = 2.0
RETRY_CAP_S: Final = 30.0


async def run(
    config: AgentConfig, system: System, *, connect: Connect = nodeclient.connect, clock: Clock | None = None,
) -> None:
    """Work until cancelled; returns when the agent has restarted or shut down its own system. Raises OSError."""
    await Agent(config, system, connect=connect, clock=clock or SystemClock()).run()


class Agent:
    """One start of the agent."""

    def __init__(self, config: AgentConfig, system: System, *, connect: Connect, clock: Clock) -> None:
        self._config = config
        self._system = system
        self._connect = connect
        self._clock = clock
        self._said = ""
        self._key = Key(config.namespace, config.name)

    async def run(self) -> None:
        """See `run`. Whatever goes wrong is told in the system's log, and tried again."""
        boot = record.begin(self._system.folder, self._system.boot_id, self._clock.now())
        self._say(f"the agent of DPU {self._key} starts; it reports to {self._config.server}")
        failures = 0
        while True:
            try:
                if await self._work(boot):
                    return
                failures = 0
            except (errors.Error, join_errors.JoinError) as error:
                self._say(f"the agent cannot report: {error}")
                if isinstance(error, errors.Unauthorized):
                    identities.discard(self._system.folder)
                failures += 1
                await self._clock.sleep(min(RETRY_CAP_S, FIRST_RETRY_S * 2.0 ** min(failures - 1, 10)))

    async def _work(self, boot: Boot) -> bool:
        """With one certificate: report until it has to be renewed. True when the system goes down."""
        identity = await credentials.ensure(self._config, self._system.folder, self._connect, now=self._clock.now())
        renewal = identities.renewal_time(identity)
        async with aclosing(self._connect(identity.access)) as client:
            if await self._report(client, boot, renewal):
                return True
        await credentials.renew(self._config, identity, self._system.folder, self._connect)
        return False

    async def _report(self, client: Client, boot: Boot, renewal: datetime) -> bool:
        """Until `renewal`. True when the system goes down."""
        setup = self._config.setup
        while self._clock.now() < renewal:
            dpu = await self._look(client, boot)
            if report.must_restart(setup, boot):
                self._say("the Arm cores restart, so that the new kernel command line counts")
                await self._system.restart()
                return True
            if report.must_shut_down(setup, boot, dpu):
                self._say("the Arm cores shut down and wait for the host's reset")
                await self._system.shut_down()
                return True
            await self._clock.sleep(SETTLED_S if report.is_settled(setup, boot, dpu) else WATCHFUL_S)
        return False

    async def _look(self, client: Client, boot: Boot) -> DPU:
        """Read the DPU, and have it say what we know."""
        dpu = await client.get(DPU, self._key.name, self._key.namespace)
        known = dpu.status.agentStatus
        if known is None or known.lastStartupTime != boot.started:
            dpu = await self._tell(client, report.at_start(
                boot, known, kubelet_version=KUBELET_VERSION, now=self._now()
            ))
        wanted = report.when_decided(
            self._config.setup, boot, dpu, kubelet_version=KUBELET_VERSION, now=self._now()
        )
        if dpu.status.agentStatus != wanted:
            dpu = await self._tell(client, wanted)
            self._say(f"the agent reports to the host cluster: {wanted.rebootMethod}")
        return dpu

    async def _tell(self, client: Client, status: AgentStatus) -> DPU:
        return await client.patch(
            DPU, self._key.name, self._key.namespace, patch=report.patch(status), subresource="status"
        )

    def _now(self) -> str:
        return rfc3339(self._clock.now())

    def _say(self, text: str) -> None:
        """The same thing once, however often it happens in a row."""
        if text != self._said:
            self._said = text
            self._system.log(text)
