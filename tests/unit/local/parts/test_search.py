"""Parts are found in the promised order, and a program is asked for its version once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.local.parts.shop import Shop

from dpf.local.parts import cache, options, recipes, search, table
from dpf.local.parts.search import Found, NotFound, Source

KUBECTL, ETCD = table.by_name("kubectl"), table.by_name("etcd")
RIGHT, WRONG = "Client Version: v1.36.3", "Client Version: v1.32.4-dispatcher"


def found(result: Found | NotFound) -> tuple[Source, Path]:
    assert isinstance(result, Found), result
    return result.source, result.path


def put_in_cache(shop: Shop, one: table.Part) -> Path:
    assert one.go is not None
    return cache.put_program(shop.cache, one, shop.program("fresh"), recipes.of_build(one.go, "amd64"))


def test_a_setting_stands_above_everything(shop: Shop) -> None:
    shop.telling("kubectl", RIGHT)
    put_in_cache(shop, KUBECTL)
    chosen = shop.program("mine", folder=shop.folder / "elsewhere")
    result = search.find(KUBECTL, shop.options(settings={"kubectl": str(chosen)}))
    assert found(result) == (Source.SETTING, chosen)
    assert shop.runs("kubectl") == 0


@pytest.mark.parametrize(("name", "mode"), [("absent", None), ("file", 0o644), ("folder", None)])
def test_a_wrong_setting_is_not_passed_over(shop: Shop, name: str, mode: int | None) -> None:
    shop.telling("kubectl", RIGHT)
    (shop.folder / "folder").mkdir()
    if mode is not None:
        (shop.folder / name).touch(mode)
    result = search.find(KUBECTL, shop.options(settings={"kubectl": str(shop.folder / name)}))
    assert isinstance(result, NotFound)
    assert result.final
    assert result.tried == (f"it is set to {shop.folder / name}, which is not an executable file",)


def test_a_program_of_the_right_version_on_path_is_used(shop: Shop) -> None:
    program = shop.telling("kubectl", RIGHT)
    put_in_cache(shop, KUBECTL)
    assert found(search.find(KUBECTL, shop.options())) == (Source.PATH, program)


def test_one_of_another_version_is_passed_over_with_a_note(shop: Shop) -> None:
    wrong = shop.telling("kubectl", WRONG)
    cached = put_in_cache(shop, KUBECTL)
    result = search.find(KUBECTL, shop.options())
    assert found(result) == (Source.CACHE, cached)
    note = f"{wrong} is passed over: it is v1.32.4-dispatcher, v1.36.3 is needed"
    assert isinstance(result, Found)
    assert result.notes == (note,)


def test_the_next_folder_is_looked_at_after_a_wrong_one(shop: Shop) -> None:
    shop.telling("kubectl", WRONG)
    right = shop.telling("kubectl", RIGHT, shop.folder / "second")
    result = search.find(KUBECTL, shop.options(folders=(shop.bin, right.parent)))
    assert found(result) == (Source.PATH, right)


def test_a_program_is_asked_once_until_it_changes(shop: Shop) -> None:
    shop.telling("kubectl", WRONG)
    for _ in range(3):
        search.find(KUBECTL, shop.options())
    assert shop.runs("kubectl") == 1
    shop.telling("kubectl", RIGHT)
    assert found(search.find(KUBECTL, shop.options()))[0] is Source.PATH
    assert shop.runs("kubectl") == 2


@pytest.mark.parametrize(
    "text",
    ["#!/bin/sh\nexit 3\n", "#!/bin/sh\necho nonsense\n", "no program", "#!/bin/sh\nexec sleep 300\n"],
    ids=["fails", "nonsense", "no-program", "hangs"],
)
def test_a_program_that_does_not_tell_is_passed_over(shop: Shop, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "PROBE_TIMEOUT_S", 0.2)
    program = shop.program("kubectl", text)
    result = search.find(KUBECTL, shop.options())
    assert isinstance(result, NotFound)
    assert f"{program} is passed over: it is of unknown version, v1.36.3 is needed" in result.tried


def test_a_cache_that_cannot_be_written_does_not_prevent_finding(shop: Shop) -> None:
    program = shop.telling("kubectl", RIGHT)
    (shop.cache / "known").write_text("a file where a folder should be")
    assert found(search.find(KUBECTL, shop.options())) == (Source.PATH, program)


def test_argocd_is_never_taken_from_path(shop: Shop) -> None:
    shop.telling("argocd", "argocd: v3.2.11")
    result = search.find(table.by_name("argocd"), shop.options())
    assert isinstance(result, NotFound)
    assert shop.runs("argocd") == 0


@pytest.mark.parametrize("damage", ["truncated", "gone", "stamp", "recipe"])
def test_a_damaged_cache_entry_is_not_used(shop: Shop, damage: str) -> None:
    path = put_in_cache(shop, ETCD)
    assert found(search.find(ETCD, shop.options()))[1] == path
    match damage:
        case "truncated":
            os.truncate(path, 1)
        case "gone":
            path.unlink()
        case "stamp":
            (path.parent / "stamp.json").write_bytes(b"{")
        case "recipe":
            cache.put_program(shop.cache, ETCD, path, "build of yesterday")
    result = search.find(ETCD, shop.options())
    assert isinstance(result, NotFound)
    assert result.tried == ("DPF_PART_ETCD is not set", "no etcd on PATH", f"not in the cache ({path.parent})")


def test_another_architecture_is_another_recipe(shop: Shop) -> None:
    put_in_cache(shop, ETCD)
    assert isinstance(search.find(ETCD, shop.options(arch="arm64")), NotFound)


def test_a_file_missing_from_a_cached_folder_is_noticed(shop: Shop) -> None:
    crds = table.by_name("argocd-crds")
    assert crds.go is not None
    source = shop.folder / "a.yaml"
    source.write_text("a")
    folder = cache.put_files(shop.cache, crds, (source,), recipes.of_build(crds.go, "amd64"))
    assert found(search.find(crds, shop.options())) == (Source.CACHE, folder)
    (folder / "a.yaml").unlink()
    assert isinstance(search.find(crds, shop.options()), NotFound)


def test_a_link_leads_to_a_program_that_is_not_ours(shop: Shop) -> None:
    program = shop.program("redis-check-rdb")
    link = cache.ensure_link(shop.cache, table.by_name("redis-server"), program, "redis-server")
    assert (link.name, link.resolve()) == ("redis-server", program)
    assert not (shop.bin / "redis-server").exists()
    assert cache.ensure_link(shop.cache, table.by_name("redis-server"), link, "redis-server") == link


def test_a_link_beside_a_cached_program_is_mended(shop: Shop) -> None:
    program = put_in_cache(shop, table.by_name("argocd"))
    link = cache.ensure_link(shop.cache, table.by_name("argocd"), program, "argocd-repo-server")
    link.unlink()
    link.symlink_to("/nonexistent")
    assert cache.ensure_link(shop.cache, table.by_name("argocd"), program, "argocd-repo-server").resolve() == program
    assert link.parent == program.parent


def test_options_from_an_environment() -> None:
    environ = {
        "PATH": "/usr/bin:.:relative::/usr/bin:/opt/bin", "KUBEBUILDER_ASSETS": "/assets", "HOME": "/home/me",
        "DPF_PART_ETCD": "/my/etcd", "DPF_PART_HELM": "", "DPF_PART_NONSENSE": "/x",
    }
    made = options.from_environment(environ, settings={"kubectl": "/my/kubectl"})
    assert made.settings == {"etcd": "/my/etcd", "kubectl": "/my/kubectl"}
    folders = ["/assets", "/usr/bin", "/opt/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"]
    assert [str(folder) for folder in made.folders] == folders
    assert made.cache == Path("/home/me/.cache/dpf/parts")
    assert options.from_environment({**environ, "XDG_CACHE_HOME": "/c"}).cache == Path("/c/dpf/parts")


def test_an_option_stands_above_the_environment() -> None:
    made = options.from_environment({"DPF_PART_ETCD": "/env/etcd"}, settings={"etcd": "/option/etcd"})
    assert made.settings == {"etcd": "/option/etcd"}
