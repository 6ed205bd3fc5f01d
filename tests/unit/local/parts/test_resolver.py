"""All parts come together, each by the first way that works; what does not is one error that says how to mend it."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from pathlib import Path

import pytest
from tests.unit.local.parts.shop import APT_GET, GO, Shop

from dpf.local import errors, parts
from dpf.local.parts import commands, gobuild, recipes, resolver, search, table
from dpf.local.parts.errors import PartsMissing, StepFailed
from dpf.local.parts.search import Source
from dpf.local.parts.table import SourcePatch
from dpf.local.supervisor import procfs

GO_PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "helm", "argocd",
            "argocd-crds")
PACKAGED = ("redis-server", "ip", "ethtool")


@pytest.fixture(autouse=True)
def small_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gobuild, "NEEDED_BYTES", 1)
    monkeypatch.setattr(gobuild, "COLD_BYTES", 1)
    monkeypatch.setattr(gobuild, "LOCK_POLL_S", 0.01)


async def test_everything_is_built_and_installed_and_found_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    shop.program("go", GO)
    shop.program("apt-get", APT_GET)
    lines: list[str] = []
    got = await resolver.resolve(shop.options(), lines.append)
    assert {name: one.source for name, one in got.resolved.items()} == {
        **dict.fromkeys(GO_PARTS, Source.BUILD), **dict.fromkeys(PACKAGED, Source.DEBIAN),
    }
    assert got["etcd"].read_text() == "built go.etcd.io/etcd/server/v3\n"
    assert got["argocd-repo-server"].resolve() == got["argocd-application-controller"].resolve() == got["argocd"]
    assert (got["redis-server"].name, got["redis-server"].resolve()) == ("redis-server", shop.bin / "redis-check-rdb")
    assert sorted(path.name for path in got["argocd-crds"].iterdir()) == ["application-crd.yaml", "appproject-crd.yaml"]
    assert [line.split()[1].split("-")[0] for line in lines if line.startswith("built")] == [
        "etcd", "kube", "helm", "argocd,",
    ]
    calls = shop.calls("go")
    assert parts.missing(shop.options()) == ()
    again = await resolver.resolve(shop.options())
    assert {one.source for one in again.resolved.values()} == {Source.CACHE, Source.PATH}
    assert dict(again) == dict(got)
    assert shop.calls("go") == calls
    assert list((shop.cache / "build").iterdir()) == []


async def test_nothing_possible_is_one_error_about_all(shop: Shop) -> None:
    shop.telling("kubectl", "Client Version: v1.32.4")
    environ = {"PATH": str(shop.bin)}
    before = parts.missing(shop.options())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gobuild.shutil, "which", lambda *_, **__: None)
        with pytest.raises(PartsMissing) as caught:
            await resolver.resolve(shop.options(environ=environ))
    assert before == tuple(problem.part for problem in caught.value.problems) == (*GO_PARTS, *PACKAGED)
    text = str(caught.value)
    assert text.startswith("11 parts are missing\netcd 3.6.6\n  - DPF_PART_ETCD is not set\n  - no etcd on PATH\n")
    assert "  - go was not found on PATH\n  to mend it: install Go 1.26 or newer" in text
    assert "or set DPF_PART_ETCD=/path/to/etcd\n" in text
    assert f"{shop.bin}/kubectl is passed over: it is v1.32.4, v1.36.3 is needed" in text
    assert "to mend it: sudo apt-get install --no-install-recommends redis-tools, or set DPF_PART_REDIS_SERVER=" in text


async def test_what_is_not_allowed_is_not_done(shop: Shop) -> None:
    shop.program("go", GO)
    shop.program("apt-get", APT_GET)
    with pytest.raises(PartsMissing, match="building is not allowed here"):
        await resolver.resolve(shop.options(build=False, install=False, download=False))
    assert (shop.calls("go"), shop.calls("apt")) == ([], [])


async def test_settings_for_everything_need_nothing_else(shop: Shop) -> None:
    got = await resolver.resolve(shop.options(settings=shop.settings_without()))
    assert {one.source for one in got.resolved.values()} == {Source.SETTING}
    assert got["argocd-repo-server"].resolve() == got["argocd"]


async def test_a_wrong_setting_is_an_error_even_where_building_would_help(shop: Shop) -> None:
    shop.program("go", GO)
    settings = {**shop.settings_without(), "etcd": "/nonexistent"}
    with pytest.raises(PartsMissing, match="to mend it: correct or unset DPF_PART_ETCD") as caught:
        await resolver.resolve(shop.options(settings=settings))
    assert [problem.part for problem in caught.value.problems] == ["etcd"]


async def test_notes_about_passed_over_programs_are_told(shop: Shop) -> None:
    shop.program("go", GO)
    settings = shop.settings_without("kubectl")
    await resolver.resolve(shop.options(settings=settings))
    wrong = shop.telling("kubectl", "Client Version: v1.32.4")
    found = await resolver.resolve(shop.options(settings=settings))
    assert found.resolved["kubectl"].notes == (f"{wrong} is passed over: it is v1.32.4, v1.36.3 is needed",)


async def test_a_cache_that_cannot_be_written_is_said(shop: Shop) -> None:
    (shop.folder / "file").touch()
    with pytest.raises(errors.LocalError, match="cannot be written; set XDG_CACHE_HOME to a folder that can"):
        await resolver.resolve(shop.options(cache=shop.folder / "file" / "cache"))


async def test_a_failed_build_tells_the_compilers_words_and_spares_the_rest(shop: Shop) -> None:
    shop.program("go", GO)
    (shop.folder / "go.fails").write_text("internal/abi\nk8s.io/api\ndial tcp: no such host\n")
    settings = shop.settings_without("etcd", "helm", "argocd-crds")
    with pytest.raises(PartsMissing) as caught:
        await resolver.resolve(shop.options(settings=settings))
    assert [problem.part for problem in caught.value.problems] == ["etcd", "helm"]
    assert "go build failed: dial tcp: no such host" in str(caught.value)
    assert parts.missing(shop.options(settings=settings)) == ("etcd", "helm")
    assert list((shop.cache / "build").iterdir()) == []


async def test_the_users_own_go_settings_do_not_change_what_is_built(shop: Shop) -> None:
    shop.program("go", GO)
    mine = {"GOFLAGS": "-tags=x", "GOOS": "plan9", "GOWORK": "/my/go.work", "GOPROXY": "https://proxy.example"}
    options = shop.options(settings=shop.settings_without("etcd"))
    await resolver.resolve(shop.options(settings=options.settings, environ={**options.environ, **mine}))
    seen = dict(line.split("=", 1) for line in (shop.folder / "go.env").read_text().splitlines())
    assert seen["GOFLAGS"] == "-mod=readonly -trimpath -buildvcs=false"
    assert (seen["GOWORK"], seen["CGO_ENABLED"]) == ("off", "0")
    assert seen["GOPROXY"] == "https://proxy.example"
    assert "GOOS" not in seen


async def test_programs_are_told_their_version(shop: Shop) -> None:
    shop.program("go", GO)
    await resolver.resolve(shop.options(settings=shop.settings_without("kubectl")))
    assert "-X k8s.io/component-base/version.gitVersion=v1.36.3" in shop.calls("go")[-1]


async def test_argocd_is_built_from_the_changed_copy(shop: Shop) -> None:
    shop.program("go", GO)
    await resolver.resolve(shop.options(settings=shop.settings_without("argocd")))
    assert '"127.0.0.1:%d"' in (shop.folder / "patched.seen").read_text()
    assert '"0.0.0.0:%d"' in (shop.folder / "sources/controller/appcontroller.go").read_text()
    assert "mod edit -replace=github.com/argoproj/argo-cd/v3=./patched" in shop.calls("go")


PATCH = SourcePatch(path="example.com/m", file="a.go", old="old line", new="new line", because="of a test")


@pytest.mark.parametrize(
    ("text", "message"),
    [("another line", "0 times"), ("old line\nold line", "2 times"), (None, "a.go of example.com/m is not there")],
)
def test_a_patch_that_does_not_fit_exactly_fails_loudly(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "a.go").write_text(text)
    with pytest.raises(StepFailed, match=message):
        gobuild.patch_source(tmp_path, PATCH)


async def test_two_builders_build_once(shop: Shop) -> None:
    shop.program("go", GO)
    options = shop.options(settings=shop.settings_without("etcd"))
    one, other = await asyncio.gather(resolver.resolve(options), resolver.resolve(options))
    assert one["etcd"] == other["etcd"]
    assert len([call for call in shop.calls("go") if call.startswith("build")]) == 1


async def test_an_interrupted_build_ends_the_compiler_and_leaves_nothing(shop: Shop) -> None:
    shop.program("go", GO)
    (shop.folder / "go.blocks").touch()
    os.mkfifo(shop.folder / "go.fifo")
    options = shop.options(settings=shop.settings_without("etcd"))
    building = asyncio.create_task(resolver.resolve(options))
    assert await asyncio.to_thread((shop.folder / "go.fifo").read_text) == "building\n"
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert list((shop.cache / "build").iterdir()) == []
    (shop.folder / "go.blocks").unlink()
    assert (await resolver.resolve(options))["etcd"].exists()


async def test_a_long_build_tells_how_far_it_is(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "LOOK_EVERY_S", 0.01)
    shop.program("go", GO)
    (shop.folder / "go.waits").touch()
    fifo = shop.folder / "go.fifo"
    os.mkfifo(fifo)
    lines: list[str] = []

    def progress(line: str) -> None:
        lines.append(line)
        if "2 packages compiled" in line and fifo.exists():
            fifo.write_text("go on")
            fifo.unlink()

    await resolver.resolve(shop.options(settings=shop.settings_without("etcd")), progress)
    assert lines[0] == "building etcd 3.6.6 with go (minutes the first time)"
    assert any(line.startswith("building etcd: 2 packages compiled in ") for line in lines)
    assert lines[-1].startswith("built etcd in ")


async def test_a_service_that_keeps_its_output_open_is_not_waited_for(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    argv = ["/bin/sh", "-c", f"setsid sleep 300 & echo $! > {pid}; echo done"]
    result = await commands.run(argv, env={"PATH": "/usr/bin:/bin"})
    assert (result.code, result.output) == (0, "done\n")
    os.kill(int(pid.read_text()), signal.SIGKILL)


def ends(pid: int) -> bool:
    """Whether the process ends: the kernel may take a moment over a killed one."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended, _, _ = select.select([fd], [], [], 5)
    os.close(fd)
    return bool(ended)


@pytest.mark.parametrize("rounds", [0, 1, 2, 3])
async def test_cancelling_at_any_point_ends_everything(tmp_path: Path, rounds: int) -> None:
    mark = f"MARK_{tmp_path.name}"
    argv = ["/bin/sh", "-c", "sleep 300 & sleep 300"]
    running = asyncio.create_task(commands.run(argv, env={"PATH": "/usr/bin:/bin", mark: "1"}))
    for _ in range(rounds):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [seen for seen in procfs.marked({mark: "1"}) if not ends(seen.pid)] == []


async def test_too_little_space_is_said_before_building(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gobuild, "NEEDED_BYTES", 1 << 60)
    monkeypatch.setattr(gobuild, "COLD_BYTES", 1 << 60)
    shop.program("go", GO)
    with pytest.raises(PartsMissing, match=r"only [\d.]+ GiB are free at .* needs \d+: free some space"):
        await resolver.resolve(shop.options(settings=shop.settings_without("etcd")))
    assert shop.calls("go") == []


async def test_little_space_is_a_warning_as_a_warm_build_needs_less(
    shop: Shop, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gobuild, "COLD_BYTES", 1 << 60)
    shop.program("go", GO)
    lines: list[str] = []
    await resolver.resolve(shop.options(settings=shop.settings_without("etcd")), lines.append)
    assert "building everything for the first time needs" in lines[0]


async def test_packages_are_installed_after_a_refresh_and_only_the_missing_ones(
    shop: Shop, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    shop.program("apt-get", APT_GET)
    shop.program("ip")
    await resolver.resolve(shop.options(settings=shop.settings_without("ip", "ethtool", "redis-server")))
    commands = [call.split("DPkg::Lock::Timeout=120 ")[1] for call in shop.calls("apt")]
    install = "install -y --no-install-recommends ethtool redis-tools"
    assert commands == [install, "update", install]


@pytest.mark.parametrize(("euid", "message"), [(0, "apt-get install failed: E: no space left"), (1000, "not root")])
async def test_a_failed_installation_tells_the_command(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, euid: int, message: str,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    shop.program("apt-get", APT_GET)
    (shop.folder / "apt.updated").touch()
    (shop.folder / "apt.fails").touch()
    with pytest.raises(PartsMissing, match=message) as caught:
        await resolver.resolve(shop.options(settings=shop.settings_without("ethtool")))
    assert "to mend it: sudo apt-get install --no-install-recommends ethtool" in str(caught.value)


async def test_looking_at_a_full_cache_is_fast(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    shop.program("go", GO)
    shop.program("apt-get", APT_GET)
    await resolver.resolve(shop.options())
    monkeypatch.setattr(search.subprocess, "run", _not_allowed)
    began = time.process_time()
    assert parts.missing(shop.options()) == ()
    assert time.process_time() - began < 0.5


def _not_allowed(*_: object, **__: object) -> None:
    raise AssertionError("a program was run")


def test_one_part_is_found_by_its_name(shop: Shop) -> None:
    program = shop.program("ethtool")
    assert parts.find("ethtool", shop.options()) == program
    with pytest.raises(PartsMissing, match="to mend it: dpfctl local parts, or set DPF_PART_IP"):
        parts.find("ip", shop.options())
    with pytest.raises(KeyError):
        parts.find("no-such-part", shop.options())


def test_a_program_is_found_under_the_name_by_which_it_behaves(shop: Shop) -> None:
    program = shop.program("redis-check-rdb")
    found = parts.find("redis-server", shop.options())
    assert (found.name, found.resolve()) == ("redis-server", program)
    found = parts.find("argocd-repo-server", shop.options(settings={"argocd": str(shop.program("argocd"))}))
    assert (found.name, found.resolve()) == ("argocd-repo-server", shop.bin / "argocd")


def test_a_changed_module_is_a_changed_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = table.by_name("etcd").go
    assert etcd is not None
    before = recipes.of_build(etcd, "amd64")
    (tmp_path / "etcd").mkdir()
    for name in ("go.mod", "go.sum"):
        (tmp_path / "etcd" / name).write_bytes((recipes.MODULES / "etcd" / name).read_bytes() + b"\n")
    monkeypatch.setattr(recipes, "MODULES", tmp_path)
    assert recipes.of_build(etcd, "amd64") != before


def test_etcd_is_built_first() -> None:
    assert [module.name for module in table.GO_MODULES] == ["etcd", "kubernetes", "helm", "argocd"]
