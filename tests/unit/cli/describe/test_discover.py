"""What is read, and what a failed read means: never "there is nothing"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec
import pytest
from tests.unit.cli.describe import objects

from dpf.api.meta import Key
from dpf.cli.describe import discover, kinds, tree
from dpf.kube import errors
from dpf.kube.client import Listing, Unreadable

BRANCHES = kinds.TARGETS["all"]


UNKNOWN_KIND = errors.NotFound("the server could not find the requested resource")
NOT_INSTALLED = """\
this cluster does not know the kind DPFOperatorConfig (dpfoperatorconfigs.operator.dpu.nvidia.com), so DPF is not \
installed in it. Install DPF, or choose the host cluster with --kubeconfig or KUBECONFIG."""
NONE = """\
no DPFOperatorConfig found: exactly one is needed. Create one (dpf-operator-system/dpfoperatorconfig), or choose the \
host cluster with --kubeconfig or KUBECONFIG."""
SEVERAL = "2 DPFOperatorConfigs found (dpf-operator-system/b, other/a): exactly one is needed. Delete the others."
UNREADABLE = "DPFOperatorConfig ns/odd cannot be read: no status. Use the dpfctl of the installed version."


class Lists:
    """The one method of the client port that discovery uses: a list or an error per kind; other kinds are unknown."""

    def __init__(self, answers: Mapping[str, Sequence[dict[str, Any]] | errors.Error | Listing[Any]]) -> None:
        self._answers = answers

    async def list(self, kind: type[Any], *, labels: str | None = None) -> Listing[Any]:
        answer = self._answers.get(kind.resource.kind, UNKNOWN_KIND)
        if isinstance(answer, errors.Error):
            raise answer
        if isinstance(answer, Listing):
            return answer
        return Listing(tuple(msgspec.convert(made, kind) for made in answer), "1")


async def found(**answers: Any) -> kinds.Inventory:
    return await discover.discover(Lists({"DPFOperatorConfig": [objects.a_root()], **answers}), BRANCHES)  # type: ignore[arg-type]


async def test_every_kind_of_the_branches_is_read() -> None:
    inventory = await found(
        DPUService=[objects.a_service("hbn")], DPUCluster=[objects.a_cluster("one"), objects.a_cluster("two")],
        Application=[objects.an_application("hbn")], DPUServiceCredentialRequest=[],
    )
    assert inventory.root.metadata.name == "dpfoperatorconfig"
    assert set(inventory.objects) == {branch.kind.name for _, branch in kinds.walk(BRANCHES)}
    assert {kind: [o.metadata.name for o in made] for kind, made in inventory.objects.items() if made} == {
        "DPUCluster": ["one", "two"], "DPUService": ["hbn"], "Application": ["dpu-cplane-tenant1-hbn"],
    }


async def test_a_kind_that_is_not_installed_has_no_objects() -> None:
    assert set(map(len, (await found()).objects.values())) == {0}


@pytest.mark.parametrize(
    "error", [errors.Unreachable("refused"), errors.Forbidden("no"), errors.ServerError("500"), errors.Timeout("late")]
)
@pytest.mark.parametrize("kind", ["DPFOperatorConfig", "DPUService", "Application"])
async def test_any_other_failed_read_fails_it_all(error: errors.Error, kind: str) -> None:
    with pytest.raises(type(error)) as caught:
        await found(**{kind: error})
    assert caught.value is error


@pytest.mark.parametrize(
    ("roots", "message"),
    [
        (UNKNOWN_KIND, NOT_INSTALLED),
        ([], NONE),
        ([objects.an_object(kinds.ROOT, "b"), objects.an_object(kinds.ROOT, "a", namespace="other")], SEVERAL),
        (Listing((), "1", (Unreadable(Key("ns", "odd"), "no status"),)), UNREADABLE),
    ],
    ids=["kind unknown", "none", "several", "unreadable"],
)
async def test_there_must_be_exactly_one_root(roots: Any, message: str) -> None:
    with pytest.raises(click.ClickException) as caught:
        await found(DPFOperatorConfig=roots)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("kind", "odd"),
    [
        ("DPUDeployment", {"spec": 5}),
        ("DPUDeployment", {"spec": {"services": ["a"]}}),
        ("DPUDeployment", {"spec": {"services": {"a": None, "b": {"serviceTemplate": 1}}}}),
        ("DPUService", {"spec": {"paused": "yes"}}),
        ("DPUSet", {"spec": {"dpuTemplate": []}, "status": {"dpuStatistics": [1]}}),
        ("DPUSet", {"status": {"dpuStatistics": {"Ready": "two"}}}),
        ("BFB", {"spec": {"url": 1}, "status": {"phase": "Ready", "versions": "2.9"}}),
    ],
)
async def test_what_another_version_wrote_is_shown_nevertheless(kind: str, odd: dict[str, Any]) -> None:
    made = {"apiVersion": "v", "kind": kind, "metadata": {"name": "odd", "namespace": "ns"}, **odd}
    inventory = await found(**{kind: [made]})
    shown = tree.items(tree.build(inventory, BRANCHES, tree.Options()))
    assert [item.name for item in shown] == ["DPFOperatorConfig/dpfoperatorconfig", f"{kind}/odd"]


async def test_objects_that_cannot_be_read_are_reported() -> None:
    bad = Unreadable(Key("ns", "odd"), "why")
    assert (await found(DPUService=Listing((), "1", (bad,)))).unreadable == [
        "DPUService ns/odd cannot be read: why"
    ]
