"""Rules for every module: it says what it is, its name says something, and it does not swallow errors."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.support import source

EMPTY_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "misc", "handler", "handlers", "base"})
MODULES = list(source.modules())
TOOLS = [*(source.ROOT / "tools").rglob("*.py"), *(source.ROOT / "tests").rglob("*.py")]
TOP_LEVEL = frozenset({"runtime"})
"""Where one broken pass must not end the process."""


@pytest.mark.parametrize("path", [*MODULES, *TOOLS], ids=source.name_of)
def test_module_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    if path.name == "__init__.py" and not text:
        return  # makes a folder of tests a package and says nothing else
    assert ast.get_docstring(ast.parse(text)), "begin with a docstring: what, who calls it, what it is not"


@pytest.mark.parametrize("path", [*MODULES, *TOOLS], ids=source.name_of)
def test_names_say_something(path: Path) -> None:
    names = {part.removesuffix(".py") for part in path.relative_to(source.ROOT).parts}

    assert not names & EMPTY_NAMES


@pytest.mark.parametrize("path", MODULES, ids=source.name_of)
def test_everything_is_caught_only_at_the_top(path: Path) -> None:
    if path.stem == "__main__" or path.relative_to(source.SOURCE).parts[0] in TOP_LEVEL:
        return
    assert source.broad_handlers(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(("handler", "found"), [
    ("except Exception: pass", 1),
    ("except (ValueError, BaseException): pass", 1),
    ("except: pass", 1),
    ("except BaseException:\n    clean_up()\n    raise", 0),
    ("except ValueError: pass", 0),
])
def test_broad_handler_is_found(handler: str, found: int) -> None:
    assert len(source.broad_handlers(ast.parse(f"try:\n    pass\n{handler}"))) == found
