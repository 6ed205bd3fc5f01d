"""The credential inside a Secret: what it was made from, whether it is whole, and when it has to be renewed.

Pure. Beside the data, a Secret carries one annotation, the `Mark`, written in the same request. So a process that was
killed between the Secret and the status finds out what it has, and a Secret that was edited by hand is noticed. The
status carries the times too; where the two disagree, the token is issued anew. Where it has none, those of the mark
count.

Ages are measured on our own clock alone: the mark has the time of our request. The end that a server tells is in that
server's time, which may be hours from ours; a clock that was set wrong meanwhile costs one more renewal.
Source: behaviour-service.md section 7 (80 % of the life, 24 h, 10 s), section 11 race 12.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from dpf.api import core, names
from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest, SecretType
from dpf.api.meta import Key, Object, object_key
from dpf.runtime import digest
from dpf.services.credentialrequest.snapshot import Endpoint, Place, Snapshot
from dpf.services.credentialrequest.wanted import Wanted

MARK_ANNOTATION: Final = "svc.dpu.nvidia.com/credential"
MANAGED_BY: Final = "dpuservicecredentialrequestcontroller"
KEYS: Final[Mapping[SecretType, tuple[str, ...]]] = {
    SecretType.KUBECONFIG: ("kubeconfig",),
    SecretType.TOKEN_FILE: ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBERNETES_CA_DATA", "TOKEN_FILE"),
}
"""Data keys of each layout; others in the Secret are somebody else's."""

RENEW_AFTER: Final = 0.8
"""Part of its life after which a token is renewed."""
OLDEST_S: Final = 24 * 3600.0
JITTER_S: Final = 10.0
CLOCK_STEP_S: Final = 60.0
"""A request that lies further in the future was made with another clock."""
PAUSE_S: Final = 10.0
"""Between two tokens when the first one's Secret did not stay as it was written."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What a Secret says about its own data. Times are RFC 3339; digests are short and give nothing away.

    `issued` and `expires` are the server's times, `requested` is ours. `inputs`: everything the data was made from.
    `data`: the data itself. `metadata`: labels and annotations that the spec asked for. `asked_s`: the life that was
    asked for, which is not always granted; None where that was left to the server. `secret`: where it was written, as
    `namespace/name`; in a copy that somebody made, it names another Secret.
    """

    issued: str
    expires: str
    requested: str
    inputs: str
    data: str
    metadata: str
    asked_s: int | None = None
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Begin and end of a token in the server's time, RFC 3339."""

    issued: str
    expires: str


def read_mark(secret: core.Secret) -> Mark | None:
    """The mark of `secret`; None when there is none that makes sense."""
    text = (secret.metadata.annotations or {}).get(MARK_ANNOTATION, "")
    try:
        mark = msgspec.json.decode(text, type=Mark)
        for moment in (mark.issued, mark.expires, mark.requested):
            if datetime.fromisoformat(moment).tzinfo is None:
                return None
    except ValueError:
        return None
    return mark


def write_mark(mark: Mark) -> str:
    """The annotation's value."""
    return msgspec.json.encode(mark, order="sorted").decode()


def inputs_digest(wanted: Wanted, account_uid: str, cluster_uid: str, endpoint: Endpoint) -> str:
    """Everything but the token's life, and the name and the metadata of the Secret; another value means a new token."""
    return digest.short(
        wanted.type, str(wanted.account), account_uid, str(wanted.target), cluster_uid,
        [endpoint.cluster_name, endpoint.server, endpoint.ca_data, endpoint.insecure, endpoint.tls_server_name],
    )


def data_digest(type_: SecretType, data: Mapping[str, str] | None) -> str:
    """The data of our keys, as base64."""
    return digest.short({key: (data or {}).get(key) for key in KEYS[type_]})


def metadata_digest(wanted: Wanted) -> str:
    """Labels and annotations that the spec asks for: what it asks for no more has to go."""
    return digest.short(dict(wanted.labels), dict(wanted.annotations))


def owner_labels(request: Key) -> dict[str, str]:
    """Labels of everything that is made for `request` (api-svc.md section 0)."""
    return {
        names.MANAGED_BY_CONTROLLER_LABEL: MANAGED_BY,
        names.CREDENTIAL_REQUEST_NAME_LABEL: request.name,
        names.CREDENTIAL_REQUEST_NAMESPACE_LABEL: request.namespace,
    }


def owner_of(obj: Object) -> Key | None:
    """The request for which `obj` was made, by its labels."""
    labels = obj.metadata.labels or {}
    name, namespace = (
        labels.get(names.CREDENTIAL_REQUEST_NAME_LABEL), labels.get(names.CREDENTIAL_REQUEST_NAMESPACE_LABEL)
    )
    return Key(namespace, name) if name and namespace else None


def belongs(obj: Object, request: DPUServiceCredentialRequest, recorded: str | None) -> bool:
    """Whether `obj` is the request's own. `recorded` is the name that its status has for it, `namespace/name`.

    Its labels decide. Without them it is the request's own only where the status says that it was made: labels were
    removed by hand, or it is older than they are.
    """
    owner = owner_of(obj)
    return owner == object_key(request) if owner is not None else recorded == str(object_key(obj))


def secret_belongs(secret: core.Secret, request: DPUServiceCredentialRequest) -> bool:
    """As `belongs`; a Secret without our labels must at least carry our mark: names are soon taken by somebody else."""
    recorded = request.status.secret if MARK_ANNOTATION in (secret.metadata.annotations or {}) else None
    return belongs(secret, request, recorded)


def is_copy(secret: core.Secret) -> bool:
    """Whether somebody copied `secret`, labels and all, from one of ours: it is theirs to remove."""
    mark = read_mark(secret)
    return mark is not None and mark.secret not in {"", str(object_key(secret))}


def held(snapshot: Snapshot, wanted: Wanted) -> core.Secret | None:
    """The Secret with the credential that is wanted, whole and as the status says, by whatever name; None: issue one.

    Whether it is due for renewal is another question (`wait_s`).
    """
    inputs = current_inputs(snapshot.target, wanted)
    candidates = (snapshot.secret, *snapshot.others) if inputs else ()
    for secret in candidates:
        if secret is not None and secret_belongs(secret, snapshot.request) and _is_whole(
            secret, wanted, inputs, snapshot.request
        ):
            return secret
    return None


def current_inputs(target: Place | None, wanted: Wanted) -> str | None:
    """The digest of what a credential would be made from now; None while that is not known."""
    if target is None or not isinstance(target.account, core.ServiceAccount):
        return None
    if not isinstance(target.endpoint, Endpoint):
        return None
    return inputs_digest(wanted, target.account.metadata.uid or "", target.uid, target.endpoint)


def wait_s(mark: Mark, request_uid: str, now: datetime) -> float:
    """Seconds until the token has to be renewed; 0 when it is due."""
    age_s = (now - datetime.fromisoformat(mark.requested)).total_seconds()
    if age_s < -CLOCK_STEP_S:
        return 0.0
    return max(0.0, min(RENEW_AFTER * _granted_s(mark), OLDEST_S) - jitter_s(request_uid) - age_s)


def pause_s(secret: core.Secret | None, request: DPUServiceCredentialRequest, now: datetime) -> float:
    """Seconds to wait before the next token is asked for; 0 almost always.

    Something that changes the Secret whenever it is written (an admission plug-in, another controller) would otherwise
    make us issue tokens as fast as the API servers answer. A Secret that is gone, and a spec that has changed, wait for
    nothing. A cluster whose clock differs from ours by more than the pause is not waited for either.
    """
    if secret is None or _is_as_written(secret):
        return 0.0
    try:
        issued = datetime.fromisoformat(request.status.issuedAt or "")
    except ValueError:
        return 0.0
    return max(0.0, PAUSE_S - abs((now - issued).total_seconds())) if issued.tzinfo else 0.0


def jitter_s(request_uid: str) -> float:
    """0 to 10 s, always the same for one request: those that were made together are not renewed together."""
    return int.from_bytes(hashlib.sha256(request_uid.encode()).digest()[:4]) / 2**32 * JITTER_S


def _granted_s(mark: Mark) -> float:
    return (datetime.fromisoformat(mark.expires) - datetime.fromisoformat(mark.issued)).total_seconds()


def _is_as_written(secret: core.Secret) -> bool:
    """Whether the data is what the mark says, in whichever layout."""
    mark = read_mark(secret)
    return mark is not None and any(mark.data == data_digest(type_, secret.data) for type_ in KEYS)


def _is_whole(
    secret: core.Secret, wanted: Wanted, inputs: str | None, request: DPUServiceCredentialRequest
) -> bool:
    mark, status = read_mark(secret), request.status
    return (
        mark is not None
        and mark.inputs == inputs
        and wanted.life_s in {None, mark.asked_s, _granted_s(mark)}
        and mark.data == data_digest(wanted.type, secret.data)
        and (status.issuedAt, status.expirationTimestamp) in {(mark.issued, mark.expires), (None, None)}
    )
