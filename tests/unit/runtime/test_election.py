"""Leader election: never two at once, whatever clocks and servers do; and always one again after a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from tests.support.clock import FakeClock, turns

from dpf.api.core import Lease, LeaseSpec, Namespace
from dpf.api.meta import ObjectMeta
from dpf.kube import errors
from dpf.kube.memory import MemoryCluster, Request
from dpf.runtime.election import Elector, Timing

NS, NAME = "dpf-operator-system", "dpf"
TIMING = Timing(lease_duration_s=15, renew_deadline_s=10, retry_period_s=2)


class Candidate:
    """A process: acquires, keeps, and can be killed, suspended or cut off."""

    def __init__(self, cluster: MemoryCluster, identity: str, clock: FakeClock) -> None:
        self.client = Switch(cluster)
        self.clock = clock
        self.elector = Elector(
            self.client, namespace=NS, name=NAME, identity=identity, clock=clock, random=lambda: 0.0,  # type: ignore[arg-type]
            timing=TIMING,
        )
        self.lost: str | None = None
        self.task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        await self.elector.acquire()
        self.lost = await self.elector.keep()

    @property
    def leads(self) -> bool:
        return not self.task.done() and self.elector.may_write()

    def kill(self) -> None:
        self.task.cancel()


class Switch:
    """The way to the API server, which can be cut: requests then fail, or hang for ever."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self.mode = "ok"

    def __getattr__(self, name: str) -> Callable[..., object]:
        async def request(*args: object, **options: object) -> object:
            if self.mode == "fails":
                raise errors.Unreachable("connection refused")
            if self.mode == "hangs":
                await asyncio.Event().wait()
            return await getattr(self._cluster, name)(*args, **options)

        return request


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.cluster = MemoryCluster(now=self.clock.now)
        self.cluster.add(Namespace(metadata=ObjectMeta(name=NS)))
        self.candidates: list[Candidate] = []

    def start(self, identity: str, clock: FakeClock | None = None) -> Candidate:
        candidate = Candidate(self.cluster, identity, clock or self.clock)
        self.candidates.append(candidate)
        return candidate

    @property
    def lease(self) -> Lease:
        (lease,) = self.cluster.objects(Lease)
        return lease


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    for candidate in bench.candidates:
        candidate.kill()
    await asyncio.gather(*(c.task for c in bench.candidates), return_exceptions=True)


async def test_the_first_candidate_leads_and_writes_the_lease(bench: Bench) -> None:
    one = bench.start("one")
    await bench.clock.run_for(0)
    assert one.leads
    spec = bench.lease.spec
    assert (spec.holderIdentity, spec.leaseDurationSeconds, spec.leaseTransitions) == ("one", 15, 0)
    assert spec.acquireTime == spec.renewTime == "2026-01-01T00:00:00.000000Z"


async def test_the_second_stands_by_as_long_as_the_first_renews(bench: Bench) -> None:
    one, two = bench.start("one"), bench.start("two")
    for _ in range(60):
        await bench.clock.run_for(2)
        assert (one.leads, two.leads) == (True, False)
    assert bench.lease.spec.renewTime != bench.lease.spec.acquireTime


async def test_after_a_crash_the_other_takes_over_but_not_before_the_lease_ran_out(bench: Bench) -> None:
    one, two = bench.start("one"), bench.start("two")
    await bench.clock.run_for(20)
    one.kill()
    await bench.clock.run_for(13)
    assert not two.leads
    await bench.clock.run_for(6)
    assert two.leads
    assert (bench.lease.spec.holderIdentity, bench.lease.spec.leaseTransitions) == ("two", 1)


@pytest.mark.parametrize("skew_s", [-86400.0, 86400.0], ids=["a day slow", "a day fast"])
async def test_a_wrong_wall_clock_takes_nothing_away(bench: Bench, skew_s: float) -> None:
    one = bench.start("one")
    await bench.clock.run_for(1)
    skewed = FakeClock(skew_s=skew_s)
    two = bench.start("two", skewed)
    for _ in range(60):
        await bench.clock.run_for(2)
        await skewed.run_for(2)
        assert (one.leads, two.leads) == (True, False)


@pytest.mark.parametrize("mode", ["fails", "hangs"])
async def test_a_leader_that_is_cut_off_stops_before_the_other_starts(bench: Bench, mode: str) -> None:
    one, two = bench.start("one"), bench.start("two")
    await bench.clock.run_for(20)
    one.client.mode = mode
    both = none = 0
    for _ in range(200):
        await bench.clock.run_for(0.1)
        both += one.leads and two.leads
        none += not one.leads and not two.leads
    assert both == 0
    assert none > 0
    assert two.leads
    assert one.lost == "the lease could not be renewed within 10 s"


async def test_a_renewal_is_one_request(bench: Bench) -> None:
    bench.start("one")
    await bench.clock.run_for(10)
    before = len(bench.cluster.requests)
    await bench.clock.run_for(20)
    assert {r.verb for r in bench.cluster.requests[before:]} == {"patch"}
    assert len(bench.cluster.requests) - before == 10


async def test_a_lease_that_somebody_else_touched_is_read_again_and_kept(bench: Bench) -> None:
    one = bench.start("one")
    await bench.clock.run_for(1)
    await bench.cluster.patch(Lease, NAME, NS, patch={"metadata": {"labels": {"touched": "yes"}}})
    await bench.clock.run_for(30)
    assert one.leads


async def test_a_short_outage_is_survived(bench: Bench) -> None:
    one = bench.start("one")
    await bench.clock.run_for(20)
    one.client.mode = "fails"
    await bench.clock.run_for(7)
    one.client.mode = "ok"
    await bench.clock.run_for(60)
    assert one.leads


async def test_a_leader_that_was_suspended_knows_it_at_once(bench: Bench) -> None:
    own = FakeClock()
    one = bench.start("one", own)
    await own.run_for(1)
    own.advance(3600)
    assert not one.elector.may_write(), "before anything has run again"
    await own.run_for(5)
    assert one.lost is not None


async def test_a_leader_whose_lease_was_taken_gives_up(bench: Bench) -> None:
    one = bench.start("one")
    await bench.clock.run_for(1)
    await bench.cluster.patch(Lease, NAME, NS, patch={"spec": {"holderIdentity": "thief"}})
    await bench.clock.run_for(3)
    assert one.lost == "the lease is held by thief"
    assert not one.elector.may_write()


async def test_release_lets_the_next_one_start_at_once(bench: Bench) -> None:
    one, two = bench.start("one"), bench.start("two")
    await bench.clock.run_for(20)
    one.task.cancel()
    await one.elector.release()
    assert not one.elector.may_write()
    assert bench.lease.spec.holderIdentity == ""
    await bench.clock.run_for(3)
    assert two.leads


async def test_release_never_raises_and_touches_no_foreign_lease(bench: Bench) -> None:
    one = bench.start("one")
    await bench.clock.run_for(1)
    await bench.cluster.patch(Lease, NAME, NS, patch={"spec": {"holderIdentity": "thief"}})
    await one.elector.release()
    assert bench.lease.spec.holderIdentity == "thief"


async def test_of_two_that_see_a_free_lease_one_wins(bench: Bench) -> None:
    one, two = bench.start("one"), bench.start("two")
    await turns()
    assert [one.leads, two.leads].count(True) == 1


async def test_a_deleted_lease_is_made_again(bench: Bench) -> None:
    one = bench.start("one")
    await bench.clock.run_for(1)
    await bench.cluster.delete(Lease, NAME, NS)
    await bench.clock.run_for(5)
    assert one.leads
    assert bench.lease.spec.holderIdentity == "one"


async def test_the_duration_that_the_holder_wrote_counts(bench: Bench) -> None:
    await bench.cluster.create(Lease(
        metadata=ObjectMeta(name=NAME, namespace=NS),
        spec=LeaseSpec(holderIdentity="slow", leaseDurationSeconds=60, renewTime="2020-01-01T00:00:00.000000Z"),
    ))
    two = bench.start("two")
    await bench.clock.run_for(58)
    assert not two.leads
    await bench.clock.run_for(6)
    assert two.leads


async def test_trouble_while_standing_by_only_delays(bench: Bench) -> None:
    def refuse(_: Request) -> bool:
        return True

    bench.cluster.fail_next(refuse, errors.Forbidden("leases is forbidden"), times=3)
    one = bench.start("one")
    await bench.clock.run_for(10)
    assert one.leads


@pytest.mark.parametrize("timing", [(10, 10, 2), (15, 2, 2), (15, 10, 0)], ids=["deadline", "period", "zero"])
def test_unsafe_timings_are_refused(timing: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="leader election needs"):
        Timing(lease_duration_s=timing[0], renew_deadline_s=timing[1], retry_period_s=timing[2])



async def test_a_holder_that_is_gone_is_not_waited_for(bench: Bench) -> None:
    one = bench.start("one")
    await bench.clock.run_for(0)
    one.kill()
    two = Elector(
        bench.cluster, namespace=NS, name=bench.lease.metadata.name, identity="two", clock=bench.clock,
        random=lambda: 0.0, is_gone=lambda holder: holder == "one",
    )
    await two.acquire()
    assert two.may_write()
    assert bench.lease.spec.holderIdentity == "two"
