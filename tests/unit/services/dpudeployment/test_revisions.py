"""What becomes of revisions (behaviour-service.md 6.7)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support import dpudeployments as some
from tests.support import dpuservices

from dpf.api.dpuservice import DPUService, DPUServiceStatus
from dpf.services.dpudeployment import revisions
from dpf.services.dpudeployment.revisions import Decision, Move


def revision(name: str, *, age: int = 0, digest: str | None = None, paused: bool = False) -> DPUService:
    """Revision `name`; the digest is the name unless given ("" for none), a higher age is older."""
    service = dpuservices.a_service(name, created=f"2026-01-01T00:00:{59 - age:02}Z", paused=paused)
    annotations = {"version": name if digest is None else digest} if digest != "" else {}
    return msgspec.structs.replace(
        service, metadata=msgspec.structs.replace(service.metadata, annotations=annotations)
    )


def decide(*given: DPUService, settled: bool = False, limit: int = 10, **options: Any) -> Decision[DPUService]:
    return revisions.decide(
        given, digest="new", version=lambda s: (s.metadata.annotations or {}).get("version"), limit=limit,
        disruptive=options.pop("disruptive", False), settled=lambda _: settled, **options,
    )


def told(decision: Decision[DPUService]) -> tuple[Move, str | None, list[str], list[str]]:
    target = decision.target.metadata.name if decision.target else None
    kept, dropped = ([s.metadata.name for s in group] for group in (decision.kept, decision.dropped))
    return decision.move, target, kept, dropped


A, B, C = (revision(name, age=age) for name, age in (("a", 3), ("b", 2), ("c", 1)))
NEW = revision("new")


@pytest.mark.parametrize("disruptive", [False, True])
def test_none_is_made(disruptive: bool) -> None:
    assert told(decide(disruptive=disruptive)) == (Move.CREATE, None, [], [])
    assert not decide(disruptive=disruptive).is_update


@pytest.mark.parametrize(("limit", "kept", "dropped"), [
    (10, ["b", "a"], []), (2, ["b"], ["a"]), (1, [], ["b", "a"]),
])
def test_only_old_not_disruptive_the_youngest_is_changed(limit: int, kept: list[str], dropped: list[str]) -> None:
    assert told(decide(A, B, C, limit=limit)) == (Move.ADOPT, "c", kept, dropped)


@pytest.mark.parametrize(("limit", "kept", "dropped"), [
    (10, ["c", "b", "a"], []), (3, ["c", "b"], ["a"]), (1, [], ["c", "b", "a"]),
])
def test_only_old_disruptive_one_is_made(limit: int, kept: list[str], dropped: list[str]) -> None:
    assert told(decide(A, B, C, disruptive=True, limit=limit)) == (Move.CREATE, None, kept, dropped)


@pytest.mark.parametrize("disruptive", [False, True])
def test_current_is_kept_and_the_old_stay_until_it_has_taken_over(disruptive: bool) -> None:
    assert told(decide(A, NEW, B, disruptive=disruptive)) == (Move.KEEP, "new", ["b", "a"], [])
    assert told(decide(A, NEW, B, disruptive=disruptive, settled=True)) == (Move.KEEP, "new", [], ["b", "a"])


def test_the_limit_holds_while_an_update_is_under_way() -> None:
    """Scenario 33."""
    assert told(decide(A, B, NEW, limit=2)) == (Move.KEEP, "new", ["b"], ["a"])
    assert told(decide(A, NEW, limit=1)) == (Move.KEEP, "new", [], ["a"])


def test_an_earlier_revision_that_is_still_there_becomes_current() -> None:
    earlier = revision("first", age=9, digest="new", paused=True)

    assert told(decide(earlier, B, C)) == (Move.KEEP, "first", ["c", "b"], [])


def test_what_is_in_use_is_changed_even_if_the_update_is_disruptive() -> None:
    assert told(decide(A, B, disruptive=True, heir=A)) == (Move.ADOPT, "a", ["b"], [])
    assert told(decide(A, B, heir=A)) == (Move.ADOPT, "a", ["b"], [])


def test_a_stripped_digest_comes_back() -> None:
    bare = revision("bare", digest="")

    assert told(decide(bare, disruptive=True)) == (Move.KEEP, "bare", [], [])
    assert told(decide(bare, NEW)) == (Move.KEEP, "new", ["bare"], [])


def test_of_one_second_the_working_one_is_the_youngest_and_the_plain_name_the_oldest() -> None:
    plain, later, working = revision("dd"), revision("dd-abcde", paused=True), revision("dd-bbbbb")

    assert [s.metadata.name for s in revisions.youngest_first([later, plain, working])] == [
        "dd-bbbbb", "dd", "dd-abcde",
    ]
    assert [s.metadata.name for s in revisions.youngest_first([plain, revision("dd-abcde")])] == ["dd-abcde", "dd"]


@pytest.mark.parametrize(("status", "observed", "ready"), [
    ("True", 1, True), ("True", None, True), ("True", 0, False), ("False", 1, False), ("Unknown", 1, False),
])
def test_ready_is_what_is_said_of_the_present_generation(status: str, observed: int | None, ready: bool) -> None:
    condition = msgspec.structs.replace(some.a_ready_condition(generation=observed), status=status)
    service = msgspec.structs.replace(NEW, status=DPUServiceStatus(conditions=[condition]))

    assert revisions.is_ready(service) is ready


def test_silence_is_not_ready() -> None:
    assert not revisions.is_ready(NEW)


def test_what_is_being_deleted_is_no_revision() -> None:
    assert revisions.alive([dpuservices.a_service(deleting=True), A]) == (A,)
