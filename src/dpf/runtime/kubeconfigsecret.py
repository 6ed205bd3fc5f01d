"""Which bytes of a DPUCluster's Secret are its kubeconfig, and the documented words for one that has none.

Pure. `clusterfollower` calls it before it connects. It looks at the outer form only; whether the kubeconfig can be used
is decided by `kube.kubeconfig`. No text made here holds a value of the Secret.

Sources: behaviour-service.md section 8 (texts), resolutions.md row 5 (keys).
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from dpf.api.core import Secret
from dpf.kube import errors, kubeconfig

KEYS: Final = ("super-admin.conf", "admin.conf")
"""Data keys in order of preference; managers write both."""


def content(secret: Secret) -> bytes:
    """The kubeconfig that `secret` holds for exactly one user and one cluster. Raises CredentialsError."""
    where = f"{secret.metadata.namespace}/{secret.metadata.name}"
    data = secret.data or {}
    key = next((k for k in KEYS if k in data), None)
    if key is None:
        raise errors.CredentialsError(f"secret {where} not in the expected format: data.{KEYS[0]} not found")
    try:
        raw = base64.b64decode(data[key], validate=True)
    except binascii.Error:
        raise errors.CredentialsError(
            f"secret {where} not in the expected format: data.{key} is not base64"
        ) from None
    parsed = kubeconfig.parse(raw, source=f"secret {where}, data.{key}")
    if len(parsed.users) != 1:
        raise errors.CredentialsError("secret not in the expected format: auth info list should have one member")
    if len(parsed.clusters) != 1:
        raise errors.CredentialsError("secret not in the expected format: cluster list should have one member")
    return raw
