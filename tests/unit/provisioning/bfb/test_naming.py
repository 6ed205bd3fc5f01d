"""File names, and who has one that several BFBs want."""

from __future__ import annotations

import pytest
from tests.support.bfbs import a_bfb

from dpf.api.bfb import BFB, BFBStatus
from dpf.provisioning.bfb import naming

OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"


def wants(name: str, *, created: str = OLD, given: bool = False, namespace: str = "dpf-operator-system") -> BFB:
    status = BFBStatus(fileName="one.bfb") if given else None
    return a_bfb(name=name, file_name="one.bfb", created=created, status=status, namespace=namespace)


@pytest.mark.parametrize(("me", "other", "holder"), [
    (wants("a"), wants("b", created=NEW), None),
    (wants("a", created=NEW), wants("b"), "b"),
    (wants("a"), wants("b", created=NEW, given=True), "b"),
    (wants("a", given=True), wants("b"), None),
    (wants("a", given=True, created=NEW), wants("b", given=True), "b"),
    (wants("a"), wants("b"), None),
    (wants("b"), wants("a"), "a"),
    (wants("a", namespace="z"), wants("a", namespace="y"), "a"),
])
def test_holder(me: BFB, other: BFB, holder: str | None) -> None:
    found = naming.holder(me, [me, other])
    assert (found.metadata.name if found else None) == holder
    back = naming.holder(other, [me, other])
    assert (found is None) != (back is None), "exactly one of two has it"


def test_default_names_of_different_objects_may_be_the_same() -> None:
    """`a-b`/`c` and `a`/`b-c`: the file name is what counts, not where it comes from."""
    assert naming.file_name(a_bfb(namespace="a-b", name="c")) == naming.file_name(a_bfb(namespace="a", name="b-c"))


def test_the_longest_name_fits() -> None:
    assert naming.problem(a_bfb(namespace="n" * 63, name="b" * 187)) is None
