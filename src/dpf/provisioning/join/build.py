"""The objects that let a DPU in, and what is read back from them. Called by the effects of this package.

Pure; randomness and time come in as arguments. Source: behaviour-provisioning.md 5.7 and 12.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.meta import Object, ObjectMeta
from dpf.provisioning.dpucluster import bootstrap
from dpf.provisioning.flavor.facts import Join, JoinCommandError, parse_join
from dpf.provisioning.join import identity
from dpf.provisioning.join.identity import TokenFor

TTL: Final = timedelta(hours=2)
"""Life of a token: it has to outlive the flashing (behaviour-provisioning.md 12)."""
ENOUGH: Final = TTL / 2
"""A token with less left is replaced."""
JOIN_KEY: Final = "join"
BINDING: Final = "dpf:dpu-agents"
"""ClusterRoleBinding: agents may ask for certificates."""

_RBAC: Final = "rbac.authorization.k8s.io"
_ASKING_ROLE: Final = "system:node-bootstrapper"
"""A ClusterRole that each API server has: create, get, list and watch signing requests."""
_TOKEN_TYPE: Final = "bootstrap.kubernetes.io/token"  # noqa: S105 - a Secret type
_ID: Final = re.compile(r"[a-z0-9]{6}")
_SECRET: Final = re.compile(r"[a-z0-9]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bootstrap token that a cluster knows. `name` is its Secret; the secret part is not in the repr."""

    name: str
    id: str
    secret: str = field(repr=False)
    expires: datetime

    @property
    def bearer(self) -> str:
        """As it is sent: `<id>.<secret>`."""
        return f"{self.id}.{self.secret}"


def token_secret(dpu: DPU, purpose: TokenFor, token_id: str, secret: str, expires: datetime) -> core.Secret:
    """The Secret that makes `<token_id>.<secret>` a token of `dpu` until `expires` (aware)."""
    where = f"{dpu.metadata.namespace}/{dpu.metadata.name}"
    description = {
        TokenFor.NODE: f"Lets DPU {where} join this cluster.",
        TokenFor.AGENT: f"Lets the agent on DPU {where} ask for its certificate.",
    }[purpose]
    made = bootstrap.build_bootstrap_token(token_id, secret, expires.astimezone(UTC), description)
    labels = {**identity.labels(dpu), identity.TOKEN_FOR_LABEL: str(purpose)}
    metadata = msgspec.structs.replace(
        made.metadata, labels=labels, annotations={identity.DPU_ANNOTATION: where}
    )
    data = made.stringData or {}
    if purpose is TokenFor.AGENT:
        # Only nodes discover their cluster by a signature: the agent is told the CA.
        data = {**data, "auth-extra-groups": identity.BOOTSTRAP_GROUP, "usage-bootstrap-signing": "false"}
    return msgspec.structs.replace(made, metadata=metadata, stringData=data)


def read_token(secret: core.Secret) -> Token | None:
    """The token that `secret` holds; None when it is no usable one."""
    data = {key: _plain(value) for key, value in (secret.data or {}).items()}
    token_id, token_secret_, text = data.get("token-id", ""), data.get("token-secret", ""), data.get("expiration", "")
    named = secret.metadata.name == f"{bootstrap.TOKEN_SECRET_PREFIX}{token_id}"
    if secret.type != _TOKEN_TYPE or not named or not (_ID.fullmatch(token_id) and _SECRET.fullmatch(token_secret_)):
        return None
    try:
        expires = datetime.fromisoformat(text)
    except ValueError:
        return None
    if expires.tzinfo is None:
        return None
    return Token(name=secret.metadata.name, id=token_id, secret=token_secret_, expires=expires)


def best_token(found: Iterable[core.Secret], now: datetime) -> Token | None:
    """Of the tokens of one DPU the one that lasts longest, if that is long enough; the others are superfluous."""
    tokens = [token for secret in found if secret.metadata.deletionTimestamp is None and (token := read_token(secret))]
    lasting = [token for token in tokens if token.expires - now >= ENOUGH]
    return max(lasting, key=lambda token: (token.expires, token.id), default=None)


def join_secret(dpu: DPU, join: Join) -> core.Secret:
    """The Secret beside the DPU with its join command."""
    command = base64.b64encode(join_command(join).encode()).decode()
    name = identity.join_secret_name(dpu.metadata.name)
    return core.Secret(metadata=_beside(dpu, name), type="Opaque", data={JOIN_KEY: command})


def join_command(join: Join) -> str:
    """The line that makes any machine join; the DPU's own script names its node besides."""
    hashes = " ".join(f"--discovery-token-ca-cert-hash {pin}" for pin in join.pins)
    return f"kubeadm join {join.server} --token {join.token} --v=5 {hashes}"


def joining_token(secret: core.Secret | None) -> str | None:
    """The token in a join Secret; None when there is none that can be read."""
    text = (secret.data or {}).get(JOIN_KEY, "") if secret is not None else ""
    try:
        return parse_join(_plain(text)).token
    except JoinCommandError:
        return None


def agent_role(dpu: DPU) -> core.Role:
    """Reading the one DPU, and reporting on it."""
    plural, group, name = DPU.resource.plural, DPU.resource.group, dpu.metadata.name
    return core.Role(metadata=_beside(dpu, identity.agent_name(name)), rules=[
        core.PolicyRule(verbs=["get"], apiGroups=[group], resources=[plural], resourceNames=[name]),
        core.PolicyRule(verbs=["patch"], apiGroups=[group], resources=[f"{plural}/status"], resourceNames=[name]),
    ])


def agent_binding(dpu: DPU) -> core.RoleBinding:
    """Binds the role to the group of this DPU's agent. Not to the user: a namesake elsewhere has the same."""
    name = identity.agent_name(dpu.metadata.name)
    return core.RoleBinding(
        metadata=_beside(dpu, name), roleRef=core.RoleRef(apiGroup=_RBAC, kind="Role", name=name),
        subjects=[_group(identity.agent_group(dpu.metadata.uid or ""))],
    )


def asking_binding() -> core.ClusterRoleBinding:
    """Lets agents ask for certificates, with their token the first time and with their certificate later."""
    return core.ClusterRoleBinding(
        metadata=ObjectMeta(name=BINDING),
        roleRef=core.RoleRef(apiGroup=_RBAC, kind="ClusterRole", name=_ASKING_ROLE),
        subjects=[_group(identity.BOOTSTRAP_GROUP), _group(identity.AGENTS_GROUP)],
    )


def role_ref(obj: Object) -> core.RoleRef | None:
    """What cannot be changed in a binding."""
    return getattr(obj, "roleRef", None)


def _beside(dpu: DPU, name: str) -> ObjectMeta:
    return ObjectMeta(
        name=name, namespace=dpu.metadata.namespace, labels=identity.labels(dpu), ownerReferences=[identity.owner(dpu)]
    )


def _group(name: str) -> core.Subject:
    return core.Subject(kind="Group", name=name, apiGroup=_RBAC)


def _plain(value: str) -> str:
    """The text of a Secret's value; empty when it is none."""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
