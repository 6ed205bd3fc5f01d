"""Every controller is listed by its domain, and may do what it has to."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from tools.rbacgen.__main__ import DOMAINS, controllers

from dpf.api import names
from dpf.kube.clusters import ClusterRegistry
from dpf.kube.memory import MemoryCluster
from dpf.runtime.clock import SystemClock
from dpf.runtime.process import World
from dpf.runtime.reconciler import Reconciler

LISTED = [controller for domain in DOMAINS for controller in controllers(domain)]


@pytest.mark.parametrize("domain", DOMAINS)
def test_domain_lists_all_its_controllers(domain: str) -> None:
    assert set(controllers(domain)) == set(_written(domain))


@pytest.mark.parametrize("controller", LISTED, ids=lambda c: c.name)
def test_controller_may_read_and_report_on_its_own_kind(controller: type[Reconciler[Any, Any]]) -> None:
    own = [p for p in controller.permissions if p.kind is controller.kind and not p.everywhere]
    verbs = {verb for permission in own for verb in permission.verbs}

    assert verbs >= {"get", "list", "watch"}
    assert not controller.condition_types or any("status" in permission.subresources for permission in own)
    assert controller.finalizer is None or "patch" in verbs


def test_every_watch_is_permitted() -> None:
    """Each watch lists and watches its kind; without the right to it a process would wait for its caches for ever."""
    missing = [
        f"{controller.name}: {watch.kind.resource.plural} {'in DPU clusters' if watch.everywhere else 'in the host'}"
        for controller in _built()
        for watch in controller.watches
        if not any(
            permission.kind is watch.kind and permission.everywhere == watch.everywhere
            and {"list", "watch"} <= set(permission.verbs)
            for permission in controller.permissions
        )
    ]

    assert missing == []


def _built() -> Iterator[Reconciler[Any, Any]]:
    """The controllers that need nothing beside the clusters."""
    host = MemoryCluster()
    world = World(host=host, clusters=ClusterRegistry(host), clock=SystemClock(), namespace=names.DPF_NAMESPACE)
    for domain in (domain for domain in DOMAINS if controllers(domain)):
        yield from importlib.import_module(f"dpf.{domain}.controllers").build(world)


def _written(domain: str) -> Iterator[type[Reconciler[Any, Any]]]:
    """Concrete controllers in the modules of a domain."""
    if importlib.util.find_spec(f"dpf.{domain}") is None:
        return
    package = importlib.import_module(f"dpf.{domain}")
    for info in pkgutil.walk_packages(package.__path__, f"dpf.{domain}."):
        for member in vars(importlib.import_module(info.name)).values():
            if inspect.isclass(member) and issubclass(member, Reconciler) and not inspect.isabstract(member):
                yield member
