"""The bootstrap against a real API server and controller manager."""

from __future__ import annotations

import asyncio
import base64
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.joinable import Cluster

from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.emulation.join import bootstrap, errors
from dpf.emulation.join import identity as identities
from dpf.emulation.join.bootstrap import JoinConfig
from dpf.emulation.join.identity import Identity
from dpf.emulation.kubelet import nodeclient
from dpf.kube import errors as kube_errors

pytestmark = pytest.mark.parts


def _config(cluster: Cluster, token: str, node: str, **changes: object) -> JoinConfig:
    config = bootstrap.parse_config(node=node, server=cluster.server, token=token, pins=[cluster.pin])
    fields = {name: getattr(config, name) for name in JoinConfig.__slots__}
    return JoinConfig(**{**fields, **changes})  # type: ignore[arg-type]


async def _join(config: JoinConfig) -> Identity:
    return await bootstrap.join(config, nodeclient.connect)


async def test_a_machine_becomes_a_node_that_may_do_only_what_a_node_may(cluster: Cluster) -> None:
    identity = await _join(_config(cluster, await cluster.mint(), "joiner"))
    client = nodeclient.connect(identity.access, node="joiner")
    try:
        created = await client.create(core.Node(metadata=ObjectMeta(name="joiner")))
        assert created.metadata.uid
        with pytest.raises(kube_errors.Forbidden):
            await client.list(core.Secret, "kube-system")
        with pytest.raises(kube_errors.Forbidden):
            await client.create(core.Node(metadata=ObjectMeta(name="another")))
    finally:
        await client.aclose()


async def test_an_identity_is_kept_private_and_used_again(cluster: Cluster, tmp_path: Path) -> None:
    config, now = _config(cluster, await cluster.mint(), "keeper"), datetime.now(UTC)
    first = await bootstrap.ensure_identity(config, tmp_path, nodeclient.connect, now=now)
    second = await bootstrap.ensure_identity(config, tmp_path, nodeclient.connect, now=now)
    assert second == first
    assert stat.S_IMODE((tmp_path / identities.FILE_NAME).stat().st_mode) == 0o600


async def test_a_certificate_is_renewed_with_itself(cluster: Cluster, tmp_path: Path) -> None:
    first = await _join(_config(cluster, await cluster.mint(), "renewer"))
    second = await bootstrap.renew("renewer", first, tmp_path, nodeclient.connect)
    assert second.certificate != first.certificate
    assert identities.load(tmp_path) == second
    client = nodeclient.connect(second.access, node="renewer")
    try:
        assert (await client.create(core.Node(metadata=ObjectMeta(name="renewer")))).metadata.uid
    finally:
        await client.aclose()


async def test_a_wrong_pin_is_refused_before_the_token_is_sent(cluster: Cluster) -> None:
    token = await cluster.mint()
    config = _config(cluster, token, "pinned", pins=frozenset({"sha256:" + "0" * 64}))
    with pytest.raises(errors.UntrustedCluster, match="does not match any pinned CA") as caught:
        await _join(config)
    assert token.partition(".")[2] not in str(caught.value)


async def test_an_unknown_token_is_named_by_its_id_only(cluster: Cluster) -> None:
    config = _config(cluster, "abcdef.0123456789abcdef", "stranger", discovery_timeout_s=0.5)
    with pytest.raises(errors.TokenUnknown, match=r"bootstrap token abcdef is unknown .* or has expired") as caught:
        await _join(config)
    assert "0123456789abcdef" not in str(caught.value)


async def test_a_token_with_the_wrong_secret_part_is_not_trusted(cluster: Cluster) -> None:
    token = await cluster.mint()
    await _join(_config(cluster, token, "first"))
    forged = f"{token.partition('.')[0]}.{'0' * 16}"
    with pytest.raises(errors.UntrustedCluster, match="not signed with bootstrap token"):
        await _join(_config(cluster, forged, "forger"))


async def test_a_token_that_expires_is_unknown(cluster: Cluster) -> None:
    token = await cluster.mint(ttl_s=1.0)
    async with cluster.admin() as admin:
        await _until_gone(admin, f"bootstrap-token-{token.partition('.')[0]}")
    with pytest.raises(errors.TokenUnknown):
        await _join(_config(cluster, token, "late", discovery_timeout_s=0.5))


async def test_a_living_node_keeps_its_name(cluster: Cluster) -> None:
    token = await cluster.mint()
    async with cluster.admin() as admin:
        ready = core.NodeCondition(type="Ready", status="True")
        await admin.create(core.Node(metadata=ObjectMeta(name="taken"), status=core.NodeStatus(conditions=[ready])))
    with pytest.raises(errors.NodeExists, match="kubectl delete node taken"):
        await _join(_config(cluster, token, "taken"))


async def test_a_denied_request_says_who_refused_and_why(cluster: Cluster) -> None:
    """Approval is switched off first, so that the denial is the only answer."""
    async with cluster.admin() as admin:
        binding = await admin.get(core.ClusterRoleBinding, "kubeadm:node-autoapprove-bootstrap")
        await admin.delete(core.ClusterRoleBinding, binding.metadata.name)
        try:
            joining = asyncio.create_task(_join(_config(cluster, await cluster.mint(), "denied")))
            await _deny_next_request(cluster, "system:node:denied")
            with pytest.raises(errors.CertificateDenied, match="Denied: not on my network"):
                await joining
        finally:
            await admin.create(core.ClusterRoleBinding(
                metadata=ObjectMeta(name=binding.metadata.name), roleRef=binding.roleRef, subjects=binding.subjects
            ))


async def test_an_unanswered_request_ends_in_time(cluster: Cluster) -> None:
    async with cluster.admin() as admin:
        binding = await admin.get(core.ClusterRoleBinding, "kubeadm:node-autoapprove-bootstrap")
        await admin.delete(core.ClusterRoleBinding, binding.metadata.name)
        try:
            with pytest.raises(errors.JoinTimeout, match="was not answered within"):
                await _join(_config(cluster, await cluster.mint(), "waiter", certificate_timeout_s=0.5))
        finally:
            await admin.create(core.ClusterRoleBinding(
                metadata=ObjectMeta(name=binding.metadata.name), roleRef=binding.roleRef, subjects=binding.subjects
            ))


async def test_nobody_there_is_worth_another_try(cluster: Cluster) -> None:
    config = _config(cluster, "abcdef.0123456789abcdef", "lonely", server="https://127.0.0.1:1")
    with pytest.raises(kube_errors.Unreachable):
        await _join(config)


async def _deny_next_request(cluster: Cluster, common_name: str) -> None:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    def is_wanted(csr: core.CertificateSigningRequest) -> bool:
        request = x509.load_pem_x509_csr(base64.b64decode(csr.spec.request))
        return request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == common_name

    async with cluster.admin() as admin:
        listing = await admin.list(core.CertificateSigningRequest)
        names = [csr.metadata.name for csr in listing.items if is_wanted(csr)]
        async for batch in admin.watch(core.CertificateSigningRequest, resource_version=listing.resource_version):
            names += [event.object.metadata.name for event in batch if event.object and is_wanted(event.object)]
            if names:
                break
        denial = {"type": "Denied", "status": "True", "reason": "Policy", "message": "not on my network"}
        await admin.patch(
            core.CertificateSigningRequest, names[0], patch={"status": {"conditions": [denial]}}, subresource="approval"
        )


async def _until_gone(admin: object, name: str) -> None:
    from dpf.kube import wait

    await wait.until(admin, core.Secret, name, "kube-system", accept=lambda s: s is None, timeout_s=30)  # type: ignore[arg-type]
