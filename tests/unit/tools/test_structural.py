"""crdgen: Structs and annotations to structural schemas."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec
import pytest
from tools.crdgen import structural

from dpf.api.meta import Condition, FreeForm, LabelSelector, Model, NodeSelector
from dpf.api.schema import QUANTITY_PATTERN, Quantity, Rule, Schema

IntOrString = Annotated[int | str, Schema(int_or_string=True)]


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Leaf(Model):
    """A leaf.

    More about leaves that the schema does not repeat.
    """

    name: str


class Ruled(Model):
    """Has a rule of its own."""

    schema: ClassVar[Schema] = Schema(map_type="atomic", rules=(Rule(rule="own", message="own"),))

    name: str = ""


class Wrapped(Model):
    """The newer form of a list."""

    leaves: list[Leaf]


class Choice(Model):
    """One of two."""

    schema: ClassVar[Schema] = Schema(one_of_required=(("a",), ("b",)))

    a: str | None = None
    b: str | None = None


HINTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "string": (str, {"type": "string"}),
    "integer": (int, {"type": "integer"}),
    "boolean": (bool, {"type": "boolean"}),
    "number": (float, {"type": "number"}),
    "optional": (str | None, {"type": "string"}),
    "list": (list[str], {"type": "array", "items": {"type": "string"}}),
    "map": (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
    "empty-object": (FreeForm, {"type": "object"}),
    "free-form": (
        Annotated[FreeForm, Schema(preserve_unknown=True)],
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    "anything": (Annotated[object, Schema(preserve_unknown=True)], {"x-kubernetes-preserve-unknown-fields": True}),
    "int-or-string": (
        IntOrString,
        {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}),
    "quantity": (
        Quantity,
        {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True,
         "pattern": QUANTITY_PATTERN}),
    "optional-alias": (
        IntOrString | None,
        {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}),
    "enum": (Annotated[str, Schema(enum=tuple(Color))], {"type": "string", "enum": ["red", "blue"]}),
    "default": (Annotated[str, Schema(default=Color.RED)], {"type": "string", "default": "red"}),
    "falsy-default": (Annotated[bool, Schema(default=False)], {"type": "boolean", "default": False}),
    "zero-minimum": (Annotated[int, Schema(minimum=0, maximum=9)], {"type": "integer", "minimum": 0, "maximum": 9}),
    "string-limits": (
        Annotated[str, Schema(min_length=1, max_length=3, pattern="^a", format="date-time")],
        {"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^a", "format": "date-time"}),
    "list-limits": (
        Annotated[list[str], Schema(min_items=1, max_items=2, list_type="set")],
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2, "x-kubernetes-list-type": "set"}),
    "list-map": (
        Annotated[list[Leaf], Schema(list_type="map", list_map_keys=("name",))],
        {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
         "items": {"description": "A leaf.", "type": "object", "properties": {"name": {"type": "string"}},
                   "required": ["name"]}}),
    "map-limits": (
        Annotated[dict[str, str], Schema(min_properties=1, max_properties=2)],
        {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1, "maxProperties": 2}),
    "items-and-list": (
        Annotated[list[Annotated[str, Schema(min_length=1)]], Schema(min_items=1)],
        {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}),
    "one-of": (
        Annotated[FreeForm, Schema(one_of_required=(("a",), ("b", "c")))],
        {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b", "c"]}]}),
    "list-or-map": (
        Annotated[list[Choice] | Wrapped | str | int | None,
                  Schema(list_or_map=True, min_items=1, max_items=2, description="Both.")],
        {"description": "Both.", "minItems": 1, "maxItems": 2, "x-kubernetes-preserve-unknown-fields": True,
         "items": {"description": "One of two.", "type": "object",
                   "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                   "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
         "properties": {"leaves": {"type": "array", "items": {
             "description": "A leaf.", "type": "object", "properties": {"name": {"type": "string"}},
             "required": ["name"]}}},
         "required": ["leaves"]}),
    "rule": (
        Annotated[str, Schema(rules=(
            Rule(rule="r", message="m", message_expression="e", field_path=".f", optional_old_self=True),))],
        {"type": "string", "x-kubernetes-validations": [
            {"rule": "r", "message": "m", "messageExpression": "e", "fieldPath": ".f", "optionalOldSelf": True}]}),
    "outer-annotation-wins": (
        Annotated[Annotated[str, Schema(description="inner", min_length=1)] | None, Schema(description="outer")],
        {"description": "outer", "type": "string", "minLength": 1}),
    "struct-at-a-place": (
        Annotated[Ruled | None, Schema(description="Here.", rules=(Rule(rule="here", message="here"),))],
        {"description": "Here.", "type": "object", "x-kubernetes-map-type": "atomic",
         "properties": {"name": {"type": "string"}},
         "x-kubernetes-validations": [{"rule": "here", "message": "here"}, {"rule": "own", "message": "own"}]}),
}


@pytest.mark.parametrize(("hint", "expected"), HINTS.values(), ids=HINTS.keys())
def test_node(hint: Any, expected: dict[str, Any]) -> None:
    assert structural.build_node(hint, where="here") == expected


def test_values_are_plain_yaml_types() -> None:
    node = structural.build_node(Annotated[str, Schema(enum=tuple(Color), default=Color.RED)], where="here")

    assert {type(value) for value in [*node["enum"], node["default"]]} == {str}


class Requirements(Model, kw_only=True):
    no_default: str
    python_default: str = ""
    factory_default: list[str] = msgspec.field(default_factory=list)
    optional: str | None = None
    forced: Annotated[str, Schema(required=True)] = ""
    excused: Annotated[str, Schema(required=False)]


def test_required_is_what_has_no_python_default_unless_said_otherwise() -> None:
    assert structural.build_object(Requirements)["required"] == ["forced", "no_default"]


def test_class_variables_are_no_properties() -> None:
    assert list(structural.build_object(Ruled)["properties"]) == ["name"]


def test_python_default_is_no_schema_default() -> None:
    assert "default" not in structural.build_object(Requirements)["properties"]["python_default"]


REFUSED: dict[str, Any] = {
    "set": set[str],
    "union": int | str,
    "untyped": Any,
    "map-of-integer-keys": dict[int, str],
    "pattern-on-integer": Annotated[int, Schema(pattern="^a")],
    "length-on-untyped": Annotated[object, Schema(preserve_unknown=True, max_length=3)],
    "multiple-on-string": Annotated[str, Schema(multiple_of=2)],
    "minimum-on-string": Annotated[str, Schema(minimum=0)],
    "min-items-on-map": Annotated[dict[str, str], Schema(min_items=1)],
    "nested": list[dict[str, int | str]],
    "list-or-map-without-a-map": Annotated[list[str] | str, Schema(list_or_map=True)],
    "list-or-map-without-a-list": Annotated[Leaf | str, Schema(list_or_map=True)],
    "list-or-map-with-a-rule": Annotated[list[str] | Leaf, Schema(list_or_map=True, rules=(Rule(rule="r"),))],
    "list-or-map-over-a-rule": Annotated[list[Ruled] | Leaf, Schema(list_or_map=True)],
    "list-or-map-with-a-pattern": Annotated[list[str] | Leaf | str, Schema(list_or_map=True, pattern="^a")],
}


@pytest.mark.parametrize("hint", REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_structural_schema_is_refused_by_name(hint: Any) -> None:
    with pytest.raises(structural.SchemaError, match=r"^Kind\.spec"):
        structural.build_node(hint, where="Kind.spec")


def test_refusal_names_the_path() -> None:
    class Broken(Model):
        """Broken."""

        values: list[Annotated[int, Schema(pattern="x")]]

    with pytest.raises(structural.SchemaError, match=r"^Broken\.values\[\]: pattern has no effect on integer$"):
        structural.build_object(Broken)


def test_an_untyped_field_may_bind_strings_and_numbers() -> None:
    hint = Annotated[object, Schema(preserve_unknown=True, pattern="^a", multiple_of=1)]

    assert structural.build_node(hint, where="Kind.spec") == {
        "pattern": "^a", "multipleOf": 1, "x-kubernetes-preserve-unknown-fields": True,
    }


def test_condition_is_the_documented_fragment() -> None:
    """api-svc.md section 0, shared schema fragments."""
    node = structural.build_object(Condition)
    properties = node["properties"]

    assert node["required"] == ["lastTransitionTime", "message", "reason", "status", "type"]
    assert properties["message"]["maxLength"] == 32768
    assert (properties["reason"]["minLength"], properties["reason"]["maxLength"]) == (1, 1024)
    assert properties["type"]["maxLength"] == 316
    assert properties["status"]["enum"] == ["True", "False", "Unknown"]
    assert properties["lastTransitionTime"]["format"] == "date-time"
    assert (properties["observedGeneration"]["format"], properties["observedGeneration"]["minimum"]) == ("int64", 0)


def test_selectors_are_atomic() -> None:
    """Two owners of one selector must not mix their halves."""
    label = structural.build_object(LabelSelector)
    node = structural.build_object(NodeSelector)

    assert label["x-kubernetes-map-type"] == node["x-kubernetes-map-type"] == "atomic"
    assert label["properties"]["matchExpressions"]["x-kubernetes-list-type"] == "atomic"
    assert node["properties"]["nodeSelectorTerms"]["x-kubernetes-list-type"] == "atomic"
    assert node["required"] == ["nodeSelectorTerms"]
