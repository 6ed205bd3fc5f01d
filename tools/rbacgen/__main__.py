"""`python -m tools.rbacgen [--check]`: writes `deploy/rbac`, or fails with a diff when it does not match the source."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from dpf.api.meta import Object
from dpf.runtime.reconciler import Reconciler
from tools import generated
from tools.rbacgen import roles

FOLDER: Final = generated.ROOT / "deploy" / "rbac"
COMMAND: Final = "python -m tools.rbacgen"
DOMAINS: Final = ("chains", "operator", "provisioning", "services")
"""Packages of `dpf` whose module `controllers` lists their controllers; one that is not written yet is passed over."""


def servers(domain: str) -> tuple[Any, ...]:
    """Processes of a domain that are no controllers: with a name and permissions, as controllers have."""
    if importlib.util.find_spec(f"dpf.{domain}") is None:
        return ()
    return tuple(getattr(importlib.import_module(f"dpf.{domain}.controllers"), "SERVERS", ()))


def controllers(domain: str) -> tuple[type[Reconciler[Any, Any]], ...]:
    """The controllers of a domain, as its package lists them."""
    if importlib.util.find_spec(f"dpf.{domain}") is None:
        return ()
    return tuple(importlib.import_module(f"dpf.{domain}.controllers").CONTROLLERS)


def files() -> dict[str, str]:
    """Name to text of every file in `deploy/rbac`."""
    runtime = roles.host_roles("runtime", roles.RUNTIME_NEEDS)
    domains = {name: text for domain in DOMAINS for name, text in _files_of(domain)}
    return {"runtime.yaml": _text("what src/dpf/runtime needs in every process", runtime), **domains}


def _files_of(domain: str) -> Iterator[tuple[str, str]]:
    source = f"the controllers of src/dpf/{domain}"
    for folder, build in (("", roles.host_roles), ("dpu-cluster/", roles.dpu_cluster_roles)):
        declared = (*controllers(domain), *servers(domain))
        built = [role for one in declared for role in build(one.name, one.permissions)]
        if built:
            yield f"{folder}{domain}.yaml", _text(source, built)


def _text(source: str, objects: Sequence[Object]) -> str:
    return generated.yaml_text([roles.manifest(role) for role in objects], source=source, command=COMMAND)


if __name__ == "__main__":
    sys.exit(generated.main(FOLDER, files(), pattern="*.yaml", command=COMMAND))
