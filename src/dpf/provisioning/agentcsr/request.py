"""A certificate signing request as it was made: whom it is for, and everything else that it asks for.

Pure. Called by `observe`. What cannot be read, or asks for anything unusual, is no request of an agent.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID, NameOID

from dpf.api import core

_STRANGE = (x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)
"""What the library says of requests that it cannot make sense of, beside ValueError."""
_KNOWN_EXTENSIONS = frozenset({ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`others` says that there is more in it than a user and groups: names, addresses, other parts of a subject."""

    common_name: str
    organizations: tuple[str, ...]
    others: bool


def read(csr: core.CertificateSigningRequest) -> Asked | None:
    """What `csr` asks for; None when it cannot be read."""
    try:
        pem = base64.b64decode(csr.spec.request, validate=True)
        request = x509.load_pem_x509_csr(pem)
        return _asked(request)
    except (binascii.Error, ValueError, UnsupportedAlgorithm, *_STRANGE):
        return None


def _asked(request: x509.CertificateSigningRequest) -> Asked:
    names = [attribute for attribute in request.subject if attribute.oid == NameOID.COMMON_NAME]
    groups = [attribute for attribute in request.subject if attribute.oid == NameOID.ORGANIZATION_NAME]
    extensions = {extension.oid for extension in request.extensions}
    return Asked(
        common_name=str(names[0].value) if len(names) == 1 else "",
        organizations=tuple(str(group.value) for group in groups),
        others=len(names) + len(groups) != len(list(request.subject)) or not extensions <= _KNOWN_EXTENSIONS,
    )
