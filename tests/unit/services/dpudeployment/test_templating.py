"""Values that name other services (behaviour-service.md 6.6, scenario 39)."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.api.meta import Key
from dpf.services.dpudeployment import templating
from dpf.services.dpudeployment.templating import TemplateError

SERVICES = {"a": Key("ns", "dd-a-x5x5x"), "my-web": Key("ns", "dd-my-web"), "x_1": Key("ns", "one")}
DEFAULT = templating.DEFAULT_DELIMITERS


@pytest.mark.parametrize(("text", "rendered"), [
    ("plain", "plain"),
    ("{{ .Services.a.Name }}", "dd-a-x5x5x"),
    ("{{.Services.a.Name}}.{{.Services.a.Namespace}}.svc", "dd-a-x5x5x.ns.svc"),
    ("{{ $.Services.a.Name }}", "dd-a-x5x5x"),
    ("{{ .Services.my-web.Name }}", "dd-my-web"),
    ("{{ .Services.x_1.Name }}", "one"),
    ('{{ index .Services "my-web" "Name" }}', "dd-my-web"),
    ('{{ index .Services.a "Namespace" }}', "ns"),
    ('{{ (index .Services "my-web").Name }}', "dd-my-web"),
    ("{{ (index .Services `a`).Name }}", "dd-a-x5x5x"),
    ("{{ (.Services.a).Name }}", "dd-a-x5x5x"),
    ('{{ "{{ x }}" }}', "{{ x }}"),
    ("{{ `}}` }}", "}}"),
    ('{{ "a\\tb" }}', "a\tb"),
    ("a {{/* a }} comment */}} b", "a  b"),
    ("a {{- /* comment */ -}} b", "ab"),
    ("a  {{- .Services.a.Name -}} \n b", "add-a-x5x5xb"),
    ("a {{- .Services.a.Name }} b", "add-a-x5x5x b"),
    ("a {{ .Services.a.Name -}} b", "a dd-a-x5x5xb"),
    ("}} alone", "}} alone"),
])
def test_text(text: str, rendered: str) -> None:
    assert templating.render(text, SERVICES, DEFAULT) == rendered


@pytest.mark.parametrize(("text", "why"), [
    ("{{ .Services.b.Name }}", "{{ .Services.b.Name }}: service b is not listed in dependsOn"),
    ("x {{ .Services.a.Nam }}", "{{ .Services.a.Nam }}: there is no Nam here, only Name, Namespace"),
    ("{{ .Values.a }}", "{{ .Values.a }}: there is no Values here, only Services"),
    ("{{ .Services.a.Name.x }}", "{{ .Services.a.Name.x }}: there is no x here"),
    ("{{ .Services.a }}", "{{ .Services.a }}: it is not a text; add .Name or .Namespace"),
    ('{{ index .Services "b" "Name" }}', '{{ index .Services "b" "Name" }}: service b is not listed in dependsOn'),
    ("{{ index .Services }}", "{{ index .Services }}: index needs a key in quotes"),
    ("{{ }}", "{{ }}: it is empty"),
    ("{{ .Services.a.Name", "{{ .Services.a.Name: it does not end"),
    ("{{/* open", "{{/* open: '/* open' is not supported"),
    ("{{ if .Services.a }}x{{ end }}", "{{ if .Services.a }}: 'if' is not supported"),
    ("{{ .Services.a.Name | quote }}", "{{ .Services.a.Name | quote }}: '| quote }}' is not supported"),
    ("{{ .Services.a.Name .Services.a.Name }}",
     "{{ .Services.a.Name .Services.a.Name }}: '.Services.a.Name' is not supported"),
    ("{{ (.Services.a }}", "{{ (.Services.a }}: a closing parenthesis is missing"),
    ("{{ . }}", "{{ . }}: '. }}' is not supported"),
    ('{{ "\\x41" }}', '{{ "\\x41" }}: "\\x41" is not a string constant that is understood'),
])
def test_refused(text: str, why: str) -> None:
    with pytest.raises(TemplateError) as caught:
        templating.render(text, SERVICES, DEFAULT)

    assert str(caught.value) == why


def test_every_string_of_the_values_is_rendered_and_nothing_else() -> None:
    given: dict[str, Any] = {
        "host": "{{ .Services.a.Name }}", "list": ["{{ .Services.a.Namespace }}", 1, None, True, 0.2],
        "map": {"{{ .Services.a.Name }}": {"deep": "{{ .Services.a.Name }}"}}, "number": 5,
    }

    assert templating.render(given, SERVICES, DEFAULT) == {
        "host": "dd-a-x5x5x", "list": ["ns", 1, None, True, 0.2], "map": {"dd-a-x5x5x": {"deep": "dd-a-x5x5x"}},
        "number": 5,
    }
    assert given["host"] == "{{ .Services.a.Name }}"


@pytest.mark.parametrize(("annotation", "delimiters"), [
    (None, ("{{", "}}")), ("[[,]]", ("[[", "]]")), (" <% , %> ", ("<%", "%>")),
    ("", None), ("[[", None), ("[[,", None), (",]]", None), ("a,b,c", None),
])
def test_delimiters(annotation: str | None, delimiters: tuple[str, str] | None) -> None:
    assert templating.parse_delimiters(annotation) == delimiters


def test_other_delimiters_leave_braces_alone() -> None:
    text = "[[ .Services.a.Name ]] {{ .Values.left.to.the.chart }}"

    assert templating.render(text, SERVICES, ("[[", "]]")) == "dd-a-x5x5x {{ .Values.left.to.the.chart }}"


@given(st.text('{}[]()-/*.$"`| \nSerivcesNamaindx', max_size=60))
def test_any_text_is_rendered_or_refused(text: str) -> None:
    try:
        templating.render(text, SERVICES, DEFAULT)
    except TemplateError as error:
        assert str(error)


@pytest.mark.parametrize("text", [
    "{{ .Services.a.Name }}" * 20_000, "{{ " + " " * 500_000, "{{" + "(" * 100_000, "{{/*" * 100_000,
    '{{ "' + "\\" * 300_000,
], ids=["many", "blanks", "parentheses", "comments", "backslashes"])
def test_a_huge_text_takes_no_time(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(TemplateError, RecursionError):
        templating.render(text, SERVICES, DEFAULT)

    assert time.process_time() - began < 2.0
