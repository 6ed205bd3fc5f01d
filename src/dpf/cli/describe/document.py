"""The tree as JSON or YAML for programs: real objects only, by plural kind.

Pure; called by `command`. The form is `{plural: [{metadata, typeMeta, conditions}]}` with the root under
`DPFOperatorConfigs` (behaviour-service.md 10.2, test 59). An object that the table folds into a group is listed like
any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from dpf.api.meta import Condition, Key
from dpf.cli.describe import kinds, tree

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def to_json(root: tree.Node) -> str:
    """The document, indented by two."""
    return msgspec.json.format(msgspec.json.encode(document(root)), indent=2).decode()


def to_yaml(root: tree.Node) -> str:
    """The document in YAML; text outside ASCII stays readable."""
    return str(yaml.dump(document(root), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 16)).rstrip()


def document(root: tree.Node) -> dict[str, list[dict[str, Any]]]:
    """Plain data, in the order of the table; what stands in several places of it is listed once."""
    found: dict[str, list[dict[str, Any]]] = {}
    described: set[tuple[str, Key]] = set()
    for item in tree.items(root):
        if (item.kind.name, item.key) not in described:
            described.add((item.kind.name, item.key))
            found.setdefault(_list_name(item.kind), []).append(msgspec.to_builtins(_described(item)))
    return found


def _list_name(kind: kinds.Kind) -> str:
    return kind.heading if kind == kinds.ROOT else kind.view.resource.plural


def _described(item: tree.Item) -> dict[str, Any]:
    resource = item.kind.view.resource
    return {
        "metadata": item.metadata,
        "typeMeta": {"kind": resource.kind, "apiVersion": resource.api_version},
        "conditions": [_condition(condition) for condition in _conditions(item)],
    }


def _conditions(item: tree.Item) -> Iterator[Condition]:
    if item.ready is not None:
        yield item.ready
    yield from item.conditions


def _condition(condition: Condition) -> dict[str, Any]:
    """Every field of metav1.Condition that it requires is there, also when it is empty."""
    plain: dict[str, Any] = {
        "type": condition.type, "status": condition.status, "reason": condition.reason, "message": condition.message,
        "lastTransitionTime": condition.lastTransitionTime,
    }
    if condition.observedGeneration is not None:
        plain["observedGeneration"] = condition.observedGeneration
    return plain
