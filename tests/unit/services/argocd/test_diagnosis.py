"""Argo CD's words, made short, safe and useful."""

from __future__ import annotations

import pytest

from dpf.services.argocd import diagnosis

WRAPPED = (
    "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc = "
    "error fetching chart: `helm pull --version v1 --repo https://charts.example c` failed exit status 1: Error: {}"
)


@pytest.mark.parametrize(("cause", "advice"), [
    ('Get "https://charts.example/index.yaml": tls: x509: certificate signed by unknown authority',
     "certificate authority"),
    ('chart "c" version "v1" not found in https://charts.example repository', "chart and version must exist"),
    ("failed to fetch https://charts.example/index.yaml : 401 Unauthorized", "credentials"),
    ('Get "https://charts.example/index.yaml": dial tcp 127.0.0.1:1: connect: connection refused', "can reach it"),
    ("template: c/templates/ds.yaml:3: undefined variable", "spec.helmChart.values"),
    ("invalid chart URL format: registry.example/charts", 'enableOCI "true"'),
], ids=["certificate", "chart", "credentials", "network", "template", "oci"])
def test_the_cause_comes_first_and_the_next_step_follows(cause: str, advice: str) -> None:
    said = diagnosis.explain(WRAPPED.format(cause))
    assert said.startswith(cause)
    assert advice in said
    assert said.endswith(".")


def test_what_nobody_knows_is_quoted_as_it_is() -> None:
    assert diagnosis.explain("2 pods crash") == "2 pods crash"


@pytest.mark.parametrize(("text", "shown"), [
    ("GET https://robot:hunter2@charts.example/index.yaml: 401", "GET https://***@charts.example/index.yaml: 401"),
    ("authorization: Bearer abc.def failed", "authorization: ***"),
    ("got Bearer abc.def", "got Bearer ***"),
    ("password=hunter2 refused", "password=*** refused"),
    ("access_token: abc", "access_token: ***"),
    ("Secret tenant/x not found", "Secret tenant/x not found"),
    ("token expired", "token expired"),
    ("helm pull --password hunter2 --repo x", "helm pull --password *** --repo x"),
    ("helm --registry-token='a b' x", "helm --registry-token=*** x"),
    ("helm --password-stdin x", "helm --password-stdin x"),
    ("https://user:pa@ss@charts.example/x", "https://***@charts.example/x"),
    ("https://charts.example/x@sha256:1", "https://charts.example/x@sha256:1"),
    ("Authorization: Basic abc def\nHost: x", "Authorization: *** Host: x"),
    ('{"Authorization": "Bearer abc"}', '{"Authorization": ***'),
    ("got Basic dXNlcjpwYXNz1", "got Basic ***"),
    ("basic auth failed", "basic auth failed"),
    ("clientSecret=abc refused", "clientSecret=*** refused"),
    ('{"clientSecret": "a b"}', '{"clientSecret": ***}'),
    ("apiKey: abc", "apiKey: ***"),
    ("x-api-key=abc", "x-api-key=***"),
    ("two\n  lines", "two lines"),
])
def test_redact(text: str, shown: str) -> None:
    assert diagnosis.redact(text) == shown


def test_redacted_text_is_bounded() -> None:
    assert len(diagnosis.redact("x" * 10_000)) <= 500
