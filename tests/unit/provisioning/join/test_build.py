"""Tokens, rights and endpoints of a DPU that joins, as values."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import yaml
from cryptography import x509
from tests.support import joins

from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.kube.client import Endpoint
from dpf.local.pki import certificates
from dpf.provisioning.flavor.facts import Join, parse_join
from dpf.provisioning.join import build, endpoint, identity
from dpf.provisioning.join.endpoint import EndpointError
from dpf.provisioning.join.identity import TokenFor

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DPU_ = joins.a_dpu()
PINS = ("sha256:" + "a" * 64, "sha256:" + "b" * 64)


def stored(secret: core.Secret) -> core.Secret:
    """As an API server returns it."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in (secret.stringData or {}).items()}
    return msgspec.structs.replace(secret, stringData=None, data=data)


def a_token(life: timedelta, *, token_id: str = "abcdef", purpose: TokenFor = TokenFor.NODE) -> core.Secret:
    return stored(build.token_secret(DPU_, purpose, token_id, "0123456789abcdef", NOW + life))


def test_a_token_reads_back_as_it_was_made() -> None:
    token = build.read_token(a_token(build.TTL))
    assert token is not None
    assert (token.name, token.bearer, token.expires) == (
        "bootstrap-token-abcdef", "abcdef.0123456789abcdef", NOW + timedelta(hours=2)
    )
    assert "0123456789abcdef" not in repr(token)


def test_a_nodes_token_may_join_and_an_agents_token_may_only_ask_for_a_certificate() -> None:
    node, agent = (a_token(build.TTL, purpose=purpose) for purpose in TokenFor)
    assert joins.plain(node, "auth-extra-groups") == "system:bootstrappers:kubeadm:default-node-token"
    assert joins.plain(node, "usage-bootstrap-signing") == "true"
    assert joins.plain(agent, "auth-extra-groups") == "system:bootstrappers:dpf:dpu-agents"
    assert joins.plain(agent, "usage-bootstrap-signing") == "false"
    assert [made.metadata.labels for made in (node, agent)] == [
        {
            "provisioning.dpu.nvidia.com/dpu-uid": joins.UID, "provisioning.dpu.nvidia.com/dpu-name": joins.NAME,
            "provisioning.dpu.nvidia.com/dpu-namespace": joins.NAMESPACE,
            "provisioning.dpu.nvidia.com/bootstrap-token-for": purpose,
        }
        for purpose in ("node", "agent")
    ]


def test_a_dpu_with_a_long_name_gets_labels_that_kubernetes_accepts() -> None:
    long = joins.a_dpu("x" * 253)
    assert max(len(value) for value in identity.labels(long).values()) == 63
    assert len(identity.agent_name("x" * 253)) == 64
    assert identity.agent_name("x" * 253) != identity.agent_name("x" * 252)


def test_the_longest_lasting_token_counts_if_it_lasts_for_half_its_life() -> None:
    tokens = [a_token(timedelta(minutes=minutes), token_id=f"id{minutes:04}") for minutes in (59, 60, 61)]
    best = build.best_token(tokens, NOW)
    assert best is not None
    assert best.id == "id0061"
    assert build.best_token(tokens[:1], NOW) is None


@pytest.mark.parametrize("secret", [
    core.Secret(metadata=ObjectMeta(name="bootstrap-token-abcdef"), type="Opaque", data={}),
    msgspec.structs.replace(a_token(build.TTL), metadata=ObjectMeta(name="bootstrap-token-other1")),
    msgspec.structs.replace(a_token(build.TTL), data={}),
    msgspec.structs.replace(a_token(build.TTL), data={**(a_token(build.TTL).data or {}), "expiration": "bm8="}),
    msgspec.structs.replace(a_token(build.TTL), data={**(a_token(build.TTL).data or {}), "token-secret": "%%"}),
], ids=["type", "name", "empty", "expiration", "not base64"])
def test_a_damaged_token_counts_for_nothing(secret: core.Secret) -> None:
    assert build.read_token(secret) is None


def test_the_join_secret_holds_the_documented_command_and_goes_with_its_dpu() -> None:
    join = Join(server="192.0.2.1:6443", token="abcdef.0123456789abcdef", pins=PINS)
    secret = build.join_secret(DPU_, join)
    assert secret.metadata.name == f"{joins.NAME}-kubeadm-join"
    assert joins.plain(secret, "join") == (
        "kubeadm join 192.0.2.1:6443 --token abcdef.0123456789abcdef --v=5 "
        f"--discovery-token-ca-cert-hash {PINS[0]} --discovery-token-ca-cert-hash {PINS[1]}"
    )
    assert parse_join(joins.plain(secret, "join")) == join
    assert [(owner.kind, owner.uid) for owner in secret.metadata.ownerReferences or ()] == [("DPU", joins.UID)]


def test_an_agent_may_read_its_dpu_and_report_on_it() -> None:
    role, binding = build.agent_role(DPU_), build.agent_binding(DPU_)
    assert [(rule.verbs, rule.resources, rule.resourceNames) for rule in role.rules or ()] == [
        (["get"], ["dpus"], [joins.NAME]), (["patch"], ["dpus/status"], [joins.NAME]),
    ]
    assert role.metadata.name == binding.roleRef.name == f"da-{joins.NAME}"


def test_rights_hang_on_the_uid_and_on_nothing_that_a_namesake_has() -> None:
    namesake = joins.a_dpu(namespace="elsewhere", uid="another")
    assert identity.agent_name(namesake.metadata.name) == identity.agent_name(joins.NAME)
    assert build.agent_binding(namesake).subjects != build.agent_binding(DPU_).subjects
    assert [(subject.kind, subject.name) for subject in build.agent_binding(DPU_).subjects or ()] == [
        ("Group", f"dpf:dpu-agent:{joins.UID}")
    ]


@pytest.mark.parametrize(("server", "host_port"), [
    ("https://192.0.2.1:6443", "192.0.2.1:6443"),
    ("https://api.example.com", "api.example.com:443"),
    ("https://api.example.com/", "api.example.com:443"),
    ("https://[2001:db8::1]:6443", "[2001:db8::1]:6443"),
])
def test_the_server_is_told_as_host_and_port(server: str, host_port: str) -> None:
    assert endpoint.host_port(Endpoint(server=server)) == host_port


@pytest.mark.parametrize("server", ["http://192.0.2.1:6443", "https://", "https://a/k8s/clusters/1", "https://a:99999"])
def test_a_server_that_kubeadm_cannot_join_is_refused(server: str) -> None:
    with pytest.raises(EndpointError, match="API server"):
        endpoint.host_port(Endpoint(server=server))


def test_each_authority_is_pinned_by_its_public_key() -> None:
    one, two = joins.a_ca("one"), joins.a_ca("two")
    found = endpoint.pins(Endpoint(server="https://a", ca_pem=one + two))
    assert list(found) == [certificates.spki_pin(x509.load_pem_x509_certificate(pem)) for pem in (one, two)]


@pytest.mark.parametrize(("ca_pem", "why"), [
    (None, "names no certificate authority"), (b"", "names no certificate authority"), (b"junk", "is no PEM"),
])
def test_without_an_authority_nobody_can_be_told_whom_to_trust(ca_pem: bytes | None, why: str) -> None:
    with pytest.raises(EndpointError, match=why):
        endpoint.pins(Endpoint(server="https://a", ca_pem=ca_pem))


def test_what_a_cluster_publishes_for_joiners_is_understood() -> None:
    authority = joins.a_ca()
    text = yaml.safe_dump({"clusters": [{"name": "", "cluster": {
        "server": "https://10.0.0.1:6443", "certificate-authority-data": base64.b64encode(authority).decode(),
    }}]})
    found = endpoint.published(core.ConfigMap(data={"kubeconfig": text}))
    assert found == Endpoint(server="https://10.0.0.1:6443", ca_pem=authority)


@pytest.mark.parametrize("data", [None, {}, {"kubeconfig": "{"}, {"kubeconfig": "clusters: []"}, {"kubeconfig": "- a"}])
def test_what_is_no_kubeconfig_publishes_nothing(data: dict[str, str] | None) -> None:
    assert endpoint.published(core.ConfigMap(data=data)) is None
