"""Writing generated files and finding drift."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tools import generated

FILES = {"a.yaml": "a: 1\n", "sub/b.yaml": "b: 2\n"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    generated.write(tmp_path, FILES, pattern="*.yaml")
    return tmp_path


def drift(folder: Path, files: dict[str, str] = FILES) -> str:
    return generated.drift(folder, files, pattern="*.yaml")


def test_what_was_written_does_not_drift(tree: Path) -> None:
    assert drift(tree) == ""
    assert (tree / "sub" / "b.yaml").read_text() == "b: 2\n"


@pytest.mark.parametrize(("change", "expected"), [
    (lambda tree: (tree / "a.yaml").write_text("a: 9\n"), "-a: 9\n+a: 1\n"),
    (lambda tree: (tree / "a.yaml").unlink(), "+a: 1\n"),
    (lambda tree: (tree / "old.yaml").write_text("old: 1\n"), "-old: 1\n"),
], ids=["edited", "missing", "left-over"])
def test_drift_is_shown_as_a_diff_to_the_source(tree: Path, change: object, expected: str) -> None:
    change(tree)  # type: ignore[operator]

    assert drift(tree).endswith(expected)


def test_writing_removes_what_is_no_longer_generated_and_nothing_else(tree: Path) -> None:
    (tree / "README.md").write_text("by hand")

    generated.write(tree, {"a.yaml": "a: 1\n"}, pattern="*.yaml")

    assert sorted(path.name for path in tree.rglob("*.*")) == ["README.md", "a.yaml"]


def test_writing_leaves_an_unchanged_file_alone(tree: Path) -> None:
    before = (tree / "a.yaml").stat().st_mtime_ns

    generated.write(tree, FILES, pattern="*.yaml")

    assert (tree / "a.yaml").stat().st_mtime_ns == before


def test_yaml_keeps_the_order_and_has_no_anchors() -> None:
    shared = {"x": 1}

    text = generated.yaml_text([{"b": shared, "a": shared}, {"c": "no"}], source="src/x.py", command="gen")

    assert text == "# Written by `gen` from src/x.py; do not edit.\n---\nb:\n  x: 1\na:\n  x: 1\n---\nc: 'no'\n"
    assert list(yaml.safe_load_all(text)) == [{"b": shared, "a": shared}, {"c": "no"}]


@pytest.mark.parametrize(("text", "code"), [("a: 1\n", 0), ("a: 2\n", 1)])
def test_check_fails_on_drift_and_writes_nothing(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, code: int
) -> None:
    monkeypatch.setattr("sys.argv", ["gen", "--check"])
    monkeypatch.setattr(generated, "ROOT", tree.parent)

    assert generated.main(tree, FILES | {"a.yaml": text}, pattern="*.yaml", command="gen") == code
    assert drift(tree) == ""
    assert ("make gen" in capsys.readouterr().err) == bool(code)
