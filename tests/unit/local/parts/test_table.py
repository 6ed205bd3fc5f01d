"""The table of parts agrees with the modules that are built, and with itself."""

from __future__ import annotations

import re

import pytest

from dpf.local.parts import recipes, table
from dpf.local.parts.table import GoFiles, GoModule, GoProgram, Part

MODULE_OF_PACKAGE = {"etcd": "go.etcd.io/etcd/server/v3", "helm": "helm.sh/helm/v3", "kubernetes": "k8s.io/kubernetes",
                     "argocd": "github.com/argoproj/argo-cd/v3"}
BUILT = [part for part in table.PARTS if part.go is not None]


def go_mod(name: str) -> str:
    return (recipes.MODULES / name / "go.mod").read_text()


@pytest.mark.parametrize("part", BUILT, ids=lambda part: part.name)
def test_the_version_is_the_one_that_is_pinned(part: Part) -> None:
    assert part.go is not None
    path = MODULE_OF_PACKAGE[part.go.module]
    match = re.search(rf"^\s*{re.escape(path)} v(\S+)", go_mod(part.go.module), re.MULTILINE)
    assert match is not None
    assert match[1] == (part.version or "").removeprefix("v")


@pytest.mark.parametrize("part", BUILT, ids=lambda part: part.name)
def test_what_is_built_is_a_tool_of_its_module(part: Part) -> None:
    wanted = part.go.package if isinstance(part.go, GoProgram) else part.go.path if part.go is not None else ""
    tools = re.findall(r"^(?:tool |\t)(\S+)$", go_mod(part.go.module if part.go else ""), re.MULTILINE)
    assert any(tool == wanted or (isinstance(part.go, GoFiles) and tool.startswith(wanted)) for tool in tools)


@pytest.mark.parametrize("module", table.GO_MODULES, ids=lambda module: module.name)
def test_linker_variables_and_patches_are_about_modules_that_are_pinned(module: GoModule) -> None:
    pinned = re.findall(r"^\s*(\S+) v\S+", go_mod(module.name), re.MULTILINE)
    places = [*module.variables, *([module.patch.path] if module.patch is not None else [])]
    assert [place for place in places if not any(place.startswith(path) for path in pinned)] == []


def test_names_are_unique_links_included() -> None:
    names = [part.name for part in table.PARTS]
    links = [link for part in table.PARTS for link in part.links if link != part.name]
    assert len({*names, *links}) == len(names) + len(links)


def test_every_part_can_be_had_somehow() -> None:
    assert [part.name for part in table.PARTS if part.go is None and part.release is None and not part.debian] == []


def test_only_chains_need_open_vswitch() -> None:
    names = {part.name for part in table.needed_for(frozenset({table.PLATFORM}))}
    more = {part.name for part in table.needed_for(frozenset({table.PLATFORM, table.CHAINS}))}
    assert more - names == {"ovs-vswitchd"}


def test_the_variable_of_a_part() -> None:
    assert [part.variable for part in table.PARTS][:2] == ["DPF_PART_ETCD", "DPF_PART_KUBE_APISERVER"]
