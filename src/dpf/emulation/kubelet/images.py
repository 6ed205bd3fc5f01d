"""Which local program stands for which container image.

Pure. An image that no rule names is *paused*: the container is reported Running without a process, and its containerID
says so. A pod can never choose a program of this machine: what runs is what the rule says, the pod only adds arguments
where the rule has a place for them.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Final

from dpf.api.core import Container
from dpf.api.meta import Model
from dpf.emulation.kubelet import expansion

PYTHON: Final = "{python}"
COMMAND: Final = "{command}"
ARGS: Final = "{args}"
NODE: Final = "{node}"


class ImageRule(Model, forbid_unknown_fields=True):
    """`pattern` is a shell pattern over the whole image reference; `argv` may hold placeholders as whole elements.

    `commands` allows probes to run programs of this machine. `outside` is for pods that have their node's network: they
    get that of this machine instead. `{python}` is this interpreter, `{node}` the name of the node, `{command}` and
    `{args}` are the container's own, with $(VAR) expanded.
    """

    pattern: str
    argv: list[str]
    commands: bool = False
    outside: bool = False


DEFAULT_IMAGES: Final = (
    ImageRule(pattern="*dummydpuservice:*", argv=[PYTHON, "-m", "dpf.emulation.services.dummydpuservice", ARGS]),
)


def find_rule(rules: Sequence[ImageRule], image: str) -> ImageRule | None:
    """The first rule whose pattern matches; an image without tag or digest counts as `:latest`."""
    last = image.rsplit("/", 1)[-1]
    reference = image if ":" in last or "@" in last else f"{image}:latest"
    return next((rule for rule in rules if fnmatch.fnmatchcase(reference, rule.pattern)), None)


def build_argv(
    rule: ImageRule, container: Container, env: Mapping[str, str], *, python: str, node: str,
) -> tuple[str, ...]:
    """The program and its arguments. `env` is the container's environment, for $(VAR)."""
    argv: list[str] = []
    for element in rule.argv:
        if element == PYTHON:
            argv.append(python)
        elif element == NODE:
            argv.append(node)
        elif element == COMMAND:
            argv += [expansion.expand(part, env) for part in container.command or ()]
        elif element == ARGS:
            argv += [expansion.expand(part, env) for part in container.args or ()]
        else:
            argv.append(element)
    return tuple(argv)
