"""Writes the story of an installation down: when, which object, and what changed about it, in the words of its status.

Made from the objects after every write and every order, so it does not matter who wrote. Tests compare the text with a
file in the tree, or write it there with `UPDATE_GOLDEN=1`. It is for reading: every line has to be what the product
should do. Names of tokens, uids and times inside of texts are told by what they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tests.support.dpus import Stage

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Object
from dpf.kube.memory import Request
from dpf.provisioning.dpu.intents import Command
from dpf.provisioning.install import port

_LEGEND = (
    "Minutes and seconds since the beginning; the object; what changed about it. A condition is told as",
    "`Type=Status Reason: message`. Ready of a DPU is told only where it says something else than the others.",
)
_FOLLOWED: tuple[type[Object], ...] = (
    DPUSet, DPU, DPUNode, DPUNodeMaintenance, core.Secret, core.Role, core.RoleBinding, core.Pod, core.Node,
)
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TOKEN = re.compile(r"bootstrap-token-[0-9a-f]{6}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_FIELDS = (
    "bfbFile", "bfCFGFile", "dpuInstallInterface", "redfishTaskId", "agentStatus", "rebootStatus", "addresses",
    "outdated",
)
_ORDERS = {port.Install: "image", port.Transfer: "version", port.Activate: "version", port.SetMode: "mode",
           port.SetSecureBoot: "enabled"}
_PHASES = ("PHASE", "is ", "Ready=True", "its template", "outdated")


class Timeline:
    """One story. It listens from the moment when it is made.

    `kinds` are told; of many objects `phases_only`: what is made and goes, phases, and whether they are Ready.
    """

    def __init__(
        self, stage: Stage, title: str, *, kinds: Sequence[type[Object]] = _FOLLOWED, phases_only: bool = False,
    ) -> None:
        self._stage, self._kinds, self._phases_only = stage, kinds, phases_only
        self._lines = [title, "=" * len(title), "", *_LEGEND, ""]
        self._seen = dict(self._trees())
        self._now = ""
        for cluster in stage.world.clusters:
            cluster.after_write = self._look
        stage.drives.after_write = self._driven

    def tell(self, what: str) -> None:
        """Somebody outside does something."""
        self._lines += ["", f"-- {what}", ""]
        self._now = ""

    def text(self) -> str:
        """The whole story."""
        return "\n".join(line.rstrip() for line in self._lines).rstrip("\n") + "\n"

    def recorded(self, file: Path) -> str:
        """What `file` says; with UPDATE_GOLDEN=1 this story is written there first."""
        if os.environ.get("UPDATE_GOLDEN"):
            file.write_text(self.text())
        return file.read_text()

    def _driven(self, request: Request) -> None:
        intent = self._stage.drives.intents[-1]
        if isinstance(intent, Command):
            field = _ORDERS.get(type(intent.order))
            what = f" {getattr(intent.order, field)}" if field is not None else ""
            self._write(f"Card {intent.card.name}", f"is ordered: {type(intent.order).__name__}{what}")
        self._look(request)

    def _look(self, _request: Request) -> None:
        """Everything that differs from the last look."""
        trees = dict(self._trees())
        for who in sorted({*self._seen, *trees}):
            for line in _changes(self._seen.get(who), trees.get(who)):
                if not self._phases_only:
                    self._write(who, line)
                elif line.startswith(_PHASES):
                    self._write(who, f"{line}{self._counted(who, line, trees)}")
        self._seen = trees

    def _trees(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for cluster in self._stage.world.clusters:
            place = "" if cluster is self._stage.world.host else f" in {cluster.name.split('/')[-1]}"
            for kind in self._kinds:
                for obj in cluster.objects(kind):
                    yield f"{kind.resource.kind} {obj.metadata.name}{place}", msgspec.to_builtins(obj)

    @staticmethod
    def _counted(who: str, line: str, trees: Mapping[str, Mapping[str, Any]]) -> str:
        """How many DPUs are in service after a change of one of them."""
        if not who.startswith("DPU ") or not line.startswith(("is deleted", "Ready=True")):
            return ""
        dpus = [tree for name, tree in trees.items() if name.startswith("DPU ")]
        return f" ({sum(map(_is_ready, dpus))} of {len(dpus)} are Ready)"

    def _write(self, who: str, what: str) -> None:
        seconds = self._stage.world.clock.monotonic()
        now = f"{int(seconds // 60):02}:{int(seconds % 60):02}"
        head = f"{now if now != self._now else '':7}{_neutral(who)}"
        self._now = now
        self._lines.append(f"{head:<47} {_neutral(what)}")


def _changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Iterator[str]:
    if after is None:
        yield "is gone"
        return
    if before is None:
        yield f"is made{_born(after)}"
        before = {}
    had, has = before.get("metadata", {}), after["metadata"]
    if has.get("deletionTimestamp") and not had.get("deletionTimestamp"):
        yield "is deleted"
    if not before:
        had = {"labels": has.get("labels"), "annotations": has.get("annotations")}
    for part in ("labels", "annotations"):
        yield from _differences(part[:-1], had.get(part) or {}, has.get(part) or {})
    yield from _spec(before.get("spec") or {}, after.get("spec") or {}) if before else ()
    yield from _status(before.get("status") or {}, after.get("status") or {})


def _born(tree: Mapping[str, Any]) -> str:
    spec = tree.get("spec") or {}
    requestors = spec.get("requestor")
    return f", requestors {', '.join(requestors)}" if requestors else ""


def _spec(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    if before.get("requestor") != after.get("requestor"):
        yield f"requestors: {', '.join(after.get('requestor') or ()) or 'none'}"
    clusters = [(spec.get("cluster") or {}).get("name") for spec in (before, after)]
    if clusters[0] != clusters[1]:
        yield f"spec.cluster.name: {clusters[1]}"
    names = [((spec.get("dpuTemplate") or {}).get("spec") or {}).get("bfb") for spec in (before, after)]
    if names[0] != names[1]:
        yield f"its template names BFB {(names[1] or {}).get('name')}"


def _status(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    if before.get("phase", "Initializing") != after.get("phase", "Initializing"):
        yield f"PHASE {after.get('phase')}"
    for field in _FIELDS:
        if before.get(field) != after.get(field):
            yield f"{field}: {_value(after.get(field))}"
    had = {c["type"]: c for c in before.get("conditions") or () if "type" in c}
    has = {c["type"]: c for c in after.get("conditions") or () if "type" in c}
    changed = [c for type_, c in has.items() if _condition(had.get(type_)) != _condition(c)]
    told = {c.get("message") for c in changed if c["type"] != "Ready"}
    for condition in sorted(changed, key=lambda c: c["type"] == "Ready"):
        if condition["type"] != "Ready" or not condition.get("message") or _own_words(condition, after) not in told:
            yield _condition(condition)
    yield from (f"{type_} is taken off" for type_ in had if type_ not in has)


def _own_words(ready: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """The message of Ready without the phase before it."""
    return str(ready.get("message", "")).removeprefix(f"{status.get('phase', 'Initializing')}: ")


def _condition(condition: Mapping[str, Any] | None) -> str:
    if condition is None:
        return ""
    message = condition.get("message")
    reason = condition.get("reason")
    word = "" if condition.get("status") == "True" and reason == condition["type"] else f" {reason}"
    return f"{condition['type']}={condition.get('status')}{word}" + (f": {message}" if message else "")


def _differences(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield f"{what} {key}={after[key]}" if key in after else f"{what} {key} is taken off"


def _is_ready(tree: Mapping[str, Any]) -> bool:
    told = (tree.get("status") or {}).get("conditions") or ()
    is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in told)
    return is_ready and not tree["metadata"].get("deletionTimestamp")


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key} {_value(one)}" for key, one in value.items()
            if one not in (None, [], {}) and key not in ("conditions", "lastTransitionTime")
        )
    if isinstance(value, list):
        return "; ".join(_value(one) for one in value)
    return "none" if value is None else str(value)


def _neutral(text: str) -> str:
    text = _TOKEN.sub("bootstrap-token-<id>", _UID.sub("<uid>", text))
    return _TIME.sub("<time>", text)
