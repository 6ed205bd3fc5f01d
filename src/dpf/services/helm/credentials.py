"""Which credentials and certificates Argo CD's configuration has for a chart repository.

Pure. Called by the observation of DPUServiceTemplates with what it read in the Argo CD namespace. Source:
behaviour-service.md section 4; the keys are those of Argo CD's declarative setup.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final

from dpf.api.argocd import SECRET_TYPE_LABEL
from dpf.api.core import ConfigMap, Secret
from dpf.services.helm.port import Access, ChartError, Credentials

REPOSITORY_SELECTOR: Final = f"{SECRET_TYPE_LABEL}=repository"
TLS_CERTS: Final = "argocd-tls-certs-cm"
"""Argo CD's ConfigMap of certificates to trust: host name -> PEM."""


def access(secrets: Iterable[Secret], certificates: ConfigMap | None, repository: str) -> Access:
    """How to reach `repository` (URL). Raises ChartError when the Secret meant for it cannot be read."""
    secret = choose(secrets, repository)
    authorities = (certificates.data or {}) if certificates is not None else {}
    return Access(credentials=_credentials(secret) if secret is not None else None, authorities=authorities)


def choose(secrets: Iterable[Secret], repository: str) -> Secret | None:
    """The Secret of type `helm` whose url is `repository`, not counting oci:// and slashes at the end.

    Of several the first by name counts, so that every pass takes the same. None means: ask anonymously.
    """
    wanted = _comparable(repository)
    found = (s for s in secrets if _is_repository(s) and _comparable(_text(s, "url", "")) == wanted)
    return min(found, key=lambda s: (s.metadata.namespace or "", s.metadata.name), default=None)


def _is_repository(secret: Secret) -> bool:
    labelled = (secret.metadata.labels or {}).get(SECRET_TYPE_LABEL) == "repository"
    return labelled and _text(secret, "type", "") == "helm"


def _comparable(url: str) -> str:
    return url.strip().removeprefix("oci://").rstrip("/")


def _credentials(secret: Secret) -> Credentials:
    values = {key: _text(secret, key, None) for key in (
        "username", "password", "tlsClientCertData", "tlsClientCertKey", "insecure",
    )}
    return Credentials(
        username=values["username"], password=values["password"], certificate_pem=values["tlsClientCertData"],
        key_pem=values["tlsClientCertKey"], insecure=values["insecure"].strip().lower() == "true",
    )


def _text(secret: Secret, key: str, unreadable: str | None) -> str:
    """A value as text, empty when there is none. What is no text becomes `unreadable`, or a ChartError for None."""
    try:
        return base64.b64decode((secret.data or {}).get(key, ""), validate=True).decode()
    except ValueError:
        if unreadable is not None:
            return unreadable
    where = f"{secret.metadata.namespace}/{secret.metadata.name}"
    raise ChartError(f"repository Secret {where}: its {key} is not text; correct the Secret", retryable=False)
