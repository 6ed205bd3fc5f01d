"""Annotations from which `tools/crdgen` writes the CRDs: constraints, CEL rules, printer columns.

They are data for the API server. Decoding ignores them on purpose: an object that an older schema let in must still be
read, shown and explained, not dropped.

A `Schema` stands in `Annotated` beside a field's type, or in the ClassVar `schema` of a Struct, where it holds wherever
that Struct is used. A `CRD` stands in the ClassVar `crd` of a root object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final


class _Unset:
    """No schema default (None would be a legal one)."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One `x-kubernetes-validations` entry (CEL).

    `field_path` (relative, e.g. `.spec.deploymentMode`) names the field that the error is about, where the rule has to
    stand further up: a rule that compares with the old object is skipped while its own field is absent.
    """

    rule: str
    message: str = ""
    message_expression: str = ""
    optional_old_self: bool = False
    field_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Constraints of one field, or of every item or value with `Annotated` inside a list or map type.

    `default` is written to the CRD only when set here: a Python default is not a schema default. `one_of_required`
    yields `oneOf` with one `required` list per entry. On an untyped field (`preserve_unknown`) `pattern` binds strings
    and `multiple_of` numbers; anything else passes. `list_or_map` stands on a union of one list, one Struct and any
    scalars: the API server checks a list as that list and a map as that Struct, scalars pass, and the constraints here
    bind the list. No CEL rule may stand in it or below it. `json_type` is the one type that the API server takes where
    the Python type also reads what older releases stored.
    """

    description: str = ""
    pattern: str = ""
    format: str = ""
    enum: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    multiple_of: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    min_properties: int | None = None
    max_properties: int | None = None
    default: Any = UNSET
    int_or_string: bool = False
    preserve_unknown: bool = False
    list_or_map: bool = False
    json_type: str = ""
    list_type: str = ""
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""
    required: bool | None = None
    rules: tuple[Rule, ...] = ()
    one_of_required: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One `additionalPrinterColumns` entry."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CRD:
    """What a CRD says besides the types: printer columns, rules at the root, status subresource."""

    columns: tuple[Column, ...] = ()
    rules: tuple[Rule, ...] = ()
    status_subresource: bool = True
    keep_on_uninstall: bool = True


def name_length_rule(limit: int) -> Rule:
    """Root rule for kinds whose names are bounded (api-svc.md section 0, api-provisioning.md section 0)."""
    return Rule(
        rule=f"self.metadata.name.size() <= {limit}", message=f"name length can't be bigger than {limit} chars"
    )


READY_STATUS: Final = ".status.conditions[?(@.type=='Ready')].status"
READY_REASON: Final = ".status.conditions[?(@.type=='Ready')].reason"
AGE: Final = Column(name="Age", path=".metadata.creationTimestamp", type="date")
READY_PHASE_AGE: Final = (
    Column(name="Ready", path=READY_STATUS), Column(name="Phase", path=READY_REASON), AGE,
)
"""Printer columns Ready, Phase and Age of most host-side kinds."""

QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

Quantity = Annotated[int | str, Schema(int_or_string=True, pattern=QUANTITY_PATTERN)]
"""A Kubernetes quantity. Bare integers are legal, YAML floats are not (api-svc.md section 0)."""
