"""Writes a story about a DPUDeployment down: after each step what was written, and what is there.

Tests compare the text with a file in the tree, or write it there with `UPDATE_GOLDEN=1`. It is for reading: every line
has to be what the product should do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tests.support import dpudeployments as some
from tests.support.deploymentplatform import Platform

from dpf.api.dpudeployment import ConditionType, DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuset import DPUSet
from dpf.api.meta import LabelSelector, LabelSelectorRequirement, Object
from dpf.kube.memory import Request
from dpf.services.dpudeployment import revisions
from dpf.services.dpudeployment.controller import DPUDeploymentController

WRITER = DPUDeploymentController.name
_PREFIX = "svc.dpu.nvidia.com/"
_LEGEND = (
    "A dash begins a pass of the controller; below it are its writes in their order, but for its status, which is",
    "counted. `mine`: the nodes carry the owner label of the DPUDeployment as well. A star marks the controller among",
    "the owners.",
)
_VERSIONS = ("dpuservice-version", "dpuservicechain-version")
_FOLLOWED: tuple[type[Object], ...] = (DPUDeployment, *some.CHILDREN, *some.DEPENDENCIES)


class Timeline:
    """One story. Make it before the controllers run; it listens to every write."""

    def __init__(self, platform: Platform, title: str, deployment: str = "dd", namespace: str = some.TENANT) -> None:
        self._platform = platform
        self._name, self._namespace = deployment, namespace
        self._lines = [title, "=" * len(title), "", *_LEGEND, ""]
        self._passes: dict[int, list[str]] = {}
        self._statuses = 0
        self._before: dict[str, Any] | None = None
        self._steps = 0
        self._shown: dict[str, Sequence[Sequence[str]]] = {}
        platform.host.on_request = self._request_comes
        platform.host.after_write = self._was_written

    def tell(self, what: str) -> None:
        """The next step: what somebody did, then what came of it. Time passes until the following step."""
        self._steps += 1
        self._lines += [f"{self._steps}. {what}", ""]
        self._lines += self._writes()
        self._lines += self._changed(self._services())
        self._lines += self._changed(self._installed(), silent=True)
        for rows in (self._interfaces(), self._chains(), self._dpusets()):
            self._lines += self._changed(rows)
        self._lines += self._changed(self._provisioned(), silent=True)
        self._lines += [*self._conditions(), ""]
        self._platform.world.clock.advance(1.0)

    def text(self) -> str:
        """The whole story."""
        return "\n".join(line.rstrip() for line in self._lines).rstrip("\n") + "\n"

    def recorded(self, file: Path) -> str:
        """What `file` says; with UPDATE_GOLDEN=1 this story is written there first."""
        if os.environ.get("UPDATE_GOLDEN"):
            file.write_text(self.text())
        return file.read_text()

    # Listening.

    def _request_comes(self, request: Request) -> None:
        if request.is_write:
            self._before = self._find(request)

    def _was_written(self, request: Request) -> None:
        if self._platform.at_work == WRITER and request.kind != "Event":
            what = _word(request, self._before, self._find(request))
            if request.subresource:
                self._statuses += 1
                assert what == request.subresource, "a status was written that was there already"
            else:
                writes = self._passes.setdefault(self._platform.passes, [])
                writes.append(f"{what} {request.kind} {request.key.name}")

    def _find(self, request: Request) -> dict[str, Any] | None:
        kind = next((kind for kind in _FOLLOWED if kind.resource.kind == request.kind), None)
        objects = self._platform.host.objects(kind, request.key.namespace) if kind is not None else ()
        found = next((obj for obj in objects if obj.metadata.name == request.key.name), None)
        return msgspec.to_builtins(found) if found is not None else None

    # Telling.

    def _changed(self, rows: Sequence[Sequence[str]], *, silent: bool = False) -> list[str]:
        """A table, when it is not as the step before left it. One that is `silent` does not say that it is."""
        kind = rows[0][0]
        before, self._shown[kind] = self._shown.get(kind, rows[:1]), rows
        if before == rows or (silent and len(rows) == 1):
            return [f"   {kind}s: as before", ""] if len(rows) > 1 and not silent else []
        return [*_table(rows), ""] if len(rows) > 1 else [f"   {kind}s: none any more", ""]

    def _writes(self) -> list[str]:
        passes, statuses = self._passes, self._statuses
        self._passes, self._statuses = {}, 0
        if not passes and not statuses:
            return ["   writes nothing", ""]
        lines: list[str] = []
        for writes in passes.values():
            lines += [f"   {'- ' if number == 0 else '  '}{write}" for number, write in enumerate(writes)]
        return [*lines, f"   status writes: {statuses}", ""]

    def _services(self) -> list[list[str]]:
        rows = [["DPUService", "revision", "state", "service id", "interfaces", "runs on nodes with", "owners"]]
        for service in self._mine(DPUService):
            spec = service.spec
            assert spec is not None
            daemonset = spec.serviceDaemonSet
            terms = daemonset.nodeSelector.nodeSelectorTerms if daemonset and daemonset.nodeSelector else []
            nodes = " | ".join(_expressions(term.matchExpressions, self._owner) for term in terms)
            rows.append([
                service.metadata.name, _revision(service), _state(service), spec.serviceID or "-",
                " ".join(spec.interfaces or ()) or "-", nodes, _owners(service),
            ])
        return rows

    def _installed(self) -> list[list[str]]:
        rows = [["DPUService installs", "chart", "values"]]
        for service in self._mine(DPUService):
            source, values = service.spec.helmChart.source, service.spec.helmChart.values
            chart = f"{source.repoURL} {source.chart or source.path} {source.version}"
            rows.append([service.metadata.name, chart, json.dumps(values, sort_keys=True) if values else "-"])
        return rows

    def _interfaces(self) -> list[list[str]]:
        rows = [["DPUServiceInterface", "revision", "state", "leads to", "used by", "on nodes with", "owners"]]
        for interface in self._mine(DPUServiceInterface):
            assert interface.spec is not None
            node_set = interface.spec.template.spec
            leads = node_set.template.spec.service
            labels = (node_set.template.metadata.labels if node_set.template.metadata else None) or {}
            assert leads is not None
            assert labels == {f"{_PREFIX}service": leads.serviceID, f"{_PREFIX}interface": leads.interfaceName}
            nodes = node_set.nodeSelector.matchExpressions if node_set.nodeSelector else ()
            rows.append([
                interface.metadata.name, _revision(interface), _state(interface),
                f"{leads.interfaceName} of {leads.serviceID}",
                (interface.metadata.annotations or {}).get("dpu.nvidia.com/consumed-by", "-"),
                _expressions(nodes, self._owner), _owners(interface),
            ])
        return rows

    def _chains(self) -> list[list[str]]:
        rows = [["DPUServiceChain", "revision", "state", "switches", "on nodes with", "owners"]]
        for chain in self._mine(DPUServiceChain):
            assert chain.spec is not None
            node_set = chain.spec.template.spec
            switches = [
                f"[{' - '.join(_port(port.serviceInterface.matchLabels) for port in switch.ports)}]"
                f"{'' if switch.serviceMTU in (None, 1500) else f' mtu {switch.serviceMTU}'}"
                for switch in node_set.template.spec.switches
            ]
            nodes = node_set.nodeSelector.matchExpressions if node_set.nodeSelector else ()
            rows.append([
                chain.metadata.name, _revision(chain), _state(chain), " ".join(switches),
                _expressions(nodes, self._owner), _owners(chain),
            ])
        return rows

    def _dpusets(self) -> list[list[str]]:
        rows = [["DPUSet", "state", "on label change", "labels of its nodes", "requestors", "owners"]]
        for dpuset in self._mine(DPUSet):
            assert dpuset.spec is not None
            template = dpuset.spec.dpuTemplate.spec
            effect = template.nodeEffect
            assert effect is not None
            labels = dict((template.cluster.nodeLabels if template.cluster else None) or {})
            assert labels.pop(f"{_PREFIX}owned-by-dpudeployment") == self._owner
            row = [
                dpuset.metadata.name, _state(dpuset), "node effect" if effect.applyOnLabelChange else "nothing", "", "",
                _owners(dpuset),
            ]
            told = [f"{key.removeprefix(_PREFIX)}={value}" for key, value in sorted(labels.items())]
            requestors = list(effect.nodeMaintenanceAdditionalRequestors or ())
            for number in range(max(len(told), len(requestors), 1)):
                row[3] = told[number] if number < len(told) else ""
                row[4] = requestors[number] if number < len(requestors) else ""
                rows.append(row)
                row = [""] * len(row)
        return rows

    def _provisioned(self) -> list[list[str]]:
        rows = [["DPUSet provisions", "hosts", "DPUs", "with", "strategy", "node effect"]]
        for dpuset in self._mine(DPUSet):
            spec = dpuset.spec
            template = spec.dpuTemplate.spec
            effect = msgspec.to_builtins(template.nodeEffect)
            rows.append([
                dpuset.metadata.name, _selected(spec.dpuNodeSelector), _selected(spec.dpuDeviceSelector),
                f"{template.bfb.name}, {template.dpuFlavor}", str(spec.strategy.type),
                " ".join(name for name, value in effect.items() if value is True and name != "applyOnLabelChange"),
            ])
        return rows

    def _conditions(self) -> list[str]:
        deployments = self._platform.host.objects(DPUDeployment, self._namespace)
        found = [deployment for deployment in deployments if deployment.metadata.name == self._name]
        if not found:
            return [f"   DPUDeployment {self._name} is gone"]
        conditions = found[0].status.conditions or []
        assert not conditions or [condition.type for condition in conditions] == list(ConditionType)
        holding = [condition.type for condition in conditions if condition.status == "True"]
        rows = [
            [condition.type, condition.status, condition.reason, condition.message.replace("\n", " / ")]
            for condition in conditions if condition.status != "True"
        ]
        if not rows:
            return [f"   DPUDeployment {self._name}: all {len(conditions)} conditions hold"]
        return [f"   DPUDeployment {self._name}: {len(holding)} conditions hold, these do not", *_table(rows, "     ")]

    def _mine(self, kind: type[Any]) -> list[Any]:
        return sorted(self._platform.host.objects(kind, self._namespace), key=lambda obj: (
            (obj.metadata.labels or {}).get(f"{_PREFIX}dpudeployment-service", ""), obj.metadata.creationTimestamp,
            obj.metadata.name,
        ))

    @property
    def _owner(self) -> str:
        return f"{self._namespace}_{self._name}"


def _word(request: Request, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """What a write did to the object, in a word."""
    if request.subresource:
        return request.subresource if before != after else f"{request.subresource} (changes nothing)"
    if before is None:
        return "create"
    if after is None:
        return "delete" if request.verb == "delete" else "let go of"
    if _is_deleting(after) and not _is_deleting(before):
        return "delete"
    paused = [tree["spec"].get("paused", False) for tree in (before, after)]
    specs = [{**tree["spec"], "paused": None} for tree in (before, after)]
    if paused[0] != paused[1]:
        return "pause" if paused[1] else "unpause"
    if specs[0] != specs[1]:
        return "update"
    marks = [
        {name: tree["metadata"].get(name) for name in ("labels", "annotations", "finalizers", "ownerReferences")}
        for tree in (before, after)
    ]
    changed = [name for name in marks[0] if marks[0][name] != marks[1][name]]
    grows = all(len(marks[1][name] or ()) >= len(marks[0][name] or ()) for name in changed)
    return f"{'mark' if grows else 'unmark'} ({', '.join(changed)})" if changed else "WRITE TO NO EFFECT"


def _is_deleting(tree: Mapping[str, Any]) -> bool:
    return tree["metadata"].get("deletionTimestamp") is not None


def _revision(obj: Object) -> str:
    annotations = obj.metadata.annotations or {}
    return next((annotations[_PREFIX + name] for name in _VERSIONS if _PREFIX + name in annotations), "-")


def _state(obj: Any) -> str:
    words = ["ready" if revisions.is_ready(obj) else "not ready"]
    words += ["paused"] if getattr(obj.spec, "paused", False) else []
    words += ["deleting"] if obj.metadata.deletionTimestamp is not None else []
    return " ".join(words)


def _expressions(expressions: Iterable[LabelSelectorRequirement] | None, owner: str) -> str:
    """A selector; that the nodes belong to the deployment is told by `mine`."""
    told = []
    for expression in expressions or ():
        assert expression.operator == "In"
        key = expression.key.removeprefix(_PREFIX)
        values = expression.values or []
        told.append("mine" if (key, values) == ("owned-by-dpudeployment", [owner]) else f"{key}={'|'.join(values)}")
    return " ".join(told)


def _selected(selector: LabelSelector | None) -> str:
    """A selector of our labels or the user's."""
    if selector is None:
        return "all"
    assert not selector.matchExpressions
    return " ".join(f"{key}={value}" for key, value in sorted((selector.matchLabels or {}).items()))


def _port(labels: Mapping[str, str] | None) -> str:
    found = {key.removeprefix(_PREFIX): value for key, value in (labels or {}).items()}
    if set(found) == {"service", "interface"}:
        return f"{found['interface']} of {found['service']}"
    return ",".join(f"{key}={value}" for key, value in sorted(found.items()))


def _owners(obj: Object) -> str:
    """Owner references; the controller comes first and has a star."""
    references = sorted(obj.metadata.ownerReferences or (), key=lambda ref: not ref.controller)
    assert all(bool(ref.controller) == bool(ref.blockOwnerDeletion) for ref in references)
    return " ".join(f"{ref.kind}/{ref.name}{'*' if ref.controller else ''}" for ref in references) or "-"


def _table(rows: Sequence[Sequence[str]], indent: str = "   ") -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
