"""Rows, pipes, wrapping and colours of the table (behaviour-service.md 10.2, test 58)."""

from __future__ import annotations

import pytest
from tests.unit.cli.describe import objects

from dpf.api.meta import Condition
from dpf.cli.describe import render, tree
from dpf.cli.describe.tree import Node

LONG = " ".join(["word"] * 40)
LATELY = objects.ago(minutes=5)


def a_row(
    name: str, *children: Node, message: str = "", status: str = "True", conditions: tuple[Condition, ...] = ()
) -> Node:
    ready = Condition(type="Ready", status=status, reason="Because", message=message, lastTransitionTime=LATELY)
    return Node(name=name, namespace="ns", ready=ready, children=children, conditions=conditions)


def lines(root: Node) -> list[str]:
    return render.render(root, objects.NOW).splitlines()


def test_a_lone_root() -> None:
    assert lines(a_row("Root/r", message="fine")) == [
        "NAME    NAMESPACE  READY  REASON   SINCE  MESSAGE",
        "Root/r  ns         True   Because  5m     fine",
    ]


@pytest.mark.parametrize(
    ("message", "printed"),
    [("", ["5m     told"]), ("fine", ["5m     fine", "told"])],
    ids=["instead of a message", "after the message"],
)
def test_a_note_stands_with_the_message(message: str, printed: list[str]) -> None:
    ready = Condition(type="Ready", status="True", message=message, lastTransitionTime=LATELY)
    found = lines(Node(name="Root/r", ready=ready, note="told"))[1:]
    assert [line[-len(text):] for line, text in zip(found, printed, strict=True)] == printed


def test_a_note_needs_no_condition() -> None:
    assert lines(Node(name="Root/r", note="told"))[1].split() == ["Root/r", "told"]


def test_headings_have_no_cells_and_no_line_ends_in_blanks() -> None:
    root = a_row("Root/r", Node(name="Things", children=(Node(name="Thing/new", namespace="ns"),)))
    assert lines(root) == [
        "NAME           NAMESPACE  READY  REASON   SINCE  MESSAGE",
        "Root/r         ns         True   Because  5m",
        "└─Things",
        "  └─Thing/new  ns",
    ]


def test_pipes_go_on_beside_conditions_and_wrapped_messages() -> None:
    bad, worse = (Condition(type=type_, status="False", message=LONG) for type_ in ("Bad", "Worse"))
    child = a_row("A/1", a_row("B/1"), message=LONG, conditions=(bad, worse))
    names = [line[:22].rstrip() for line in lines(a_row("Root/r", child, a_row("A/2", message=LONG)))]
    assert names == [
        "NAME",
        "Root/r",
        "├─A/1",
        "│ │",
        "│ │           ├─Bad",
        "│ │           │",
        "│ │           └─Worse",
        "│ │",
        "│ └─B/1",
        "└─A/2",
        "",
    ]


def test_an_object_in_deletion_says_so() -> None:
    root = Node(name="Root/r", deleting=True)
    assert lines(root)[1] == "!! IN DELETION !! Root/r"


@pytest.mark.parametrize(
    ("message", "wrapped"),
    [
        ("", []),
        ("x" * 100, ["x" * 100]),
        (f"{'x' * 60} {'y' * 39}", [f"{'x' * 60} {'y' * 39}"]),
        (f"{'x' * 60} {'y' * 40}", ["x" * 60, "y" * 40]),
        (f"see https://host/{'a-b/' * 40}", ["see", f"https://host/{'a-b/' * 40}"]),
        ("head:\n* one\n  more\n\n* two\n", ["head:", "* one", "  more", "", "* two"]),
        ("tab\there", ["tab here"]),
        ("red \x1b[31mletters\x07", ["red  [31mletters"]),
    ],
    ids=["empty", "exactly 100", "two words in 100", "101", "long word stays whole", "own lines", "tab", "escapes"],
)
def test_wrapping(message: str, wrapped: list[str]) -> None:
    assert render.wrap(message) == wrapped


def test_no_cell_can_drive_the_terminal() -> None:
    evil = Condition(type="\x1b[2JReady", status="\x1b]0;x\x07", reason="a\nb", message="\x9b31m")
    printed = render.render(Node(name="Kind/\x1b[1m", conditions=(evil,), ready=evil), objects.NOW)
    assert not set(printed) & set("\x1b\x07\x9b")
    assert len(printed.splitlines()) == 3


@pytest.mark.parametrize(
    ("type_", "status", "colour"),
    [
        ("Ready", "True", "\x1b[32m"),
        ("ApplicationsReconciled", "True", "\x1b[32m"),
        ("Ready", "False", "\x1b[31m"),
        ("ApplicationsReady", "Unknown", "\x1b[31m"),
        ("ApplicationsReconciled", "False", "\x1b[33m"),
        ("DaemonSet/x", "Synced", "\x1b[37m"),
        ("", "", ""),
    ],
)
def test_the_colour_of_a_condition(type_: str, status: str, colour: str) -> None:
    assert render.colour_of(Condition(type=type_, status=status)) == colour


@pytest.mark.parametrize(("status", "colour"), [("True", "\x1b[31m"), ("False", "\x1b[32m"), ("", "")])
def test_bad_news_is_red_when_it_holds(status: str, colour: str) -> None:
    assert render.colour_of(Condition(type="Error", status=status), is_bad_news=True) == colour


def test_the_table_knows_bad_news() -> None:
    node = tree.Node(
        name="DPU/d", conditions=(Condition(type="Error", status="True"),), bad_news=frozenset({"Error"}),
    )
    assert "\x1b[31mTrue\x1b[0m" in render.render(node, objects.NOW, colour=True)


def test_status_and_reason_are_coloured_and_the_columns_stay() -> None:
    coloured = render.render(a_row("Root/r", message="m", status="False"), objects.NOW, colour=True).splitlines()[1]
    assert coloured == "Root/r  ns         \x1b[31mFalse\x1b[0m  \x1b[31mBecause\x1b[0m  5m     m"
