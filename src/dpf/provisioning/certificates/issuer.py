"""Issues our certificates where cert-manager does not, and keeps them in Secrets (docs/adr/0014).

Called from drivers of controllers (`Reconciler.drive`), because every method may write; only what `known_` begins with
reads alone. What is valid is never made again, whoever made it. A write meets what others have written since: then
theirs is looked at. Names: behaviour-provisioning.md 9.2. No key, and no PEM text, is ever part of an error.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from cryptography import x509

from dpf.api import core
from dpf.api.meta import Key, Object, ObjectMeta, OwnerReference
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.kube.client import Client
from dpf.provisioning.certificates import authority, bundle
from dpf.provisioning.certificates.authority import Authority, Pair, Use, Wanted
from dpf.runtime.clock import Clock
from dpf.runtime.reconciler import DriverError, Permission

CA_SECRET: Final = "dpf-provisioning-ca-secret"  # noqa: S105 - a name
TRUST_BUNDLE: Final = "dpf-ca-trust-bundle"
REDFISH_CLIENT_SECRET: Final = "dpf-provisioning-redfish-client-secret"  # noqa: S105 - a name
DMS_CLIENT_SECRET: Final = "dpf-provisioning-client-secret"  # noqa: S105 - a name
CA_KEY: Final = "ca.crt"
BUNDLE_HASH_KEY: Final = "bundle-hash"
CLIENT_LIFE: Final = timedelta(days=90)
BMC_LIFE: Final = timedelta(days=90)
"""Of the certificate of a BMC; it is renewed at `bmcServerCertRenewBefore`."""
SERVER_LIFE: Final = timedelta(hours=24)
"""Of the certificate of a DMS pod; like all of ours it is renewed when a third of that is left."""

_FIELD_OWNER: Final = "provisioning-certificates"
_CERTIFICATE: Final = "tls.crt"
_KEY: Final = "tls.key"
_TYPE: Final = "kubernetes.io/tls"
_ATTEMPTS: Final = 5
_MANAGED_ELSEWHERE: Final = "cert-manager.io/certificate-name"

T = TypeVar("T", bound=Object)


PERMISSIONS: Final = (
    Permission(kind=core.Secret, verbs=("get", "create", "patch")),
    Permission(kind=core.ConfigMap, verbs=("get", "create", "patch")),
)
"""What whoever asks an issuer needs in the host cluster."""


class CertificateError(DriverError):
    """Certificates that people have to mend; the text names the object, and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """An object with certificates: whether what is there serves, and what it should be made into."""

    serves: Callable[[Object], bool]
    make: Callable[[Object | None], Mapping[str, bytes]]


class Issuer:
    """The CA of one installation. `namespace` is DPF's own; `cache` saves the requests for what is in it."""

    def __init__(
        self, client: Client, namespace: str, clock: Clock, *, cache: Cache | None = None,
        bundle_name: str = TRUST_BUNDLE,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._clock = clock
        self._cache = cache
        self._lock = asyncio.Lock()
        self.bundle_key = Key(namespace, bundle_name)

    async def trust(self) -> bytes:
        """The CAs to trust, PEM: ours, and those that an administrator has added.

        As all of these, it raises CertificateError and kube.errors.Error.
        """
        ours = (await self._authority()).roots
        found = await self._settle(core.ConfigMap, self.bundle_key, _Kept(
            serves=lambda present: self._is_bundle_complete(present, ours),
            make=lambda present: self._bundle(present, ours),
        ))
        return _text(found, CA_KEY)

    async def client(self, name: str) -> Pair:
        """Our own certificate and key in Secret `name`, to show to BMCs or to DMS."""
        wanted = Wanted(common_name=name.removesuffix("-secret"), use=Use.CLIENT, life=CLIENT_LIFE)
        return _pair(await self._pair_secret(self._own(name), wanted, None))

    async def sign(
        self, request_pem: str, *, addresses: Sequence[str], lifetime: timedelta = BMC_LIFE
    ) -> str:
        """The certificate, PEM, of a server at `addresses`; what the request says about itself does not count.

        Raises CertificateError when it is no request, or has a key that is too weak.
        """
        signer = await self._authority()
        wanted = _server(addresses, lifetime)
        try:
            return authority.sign(signer, request_pem, wanted, self._clock.now()).decode()
        except ValueError as error:
            raise CertificateError(f"no certificate for {wanted.common_name}: {error}") from None

    async def server_secret(
        self, name: str, namespace: str, addresses: Sequence[str], lifetime: timedelta = SERVER_LIFE,
        owner: OwnerReference | None = None,
    ) -> datetime:
        """A Secret (tls.crt, tls.key, ca.crt) for a server at `addresses`; returns when it wants to be renewed."""
        found = await self._pair_secret(Key(namespace, name), _server(addresses, lifetime), owner)
        return authority.renewal_of(x509.load_pem_x509_certificate(_pair(found).certificate_pem))

    def known_trust(self) -> bytes | None:
        """What `trust` gave, or would give; None when that is not known without a write. Reads the cache only."""
        found, signer = self._cached(core.ConfigMap, self.bundle_key), self._known_authority()
        if found is None or signer is None:
            return None
        try:
            return _text(found, CA_KEY) if self._is_bundle_complete(found, signer.roots) else None
        except CertificateError:
            return None

    def known_client(self, name: str) -> Pair | None:
        """What `client` gave, or would give; None when that is not known without a write. Reads the cache only."""
        found, signer = self._cached(core.Secret, self._own(name)), self._known_authority()
        wanted = Wanted(common_name=name, use=Use.CLIENT, life=CLIENT_LIFE)
        if found is None or signer is None or not self._serves(found, signer, wanted):
            return None
        return _pair(found)

    def shown(self, name: str) -> tuple[bytes, Pair] | None:
        """The CAs and our own certificate as they are in the cache, worn or not: what a connection is made with."""
        trusted, own = self._cached(core.ConfigMap, self.bundle_key), self._cached(core.Secret, self._own(name))
        return (_text(trusted, CA_KEY), _pair(own)) if trusted is not None and own is not None else None

    def _own(self, name: str) -> Key:
        return Key(self._namespace, name)

    def _known_authority(self) -> Authority | None:
        found = self._cached(core.Secret, self._own(CA_SECRET))
        try:
            return _load(found) if found is not None else None
        except CertificateError:
            return None

    async def _authority(self) -> Authority:
        """Made once; of two processes that make one at the same time the first wins."""
        found = await self._settle(core.Secret, self._own(CA_SECRET), _Kept(
            serves=self._is_authority_good, make=self._new_authority,
        ))
        return _load(found)

    async def _pair_secret(self, key: Key, wanted: Wanted, owner: OwnerReference | None) -> core.Secret:
        signer, trusted = await self._authority(), await self.trust()
        return await self._settle(core.Secret, key, _Kept(
            serves=lambda present: _text(present, CA_KEY) == trusted and self._serves(present, signer, wanted),
            make=lambda present: self._new_pair(present, signer, wanted, trusted),
        ), owner)

    def _new_pair(
        self, present: Object | None, signer: Authority, wanted: Wanted, trusted: bytes
    ) -> Mapping[str, bytes]:
        """Where only the CAs have changed, the pair stays."""
        if present is not None and self._serves(present, signer, wanted):
            return {CA_KEY: trusted}
        return _secret_data(authority.issue(signer, wanted, self._clock.now()), trusted)

    def _serves(self, present: Object, signer: Authority, wanted: Wanted) -> bool:
        return authority.why_renew(_pair(present), signer, wanted, self._clock.now()) is None

    def _is_authority_good(self, present: Object) -> bool:
        """Raises CertificateError for one that has ended and is not ours to renew."""
        certificate, now = _load(present).certificate, self._clock.now()
        if not authority.is_worn(certificate, now):
            return True
        if _is_ours(present, certificate):
            return False
        if now >= certificate.not_valid_after_utc:
            raise CertificateError(f"the CA in {_name(present)} has ended; put a new one there")
        return True

    def _new_authority(self, present: Object | None) -> Mapping[str, bytes]:
        pair = authority.new_authority(self._clock.now(), _load(present).key if present is not None else None)
        return _secret_data(pair, pair.certificate_pem)

    def _is_bundle_complete(self, present: Object, ours: Sequence[x509.Certificate]) -> bool:
        text = _text(present, CA_KEY)
        hashed = _text(present, BUNDLE_HASH_KEY).decode()
        return _merged(present, ours) == text and hashed == bundle.digest(text)

    def _bundle(self, present: Object | None, ours: Sequence[x509.Certificate]) -> Mapping[str, bytes]:
        merged = _merged(present, ours)
        return {CA_KEY: merged, BUNDLE_HASH_KEY: bundle.digest(merged).encode()}

    async def _settle(self, kind: type[T], key: Key, kept: _Kept, owner: OwnerReference | None = None) -> T:
        """The object, made or renewed where what is there does not serve. Nothing is overwritten unseen."""
        found = self._cached(kind, key)
        if found is not None and kept.serves(found):
            return found
        async with self._lock:
            for _ in range(_ATTEMPTS):
                found = await self._read(kind, key)
                if found is not None and kept.serves(found):
                    return found
                try:
                    return await self._write(kind, key, found, kept.make(found), owner)
                except (errors.AlreadyExists, errors.Conflict):
                    continue
                except errors.NotFound:
                    if found is None:
                        raise  # there is no such namespace
        raise CertificateError(f"{kind.resource.kind} {key} is changed by somebody all the time; it is looked at again")

    async def _read(self, kind: type[T], key: Key) -> T | None:
        try:
            return await self._client.get(kind, key.name, key.namespace)
        except errors.NotFound:
            return None

    async def _write(
        self, kind: type[T], key: Key, found: T | None, content: Mapping[str, bytes], owner: OwnerReference | None
    ) -> T:
        data = _encoded(kind, content)
        if found is None:
            return await self._client.create(_build(kind, key, data, owner))
        patch = {"metadata": {"resourceVersion": found.metadata.resourceVersion}, "data": data}
        return await self._client.patch(kind, key.name, key.namespace, patch=patch, field_owner=_FIELD_OWNER)

    def _cached(self, kind: type[T], key: Key) -> T | None:
        """From the cache; None when it has none, or cannot say."""
        if self._cache is None:
            return None
        try:
            return self._cache.get(kind, key)
        except (errors.NotSynced, LookupError):
            return None


def _server(addresses: Sequence[str], lifetime: timedelta) -> Wanted:
    return Wanted(common_name=addresses[0], use=Use.SERVER, life=lifetime, addresses=tuple(addresses))


def _is_ours(secret: Object, certificate: x509.Certificate) -> bool:
    """Whether we have made it: nobody else renews it then."""
    managed = _MANAGED_ELSEWHERE in (secret.metadata.annotations or {})
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    is_self_signed = certificate.subject == certificate.issuer
    return not managed and is_self_signed and [str(name.value) for name in names] == [authority.AUTHORITY_NAME]


def _load(secret: Object) -> Authority:
    try:
        return authority.load_authority(_pair(secret), _text(secret, CA_KEY))
    except ValueError as error:
        raise CertificateError(
            f"the CA in {_name(secret)} cannot be used: {error}; correct it, or delete it to have a new one made"
        ) from None


def _merged(present: Object | None, ours: Sequence[x509.Certificate]) -> bytes:
    try:
        return bundle.merge(_text(present, CA_KEY) if present is not None else b"", ours)
    except ValueError:
        where = _name(present) if present is not None else ""
        raise CertificateError(f"{where} holds something else than PEM certificates in {CA_KEY}; correct it") from None


def _name(obj: Object) -> str:
    return f"{type(obj).resource.kind} {obj.metadata.namespace}/{obj.metadata.name}"


def _pair(secret: Object) -> Pair:
    return Pair(_text(secret, _CERTIFICATE), _text(secret, _KEY))


def _secret_data(pair: Pair, trusted: bytes) -> Mapping[str, bytes]:
    return {_CERTIFICATE: pair.certificate_pem, _KEY: pair.key_pem, CA_KEY: trusted}


def _text(obj: Object, key: str) -> bytes:
    """One entry of a Secret or ConfigMap; empty when there is none."""
    data: Mapping[str, str] = getattr(obj, "data", None) or {}
    value = data.get(key, "")
    if not isinstance(obj, core.Secret):
        return value.encode()
    try:
        return base64.b64decode(value)
    except (binascii.Error, ValueError):
        return b""


def _encoded(kind: type[Object], content: Mapping[str, bytes]) -> dict[str, str]:
    if kind is core.Secret:
        return {key: base64.b64encode(value).decode() for key, value in content.items()}
    return {key: value.decode() for key, value in content.items()}


def _build(kind: type[T], key: Key, data: dict[str, str], owner: OwnerReference | None) -> T:
    metadata = ObjectMeta(name=key.name, namespace=key.namespace, ownerReferences=[owner] if owner else None)
    if kind is core.Secret:
        return core.Secret(metadata=metadata, type=_TYPE, data=data)  # type: ignore[return-value]
    return core.ConfigMap(metadata=metadata, data=data)  # type: ignore[return-value]
