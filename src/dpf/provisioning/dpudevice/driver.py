"""The BMCs of all DPUDevices: looks at them, and carries out intents (behaviour-provisioning.md 4, 9.2).

Called by the controller. A BMC is not asked more often than its state can matter: what was seen is kept in memory for a
while, as long as nothing that a look depends on has changed. That is lost with the process, and harmless to lose. No
password is in any error, value or log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Final, TypeVar, assert_never

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from dpf.api.meta import Key
from dpf.provisioning.certificates import bundle
from dpf.provisioning.certificates.issuer import REDFISH_CLIENT_SECRET, Issuer
from dpf.provisioning.dpudevice.intents import (
    InstallCertificate,
    Installed,
    Intent,
    PrepareCertificates,
    Refusal,
    SettlePassword,
    SyncTrust,
    TurnTLSLoginOn,
)
from dpf.provisioning.dpudevice.snapshot import Access, Look, Password, Reach
from dpf.provisioning.install.port import Silence, Topic
from dpf.provisioning.install.redfish import errors, login, looking, reading, setup, tls
from dpf.provisioning.install.redfish.bmc import BMC, ROOT
from dpf.provisioning.install.redfish.transport import DEFAULT, IdentitySource, Limits, Login, Target, Transport
from dpf.runtime.clock import Clock

R = TypeVar("R")

LOOK_S: Final = 60.0
"""A whole look of a slow BMC."""
KEEP_S: Final = 500.0
"""What a BMC told, and that it refuses our passwords, holds so long; less than the resync of the controller."""
KEEP_SILENCE_S: Final = 20.0
KEEP_UNFINISHED_S: Final = 2.0
"""For the pass that follows a change of the object; what is done to a BMC ends what was seen of it anyway."""


@dataclass(slots=True, kw_only=True)
class _Remembered:
    """One BMC. `verified` is the digest of the credentials that it has accepted."""

    inputs: tuple[str, ...] = ()
    look: Look | None = None
    at: float = 0.0
    attempts: int = 0
    verified: str = ""


def identity_source(issuer: Issuer, secret: str = REDFISH_CLIENT_SECRET) -> IdentitySource:
    """Who we are to BMCs (or to whom `secret` is for), for each connection: from the cache."""
    def current() -> tls.Identity | None:
        shown = issuer.shown(secret)
        if shown is None:
            return None
        trusted, own = shown
        return tls.Identity(ca_pem=trusted, certificate_pem=own.certificate_pem, key_pem=own.key_pem)

    return current


class BMCs:
    """Any number of BMCs. Use in one event loop; `aclose` at the end, unless the transport is somebody else's."""

    def __init__(
        self, issuer: Issuer, clock: Clock, *, transport: Transport | None = None, limits: Limits = DEFAULT,
        look_s: float = LOOK_S,
    ) -> None:
        self.issuer = issuer
        self._clock = clock
        self._transport = transport or Transport(identity_source(issuer), limits=limits)
        self._look_s = look_s
        self._known: dict[Key, _Remembered] = {}

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def bundle(self) -> bytes | None:
        """The CAs that BMCs are to trust; None until these, and a certificate of our own, are there and fresh."""
        if self.issuer.known_client(REDFISH_CLIENT_SECRET) is None:
            return None
        trusted = self.issuer.known_trust()
        return bundle.without_ended(trusted, self._clock.now()) if trusted is not None else None

    def forget(self, device: Key) -> None:
        """It has gone."""
        self._known.pop(device, None)

    async def look(self, reach: Reach) -> Look:
        """What the BMC says now, or has said a short while ago. Never raises for what a BMC does."""
        known = self._known.setdefault(reach.device, _Remembered())
        if known.look is not None and known.inputs == reach.inputs and self._clock.monotonic() < known.at:
            return known.look
        try:
            async with asyncio.timeout(self._look_s):
                look = await self._look(reach, known)
        except TimeoutError:
            look = _silent(errors.Unreachable(f"the BMC at {reach.address} does not answer in time", sent=False))
        if look.access is Access.CERTIFICATE:
            known.attempts = 0
        return self._remember(known, reach, replace(look, attempts=known.attempts))

    async def carry_out(self, intent: Intent) -> Refusal | Installed | bool | None:
        """See the intents. Raises DriverError, kube.errors.Error."""
        match intent:
            case PrepareCertificates():
                await self.issuer.trust()
                await self.issuer.client(REDFISH_CLIENT_SECRET)
                return None
            case SettlePassword():
                return await self._ordered(intent.reach, "setting the password", self._settle(intent.reach))
            case SyncTrust():
                return await self._ordered(intent.reach, "handing over our CAs", self._sync(intent))
            case InstallCertificate():
                return await self._ordered(intent.reach, "renewing the certificate", self._install(intent))
            case TurnTLSLoginOn():
                return await self._ordered(intent.reach, "turning on the login by certificate", self._turn_on(intent))
            case _:
                assert_never(intent)

    async def _ordered(self, reach: Reach, what: str, work: Awaitable[R]) -> R:
        """Whatever comes of it, what was seen before does not count any more."""
        known = self._known.setdefault(reach.device, _Remembered())
        known.look, known.attempts = None, known.attempts + 1
        try:
            return await work
        except errors.RedfishError as error:
            raise errors.install_error(error, what) from None

    async def _settle(self, reach: Reach) -> Refusal | None:
        """One that is refused is not tried again soon: BMCs lock accounts that are guessed at."""
        known, given = self._known[reach.device], reach.credentials
        try:
            await login.settle(self._transport, _anyone(reach), given.password, former=given.former)
        except errors.Rejected as error:
            look = Look(password=Password.REFUSED, password_why=str(error), attempts=known.attempts)
            self._remember(known, reach, look)
            return Refusal(why=str(error))
        known.verified = given.digest
        return None

    async def _sync(self, intent: SyncTrust) -> bool:
        synced = await (await self._setup(intent)).sync_trusted(intent.reach.bundle)
        return synced != setup.Synced()

    async def _install(self, intent: InstallCertificate) -> Installed:
        steps, host = await self._setup(intent), intent.reach.host
        pem = await self.issuer.sign(await steps.request_certificate(host), addresses=[host])
        certificate = x509.load_pem_x509_certificate(pem.encode())
        try:
            await steps.install_certificate(pem)
        except errors.Unreachable as error:
            if not error.sent or not await _is_served(steps, certificate):
                raise  # a BMC may break off the connection over which it was given another certificate
        return Installed(not_after=certificate.not_valid_after_utc)

    async def _turn_on(self, intent: TurnTLSLoginOn) -> None:
        await (await self._setup(intent)).turn_tls_login_on()

    async def _setup(self, intent: SyncTrust | InstallCertificate | TurnTLSLoginOn) -> setup.Setup:
        target = _anyone(intent.reach, intent.user)
        if intent.access is Access.CERTIFICATE:
            target = Target(address=intent.reach.address)
        bmc = BMC(self._transport, target)
        return setup.Setup(bmc, await bmc.names())

    async def _look(self, reach: Reach, known: _Remembered) -> Look:
        """With certificates first; by password only where that is no use."""
        try:
            look = await self._facts(Target(address=reach.address), reach)
        except errors.Unreachable as error:
            return _silent(error)
        except errors.RedfishError as error:
            return await self._by_password(reach, known, error.silence)
        return await self._with_password(replace(look, access=Access.CERTIFICATE), reach, known)

    async def _with_password(self, look: Look, reach: Reach, known: _Remembered) -> Look:
        """Whether the password is right is asked once: it changes seldom, and nothing depends on it."""
        given = reach.credentials
        if given.problem is not None:
            return look
        if known.verified == given.digest:
            return replace(look, password=Password.ACCEPTED)
        try:
            user = (await login.verify(self._transport, _anyone(reach), given.password)).user
        except errors.Rejected as error:
            return replace(look, password=Password.WRONG, password_why=str(error))
        except errors.RedfishError:
            return look
        known.verified = given.digest
        return replace(look, password=Password.ACCEPTED, user=user)

    async def _by_password(self, reach: Reach, known: _Remembered, doubt: Silence) -> Look:
        """The BMC has not proven who it is: the least that is asked of it before a password is shown is its product."""
        given = reach.credentials
        if given.problem is not None:
            return Look(silence=doubt, doubt=doubt)
        try:
            await self._expect_bluefield(reach)
            user = (await login.verify(self._transport, _anyone(reach), given.password)).user
            look = await self._facts(_anyone(reach, user), reach)
        except errors.Rejected as error:
            return Look(doubt=doubt, password=Password.WRONG, password_why=str(error))
        except errors.RedfishError as error:
            return _silent(error)
        known.verified = given.digest
        return replace(look, access=Access.PASSWORD, doubt=doubt, password=Password.ACCEPTED, user=user)

    async def _expect_bluefield(self, reach: Reach) -> None:
        product = reading.text(await BMC(self._transport, _anyone(reach)).get(ROOT), "Product")
        if not reading.is_bluefield(product):
            named = product or "it names none"
            raise errors.Unreadable(f"the BMC at {reach.address} is of another product: {named}; correct spec.bmcIp")

    async def _facts(self, target: Target, reach: Reach) -> Look:
        bmc = BMC(self._transport, target)
        names = await bmc.names()
        state = await setup.Setup(bmc, names).observe(self._clock.now)
        question = looking.Question(names=names, task=None, now=self._clock.now)
        sight = await looking.look(bmc, Topic.IDENTITY | Topic.SECURE_BOOT, question)
        wanted = bundle.split(reach.bundle)
        return Look(
            firmware=state.firmware, is_outdated=setup.is_outdated(state.firmware), clock_skew_s=state.clock_skew_s,
            is_trusting=_digests(wanted) == sorted(one.sha256 for one in state.trusted),
            is_served_ours=_is_ours(state.served, wanted, reach.host),
            not_after=state.served.not_after if state.served is not None else None,
            is_tls_login_on=state.is_tls_login_on, sight=sight,
        )

    def _remember(self, known: _Remembered, reach: Reach, look: Look) -> Look:
        keep_s = KEEP_S
        if look.silence is not None:
            keep_s = KEEP_SILENCE_S
        elif look.access is not Access.CERTIFICATE and look.password is not Password.REFUSED:
            keep_s = KEEP_UNFINISHED_S
        known.inputs, known.look, known.at = reach.inputs, look, self._clock.monotonic() + keep_s
        return look


def _anyone(reach: Reach, user: str = "") -> Target:
    """A BMC that is not asked for proof."""
    entry = Login(user=user, password=reach.credentials.password) if user else None
    return Target(address=reach.address, login=entry, proven=False)


def _silent(error: errors.RedfishError) -> Look:
    return Look(silence=error.silence)


async def _is_served(steps: setup.Setup, certificate: x509.Certificate) -> bool:
    served = await steps.served()
    return served is not None and [served.sha256] == _digests((certificate,))


def _digests(certificates: tuple[x509.Certificate, ...]) -> list[str]:
    return sorted({one.fingerprint(hashes.SHA256()).hex() for one in certificates})


def _is_ours(served: setup.Served | None, wanted: tuple[x509.Certificate, ...], host: str) -> bool:
    """By what it says about itself: proof is another matter."""
    issuers = {one.subject.rfc4514_string() for one in wanted}
    return served is not None and served.issuer in issuers and served.common_name == host
