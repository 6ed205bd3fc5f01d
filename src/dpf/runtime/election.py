"""Leader election by a Lease (coordination.k8s.io/v1): of several processes one works, the others stand by.

The rules that make it safe, whatever the wall clocks say:

- A candidate never compares `renewTime` with its own clock. It notes, on its monotonic clock, when it last saw the
  Lease change, and takes over only when nothing changed for the whole `leaseDurationSeconds` that the holder wrote.
- The holder counts from the moment it *sent* its last successful renewal, and stops after `renew_deadline_s`, which is
  below the lease duration: it has stopped before anybody else may start. `may_write` says so at any moment.
- A holder that certainly does not run any more (`is_gone`) is not waited for: the dead write nothing.
- Every write carries the resourceVersion that was read, so of two candidates one gets Conflict.

`process` is the caller. The module ends nothing: it reports the loss, the process leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from dpf.api.core import Lease, LeaseSpec
from dpf.api.meta import ObjectMeta
from dpf.kube import client as port
from dpf.kube import errors
from dpf.runtime.clock import Clock, rfc3339_micro

R = TypeVar("R")

_RELEASED_DURATION_S: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long a Lease holds (whole seconds), until when the holder must have renewed it, how often everybody tries."""

    lease_duration_s: int = 15
    renew_deadline_s: float = 10.0
    retry_period_s: float = 2.0

    def __post_init__(self) -> None:
        if not self.lease_duration_s > self.renew_deadline_s > self.retry_period_s > 0:
            raise ValueError("leader election needs lease duration > renew deadline > retry period > 0")


class Elector:
    """One candidate for one Lease."""

    def __init__(
        self, client: port.Client, *, namespace: str, name: str, identity: str, clock: Clock,
        random: Callable[[], float], timing: Timing | None = None, is_gone: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._client = client
        self.namespace = namespace
        self.name = name
        self.identity = identity
        self._clock = clock
        self._random = random
        self._timing = timing or Timing()
        self._is_gone = is_gone
        self._seen: tuple[LeaseSpec, float] | None = None
        self._written: Lease | None = None
        self._renewed_at: float | None = None
        self._log = structlog.get_logger().bind(lease=f"{namespace}/{name}", identity=identity)

    def may_write(self) -> bool:
        """Whether this process is the leader at this moment, beyond doubt."""
        return self._renewed_at is not None and self._remaining_s() > 0

    async def acquire(self) -> None:
        """Return once this process is the leader. Trouble with the API server only makes it take longer."""
        while not await self._attempt(self._timing.renew_deadline_s):
            await self._clock.sleep(self._timing.retry_period_s * (1 + self._random() / 5))
        self._log.info("became the leader")

    async def keep(self) -> str:
        """Renew until leadership is lost; returns why. Call after `acquire`."""
        while True:
            await self._clock.sleep(min(self._timing.retry_period_s, max(0.0, self._remaining_s())))
            remaining = self._remaining_s()
            if remaining <= 0:
                self._renewed_at = None
                return f"the lease could not be renewed within {self._timing.renew_deadline_s:g} s"
            if await self._attempt(remaining):
                continue
            if self._seen is not None and self._seen[0].holderIdentity != self.identity:
                self._renewed_at = None
                return f"the lease is held by {self._seen[0].holderIdentity or 'nobody'}"

    async def release(self) -> None:
        """Let the next candidate start at once. Never raises: the Lease runs out by itself."""
        if not self.may_write():
            return
        self._renewed_at = None
        try:
            lease = await self._client.get(Lease, self.name, self.namespace)
            if lease.spec.holderIdentity == self.identity:
                await self._write(lease, {"holderIdentity": "", "leaseDurationSeconds": _RELEASED_DURATION_S})
                self._log.info("released the lease")
        except errors.Error as error:
            self._log.warning("could not release the lease", error=str(error))

    def _remaining_s(self) -> float:
        if self._renewed_at is None:
            return 0.0
        return self._renewed_at + self._timing.renew_deadline_s - self._clock.monotonic()

    async def _attempt(self, within_s: float) -> bool:
        """Acquire or renew once; False when somebody else holds it, or the API server did not answer in time."""
        sent_at = self._clock.monotonic()
        try:
            held = await self._within(within_s, self._try())
        except errors.Error as error:
            self._log.warning("could not write the lease", error=str(error))
            return False
        if held:
            self._renewed_at = sent_at
        return held

    async def _try(self) -> bool:
        if self._written is not None and await self._claim_on(self._written):
            return True
        try:
            lease = await self._client.get(Lease, self.name, self.namespace)
        except errors.NotFound:
            return await self._create()
        self._note(lease.spec)
        return self._is_free(lease.spec) and await self._claim_on(lease)

    async def _claim_on(self, lease: Lease) -> bool:
        """Write our claim, provided that `lease` is what the API server has; a renewal thus needs no read."""
        self._written = None
        try:
            written = await self._write(lease, self._claim(lease.spec))
        except (errors.Conflict, errors.NotFound):
            return False
        self._note(written.spec)
        self._written = written
        return True

    async def _create(self) -> bool:
        lease = Lease(
            metadata=ObjectMeta(name=self.name, namespace=self.namespace),
            spec=LeaseSpec(**self._claim(LeaseSpec()), leaseTransitions=0),
        )
        try:
            self._written = await self._client.create(lease)
        except errors.AlreadyExists:
            return False
        self._note(self._written.spec)
        return True

    def _note(self, spec: LeaseSpec) -> None:
        if self._seen is None or self._seen[0] != spec:
            self._seen = (spec, self._clock.monotonic())

    def _is_free(self, spec: LeaseSpec) -> bool:
        if not spec.holderIdentity or spec.holderIdentity == self.identity or self._is_gone(spec.holderIdentity):
            return True
        since = self._seen[1] if self._seen is not None else self._clock.monotonic()
        return self._clock.monotonic() - since > (spec.leaseDurationSeconds or self._timing.lease_duration_s)

    def _claim(self, spec: LeaseSpec) -> dict[str, Any]:
        now = rfc3339_micro(self._clock.now())
        claim: dict[str, Any] = {
            "holderIdentity": self.identity, "leaseDurationSeconds": self._timing.lease_duration_s, "renewTime": now,
        }
        if spec.holderIdentity != self.identity:
            claim["acquireTime"] = now
            if spec.holderIdentity is not None:
                claim["leaseTransitions"] = (spec.leaseTransitions or 0) + 1
        return claim

    async def _write(self, lease: Lease, spec: dict[str, Any]) -> Lease:
        patch = {"metadata": {"resourceVersion": lease.metadata.resourceVersion}, "spec": spec}
        return await self._client.patch(Lease, self.name, self.namespace, patch=patch)

    async def _within(self, seconds: float, work: Awaitable[R]) -> R:
        """`work`, cancelled after `seconds` of our clock. Raises Timeout."""
        working = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((working, timer), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise errors.Timeout(f"no answer within {seconds:.1f} s")
        finally:
            for task in (working, timer):
                task.cancel()
            await asyncio.gather(working, timer, return_exceptions=True)
