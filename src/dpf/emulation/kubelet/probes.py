"""Startup, readiness and liveness probes of one container.

`ProbeSet` runs them as tasks and keeps a `Health`; `podworker` starts one when a container runs and closes it when it
ends. Source of the defaults and of what counts as success: Kubernetes, "Configure Liveness, Readiness and
Startup Probes".
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp

from dpf.api.core import Container
from dpf.emulation.kubelet.podplan import Health
from dpf.runtime.clock import Clock

_HTTP_OK: Final = range(200, 400)
_HURRY_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often to ask and how often it may fail, with Kubernetes' defaults; seconds."""

    initial_delay_s: float
    period_s: float
    timeout_s: float
    success_threshold: int
    failure_threshold: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a container is asked: its pod's address, and how to run a command beside it."""

    ip: str
    execute: Callable[[list[str]], Awaitable[asyncio.subprocess.Process]] | None


def parse_timing(probe: Mapping[str, Any]) -> Timing:
    """Timing of a raw probe; values below the API's minimum are raised to it."""
    return Timing(
        initial_delay_s=float(probe.get("initialDelaySeconds") or 0),
        period_s=max(1.0, float(probe.get("periodSeconds") or 10)),
        timeout_s=max(1.0, float(probe.get("timeoutSeconds") or 1)),
        success_threshold=max(1, int(probe.get("successThreshold") or 1)),
        failure_threshold=max(1, int(probe.get("failureThreshold") or 3)),
    )


def initial_health(container: Container) -> Health:
    """Before the first answer: not started with a startup probe, not ready with a readiness probe."""
    return Health(started=container.startupProbe is None, ready=container.readinessProbe is None)


class ProbeSet:
    """The probes of one running container. `on_change` is called whenever `health` has changed."""

    def __init__(self, container: Container, target: Target, clock: Clock, on_change: Callable[[], None]) -> None:
        self._container = container
        self._clock = clock
        self._target = target
        self._on_change = on_change
        self.health = initial_health(container)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin asking; nothing to do for a container without probes."""
        container = self._container
        if container.startupProbe or container.readinessProbe or container.livenessProbe:
            self._task = asyncio.create_task(self._run(), name=f"probes {container.name}")

    async def close(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        if self._container.startupProbe:
            await self._follow(self._container.startupProbe, self._on_startup, until_success=True)
        async with asyncio.TaskGroup() as group:
            if self._container.readinessProbe:
                group.create_task(self._follow(self._container.readinessProbe, self._on_readiness, hurried=True))
            if self._container.livenessProbe:
                group.create_task(self._follow(self._container.livenessProbe, self._on_liveness))

    async def _follow(
        self, probe: Mapping[str, Any], verdict: Callable[[bool, str], None], *, until_success: bool = False,
        hurried: bool = False,
    ) -> None:
        """Ask again and again; call `verdict` when enough answers in a row agree.

        `hurried` asks more often until the first success, as Kubernetes allows for a container that is not Ready yet.
        """
        timing = parse_timing(probe)
        await self._clock.sleep(timing.initial_delay_s)
        last, run, pause_s = True, 0, _HURRY_S if hurried else timing.period_s
        while True:
            failure = await ask(probe, self._container, self._target, timing.timeout_s)
            succeeded = failure is None
            run = run + 1 if succeeded == last else 1
            last = succeeded
            if run >= (timing.success_threshold if succeeded else timing.failure_threshold):
                verdict(succeeded, failure or "")
                if succeeded and until_success:
                    return
            pause_s = timing.period_s if succeeded else min(pause_s * 2, timing.period_s)
            await self._clock.sleep(pause_s)

    def _on_startup(self, succeeded: bool, why: str) -> None:
        unhealthy = None if succeeded else f"startup probe failed: {why}"
        self._set(replace(self.health, started=succeeded, unhealthy=unhealthy))

    def _on_readiness(self, succeeded: bool, why: str) -> None:  # noqa: ARG002 - a pod does not tell why
        self._set(replace(self.health, ready=succeeded))

    def _on_liveness(self, succeeded: bool, why: str) -> None:
        self._set(replace(self.health, unhealthy=None if succeeded else f"liveness probe failed: {why}"))

    def _set(self, health: Health) -> None:
        if health != self.health:
            self.health = health
            self._on_change()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """One life of a container that is to be probed."""

    container: Container
    attempt: int
    target: Target


class PodProbes:
    """The probes of a pod's running containers. An ended life's results are never taken for the next one's."""

    def __init__(self, clock: Clock, on_change: Callable[[], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._sets: dict[tuple[str, int], ProbeSet] = {}

    async def align(self, wanted: Iterable[Probed]) -> None:
        """Probe exactly these lives from now on."""
        lives = {(probed.container.name, probed.attempt): probed for probed in wanted}
        for life in [life for life in self._sets if life not in lives]:
            await self._sets.pop(life).close()
        for life, probed in lives.items():
            if life not in self._sets:
                self._sets[life] = ProbeSet(probed.container, probed.target, self._clock, self._on_change)
                self._sets[life].start()

    def health(self, attempts: Mapping[str, int]) -> dict[str, Health]:
        """Health by container name; `attempts` are the lives that run now."""
        return {name: found.health for (name, attempt), found in self._sets.items() if attempts.get(name) == attempt}

    async def close(self) -> None:
        """Stop probing."""
        await self.align(())


async def ask(probe: Mapping[str, Any], container: Container, target: Target, timeout_s: float) -> str | None:
    """None when the probe succeeds, else why it does not."""
    try:
        async with asyncio.timeout(timeout_s):
            if "httpGet" in probe:
                return await _ask_http(probe["httpGet"], container, target)
            if "tcpSocket" in probe:
                return await _ask_tcp(probe["tcpSocket"], container, target)
            if "exec" in probe and target.execute is not None:
                return await _ask_command(probe["exec"], target.execute)
            return None  # gRPC, and commands where they are not allowed: a probe that is not asked cannot fail.
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except (OSError, aiohttp.ClientError) as error:
        return str(error) or type(error).__name__


async def _ask_http(action: Mapping[str, Any], container: Container, target: Target) -> str | None:
    """Any status from 200 to 399 is success. A certificate is not verified, redirects are not followed."""
    scheme = str(action.get("scheme") or "HTTP").lower()
    host = action.get("host") or target.ip
    url = f"{scheme}://{host}:{_port(action.get('port'), container)}/{str(action.get('path') or '/').lstrip('/')}"
    headers = {h["name"]: h["value"] for h in action.get("httpHeaders") or ()}
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session, session.get(
        url, headers=headers, ssl=tls, allow_redirects=False
    ) as response:
        return None if response.status in _HTTP_OK else f"HTTP status {response.status}"


async def _ask_tcp(action: Mapping[str, Any], container: Container, target: Target) -> str | None:
    _, writer = await asyncio.open_connection(action.get("host") or target.ip, _port(action.get("port"), container))
    writer.close()
    await writer.wait_closed()
    return None


async def _ask_command(
    action: Mapping[str, Any], execute: Callable[[list[str]], Awaitable[asyncio.subprocess.Process]],
) -> str | None:
    process = await execute([str(part) for part in action.get("command") or ()])
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            # It may have ended without our knowing yet. An error here would take the place of a cancellation.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return None if code == 0 else f"the command ended with exit code {code}"


def _port(port: object, container: Container) -> int:
    """A number, or the number of the container's port of that name. Raises OSError for an unknown name."""
    text = str(port)
    if text.isdigit():
        return int(text)
    for declared in container.ports or ():
        if declared.name == text:
            return declared.containerPort
    raise OSError(f"the container has no port named {text!r}")
