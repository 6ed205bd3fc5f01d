"""Image rules, and $(NAME) in what they run."""

from __future__ import annotations

import pytest

from dpf.api.core import Container
from dpf.emulation.kubelet import expansion, images
from dpf.emulation.kubelet.images import DEFAULT_IMAGES, ImageRule


@pytest.mark.parametrize(("image", "runs"), [
    ("dummydpuservice:v0.1.0", True),
    ("registry.example/dpf/dummydpuservice:v0.1.0", True),
    ("registry.example:5000/dummydpuservice", True),
    ("registry.example/other:v1", False),
    ("registry.example/dummydpuservice-proxy:v1", False),
])
def test_the_example_service_runs_and_others_are_paused(image: str, runs: bool) -> None:
    assert (images.find_rule(DEFAULT_IMAGES, image) is not None) is runs


def test_the_first_rule_that_matches_wins() -> None:
    first, second = ImageRule(pattern="*/a:*", argv=["1"]), ImageRule(pattern="*", argv=["2"])
    assert images.find_rule([first, second], "x/a:1") is first
    assert images.find_rule([first, second], "x/b:1") is second


def test_a_pod_adds_arguments_only_where_the_rule_has_a_place() -> None:
    container = Container(name="c", command=["rm", "-rf"], args=["--port", "$(PORT)"])
    closed = ImageRule(pattern="*", argv=["{python}", "-m", "x"])
    open_ = ImageRule(pattern="*", argv=["{python}", "{command}", "{args}"])
    assert images.build_argv(closed, container, {}, python="/py", node="n") == ("/py", "-m", "x")
    argv = images.build_argv(open_, container, {"PORT": "1"}, python="/py", node="n")
    assert argv == ("/py", "rm", "-rf", "--port", "1")


def test_a_rule_may_name_the_node() -> None:
    rule = ImageRule(pattern="*", argv=["{python}", "--node", "{node}"])
    assert images.build_argv(rule, Container(name="c"), {}, python="/py", node="worker-1")[-1] == "worker-1"


@pytest.mark.parametrize(("text", "expanded"), [
    ("$(A)", "1"), ("x$(A)$(B)y", "x12y"), ("$(C)", "$(C)"), ("$$(A)", "$(A)"), ("$A", "$A"), ("$(A", "$(A"),
    ("$(D)", "$(A)"), ("$$$(A)", "$1"),
], ids=["one", "two", "unknown", "escaped", "no parentheses", "open", "not again", "escape and reference"])
def test_references_are_replaced_once(text: str, expanded: str) -> None:
    assert expansion.expand(text, {"A": "1", "B": "2", "D": "$(A)"}) == expanded
