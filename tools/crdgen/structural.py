"""Structs and their `api.schema` annotations to structural OpenAPI schemas, as plain dictionaries.

Called by `manifest`. Pure. It translates what is declared and adds no constraint of its own; what the API server would
refuse as non-structural is refused here already, with the name of the field.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec

from dpf.api.schema import UNSET, Rule, Schema

Node = dict[str, Any]

_SCALARS: Final[Mapping[object, str]] = {str: "string", int: "integer", bool: "boolean", float: "number"}
_KEYWORDS: Final[Mapping[str, str]] = {
    "format": "format",
    "pattern": "pattern",
    "minimum": "minimum",
    "maximum": "maximum",
    "multiple_of": "multipleOf",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "list_type": "x-kubernetes-list-type",
    "map_type": "x-kubernetes-map-type",
}
"""Fields of `Schema` that a node carries under another name and otherwise unchanged."""

_APPLICABLE: Final[Mapping[str, frozenset[str]]] = {
    "pattern": frozenset({"string"}),
    "min_length": frozenset({"string"}),
    "max_length": frozenset({"string"}),
    "enum": frozenset({"string"}),
    "minimum": frozenset({"integer", "number"}),
    "maximum": frozenset({"integer", "number"}),
    "multiple_of": frozenset({"integer", "number"}),
    "min_items": frozenset({"array"}),
    "max_items": frozenset({"array"}),
    "list_type": frozenset({"array"}),
    "list_map_keys": frozenset({"array"}),
    "min_properties": frozenset({"object"}),
    "max_properties": frozenset({"object"}),
    "map_type": frozenset({"object"}),
}
"""JSON types that a constraint binds; anywhere else it would be silently without effect."""

_BINDS_UNTYPED: Final = frozenset({"pattern", "multiple_of"})
"""What may also stand on an untyped field: the API server applies it to the values of its own type."""
_BINDS_LIST_OR_MAP: Final = frozenset({"min_items", "max_items"})

_UNIONS: Final = (Union, types.UnionType)
_NOTHING: Final = Schema()


class SchemaError(Exception):
    """A declaration that has no structural schema; the message names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One field of a Struct."""

    name: str
    node: Node
    required: bool


def build_object(struct: type[msgspec.Struct], schema: Schema = _NOTHING, *, where: str = "") -> Node:
    """The schema of a Struct. `schema` is what the place of use adds; `where` is the path for messages.

    Raises SchemaError.
    """
    where = where or struct.__name__
    own: Schema = getattr(struct, "schema", _NOTHING)
    schema = _merge(_merge(schema, own), Schema(description=first_paragraph(struct)))
    properties = tuple(build_properties(struct, where=where))
    node: Node = {"type": "object"}
    if properties:
        node["properties"] = {p.name: p.node for p in properties}
    if required := [p.name for p in properties if p.required]:
        node["required"] = sorted(required)
    return _annotated(node, schema, where)


def build_properties(struct: type[msgspec.Struct], *, where: str) -> Iterator[Property]:
    """Every field in the order of declaration. Required: no Python default, unless `Schema.required` says otherwise."""
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        path = f"{where}.{field.name}"
        core, schema = peel(hints[field.name])
        required = field.required if schema.required is None else schema.required
        yield Property(name=field.encode_name, node=build_node(core, schema, where=path), required=required)


def build_node(hint: object, schema: Schema = _NOTHING, *, where: str) -> Node:
    """The schema of any type hint. Raises SchemaError."""
    core, inner = peel(hint)
    schema = _merge(schema, inner)
    if schema.json_type:
        return _annotated({"type": schema.json_type}, schema, where)
    if schema.int_or_string:
        return _annotated({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True},
                          schema, where)
    if isinstance(core, type) and issubclass(core, msgspec.Struct):
        return build_object(core, schema, where=where)
    if core in _SCALARS:
        return _annotated({"type": _SCALARS[core]}, schema, where)
    if get_origin(core) is list:
        (item,) = get_args(core)
        return _annotated({"type": "array", "items": build_node(item, where=f"{where}[]")}, schema, where)
    if get_origin(core) is dict:
        return _annotated(_build_map(core, where), schema, where)
    if core in (object, Any) and schema.preserve_unknown:
        return _annotated({}, schema, where)
    if get_origin(core) in _UNIONS and schema.list_or_map:
        return _annotated(_build_list_or_map(core, where), replace(schema, preserve_unknown=True), where)
    raise SchemaError(f"{where}: {core!r} has no structural schema")


def peel(hint: object) -> tuple[object, Schema]:
    """The type behind `Annotated` and `| None`, and the merged annotations, the outermost first."""
    schema = _NOTHING
    while True:
        if get_origin(hint) is Annotated:
            hint, *extras = get_args(hint)
            for extra in extras:
                schema = _merge(schema, extra) if isinstance(extra, Schema) else schema
        elif get_origin(hint) in _UNIONS and type(None) in get_args(hint):
            hint = Union[tuple(a for a in get_args(hint) if a is not type(None))]  # noqa: UP007 - built at run time
        else:
            return hint, schema


def first_paragraph(struct: type) -> str:
    """The first paragraph of the docstring, on one line."""
    return " ".join((inspect.getdoc(struct) or "").split("\n\n")[0].split())


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """`value` of plain JSON types only: a StrEnum member becomes a str."""
    match value:
        case Mapping():
            return {str(k): plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
        case str():
            return str(value)
        case _:
            return value


def build_rules(rules: tuple[Rule, ...]) -> list[Node]:
    """`x-kubernetes-validations`."""
    return [_build_rule(rule) for rule in rules]


def _build_rule(rule: Rule) -> Node:
    node: Node = {"rule": rule.rule}
    if rule.message:
        node["message"] = rule.message
    if rule.message_expression:
        node["messageExpression"] = rule.message_expression
    if rule.field_path:
        node["fieldPath"] = rule.field_path
    if rule.optional_old_self:
        node["optionalOldSelf"] = True
    return node


def _build_map(hint: object, where: str) -> Node:
    key, value = get_args(hint)
    if key is not str:
        raise SchemaError(f"{where}: the keys of a map are strings")
    if value is Any:
        return {"type": "object"}
    return {"type": "object", "additionalProperties": build_node(value, where=f"{where}.*")}


def _build_list_or_map(hint: object, where: str) -> Node:
    """`items` for the list and `properties` for the Struct of the union, on one node without a type."""
    node: Node = {}
    for member in get_args(hint):
        part = {} if member in _SCALARS else build_node(member, where=where)
        node |= {key: part[key] for key in ("items", "properties", "required") if key in part}
    if not node.keys() >= {"items", "properties"}:
        raise SchemaError(f"{where}: list_or_map takes a union of a list and a Struct")
    if _has_rules(node):
        raise SchemaError(f"{where}: the API server runs no CEL rule below a field without a type")
    return node


def _has_rules(node: object) -> bool:
    match node:
        case Mapping():
            return "x-kubernetes-validations" in node or any(_has_rules(child) for child in node.values())
        case _:
            return False


def _merge(outer: Schema, inner: Schema) -> Schema:
    """`outer` where it says something, else `inner`; the rules of both hold."""
    changes = {
        f.name: getattr(inner, f.name) for f in fields(Schema) if getattr(outer, f.name) == getattr(_NOTHING, f.name)
    }
    return replace(outer, **{**changes, "rules": outer.rules + inner.rules})


def _annotated(node: Node, schema: Schema, where: str) -> Node:
    """`node` with everything that `schema` says, in a fixed order of keys."""
    _refuse_misplaced(node, schema, where)
    head: Node = {"description": schema.description} if schema.description else {}
    tail: Node = {
        keyword: value for name, keyword in _KEYWORDS.items() if (value := getattr(schema, name)) not in (None, "")
    }
    if schema.enum:
        tail["enum"] = plain(schema.enum)
    if schema.default is not UNSET:
        tail["default"] = plain(schema.default)
    if schema.preserve_unknown:
        tail["x-kubernetes-preserve-unknown-fields"] = True
    if schema.list_map_keys:
        tail["x-kubernetes-list-map-keys"] = list(schema.list_map_keys)
    if schema.one_of_required:
        tail["oneOf"] = [{"required": list(names)} for names in schema.one_of_required]
    if schema.rules:
        tail["x-kubernetes-validations"] = build_rules(schema.rules)
    children: Node = {key: node.pop(key) for key in ("items", "additionalProperties", "properties", "required")
                if key in node}
    return {**head, **node, **tail, **children}


def _refuse_misplaced(node: Node, schema: Schema, where: str) -> None:
    if schema.list_or_map and schema.rules:
        raise SchemaError(f"{where}: the API server runs no CEL rule on a field without a type")
    type_ = node.get("type", "string" if schema.int_or_string else "")
    for name, types_ in _APPLICABLE.items():
        if not type_ and name in (_BINDS_LIST_OR_MAP if schema.list_or_map else _BINDS_UNTYPED):
            continue
        if getattr(schema, name) != getattr(_NOTHING, name) and type_ not in types_:
            raise SchemaError(f"{where}: {name} has no effect on {type_ or 'an untyped field'}")
