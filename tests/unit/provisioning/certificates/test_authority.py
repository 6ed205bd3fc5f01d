"""What our CA signs, and when a certificate no longer serves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import NameOID

from dpf.emulation.bmc import certificates as bmc
from dpf.provisioning.certificates import authority, bundle
from dpf.provisioning.certificates.authority import Authority, Pair, Use, Wanted

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SERVER = Wanted(common_name="10.0.0.5", use=Use.SERVER, life=timedelta(hours=24), addresses=("10.0.0.5", "dms.local"))


def a_ca(now: datetime = NOW) -> Authority:
    return authority.load_authority(authority.new_authority(now))


def parsed(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate_pem)


def a_request(key: object, name: str = "somebody-else") -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()  # type: ignore[arg-type]


def test_names_are_what_we_say_and_not_what_the_request_says() -> None:
    request = bmc.request(bmc.new_key(), "evil.example", ["10.9.9.9", "evil.example"])

    found = x509.load_pem_x509_certificate(authority.sign(a_ca(), request, SERVER, NOW))

    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["10.0.0.5", "dms.local"]
    assert found.subject.rfc4514_string() == "CN=10.0.0.5"
    assert found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usages = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]


@pytest.mark.parametrize(("request_pem", "why"), [
    ("nothing", "cannot be read"),
    (a_request(rsa.generate_private_key(65537, 1024)), "has 1024 bits, fewer than 2048"),
    (a_request(ed25519.Ed25519PrivateKey.generate()), "neither RSA nor EC"),
], ids=["noise", "weak", "other"])
def test_a_request_that_is_refused(request_pem: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        authority.sign(a_ca(), request_pem, SERVER, NOW)


def test_a_request_for_a_key_that_it_was_not_made_with_is_refused() -> None:
    good = x509.load_pem_x509_csr(bmc.request(bmc.new_key(), "a", []).encode())
    other = x509.load_pem_x509_csr(bmc.request(bmc.new_key(), "a", []).encode())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    key, stolen = (one.public_key().public_bytes(serialization.Encoding.DER, form) for one in (good, other))
    forged = good.public_bytes(serialization.Encoding.DER).replace(key, stolen)
    pem = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM).decode()

    with pytest.raises(ValueError, match="was not made with its own key"):
        authority.sign(a_ca(), pem, SERVER, NOW)


@pytest.mark.parametrize(("after", "wanted", "why"), [
    (timedelta(), SERVER, None),
    (timedelta(hours=15, minutes=59), SERVER, None),
    (timedelta(hours=16), SERVER, "its time is nearly over"),
    (timedelta(hours=-1), SERVER, "its time is nearly over"),
    (timedelta(), Wanted(common_name="x", use=Use.CLIENT, life=SERVER.life, addresses=SERVER.addresses),
     "it is for another use"),
    (timedelta(), Wanted(common_name="x", use=Use.SERVER, life=SERVER.life, addresses=("10.0.0.6",)),
     "its addresses have changed"),
], ids=["new", "before", "third", "clock-set-back", "use", "address"])
def test_when_a_pair_is_renewed(after: timedelta, wanted: Wanted, why: str | None) -> None:
    ca = a_ca()
    pair = authority.issue(ca, SERVER, NOW)

    assert authority.why_renew(pair, ca, wanted, NOW + after) == why


def test_a_pair_of_another_authority_or_with_another_key_is_renewed() -> None:
    ca, other = a_ca(), a_ca()
    pair, second = authority.issue(ca, SERVER, NOW), authority.issue(ca, SERVER, NOW)

    assert authority.why_renew(pair, other, SERVER, NOW) == "it was issued by another authority"
    mixed = Pair(pair.certificate_pem, second.key_pem)
    assert authority.why_renew(mixed, ca, SERVER, NOW) == "its key belongs to another certificate"
    assert authority.why_renew(Pair(b"", b""), ca, SERVER, NOW) == "it cannot be read"


def test_an_authority_signed_again_keeps_what_it_has_issued() -> None:
    before = authority.load_authority(authority.new_authority(NOW))
    pair = authority.issue(before, SERVER, NOW)
    after = authority.load_authority(authority.new_authority(NOW + timedelta(hours=1), before.key))

    assert after.certificate != before.certificate
    assert authority.why_renew(pair, after, SERVER, NOW) is None


def test_nothing_outlives_its_authority() -> None:
    ca = a_ca(NOW - authority.AUTHORITY_LIFE + timedelta(hours=1))

    assert parsed(authority.issue(ca, SERVER, NOW)).not_valid_after_utc == ca.certificate.not_valid_after_utc


@pytest.mark.parametrize(("pair", "why"), [
    (Pair(b"x", b"y"), "its certificate cannot be read"),
    (Pair(authority.new_authority(NOW).certificate_pem, b"y"), "its private key cannot be read"),
    (Pair(authority.new_authority(NOW).certificate_pem, authority.new_authority(NOW).key_pem), "do not belong"),
    (authority.issue(a_ca(), SERVER, NOW), "not that of a certificate authority"),
], ids=["certificate", "key", "mixed", "leaf"])
def test_what_is_no_authority(pair: Pair, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        authority.load_authority(pair)


def test_no_key_is_shown() -> None:
    pair = authority.new_authority(NOW)

    assert "PRIVATE" not in repr(pair) + repr(authority.load_authority(pair)) + f"{pair}"


def test_a_bundle_keeps_what_others_have_put_there() -> None:
    ours, theirs = a_ca().certificate, a_ca().certificate
    text = b"# the company's\n" + authority.pem(theirs)

    merged = bundle.merge(text, [ours])
    assert bundle.split(merged) == (theirs, ours)
    assert bundle.merge(merged, [ours]) == merged
    kept = text + authority.pem(ours)
    assert bundle.merge(kept, [ours]) == kept, "comments and order stay"


def test_a_bundle_has_one_certificate_for_each_of_our_keys() -> None:
    before = a_ca()
    after = authority.load_authority(authority.new_authority(NOW + timedelta(days=1), before.key)).certificate

    assert bundle.split(bundle.merge(authority.pem(before.certificate), [after])) == (after,)
    assert bundle.merge(b" \n", [after]) == authority.pem(after)


def test_an_authority_that_has_ended_is_not_handed_on() -> None:
    former, present = a_ca(NOW - timedelta(days=3651)).certificate, a_ca().certificate
    both = b"# ours\n" + authority.pem(former) + authority.pem(present)

    assert bundle.without_ended(both, NOW) == authority.pem(present)
    assert bundle.without_ended(both, NOW - timedelta(days=2)) == both, "comments stay"
    assert bundle.without_ended(b"", NOW) == b""
