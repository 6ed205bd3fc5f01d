"""What is generated matches its source; `make gen` writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tools import generated
from tools.crdgen import __main__ as crdgen
from tools.docsgen import __main__ as docsgen
from tools.rbacgen import __main__ as rbacgen

GENERATORS = {
    "crds": (crdgen.FOLDER, crdgen.files, "*.yaml"),
    "rbac": (rbacgen.FOLDER, rbacgen.files, "*.yaml"),
    "reference": (docsgen.FOLDER, docsgen.files, docsgen.PATTERN),
    "states": (docsgen.STATES, docsgen.state_files, docsgen.STATES_PATTERN),
}


@pytest.mark.parametrize(("folder", "files", "pattern"), GENERATORS.values(), ids=GENERATORS.keys())
def test_tree_matches_the_source(folder: Path, files: Callable[[], dict[str, str]], pattern: str) -> None:
    assert generated.drift(folder, files(), pattern=pattern) == "", "run `make gen`"
