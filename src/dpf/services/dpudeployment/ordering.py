"""The order in which the services of a DPUDeployment are made: a service after those that it depends on.

Pure. Called by `plan`. Source: behaviour-service.md 6.6. A dependency has to exist before its dependant, not to be
ready.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from dpf.api.dpudeployment import ServiceReferences


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Keys of all services in their order; empty when there are `problems`, which are texts for people."""

    services: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def sort(services: Mapping[str, ServiceReferences]) -> Order:
    """Dependencies first, otherwise by name, so that every pass has the same order."""
    problems = tuple(_problems(services))
    if problems:
        return Order(problems=problems)
    sorter: TopologicalSorter[str] = TopologicalSorter({name: dependencies(services[name]) for name in services})
    try:
        sorter.prepare()
    except CycleError as error:
        return Order(problems=(f"failed to sort Service: {_cycle(error.args[1])} is a cycle of dependencies",))
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += ready
        sorter.done(*ready)
    return Order(services=tuple(ordered))


def dependencies(service: ServiceReferences) -> tuple[str, ...]:
    """Keys of the services that `service` depends on, each once."""
    return tuple(dict.fromkeys(dependency.name for dependency in service.dependsOn or ()))


def _problems(services: Mapping[str, ServiceReferences]) -> Iterator[str]:
    for name in sorted(services):
        for dependency in dependencies(services[name]):
            if dependency == name:
                yield f"service {name} cannot depend on itself"
            elif dependency not in services:
                yield f"service {name} depends on {dependency} which is not defined in the DPUDeployment"


def _cycle(found: list[str]) -> str:
    """`a -> b -> a`, read as "a depends on b", beginning with the first name."""
    nodes = found[:0:-1]
    first = nodes.index(min(nodes))
    nodes = [*nodes[first:], *nodes[:first]]
    return " -> ".join([*nodes, nodes[0]])
