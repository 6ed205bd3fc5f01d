"""Services after those that they depend on (behaviour-service.md 6.6, scenario 39)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.api.dpudeployment import ServiceDependency, ServiceReferences
from dpf.services.dpudeployment import ordering
from dpf.services.dpudeployment.ordering import Order


def services(**depends_on: str) -> dict[str, ServiceReferences]:
    """Services by key; the value lists the keys they depend on."""
    return {
        name: ServiceReferences(
            serviceTemplate=name, serviceConfiguration=name,
            dependsOn=[ServiceDependency(name=other) for other in others.split()] or None,
        )
        for name, others in depends_on.items()
    }


@pytest.mark.parametrize(("given", "order"), [
    (services(), ()),
    (services(b="", a="", c=""), ("a", "b", "c")),
    (services(a="c", b="", c=""), ("b", "c", "a")),
    (services(a="b c", b="c", c="d", d=""), ("d", "c", "b", "a")),
    (services(a="b b", b=""), ("b", "a")),
], ids=["none", "by name", "dependency first", "chain", "twice"])
def test_order(given: dict[str, ServiceReferences], order: tuple[str, ...]) -> None:
    assert ordering.sort(given) == Order(services=order)


@pytest.mark.parametrize(("given", "problem"), [
    (services(a="b"), "service a depends on b which is not defined in the DPUDeployment"),
    (services(a="a"), "service a cannot depend on itself"),
    (services(a="b", b="a"), "failed to sort Service: a -> b -> a is a cycle of dependencies"),
    (services(c="b", b="a", a="c", d=""), "failed to sort Service: a -> c -> b -> a is a cycle of dependencies"),
])
def test_problem(given: dict[str, ServiceReferences], problem: str) -> None:
    assert ordering.sort(given) == Order(problems=(problem,))


def test_every_problem_is_told() -> None:
    assert ordering.sort(services(a="a x", b="y")).problems == (
        "service a cannot depend on itself",
        "service a depends on x which is not defined in the DPUDeployment",
        "service b depends on y which is not defined in the DPUDeployment",
    )


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef"))))
def test_order_respects_every_dependency_or_says_why_not(wishes: dict[str, set[str]]) -> None:
    found = ordering.sort(services(**{name: " ".join(sorted(others)) for name, others in wishes.items()}))

    if not found.problems:
        assert sorted(found.services) == sorted(wishes)
        place = {name: index for index, name in enumerate(found.services)}
        assert all(place[other] < place[name] for name, others in wishes.items() for other in others)
    else:
        assert found.services == ()
