"""Which signing requests are approved (design.md section 12). Whatever is a little different is left alone."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID
from tests.support import joins

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.meta import Condition, Key
from dpf.provisioning.agentcsr import plan, request
from dpf.provisioning.agentcsr.snapshot import Requester, Snapshot
from dpf.provisioning.join import identity

DPU_ = joins.a_dpu()
USER = identity.agent_name(joins.NAME)
GROUPS = identity.agent_groups(joins.UID)


def snapshot(
    csr: core.CertificateSigningRequest, *, dpu: DPU | None = DPU_, uid: str | None = joins.UID,
) -> Snapshot:
    requester = Requester(dpu=Key(joins.NAMESPACE, joins.NAME), uid=uid) if uid else None
    return Snapshot(csr=csr, asked=request.read(csr), requester=requester, dpu=dpu)


def is_approved(seen: Snapshot) -> bool:
    return [action for step in plan.plan(seen).steps for action in step.actions] != []


def asking(*names: str, groups: tuple[str, ...] = GROUPS, **more: Any) -> core.CertificateSigningRequest:
    return joins.a_csr(DPU_, request=joins.a_pkcs10(names, groups, **more))


def test_an_agent_gets_what_it_asks_for_with_its_token() -> None:
    (step,) = plan.plan(snapshot(joins.a_csr(DPU_))).steps
    (action,) = step.actions
    assert action.because == (
        "The agent on DPU dpf-operator-system/worker-1-mt2402xz0001 asks for its own certificate."
    )


def test_an_extension_that_is_there_twice_is_no_request_of_an_agent() -> None:
    """What the library cannot make sense of, it tells in ways of its own."""
    usage = x509.Extension(
        ExtensionOID.EXTENDED_KEY_USAGE, False, x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]),
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, USER)])
    built = x509.CertificateSigningRequestBuilder(name, [usage, usage])
    signed = built.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    pem = base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()
    assert request.read(joins.a_csr(DPU_, request=pem)) is None


def test_an_agent_renews_with_its_certificate() -> None:
    csr = joins.a_csr(DPU_, username=USER, groups=[*GROUPS, "system:authenticated"])
    assert is_approved(snapshot(csr))


def test_the_order_of_groups_and_further_harmless_usages_do_not_matter() -> None:
    csr = joins.a_csr(
        DPU_, request=joins.a_pkcs10([USER], tuple(reversed(GROUPS))),
        usages=["client auth", "key encipherment", "digital signature"],
    )
    assert is_approved(snapshot(csr))


@pytest.mark.parametrize("csr", [
    pytest.param(asking("da-another"), id="another user"),
    pytest.param(asking("kubernetes-admin"), id="administrator"),
    pytest.param(asking(USER, "da-another"), id="two users"),
    pytest.param(asking(groups=GROUPS), id="no user"),
    pytest.param(asking(USER, groups=(*GROUPS, "system:masters")), id="a group too many"),
    pytest.param(asking(USER, groups=GROUPS[:1]), id="a group too few"),
    pytest.param(asking(USER, groups=(*GROUPS, GROUPS[0])), id="a group twice"),
    pytest.param(asking(USER, groups=identity.agent_groups("another-uid")), id="another DPU's group"),
    pytest.param(asking(USER, units=("unit",)), id="more in the subject"),
    pytest.param(asking(USER, sans=("kubernetes.default",)), id="a name to serve"),
    pytest.param(joins.a_csr(DPU_, usages=["server auth"]), id="server"),
    pytest.param(joins.a_csr(DPU_, usages=["client auth", "server auth"]), id="client and server"),
    pytest.param(joins.a_csr(DPU_, usages=["digital signature"]), id="not for clients"),
    pytest.param(joins.a_csr(DPU_, usages=None), id="no usage"),
    pytest.param(
        joins.a_csr(DPU_, signerName="kubernetes.io/kube-apiserver-client-kubelet"), id="signer for kubelets"
    ),
    pytest.param(joins.a_csr(DPU_, signerName="example.com/signer"), id="somebody's signer"),
    pytest.param(
        joins.a_csr(DPU_, groups=["system:bootstrappers:kubeadm:default-node-token"]), id="a node's token"
    ),
    pytest.param(joins.a_csr(DPU_, request="not base64!"), id="not base64"),
    pytest.param(joins.a_csr(DPU_, request=base64.b64encode(b"no PEM").decode()), id="no PEM"),
])
def test_whatever_else_is_asked_for_is_left_alone(csr: core.CertificateSigningRequest) -> None:
    assert not is_approved(snapshot(csr))


@pytest.mark.parametrize(("dpu", "uid"), [
    pytest.param(None, joins.UID, id="the DPU is gone"),
    pytest.param(joins.a_dpu(uid="another"), joins.UID, id="another DPU of that name"),
    pytest.param(joins.a_dpu(deleting=True), joins.UID, id="the DPU is being deleted"),
    pytest.param(DPU_, None, id="nobody of ours"),
    pytest.param(DPU_, "another", id="another DPU's token"),
])
def test_the_dpu_must_be_the_one_that_the_requester_speaks_for(dpu: DPU | None, uid: str | None) -> None:
    assert not is_approved(snapshot(joins.a_csr(DPU_), dpu=dpu, uid=uid))


@pytest.mark.parametrize("status", [
    core.CertificateSigningRequestStatus(certificate="LS0t"),
    core.CertificateSigningRequestStatus(conditions=[Condition(type="Denied", status="True", reason="Policy")]),
    core.CertificateSigningRequestStatus(conditions=[Condition(type="Approved", status="True", reason="Mine")]),
], ids=["signed", "denied", "approved"])
def test_what_is_answered_is_not_looked_at(status: core.CertificateSigningRequestStatus) -> None:
    answered = core.CertificateSigningRequest(spec=joins.a_csr(DPU_).spec, status=status)
    assert not plan.concerns(answered)
    assert plan.concerns(joins.a_csr(DPU_))
