"""Our certificates in Secrets: made once, renewed in time, never overwritten unseen (docs/adr/0014)."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta

import pytest
from cryptography import x509
from tests.support.clock import FakeClock
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.meta import ObjectMeta, OwnerReference
from dpf.emulation.bmc import certificates as bmc
from dpf.kube import errors
from dpf.kube.memory import MemoryCluster, Request
from dpf.provisioning.certificates import authority, bundle
from dpf.provisioning.certificates.issuer import (
    CA_SECRET,
    DMS_CLIENT_SECRET,
    REDFISH_CLIENT_SECRET,
    TRUST_BUNDLE,
    CertificateError,
    Issuer,
)

DAY_S = 86400.0
ADDRESSES = ("10.0.0.5",)


class World:
    """A host cluster and a clock; `issuer` is another process each time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.host = MemoryCluster(now=self.clock.now)
        self.host.add(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)))

    def issuer(self) -> Issuer:
        return Issuer(self.host, NAMESPACE, self.clock)

    async def secret(self, name: str) -> dict[str, bytes]:
        found = await self.host.get(core.Secret, name, NAMESPACE)
        return {key: base64.b64decode(value) for key, value in (found.data or {}).items()}

    async def bundle(self) -> dict[str, str]:
        return dict((await self.host.get(core.ConfigMap, TRUST_BUNDLE, NAMESPACE)).data or {})

    @property
    def writes(self) -> list[str]:
        return [f"{write.verb} {write.kind} {write.key.name}" for write in self.host.writes]


async def test_everything_is_made_once() -> None:
    world = World()
    trust = await world.issuer().trust()
    pair = await world.issuer().client(REDFISH_CLIENT_SECRET)
    other = await world.issuer().client(DMS_CLIENT_SECRET)
    before = list(world.writes)

    assert (await world.issuer().trust(), await world.issuer().client(REDFISH_CLIENT_SECRET)) == (trust, pair)
    assert world.writes == before
    assert before == [
        f"create Secret {CA_SECRET}", f"create ConfigMap {TRUST_BUNDLE}", f"create Secret {REDFISH_CLIENT_SECRET}",
        f"create Secret {DMS_CLIENT_SECRET}",
    ]
    assert pair != other
    (ca,) = bundle.split(trust)
    for found in (pair, other):
        certificate = x509.load_pem_x509_certificate(found.certificate_pem)
        assert authority.is_issued_by(certificate, ca)
        assert certificate.not_valid_after_utc - world.clock.now() == timedelta(days=90)
    assert await world.bundle() == {"ca.crt": trust.decode(), "bundle-hash": bundle.digest(trust)}
    assert (await world.secret(REDFISH_CLIENT_SECRET))["ca.crt"] == trust


async def test_of_two_processes_that_begin_together_the_first_wins() -> None:
    world = World()
    pairs = await asyncio.gather(*(world.issuer().client(REDFISH_CLIENT_SECRET) for _ in range(8)))

    assert len(set(pairs)) == 1
    assert len(bundle.split(await world.issuer().trust())) == 1
    assert {secret.metadata.name for secret in world.host.objects(core.Secret)} == {CA_SECRET, REDFISH_CLIENT_SECRET}


async def test_a_client_certificate_is_renewed_when_a_third_of_its_life_is_left() -> None:
    world = World()
    first = await world.issuer().client(REDFISH_CLIENT_SECRET)
    world.clock.advance(59 * DAY_S)
    assert await world.issuer().client(REDFISH_CLIENT_SECRET) == first
    world.clock.advance(1 * DAY_S)

    second = await world.issuer().client(REDFISH_CLIENT_SECRET)
    assert second != first
    assert (await world.secret(REDFISH_CLIENT_SECRET))["tls.crt"] == second.certificate_pem


async def test_the_ca_is_renewed_over_its_key_and_what_it_issued_stays() -> None:
    world = World()
    issuer = world.issuer()
    old = await issuer.trust()
    world.clock.advance(7 * 365 * DAY_S)
    pair = await issuer.client(REDFISH_CLIENT_SECRET)
    new = await issuer.trust()

    assert old != new
    assert len(bundle.split(new)) == 1, "the old one goes with the same key"
    (before,), (after,) = bundle.split(old), bundle.split(new)
    assert before.public_key() == after.public_key()
    assert authority.is_issued_by(x509.load_pem_x509_certificate(pair.certificate_pem), before)


async def test_cas_of_an_administrator_stay_and_ours_comes_back() -> None:
    world = World()
    ours = await world.issuer().trust()
    theirs = authority.new_authority(world.clock.now()).certificate_pem
    await world.host.patch(core.ConfigMap, TRUST_BUNDLE, NAMESPACE, patch={"data": {"ca.crt": theirs.decode()}})

    assert await world.issuer().trust() == theirs + ours
    assert (await world.bundle())["bundle-hash"] == bundle.digest(theirs + ours)


async def test_a_new_ca_reaches_every_secret_and_the_old_one_is_trusted_on() -> None:
    world = World()
    issuer = world.issuer()
    first = await issuer.client(REDFISH_CLIENT_SECRET)
    old = await issuer.trust()
    await world.host.delete(core.Secret, CA_SECRET, NAMESPACE)

    second = await issuer.client(REDFISH_CLIENT_SECRET)
    assert first != second
    assert bundle.split(await issuer.trust())[0] == bundle.split(old)[0]
    assert len(bundle.split(await issuer.trust())) == 2


async def test_a_secret_follows_the_cas_and_keeps_its_key() -> None:
    world = World()
    issuer = world.issuer()
    pair = await issuer.client(DMS_CLIENT_SECRET)
    more = authority.new_authority(world.clock.now()).certificate_pem.decode() + (await issuer.trust()).decode()
    await world.host.patch(core.ConfigMap, TRUST_BUNDLE, NAMESPACE, patch={"data": {"ca.crt": more}})

    assert await issuer.client(DMS_CLIENT_SECRET) == pair
    assert (await world.secret(DMS_CLIENT_SECRET))["ca.crt"].decode() == more


async def test_a_server_secret_is_renewed_eight_hours_before_its_end_and_when_its_address_changes() -> None:
    world = World()
    issuer = world.issuer()
    world.host.add(core.ConfigMap(metadata=ObjectMeta(name="p", namespace=NAMESPACE)))
    uid = (await world.host.get(core.ConfigMap, "p", NAMESPACE)).metadata.uid or ""
    owner = OwnerReference(apiVersion="v1", kind="ConfigMap", name="p", uid=uid)

    renewal = await issuer.server_secret("dms", NAMESPACE, ADDRESSES, owner=owner)
    assert renewal - world.clock.now() == timedelta(hours=16)
    first = await world.secret("dms")
    found = await world.host.get(core.Secret, "dms", NAMESPACE)
    assert (found.type, found.metadata.ownerReferences) == ("kubernetes.io/tls", [owner])
    world.clock.advance(16 * 3600 - 1)
    await issuer.server_secret("dms", NAMESPACE, ADDRESSES, owner=owner)
    assert await world.secret("dms") == first
    world.clock.advance(1)
    await issuer.server_secret("dms", NAMESPACE, ADDRESSES, owner=owner)
    second = await world.secret("dms")
    assert second["tls.crt"] != first["tls.crt"]
    await issuer.server_secret("dms", NAMESPACE, ("10.0.0.6",), owner=owner)
    assert (await world.secret("dms"))["tls.crt"] != second["tls.crt"]


async def test_a_request_of_a_bmc_is_signed_for_its_address() -> None:
    world = World()
    issuer = world.issuer()
    request = bmc.request(bmc.new_key(), "other", ["10.9.9.9"])
    signed = x509.load_pem_x509_certificate((await issuer.sign(request, addresses=ADDRESSES)).encode())

    assert authority.is_issued_by(signed, bundle.split(await issuer.trust())[0])
    assert signed.not_valid_after_utc - world.clock.now() == timedelta(days=90)
    with pytest.raises(CertificateError, match=r"no certificate for 10\.0\.0\.5: the certificate signing request"):
        await issuer.sign("nonsense", addresses=ADDRESSES)


@pytest.mark.parametrize(("key", "why"), [
    ("tls.crt", "its certificate cannot be read"), ("tls.key", "its private key cannot be read"),
])
async def test_a_broken_ca_is_told_and_left_alone(key: str, why: str) -> None:
    world = World()
    await world.issuer().trust()
    broken = {"data": {key: base64.b64encode(b"nonsense").decode()}}
    await world.host.patch(core.Secret, CA_SECRET, NAMESPACE, patch=broken)
    before = await world.secret(CA_SECRET)

    with pytest.raises(CertificateError, match=f"Secret {NAMESPACE}/{CA_SECRET} cannot be used: {why}; correct it"):
        await world.issuer().trust()
    assert await world.secret(CA_SECRET) == before


async def test_a_broken_bundle_is_told_and_left_alone() -> None:
    world = World()
    await world.issuer().trust()
    await world.host.patch(core.ConfigMap, TRUST_BUNDLE, NAMESPACE, patch={"data": {"ca.crt": "nonsense"}})

    with pytest.raises(CertificateError, match=r"something else than PEM certificates in ca\.crt; correct it"):
        await world.issuer().trust()


async def test_a_ca_of_somebody_else_is_used_and_not_renewed() -> None:
    world = World()
    pair = authority.new_authority(world.clock.now())
    data = {"tls.crt": pair.certificate_pem, "tls.key": pair.key_pem}
    world.host.add(core.Secret(
        metadata=ObjectMeta(
            name=CA_SECRET, namespace=NAMESPACE, annotations={"cert-manager.io/certificate-name": "ca"},
        ),
        data={name: base64.b64encode(value).decode() for name, value in data.items()},
    ))
    world.clock.advance(9 * 365 * DAY_S)
    assert await world.issuer().trust() == pair.certificate_pem
    world.clock.advance(366 * DAY_S)
    with pytest.raises(CertificateError, match="has ended; put a new one there"):
        await world.issuer().trust()


async def test_a_namespace_that_is_missing_is_told() -> None:
    with pytest.raises(errors.NotFound):
        await Issuer(World().host, "nowhere", FakeClock()).trust()


async def test_a_crash_after_any_write_leaves_nothing_behind() -> None:
    world = World()

    def crash(request: Request) -> None:
        raise errors.Unreachable(f"lost after {request.verb}")

    for _ in range(4):
        world.host.after_write = crash
        with pytest.raises(errors.Unreachable):
            await world.issuer().client(REDFISH_CLIENT_SECRET)
        world.host.after_write = None
        if len(world.writes) == 3:
            break
    pair = await world.issuer().client(REDFISH_CLIENT_SECRET)

    assert len(world.writes) == 3
    assert authority.is_issued_by(
        x509.load_pem_x509_certificate(pair.certificate_pem), bundle.split(await world.issuer().trust())[0]
    )


async def test_no_key_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    issuer = world.issuer()
    pair = await issuer.client(REDFISH_CLIENT_SECRET)
    await world.host.patch(core.Secret, CA_SECRET, NAMESPACE, patch={"data": {"tls.crt": "AAAA"}})
    with pytest.raises(CertificateError) as caught:
        await issuer.client(REDFISH_CLIENT_SECRET)

    assert "PRIVATE" not in repr((pair, issuer, caught.value, caught.value.__context__)) + caplog.text
