"""What Argo CD reports about an Application, in words that help: the innermost cause, and what to do about it.

Pure. Argo CD wraps a cause in the words of every layer it came through (controller, gRPC, command line of helm); the
cause is at the end. Called by `dpuservice.readiness`.
"""

from __future__ import annotations

import re
from typing import Final

_LIMIT: Final = 500
_USER_IN_URL: Final = re.compile(r"(?<=://)[^\s/]+@")
_HEADER: Final = re.compile(r"(?i)(\bauthorization[\"']?[ \t]*[=:][ \t]*)(?!\s)[^\r\n]+")
"""A header goes on to the end of its line."""
_NAMES: Final = (
    r"(?:\w*password|passwd|\w*token|\w*client[-_]?secret|\w*secret[-_]?(?:access[-_]?)?key"
    r"|\w*(?:access|api|private)[-_]?key)"
)
_SECRET_VALUE: Final = re.compile(
    rf"(?i)(\b{_NAMES}[\"']?\s*[=:]\s*|--(?:[\w-]*-)?{_NAMES}\s+|\bbearer |\bbasic (?=\S*[\d=]))"
    r"(?:\"[^\"]*\"|'[^']*'|\S+)"
)
_WRAPPERS: Final = re.compile(r".*(?:failed exit status \d+: Error: |rpc error: code = \w+ desc = )", re.DOTALL)

_OCI_UNKNOWN: Final = (
    "Argo CD does not know that the repository is an OCI registry: add a Secret labelled"
    ' argocd.argoproj.io/secret-type: repository to its namespace, with type helm, enableOCI "true" and the url'
    " without oci://."
)
_ADVICE: Final = (
    (
        re.compile(r"invalid chart URL format", re.IGNORECASE),
        _OCI_UNKNOWN,
    ),
    (
        re.compile(r"x509|certificate", re.IGNORECASE),
        "Give Argo CD the certificate authority of the repository, or correct spec.helmChart.source.repoURL.",
    ),
    (
        re.compile(r"\b(401|403|unauthorized|forbidden|authentication required)\b", re.IGNORECASE),
        "Give Argo CD credentials for the repository: a Secret labelled argocd.argoproj.io/secret-type: repository.",
    ),
    (
        re.compile(r"connection refused|no such host|i/o timeout|dial tcp|network is unreachable", re.IGNORECASE),
        "Check spec.helmChart.source.repoURL, and that Argo CD can reach it.",
    ),
    (
        re.compile(r"\bchart\b.*\bnot found|no chart version|not found in .*(index|repository)|manifest unknown",
                   re.IGNORECASE | re.DOTALL),
        "Check spec.helmChart.source: chart and version must exist in the repository.",
    ),
    (
        re.compile(r"template:|parse error|values don't meet the specifications of the schema", re.IGNORECASE),
        "Check spec.helmChart.values and spec.serviceDaemonSet against the chart.",
    ),
)


def explain(message: str) -> str:
    """`message` of Argo CD as one sentence and the next step, on one line, without anything like a credential."""
    told = innermost(message)
    cause = redact(told)
    advice = next((text for pattern, text in _ADVICE if pattern.search(told)), "")
    return f"{cause}{'' if cause.endswith(('.', '...')) else '.'} {advice}" if advice else cause


def innermost(message: str) -> str:
    """The end of `message`, behind the last layer that only repeats what was tried."""
    return _WRAPPERS.sub("", message)


def redact(text: str) -> str:
    """`text` of a foreign program without what looks like credentials, on one line, cut to a bearable length.

    The middle is cut: the beginning names what was done, the end why it failed.
    """
    lines = _HEADER.sub(r"\1***", _USER_IN_URL.sub("***@", text))
    hidden = _SECRET_VALUE.sub(r"\1***", " ".join(lines.split()))
    if len(hidden) <= _LIMIT:
        return hidden
    half = (_LIMIT - 5) // 2
    return f"{hidden[:half]} ... {hidden[-half:]}"
