"""Decisions are made in files that depend on their arguments only (design.md section 4)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.support import source

PURE = list(source.pure_modules())


@pytest.mark.parametrize("path", PURE, ids=source.name_of)
def test_pure_file_is_pure(path: Path) -> None:
    assert source.impurities(ast.parse(path.read_text())) == []


def test_planners_are_among_the_pure_files() -> None:
    assert source.SOURCE / "services" / "dpuservice" / "plan.py" in PURE
    assert source.SOURCE / "api" / "dpuservice.py" in PURE


@pytest.mark.parametrize("text", [
    "import asyncio",
    "import os",
    "from os import environ",
    "import urllib.request",
    "from datetime import datetime\nx = datetime.now()",
    "import uuid\nx = uuid.uuid4()",
    "x = open('file')",
    "from pathlib import Path\nx = Path('file').read_text()",
    "async def f(): ...",
    "from dpf.kube import http",
    "from dpf.kube.client import Client",
    "from dpf.services.dpuservice import observe",
    "def f():\n    import random",
    "if TYPE_CHECKING:\n    pass\nelse:\n    import structlog",
])
def test_impurity_is_found(text: str) -> None:
    assert len(source.impurities(ast.parse(text))) == 1


@pytest.mark.parametrize("text", [
    "from datetime import datetime, timedelta",
    "from dpf.kube import selectors",
    "from dpf.kube.errors import NotFound",
    "from dpf.services.dpuservice import plan",
    "import os_release",
    "if TYPE_CHECKING:\n    from dpf.kube.client import Client",
])
def test_pure_text_passes(text: str) -> None:
    assert source.impurities(ast.parse(text)) == []
