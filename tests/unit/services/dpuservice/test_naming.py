"""Names that must not collide (design.md section 8)."""

from __future__ import annotations

import pytest
from tests.support import dpuservices as some

from dpf.api.meta import Key
from dpf.services.dpuservice import naming

A, B, C = Key("a", "x"), Key("b", "x"), Key("c", "x")
UNIQUE_B = naming.unique("x", B)


@pytest.mark.parametrize(("wanted", "held", "foreign", "given"), [
    ([(A, "x")], {}, (), {A: "x"}),
    ([(A, "x"), (B, "x")], {}, (), {A: "x", B: UNIQUE_B}),
    ([(A, "x"), (B, "x")], {B: "x"}, (), {A: naming.unique("x", A), B: "x"}),
    ([(B, "x")], {B: UNIQUE_B}, (), {B: UNIQUE_B}),
    ([(B, "x")], {B: "nonsense"}, (), {B: "x"}),
    ([(B, "x")], {}, ("x",), {B: UNIQUE_B}),
    ([(A, "x"), (B, "y")], {}, (), {A: "x", B: "y"}),
], ids=["alone", "older-first", "held-stays", "unique-stays", "nonsense-does-not", "foreign", "no-collision"])
def test_assign(
    wanted: list[tuple[Key, str]], held: dict[Key, str], foreign: tuple[str, ...], given: dict[Key, str]
) -> None:
    assert naming.assign(wanted, held=held, foreign=foreign) == given


def test_names_given_are_all_different() -> None:
    given = naming.assign([(A, "x"), (B, "x"), (C, "x")], held={})
    assert len(set(given.values())) == 3


def test_the_oldest_cluster_keeps_its_name_and_ties_go_by_namespace() -> None:
    clusters = [
        some.a_cluster("dpu", "z", created="2025-01-01T00:00:00Z"),
        some.a_cluster("dpu", "b", created="2025-01-02T00:00:00Z"),
        some.a_cluster("dpu", "a", created="2025-01-02T00:00:00Z"),
    ]
    aliases = naming.cluster_aliases(clusters, {})
    assert aliases[Key("z", "dpu")] == "dpu"
    aliases = naming.cluster_aliases(clusters[1:], {})
    assert aliases[Key("a", "dpu")] == "dpu"


@pytest.mark.parametrize(("cluster", "service", "name"), [
    ("dpu-cplane-tenant1", "blueman-l2xsl", "dpu-cplane-tenant1-blueman-l2xsl"),
    ("c" * 31, "s" * 31, f"{'c' * 31}-{'s' * 31}"),
])
def test_the_documented_application_name(cluster: str, service: str, name: str) -> None:
    assert naming.application_name(cluster, service) == name


def test_names_over_the_limit_are_cut_and_stay_apart() -> None:
    first, second = (naming.application_name("c" * 40, f"{'s' * 39}{end}") for end in "ab")
    assert len(first) == len(second) == 63
    assert first != second


@pytest.mark.parametrize(("application", "wanted", "release"), [
    ("short", None, None),
    ("short", "mine", "mine"),
    ("a" * 53, None, None),
    ("a" * 54, "mine", "mine"),
    ("a" * 54, "", "cut"),
    ("a" * 54, None, "cut"),
])
def test_helm_takes_the_release_name(application: str, wanted: str | None, release: str | None) -> None:
    found = naming.release_name(application, wanted)
    if release == "cut":
        assert found is not None
        assert len(found) == 53
    else:
        assert found == release
