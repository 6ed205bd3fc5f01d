"""Who is behind a signing request: read from the token that it was made with, or from the requester's certificate.

Token and DPU are read from the API server: one that was just revoked must not pass because a cache is late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.meta import Key, object_key
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.provisioning.agentcsr import request
from dpf.provisioning.agentcsr.snapshot import Requester, Snapshot
from dpf.provisioning.dpucluster.bootstrap import TOKEN_NAMESPACE, TOKEN_SECRET_PREFIX
from dpf.provisioning.join import identity
from dpf.provisioning.join.identity import TokenFor

DPUsByUid = Callable[[str], Iterable[DPU]]


async def snapshot_of(host: Client, by_uid: DPUsByUid, csr: core.CertificateSigningRequest) -> Snapshot:
    """`by_uid` finds the DPU of a requester that shows a certificate. Raises kube.errors.Error."""
    user = csr.spec.username or ""
    if user.startswith(identity.BOOTSTRAP_USER_PREFIX):
        requester = await _by_token(host, user.removeprefix(identity.BOOTSTRAP_USER_PREFIX))
    else:
        requester = _by_certificate(by_uid, user, csr.spec.groups or ())
    dpu = await _dpu(host, requester.dpu) if requester is not None else None
    return Snapshot(csr=csr, asked=request.read(csr), requester=requester, dpu=dpu)


async def _by_token(host: Client, token_id: str) -> Requester | None:
    """The DPU for whose agent the token was made; None for any other token."""
    try:
        secret = await host.get(core.Secret, f"{TOKEN_SECRET_PREFIX}{token_id}", TOKEN_NAMESPACE)
    except errors.NotFound:
        return None
    labels, annotations = secret.metadata.labels or {}, secret.metadata.annotations or {}
    uid, dpu = labels.get(identity.DPU_UID_LABEL), annotations.get(identity.DPU_ANNOTATION, "")
    namespace, _, name = dpu.partition("/")
    if labels.get(identity.TOKEN_FOR_LABEL) != TokenFor.AGENT or not (uid and namespace and name):
        return None
    return Requester(dpu=Key(namespace, name), uid=uid)


def _by_certificate(by_uid: DPUsByUid, user: str, groups: Iterable[str]) -> Requester | None:
    """The DPU in whose group the requester is, if the requester also has the name of its agent."""
    prefix = identity.AGENT_GROUP_PREFIX
    uids = [group.removeprefix(prefix) for group in groups if group.startswith(prefix)]
    if len(uids) != 1:
        return None
    for dpu in by_uid(uids[0]):
        if user == identity.agent_name(dpu.metadata.name):
            return Requester(dpu=object_key(dpu), uid=uids[0])
    return None


async def _dpu(host: Client, key: Key) -> DPU | None:
    try:
        return await host.get(DPU, key.name, key.namespace)
    except errors.NotFound:
        return None
