"""What posting to a subresource does in a memory cluster: tokens of ServiceAccounts, evictions of Pods.

Called by `cluster`. `check` refuses what an API server refuses; there are no disruption budgets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from dpf.api.meta import Key
from dpf.kube import errors
from dpf.kube.memory.rules import Family, Tree

TOKEN: Final = "token"  # noqa: S105 - a subresource
EVICTION: Final = "eviction"
SERVED: Final[frozenset[tuple[Family, str]]] = frozenset({(("", "serviceaccounts"), TOKEN), (("", "pods"), EVICTION)})

_LIFE_S: Final = 3600
_SHORTEST_S: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A token that was given out, for the ServiceAccount with that uid."""

    account: Key
    account_uid: str
    expires: datetime
    token: str = field(repr=False)


class Tokens:
    """The tokens that one cluster has given out; `max_life_s` is the longest life it gives, whatever is asked for."""

    def __init__(self, cluster: str, max_life_s: int | None = None) -> None:
        self._cluster = cluster
        self.max_life_s = max_life_s
        self.issued: list[IssuedToken] = []

    def answer(self, request: Tree, account: Key, account_tree: Tree, now: datetime, *, dry_run: bool) -> Tree:
        """The answer to a TokenRequest. Raises Invalid for a life that is too short."""
        life_s = request.get("spec", {}).get("expirationSeconds", _LIFE_S)
        if life_s < _SHORTEST_S:
            raise errors.Invalid(
                f'TokenRequest "{account.name}" is invalid: spec.expirationSeconds: Invalid value: {life_s}: '
                "may not specify a duration less than 10 minutes", status=422, reason="Invalid",
            )
        granted_s = min(life_s, self.max_life_s or life_s)
        expires = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=granted_s)
        token = f"memory-token-{len(self.issued) + 1}-of-{self._cluster.replace('/', '.')}-for-{account.name}"
        if not dry_run:
            uid = account_tree["metadata"]["uid"]
            self.issued.append(IssuedToken(account=account, account_uid=uid, expires=expires, token=token))
        return {
            **request, "metadata": {"name": account.name, "namespace": account.namespace},
            "spec": {**request.get("spec", {}), "expirationSeconds": granted_s},
            "status": {"token": token, "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ")},
        }


def check(family: Family, key: Key, subresource: str, body: Tree) -> None:
    """Raises NotFound for a subresource that is not served, BadRequest for a body that names another object."""
    if (family, subresource) not in SERVED:
        raise errors.NotFound("the server could not find the requested resource", status=404, reason="NotFound")
    named = body.get("metadata", {}).get("name", "")
    if named != key.name and (named or subresource == EVICTION):
        raise errors.BadRequest(
            f"the name in the URL ({key.name}) does not match the name in the object ({named})", status=400,
            reason="BadRequest",
        )


def grace_period_s(eviction: Tree) -> int | None:
    """The grace period that an Eviction asks for."""
    options: dict[str, Any] = eviction.get("deleteOptions") or {}
    return options.get("gracePeriodSeconds")
