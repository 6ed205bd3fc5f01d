"""What a pass decides, from values; whole lives are in tests/scenario/provisioning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bfbs import a_bfb

from dpf.api.bfb import BFBStatus, Phase
from dpf.provisioning.bfb import plan, snapshot
from dpf.provisioning.bfb.bundle import Inventory
from dpf.provisioning.bfb.files import File, Found
from dpf.provisioning.bfb.record import Checkpoint, Content, Failure, Record
from dpf.provisioning.bfb.snapshot import Activity, Place, Snapshot, Unreadable, Work
from dpf.runtime.conditions import Reason
from dpf.runtime.plan import Drive, Plan

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FILE = File(size=10, modified_ns=5)
OTHER = File(size=11, modified_ns=5)
CONTENT = Content(size=10, modified_ns=5, sha256="s", inventory=Inventory(doca="3.0.0"))
ADOPTED = Content(size=10, modified_ns=5, sha256="s", inventory=Inventory(doca="3.0.0"), downloaded=False)
CHECKPOINT = Checkpoint(offset=1, sha256="s", source="s", validator="v")
NOTHING = Found(record=Record())
FETCHING = Activity(work=Work.FETCHING, running_s=2.0)


def a_failure(count: int, *, ago_s: float = 0.0, since_s: float = 0.0, retryable: bool = True) -> Failure:
    return Failure(
        count=count, why="why", retryable=retryable, at=NOW - timedelta(seconds=ago_s),
        since=NOW - timedelta(seconds=max(ago_s, since_s)),
    )


def seen(
    phase: Phase = Phase.DOWNLOADING, files: Found | Unreadable | None = NOTHING, **facts: object,
) -> Snapshot:
    bfb = a_bfb(status=BFBStatus(phase=phase))
    return Snapshot(bfb=bfb, file_name="x.bfb", files=files, **facts)  # type: ignore[arg-type]


def intents(decided: Plan) -> list[type]:
    return [type(a.intent) for step in decided.steps for a in step.actions if isinstance(a, Drive)]


@pytest.mark.parametrize(("found", "place"), [
    (NOTHING, Place.NOWHERE),
    (Found(record=Record(), unfinished=FILE), Place.NOWHERE),
    (Found(record=Record(), target=FILE), Place.UNREAD),
    (Found(record=Record(), target=FILE, left_behind=True), Place.NOWHERE),
    (Found(record=Record(content=CONTENT), unfinished=FILE), Place.WAITING),
    (Found(record=Record(content=CONTENT), unfinished=OTHER), Place.NOWHERE),
    (Found(record=Record(content=CONTENT), unfinished=FILE, target=OTHER), Place.WAITING),
    (Found(record=Record(content=CONTENT), target=FILE), Place.THERE),
    (Found(record=Record(content=CONTENT), target=OTHER), Place.NOWHERE),
    (Found(record=Record(content=CONTENT)), Place.NOWHERE),
    (Found(record=Record(content=ADOPTED), target=FILE), Place.THERE),
    (Found(record=Record(content=ADOPTED), target=OTHER), Place.UNREAD),
    (Found(record=Record(content=ADOPTED), unfinished=FILE), Place.NOWHERE),
])
def test_place(found: Found, place: Place) -> None:
    assert snapshot.place(found) is place


@pytest.mark.parametrize(("given_", "wanted"), [
    (seen(), [plan.Fetch]),
    (seen(activity=FETCHING), []),
    (seen(files=Found(record=Record(checkpoint=CHECKPOINT), unfinished=FILE)), [plan.Fetch]),
    (seen(files=Found(record=Record(content=CONTENT), unfinished=FILE)), [plan.Publish]),
    (seen(files=Found(record=Record(), target=FILE)), [plan.Inspect]),
    (seen(files=Found(record=Record(failure=a_failure(1)))), []),
    (seen(files=Found(record=Record(failure=a_failure(1, ago_s=2)))), [plan.Fetch]),
    (seen(files=Found(record=Record(failure=a_failure(3, ago_s=9)))), []),
    (seen(files=Found(record=Record(failure=a_failure(3, ago_s=10)))), [plan.Fetch]),
    (seen(files=Found(record=Record(failure=a_failure(1, ago_s=-3600)))), [plan.Fetch]),
    (seen(Phase.INITIALIZING), []),
    (seen(Phase.READY), []),
    (seen(Phase.READY, Found(record=Record(content=CONTENT), target=FILE)), []),
    (seen(Phase.READY, Found(record=Record(), target=FILE)), [plan.Inspect]),
    (seen(Phase.READY, Found(record=Record(failure=a_failure(9)), target=FILE)), []),
    (seen(refused="taken", activity=FETCHING), []),
    (seen(Phase.INITIALIZING, None, refused="taken", activity=FETCHING), [plan.End]),
])
def test_what_is_begun(given_: Snapshot, wanted: list[type]) -> None:
    assert intents(plan.plan(given_, NOW)) == wanted


@pytest.mark.parametrize(("given_", "phase"), [
    (seen(Phase.INITIALIZING), Phase.DOWNLOADING),
    (seen(files=Found(record=Record(failure=a_failure(3)))), Phase.DOWNLOADING),
    (seen(files=Found(record=Record(failure=a_failure(4)))), Phase.ERROR),
    (seen(files=Found(record=Record(failure=a_failure(4))), activity=FETCHING), Phase.DOWNLOADING),
    (seen(files=Found(record=Record(failure=a_failure(1, retryable=False)))), Phase.ERROR),
    (seen(Phase.ERROR, Found(record=Record(failure=a_failure(4, ago_s=599)))), Phase.ERROR),
    (seen(Phase.ERROR, Found(record=Record(failure=a_failure(4, ago_s=600)))), Phase.DOWNLOADING),
    (seen(Phase.ERROR, Found(record=Record(failure=a_failure(30, ago_s=600, since_s=21_601)))), Phase.ERROR),
    (seen(files=Unreadable(why="w", retryable=True)), Phase.ERROR),
    (seen(files=Unreadable(why="w", retryable=True), activity=FETCHING), Phase.DOWNLOADING),
    (seen(Phase.READY, Unreadable(why="w", retryable=True)), Phase.READY),
    (seen(files=Found(record=Record(content=CONTENT), target=FILE)), Phase.READY),
    (seen(files=Found(record=Record(content=CONTENT), unfinished=FILE)), Phase.DOWNLOADING),
    (seen(Phase.READY, NOTHING), Phase.DOWNLOADING),
    (seen(Phase.READY, NOTHING, refused="taken"), Phase.INITIALIZING),
])
def test_phase(given_: Snapshot, phase: Phase) -> None:
    assert plan.phase(given_, NOW) is phase


@given(
    phase=st.sampled_from([Phase.INITIALIZING, Phase.DOWNLOADING, Phase.READY, Phase.ERROR]),
    count=st.integers(1, 60), ago_s=st.integers(-100, 30_000), since_s=st.integers(0, 30_000), retryable=st.booleans(),
    target=st.sampled_from([None, FILE, OTHER]), unfinished=st.sampled_from([None, FILE, OTHER]),
    content=st.sampled_from([None, CONTENT, ADOPTED]), failed=st.booleans(), active=st.booleans(),
)
def test_every_pass_comes_back_or_waits_for_somebody(
    phase: Phase, count: int, ago_s: int, since_s: int, retryable: bool, target: File | None, unfinished: File | None,
    content: Content | None, failed: bool, active: bool,
) -> None:
    """Nothing hangs: a plan has a next look, except in Error with reason Failure, and never goes round without one."""
    failure = a_failure(count, ago_s=ago_s, since_s=since_s, retryable=retryable) if failed else None
    given_ = seen(
        phase, Found(record=Record(failure=failure, content=content), target=target, unfinished=unfinished),
        activity=FETCHING if active else None,
    )
    decided = plan.plan(given_, NOW)
    if decided.wake_after_s is None:
        trouble = snapshot.trouble(given_, NOW)
        assert phase is Phase.ERROR
        assert trouble is not None
        assert trouble.reason is Reason.FAILURE
    elif decided.wake_after_s == 0:
        assert plan.phase(given_, NOW) != phase or intents(decided) == [plan.Publish]
    assert len(intents(decided)) <= 1
    assert not (intents(decided) and plan.phase(given_, NOW) != phase)


def test_an_intent_shows_no_url() -> None:
    (step,) = plan.plan(seen(), NOW).steps
    assert "192.0.2.1/bf" not in repr(step)


def test_many_users_are_not_all_named() -> None:
    bfb = a_bfb(deleting=True)
    many = Snapshot(bfb=bfb, file_name="x.bfb", users=tuple(f"DPU: d{n:02}" for n in range(1000)))
    assert plan.still_referenced(many).endswith("DPU: d08, DPU: d09 and 990 more")
    assert plan.plan_teardown(many).release is False
