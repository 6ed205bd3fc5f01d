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
], ids=["certificate", "chart", "credentials", "network", "template"])
def test_the_cause_comes_first_and_the_next_step_follows(cause: str, advice: str) -> None:
    said = diagnosis.explain(WRAPPED.format(cause))
    assert said.startswith(cause)
    assert advice in said
    assert said.endswith(".")


def test_what_nobody_knows_is_quoted_as_it_is() -> None:
    assert diagnosis.explain("2 pods crash") == "2 pods crash"


@pytest.mark.parametrize(("text", "shown"), [
    ("GET https://robot:hunter2@charts.example/index.yaml: 401", "GET https://***@charts.example/index.yaml: 401"),
    ("authorization: Bearer abc.def failed", "authorization: Bearer *** failed"),
    ("got Bearer abc.def", "got Bearer ***"),
    ("password=hunter2 refused", "password=*** refused"),
    ("access_token: abc", "access_token: ***"),
    ("Secret tenant/x not found", "Secret tenant/x not found"),
    ("token expired", "token expired"),
    ("two\n  lines", "two lines"),
])
def test_redact(text: str, shown: str) -> None:
    assert diagnosis.redact(text) == shown


def test_redacted_text_is_bounded() -> None:
    assert len(diagnosis.redact("x" * 10_000)) <= 500
