"""The source tree as syntax trees, and what a pure file may not contain.

Used by the architecture tests. `impurities` is itself tested: a check that finds nothing anywhere proves nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "dpf"

PURE_NAMES = frozenset({"plan", "phases", "build", "merge", "diff", "flows", "status", "tree", "render"})
EFFECT_PACKAGES = frozenset({"local", "emulation"})
"""Packages that drive one machine: there a module is named by its verb (`dpfctl local status`), not by its part in a
reconcile."""

BANNED_IMPORTS = frozenset({
    "aiohttp", "asyncio", "logging", "os", "random", "secrets", "select", "shutil", "signal", "socket", "ssl",
    "structlog", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request",
})
PURE_OF_KUBE = frozenset({"dpf.kube.selectors", "dpf.kube.errors"})
"""What of `dpf.kube` is plain values and functions."""
BANNED_PARTS = frozenset({"observe", "apply", "client", "server", "controller"})
"""Modules of a kind that have effects."""
BANNED_CALLS = frozenset({"open", "print", "input"})
BANNED_METHODS = frozenset({
    "now", "utcnow", "today", "uuid1", "uuid4", "read_text", "write_text", "read_bytes", "write_bytes",
})


def modules() -> Iterator[Path]:
    """Every module of the distribution, in order."""
    return iter(sorted(SOURCE.rglob("*.py")))


def pure_modules() -> Iterator[Path]:
    """Those that design.md calls pure: by their name, and all of `api`."""
    for path in modules():
        package = path.relative_to(SOURCE).parts[0]
        if package == "api" or (path.stem in PURE_NAMES and package not in EFFECT_PACKAGES):
            yield path


def name_of(path: Path) -> str:
    """Path below the root of the repository, for messages and test ids."""
    return path.relative_to(ROOT).as_posix()


def impurities(tree: ast.Module) -> list[str]:
    """Everything in a module that makes it depend on more than its arguments, as `line: what`."""
    skipped = {id(node) for statement in _for_types_only(tree) for node in ast.walk(statement)}
    found = [(node, what) for node in ast.walk(tree) if id(node) not in skipped for what in _impurity(node)]
    return [f"{getattr(node, 'lineno', 0)}: {what}" for node, what in found]


def broad_handlers(tree: ast.Module) -> list[str]:
    """`except Exception`, `except BaseException` and bare `except` that do not raise again, as `line: what`."""
    return [
        f"{node.lineno}: catches everything"
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _raises_again(node)
    ]


def _impurity(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.AsyncFunctionDef() | ast.AsyncFor() | ast.AsyncWith() | ast.Await():
            yield "async"
        case ast.Import(names=names):
            yield from (f"imports {alias.name}" for alias in names if _is_banned(alias.name))
        case ast.ImportFrom(module=str(module), names=names):
            candidates = [module, *(f"{module}.{alias.name}" for alias in names)]
            yield from [f"imports {name}" for name in candidates if _is_banned(name)][:1]
        case ast.Call(func=ast.Name(id=name)) if name in BANNED_CALLS:
            yield f"calls {name}"
        case ast.Call(func=ast.Attribute(attr=name)) if name in BANNED_METHODS:
            yield f"calls .{name}"


def _is_banned(name: str) -> bool:
    if name.startswith("dpf.kube."):
        return not any(name == allowed or name.startswith(f"{allowed}.") for allowed in PURE_OF_KUBE)
    if name.startswith("dpf."):
        return name.rsplit(".", 1)[-1] in BANNED_PARTS
    return name in BANNED_IMPORTS or name.split(".", maxsplit=1)[0] in BANNED_IMPORTS


def _for_types_only(tree: ast.Module) -> Iterator[ast.stmt]:
    """What stands under `if TYPE_CHECKING:` and never runs."""
    for node in ast.walk(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body):
                yield from body


def _is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_is_broad(one) for one in caught.elts)
    return caught is None or (isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"})


def _raises_again(handler: ast.ExceptHandler) -> bool:
    return isinstance(handler.body[-1], ast.Raise)
