"""What the documents say about the tree is true: paths, links, metrics, commands, options, parts and ports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from prometheus_client.metrics import MetricWrapperBase
from tests.support import source

from dpf import __main__ as dpf_program
from dpf.cli import __main__ as dpfctl_program
from dpf.local.parts.table import PARTS
from dpf.local.platform.settings import PORT_NAMES
from dpf.runtime import result as results
from dpf.runtime.metrics import Metrics

ROOT = source.ROOT
REFERENCE = ROOT / "docs" / "reference"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "README.md"]
OF_PATHS = [ROOT / "ARCHITECTURE.md", ROOT / "README.md"]

_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"[\w.-]+(?:/[\w.{},-]+)+/?")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_OPTION = re.compile(r"--?[a-z][a-z-]*")


@pytest.mark.parametrize("document", OF_PATHS, ids=source.name_of)
def test_every_path_exists(document: Path) -> None:
    assert [path for path in paths_in(document.read_text()) if not exists(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=source.name_of)
def test_every_relative_link_resolves(document: Path) -> None:
    assert [link for link in links_in(document.read_text()) if not resolves(document, link)] == []


def test_every_metric_is_documented_with_its_labels_and_no_other() -> None:
    documented = {row[0]: row[2] for row in rows(REFERENCE / "metrics.md") if row[0].startswith("`dpf_")}

    assert documented == {
        f"`{name}`": ", ".join(f"`{label}`" for label in labels) for name, labels in _metrics().items()
    }


def test_every_result_of_a_pass_is_documented() -> None:
    text = (REFERENCE / "metrics.md").read_text()
    kinds = (results.Done, results.Wait, results.Retry, results.Stuck, results.Held, results.Absent)

    assert [kind.label for kind in kinds if f"`{kind.label}`" not in text] == []


def test_every_command_is_documented_with_its_options_and_no_other() -> None:
    sections = dict(_sections((REFERENCE / "cli.md").read_text()))
    commands = dict(_commands(dpfctl_program.dpfctl, "dpfctl")) | dict(_commands(dpf_program.main, "dpf"))

    assert {name for name in sections if name.split()[0] in {"dpfctl", "dpf"}} == set(commands)
    assert {name: _documented_options(sections[name]) for name in commands} == {
        name: _options(command) for name, command in commands.items()
    }


def test_every_part_and_port_of_the_local_platform_is_documented() -> None:
    text = (REFERENCE / "local-platform.md").read_text()
    names = [*(part.variable for part in PARTS), *PORT_NAMES]

    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize(("index", "pattern"), [
    (ROOT / "docs" / "adr" / "README.md", "0*.md"), (ROOT / "examples" / "README.md", "*.yaml"),
], ids=["decisions", "examples"])
def test_index_lists_every_file_beside_it(index: Path, pattern: str) -> None:
    text = index.read_text()

    assert [path.name for path in index.parent.glob(pattern) if path.name not in text] == []


@pytest.mark.parametrize(("text", "found"), [
    ("`src/dpf/api` and `runtime/plan.py`", ["src/dpf/api", "runtime/plan.py"]),
    ("`kube/{http,cache}.py`", ["kube/http.py", "kube/cache.py"]),
    ("the type `dpf/local`, the API `apps/v1`, a file `<state>/run/x.json`, a call `a/b(c)`", []),
])
def test_paths_are_told_from_other_words(text: str, found: list[str]) -> None:
    assert list(paths_in(text)) == found


def test_wrong_paths_and_links_are_found() -> None:
    here = ROOT / "README.md"

    assert not exists("runtime/nothing.py")
    assert not resolves(here, "docs/nothing.md")
    assert not resolves(here, "README.md#no-such-heading")
    assert resolves(here, "https://example.com/")


def paths_in(text: str) -> Iterator[str]:
    """Code spans that are paths of this repository: they begin with one of its folders, or with one of `dpf`'s."""
    known = {path.name for parent in (ROOT, source.SOURCE) for path in parent.iterdir() if path.is_dir()}
    for span in _CODE.findall(text):
        if _PATH.fullmatch(span) and span.split("/")[0] in known:
            yield from _expand(span)


def exists(path: str) -> bool:
    """Whether it is there, below the repository or below `src/dpf`; a module may leave out its ending."""
    return any((base / name).exists() for base in (ROOT, source.SOURCE) for name in (path, f"{path}.py"))


def links_in(text: str) -> list[str]:
    """Targets of the document's links."""
    return _LINK.findall(text)


def resolves(document: Path, link: str) -> bool:
    """Whether a link leads to a file that is there and, with an anchor, to one of its headings."""
    if "://" in link:
        return True
    name, _, anchor = link.partition("#")
    target = (document.parent / name).resolve() if name else document
    return target.exists() and (not anchor or anchor in _anchors(target.read_text()))


def rows(document: Path) -> list[list[str]]:
    """Cells of every table row."""
    lines = [line for line in document.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _expand(span: str) -> list[str]:
    """`a/{b,c}.py` is two paths."""
    match = re.fullmatch(r"(.*)\{(.*)\}(.*)", span)
    return [f"{match[1]}{word}{match[3]}" for word in match[2].split(",")] if match else [span]


def _anchors(text: str) -> set[str]:
    headings = [line.lstrip("#").strip().lower() for line in text.splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


def _metrics() -> dict[str, tuple[str, ...]]:
    """Names as Prometheus sees them, with their labels."""
    found = [metric for metric in vars(Metrics()).values() if isinstance(metric, MetricWrapperBase)]
    return {f"{m._name}{'_total' if m._type == 'counter' else ''}": tuple(m._labelnames) for m in found}


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Command and text of every section whose heading is a command."""
    for section in re.split(r"^#+ ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        if heading.startswith("`"):
            yield heading.strip("`"), body


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for verb in command.list_commands(context):
            found = command.get_command(context, verb)
            assert found is not None
            yield from _commands(found, f"{name} {verb}")


def _options(command: click.Command) -> set[str]:
    options = [p for p in command.params if isinstance(p, click.Option)]
    return {spelling for option in options for spelling in (*option.opts, *option.secondary_opts)} - {"--help", "-h"}


def _documented_options(body: str) -> set[str]:
    """Options in the first column of a section's table."""
    cells = [line.strip("|").split("|")[0] for line in body.splitlines() if line.startswith("| `-")]
    return {option for cell in cells for option in _OPTION.findall(cell)}
