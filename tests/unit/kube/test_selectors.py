"""Selectors select what the Kubernetes reference says, and refuse what means nothing in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.api.meta import LabelSelector, LabelSelectorRequirement, NodeSelector, NodeSelectorTerm
from dpf.kube import selectors

LABELS = {"app": "web", "tier": "a", "example.com/x": "1", "empty": ""}


def need(key: str, operator: str, *values: str) -> LabelSelectorRequirement:
    return LabelSelectorRequirement(key=key, operator=operator, values=list(values) or None)


def any_of(*terms: NodeSelectorTerm) -> NodeSelector:
    return NodeSelector(nodeSelectorTerms=list(terms))


@pytest.mark.parametrize(("text", "selected"), [
    ("", True),
    ("app=web", True),
    ("app==web", True),
    ("app = web", True),
    ("app=other", False),
    ("app!=other", True),
    ("app!=web", False),
    ("missing!=x", True),
    ("app", True),
    ("missing", False),
    ("!missing", True),
    ("! missing", True),
    ("!app", False),
    ("app in (web)", True),
    ("app in (a, web , b)", True),
    ("app in(web)", True),
    ("app in (a,b)", False),
    ("missing in (a)", False),
    ("app notin (a,b)", True),
    ("missing notin (a)", True),
    ("app notin (web)", False),
    ("example.com/x=1,app in (web,x),!missing", True),
    ("example.com/x=2,app in (web,x),!missing", False),
    ("empty=", True),
    ("app=", False),
    ("app==", False),
    ("empty in ()", True),
    ("in in (x)", False),
])
def test_label_selectors_in_api_syntax(text: str, selected: bool) -> None:
    assert selectors.matches(selectors.parse(text), LABELS) is selected


@pytest.mark.parametrize("text", [
    "app in (", "app in web", "=x", "app=a b", "a,,b", "a,", ",", "-a=b", "app=ä", "app in (a|b)", "a=b=c",
    "app notin", "!", "app>1", "a/b/c=d",
])
def test_illegal_label_selectors(text: str) -> None:
    with pytest.raises(selectors.SelectorError, match="label selector"):
        selectors.parse(text)


def test_an_illegal_part_is_quoted() -> None:
    with pytest.raises(selectors.SelectorError, match=r"cannot read '\?b'.*key notin"):
        selectors.parse("a=b,?b")


def test_a_long_illegal_selector_is_refused_at_once() -> None:
    with pytest.raises(selectors.SelectorError):
        selectors.parse("a." * 50_000 + "?")


@pytest.mark.parametrize(("expression", "selected"), [
    (need("app", "In", "web", "x"), True),
    (need("missing", "In", "web"), False),
    (need("missing", "NotIn", "web"), True),
    (need("app", "NotIn", "web"), False),
    (need("app", "Exists"), True),
    (need("missing", "DoesNotExist"), True),
])
def test_expressions(expression: LabelSelectorRequirement, selected: bool) -> None:
    assert selectors.matches(LabelSelector(matchExpressions=[expression]), LABELS) is selected


def test_pairs_and_expressions_must_all_hold() -> None:
    both = LabelSelector(matchLabels={"app": "web"}, matchExpressions=[need("tier", "In", "b")])
    assert not selectors.matches(both, LABELS)


def test_no_selector_selects_everything() -> None:
    assert selectors.matches(None, None)
    assert selectors.matches(LabelSelector(), {})


@pytest.mark.parametrize(("expression", "words"), [
    (need("app", "Matches", "x"), "operator 'Matches' is not one of In, NotIn, Exists or DoesNotExist"),
    (need("app", "Gt", "1"), "operator 'Gt' is not one of"),
    (need("app", "In"), "In needs at least one value"),
    (need("app", "NotIn"), "NotIn needs at least one value"),
    (need("app", "Exists", "x"), "Exists takes no values"),
])
def test_illegal_expressions_say_what_is_legal(expression: LabelSelectorRequirement, words: str) -> None:
    selector = LabelSelector(matchLabels={"other": "y"}, matchExpressions=[expression])
    with pytest.raises(selectors.SelectorError, match=words):
        selectors.matches(selector, LABELS)
    with pytest.raises(selectors.SelectorError):
        selectors.render(selector)


def test_render() -> None:
    selector = LabelSelector(
        matchLabels={"b": "2", "a": "1"},
        matchExpressions=[
            need("c", "In", "y", "x"), need("d", "NotIn", "z"), need("e", "Exists"), need("f", "DoesNotExist"),
        ],
    )
    assert selectors.render(selector) == "a=1,b=2,c in (x,y),d notin (z),e,!f"
    assert selectors.render(None) is None
    assert selectors.render(LabelSelector()) is None


KEYS = st.sampled_from(["a", "b", "example.com/c"])
VALUES = st.sampled_from(["", "1", "2", "x-y"])
EXPRESSIONS = st.one_of(
    st.builds(lambda k, o, v: need(k, o, *v), KEYS, st.sampled_from(["In", "NotIn"]), st.lists(VALUES, min_size=1)),
    st.builds(need, KEYS, st.sampled_from(["Exists", "DoesNotExist"])),
)


@given(
    st.builds(
        LabelSelector, matchLabels=st.dictionaries(KEYS, VALUES, max_size=2),
        matchExpressions=st.lists(EXPRESSIONS, max_size=3),
    ),
    st.dictionaries(KEYS, VALUES),
)
def test_a_rendered_selector_means_the_same(selector: LabelSelector, labels: dict[str, str]) -> None:
    parsed = selectors.parse(selectors.render(selector) or "")
    assert selectors.matches(parsed, labels) is selectors.matches(selector, labels)


NODE = {"zone": "a", "cores": "16", "text": "many"}


@pytest.mark.parametrize(("expression", "selected"), [
    (need("cores", "Gt", "8"), True),
    (need("cores", "Gt", "16"), False),
    (need("cores", "Lt", "32"), True),
    (need("cores", "Lt", "-1"), False),
    (need("text", "Gt", "0"), False),
    (need("missing", "Lt", "9"), False),
    (need("zone", "In", "a"), True),
])
def test_node_expressions(expression: LabelSelectorRequirement, selected: bool) -> None:
    selector = any_of(NodeSelectorTerm(matchExpressions=[expression]))
    assert selectors.matches_node(selector, NODE, "n1") is selected


@pytest.mark.parametrize("expression", [
    need("cores", "Gt"), need("cores", "Gt", "1", "2"), need("cores", "Lt", "x"), need("cores", "Near", "1"),
])
def test_illegal_node_expressions(expression: LabelSelectorRequirement) -> None:
    harmless = NodeSelectorTerm(matchExpressions=[need("zone", "Exists")])
    selector = any_of(harmless, NodeSelectorTerm(matchExpressions=[expression]))
    with pytest.raises(selectors.SelectorError):
        selectors.matches_node(selector, NODE, "n1")


def test_node_terms_are_alternatives_and_their_parts_are_not() -> None:
    zone_b = NodeSelectorTerm(matchExpressions=[need("zone", "In", "b")])
    named = NodeSelectorTerm(matchFields=[need("metadata.name", "In", "n1")])
    both = NodeSelectorTerm(matchExpressions=zone_b.matchExpressions, matchFields=named.matchFields)
    assert selectors.matches_node(any_of(zone_b, named), NODE, "n1")
    assert not selectors.matches_node(any_of(both), NODE, "n1")
    assert not selectors.matches_node(any_of(zone_b, named), NODE, "n2")


def test_nothing_is_selected_by_an_empty_term_and_everything_by_no_selector() -> None:
    assert not selectors.matches_node(any_of(NodeSelectorTerm()), NODE, "n1")
    assert not selectors.matches_node(any_of(), NODE, "n1")
    assert selectors.matches_node(None, None, "n1")


@pytest.mark.parametrize("field", [
    need("metadata.labels", "In", "x"), need("metadata.name", "In", "a", "b"), need("metadata.name", "Exists"),
])
def test_match_fields_knows_only_one_name(field: LabelSelectorRequirement) -> None:
    with pytest.raises(selectors.SelectorError, match=r"metadata\.name"):
        selectors.matches_node(any_of(NodeSelectorTerm(matchFields=[field])), NODE, "n1")


POD = {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"nodeName": "n1"}}


@pytest.mark.parametrize(("text", "selected"), [
    ("", True), ("metadata.name=p", True), ("metadata.name==p", True), ("metadata.name!=p", False),
    ("metadata.namespace=ns,spec.nodeName=n1", True), ("metadata.namespace=ns,spec.nodeName=n2", False),
    ("spec.nodeName!=", True), (" metadata.name = p ", True),
])
def test_field_selectors(text: str, selected: bool) -> None:
    assert selectors.matches_fields(selectors.parse_fields(text), POD) is selected


def test_an_absent_field_is_empty() -> None:
    assert selectors.matches_fields(selectors.parse_fields("spec.nodeName="), {"metadata": {"name": "p"}})


@pytest.mark.parametrize("text", ["status.phase=Running", "metadata.name", "x"])
def test_unsupported_field_selectors(text: str) -> None:
    with pytest.raises(selectors.SelectorError, match=r"metadata\.name, metadata\.namespace, spec\.nodeName"):
        selectors.parse_fields(text)
