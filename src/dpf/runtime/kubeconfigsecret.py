"""The Secret with a DPUCluster's kubeconfig: where it is, what it holds, and the documented words for one that fails.

Pure, and the only judge of such Secrets: `clusterfollower` asks it before it connects, the health check before it
probes, services before they tell Argo CD about a cluster. A kubeconfig comes out of an API object and is not trusted:
it may not name files or programs (`kube.kubeconfig`). No text made here holds a value of the Secret.

Sources: behaviour-service.md section 8 (texts), resolutions.md row 5 (keys).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Final

from dpf.api.core import Secret
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Key, object_key
from dpf.kube import errors, kubeconfig

KEYS: Final = ("super-admin.conf", "admin.conf")
"""Data keys in order of preference; managers write both."""
NOT_NAMED: Final = "spec.kubeconfig is not set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usable:
    """A kubeconfig one can connect with; `identity` is the same for another program that wants to."""

    connection: kubeconfig.Connection = field(repr=False)
    identity: kubeconfig.Identity = field(repr=False)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self.connection.server


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Why the Secret cannot be used, and the next step."""

    why: str
    advice: str


def secret_key(cluster: DPUCluster) -> Key | None:
    """The Secret with the cluster's kubeconfig; None while its cluster manager has not named one."""
    name = cluster.spec.kubeconfig
    return Key(cluster.metadata.namespace or "", name) if name else None


def missing(secret: Key) -> Unusable:
    """The Secret that spec.kubeconfig names is not there."""
    return Unusable(
        why=f"secret {secret}, which spec.kubeconfig names, does not exist",
        advice=f"create it with the administrator's kubeconfig under the key {KEYS[0]}",
    )


def judge(secret: Secret) -> Usable | Unusable:
    """Whether `secret` holds a kubeconfig one can connect with."""
    where = object_key(secret)
    try:
        config = _parse(secret)
        return Usable(
            connection=kubeconfig.connection(config, trusted=False), identity=kubeconfig.single_identity(config)
        )
    except errors.CredentialsError as error:
        return Unusable(
            why=error.message,
            advice=f"put a kubeconfig with one cluster and one user into data.{KEYS[0]} of secret {where}",
        )


def content(secret: Secret) -> bytes:
    """The kubeconfig that `secret` holds for exactly one user and one cluster. Raises CredentialsError."""
    _parse(secret)
    _, raw = _raw(secret)
    return raw


def _parse(secret: Secret) -> kubeconfig.Kubeconfig:
    key, raw = _raw(secret)
    parsed = kubeconfig.parse(raw, source=f"secret {object_key(secret)}, data.{key}")
    if len(parsed.users) != 1:
        raise errors.CredentialsError("secret not in the expected format: auth info list should have one member")
    if len(parsed.clusters) != 1:
        raise errors.CredentialsError("secret not in the expected format: cluster list should have one member")
    return parsed


def _raw(secret: Secret) -> tuple[str, bytes]:
    where, data = object_key(secret), secret.data or {}
    key = next((k for k in KEYS if k in data), None)
    if key is None:
        raise errors.CredentialsError(f"secret {where} not in the expected format: data.{KEYS[0]} not found")
    try:
        return key, base64.b64decode(data[key], validate=True)
    except ValueError:  # binascii.Error, or text that is not ASCII
        raise errors.CredentialsError(
            f"secret {where} not in the expected format: data.{key} is not base64"
        ) from None
