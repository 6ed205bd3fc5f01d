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
"""Packages of `dpf` that list their controllers in `CONTROLLERS`; one that is not written yet is passed over."""


def controllers(domain: str) -> tuple[type[Reconciler[Any, Any]], ...]:
    """The controllers of a domain, as its package lists them."""
    if importlib.util.find_spec(f"dpf.{domain}") is None:
        return ()
    return tuple(getattr(importlib.import_module(f"dpf.{domain}"), "CONTROLLERS", ()))


def files() -> dict[str, str]:
    """Name to text of every file in `deploy/rbac`."""
    return {name: text for domain in DOMAINS for name, text in _files_of(domain)}


def _files_of(domain: str) -> Iterator[tuple[str, str]]:
    listed = controllers(domain)
    permissions = [permission for controller in listed for permission in controller.permissions]
    if listed:
        yield f"{domain}.yaml", _text(domain, roles.host_roles(domain, permissions))
        if remote := roles.dpu_cluster_roles(domain, permissions):
            yield f"dpu-cluster/{domain}.yaml", _text(domain, remote)


def _text(domain: str, objects: Sequence[Object]) -> str:
    documents = [roles.manifest(role) for role in objects]
    return generated.yaml_text(documents, source=f"the controllers of src/dpf/{domain}", command=COMMAND)


if __name__ == "__main__":
    sys.exit(generated.main(FOLDER, files(), pattern="*.yaml", command=COMMAND))
