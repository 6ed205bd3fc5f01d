"""What can go wrong between us and an API server.

    Error
    ├── Terminal              retrying the same request cannot help
    │   ├── BadRequest        400, 405, 415: our request is malformed
    │   ├── Unauthorized      401: the credentials are not accepted
    │   ├── Forbidden         403: RBAC or admission says no
    │   ├── NotFound          404: the object (or the kind) does not exist
    │   ├── AlreadyExists     409 on create
    │   ├── Invalid           422: schema, CEL or admission refuse the object
    │   └── CredentialsError  a kubeconfig cannot be used (malformed, plugin failed)
    └── Transient             the same request may succeed later
        ├── Conflict          409 on update, patch, delete or apply: somebody else was first
        ├── Expired           410: the resourceVersion or continue token is too old; list again
        ├── TooManyRequests   429; `retry_after_s` when the server said so
        ├── ServerError       5xx, or an answer that is not Kubernetes
        ├── Timeout           no answer within our deadline
        ├── Unreachable       no connection: refused, reset, name not found, TLS refused
        └── NotSynced         the cache cannot answer: never listed, lost contact, or the object cannot be read

Every error carries the request line (never a header, a body or a credential) so that a message can be acted upon.
"""

from __future__ import annotations


class Error(Exception):
    """Base of all errors of this layer.

    `request` is e.g. `GET /api/v1/nodes`, `status` the HTTP code or None, `reason` the Kubernetes status reason.
    """

    def __init__(
        self, message: str, *, request: str = "", status: int | None = None, reason: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.request = request
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return self.message


class Terminal(Error):
    """Retrying the same request cannot help."""


class Transient(Error):
    """The same request may succeed later."""


class BadRequest(Terminal):
    """400, 405, 415."""


class Unauthorized(Terminal):
    """401."""


class Forbidden(Terminal):
    """403."""


class NotFound(Terminal):
    """404."""


class AlreadyExists(Terminal):
    """409 on create."""


class Invalid(Terminal):
    """422."""


class CredentialsError(Terminal):
    """A kubeconfig that cannot be used."""


class Conflict(Transient):
    """409 on anything but create."""


class Expired(Transient):
    """410."""


class TooManyRequests(Transient):
    """429."""


class ServerError(Transient):
    """5xx."""


class Timeout(Transient):
    """No answer in time."""


class Unreachable(Transient):
    """No connection."""


class NotSynced(Transient):
    """The cache cannot answer truthfully. Never to be read as "absent"."""
