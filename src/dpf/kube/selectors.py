"""Label, field and node selectors: the one place that decides whether an object is selected.

Pure. Called by planners, by the cache and by the memory cluster; the real API server decides for itself. Semantics are
those of the Kubernetes reference: `NotIn` and `!=` also select an object that lacks the label; an empty label selector
selects everything; an empty node selector term selects nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dpf.api.meta import LabelSelector, LabelSelectorRequirement, NodeSelector, NodeSelectorTerm

FIELD_PATHS: Final = ("metadata.name", "metadata.namespace", "spec.nodeName")
"""Field selectors that the memory cluster understands; every API server has the first two for all kinds."""

_LABEL_OPERATORS: Final = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})
_KEY = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_TERM: Final = re.compile(
    rf"\s*(?:!\s*(?P<absent>{_KEY})"
    rf"|(?P<key>{_KEY})(?:\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)|\s*(?P<equal>==|!=|=)\s*(?P<value>{_VALUE}))?)"
    r"\s*(?:,|$)"
)
_VALUE_ONLY: Final = re.compile(_VALUE)
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")


class SelectorError(ValueError):
    """A selector that means nothing; the text says which part and what would be legal."""


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """`path=value`, or `path!=value` when `negated`."""

    path: str
    value: str
    negated: bool = False


def parse(text: str) -> LabelSelector:
    """The selector that API syntax such as `app=web,tier in (a,b),!legacy` stands for.

    Raises SelectorError.
    """
    requirements: list[LabelSelectorRequirement] = []
    position = 0
    while position < len(text):
        term = _TERM.match(text, position)
        if term is None:
            raise SelectorError(
                f"label selector {text!r}: cannot read {text[position:]!r}; write key=value, key!=value, key in (a,b), "
                "key notin (a,b), key or !key, separated by commas"
            )
        requirements.append(_requirement(text, term))
        position = term.end()
    if text.rstrip().endswith(","):
        raise SelectorError(f"label selector {text!r}: nothing after the last comma")
    return LabelSelector(matchExpressions=requirements) if requirements else LabelSelector()


def render(selector: LabelSelector | None) -> str | None:
    """API syntax for `selector`; None when it selects everything. Raises SelectorError."""
    if selector is None:
        return None
    terms = [f"{key}={value}" for key, value in sorted((selector.matchLabels or {}).items())]
    terms += [_render_expression(expression) for expression in selector.matchExpressions or ()]
    return ",".join(terms) or None


def matches(selector: LabelSelector | None, labels: Mapping[str, str] | None) -> bool:
    """Whether an object with `labels` is selected; None and the empty selector select everything.

    Raises SelectorError on an illegal expression, whatever the labels are.
    """
    if selector is None:
        return True
    have = labels or {}
    expressions = [_label_expression(expression, have) for expression in selector.matchExpressions or ()]
    return all(have.get(key) == value for key, value in (selector.matchLabels or {}).items()) and all(expressions)


def matches_node(selector: NodeSelector | None, labels: Mapping[str, str] | None, name: str) -> bool:
    """Whether a node is selected: any term, and in it every expression. None selects every node.

    Raises SelectorError on an illegal expression in any term.
    """
    if selector is None:
        return True
    verdicts = [_matches_term(term, labels or {}, name) for term in selector.nodeSelectorTerms]
    return any(verdicts)


def parse_fields(text: str) -> tuple[FieldTerm, ...]:
    """The terms of a field selector such as `metadata.name=a,spec.nodeName!=b`. Raises SelectorError."""
    return tuple(_field_term(text, part) for part in text.split(",") if part.strip())


def matches_fields(terms: tuple[FieldTerm, ...], tree: Mapping[str, Any]) -> bool:
    """Whether an object given as plain JSON data is selected by every term."""
    return all((_field_value(tree, term.path) == term.value) != term.negated for term in terms)


def _requirement(text: str, term: re.Match[str]) -> LabelSelectorRequirement:
    if term["absent"]:
        return LabelSelectorRequirement(key=term["absent"], operator="DoesNotExist")
    if term["set"]:
        values = [value.strip() for value in term["values"].split(",")]
        for value in values:
            if not _VALUE_ONLY.fullmatch(value):
                raise SelectorError(f"label selector {text!r}: {value!r} is not a label value")
        operator = "In" if term["set"] == "in" else "NotIn"
        return LabelSelectorRequirement(key=term["key"], operator=operator, values=values)
    if term["equal"]:
        operator = "NotIn" if term["equal"] == "!=" else "In"
        return LabelSelectorRequirement(key=term["key"], operator=operator, values=[term["value"]])
    return LabelSelectorRequirement(key=term["key"], operator="Exists")


def _render_expression(expression: LabelSelectorRequirement) -> str:
    _check_values(expression)
    values = ",".join(sorted(expression.values or ()))
    match expression.operator:
        case "In":
            return f"{expression.key} in ({values})"
        case "NotIn":
            return f"{expression.key} notin ({values})"
        case "Exists":
            return expression.key
        case "DoesNotExist":
            return f"!{expression.key}"
    raise _unknown_operator(expression, "In, NotIn, Exists or DoesNotExist")


def _label_expression(expression: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    if expression.operator not in _LABEL_OPERATORS:
        raise _unknown_operator(expression, "In, NotIn, Exists or DoesNotExist")
    return _expression(expression, labels)


def _expression(expression: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    _check_values(expression)
    have = labels.get(expression.key)
    values = expression.values or []
    match expression.operator:
        case "In":
            return have is not None and have in values
        case "NotIn":
            return have is None or have not in values
        case "Exists":
            return have is not None
        case "DoesNotExist":
            return have is None
        case "Gt" | "Lt":
            return _compares(expression, have, int(values[0]))
    raise _unknown_operator(expression, "In, NotIn, Exists, DoesNotExist, Gt or Lt")


def _compares(expression: LabelSelectorRequirement, have: str | None, limit: int) -> bool:
    """A label that is absent or not an integer is neither greater nor less."""
    if have is None or not _INTEGER.fullmatch(have):
        return False
    return int(have) > limit if expression.operator == "Gt" else int(have) < limit


def _check_values(expression: LabelSelectorRequirement) -> None:
    values = expression.values or []
    match expression.operator:
        case "In" | "NotIn" if not values:
            raise SelectorError(f"selector on {expression.key!r}: {expression.operator} needs at least one value")
        case "Exists" | "DoesNotExist" if values:
            raise SelectorError(f"selector on {expression.key!r}: {expression.operator} takes no values")
        case "Gt" | "Lt" if len(values) != 1 or not _INTEGER.fullmatch(values[0]):
            raise SelectorError(f"selector on {expression.key!r}: {expression.operator} needs exactly one integer")


def _unknown_operator(expression: LabelSelectorRequirement, legal: str) -> SelectorError:
    return SelectorError(f"selector on {expression.key!r}: operator {expression.operator!r} is not one of {legal}")


def _matches_term(term: NodeSelectorTerm, labels: Mapping[str, str], name: str) -> bool:
    expressions = [_expression(expression, labels) for expression in term.matchExpressions or ()]
    fields = [_node_field(expression, name) for expression in term.matchFields or ()]
    return bool(expressions or fields) and all(expressions) and all(fields)


def _node_field(expression: LabelSelectorRequirement, name: str) -> bool:
    if expression.key != "metadata.name":
        raise SelectorError(f"node selector: matchFields knows only metadata.name, not {expression.key!r}")
    if expression.operator not in {"In", "NotIn"} or len(expression.values or ()) != 1:
        raise SelectorError("node selector: matchFields on metadata.name needs In or NotIn with exactly one value")
    return _expression(expression, {"metadata.name": name})


def _field_term(text: str, part: str) -> FieldTerm:
    path, sign, value = part.partition("=")
    negated = path.endswith("!")
    path = path.rstrip("!").strip()
    if not sign or path not in FIELD_PATHS:
        raise SelectorError(f"field selector {text!r}: {part.strip()!r} is not supported; "
                            f"write <path>=<value> or <path>!=<value> with {', '.join(FIELD_PATHS)}")
    return FieldTerm(path, value.removeprefix("=").strip(), negated)


def _field_value(tree: Mapping[str, Any], path: str) -> str:
    node: Any = tree
    for step in path.split("."):
        node = node.get(step) if isinstance(node, Mapping) else None
    return node if isinstance(node, str) else ""
