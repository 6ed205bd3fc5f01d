"""Why a machine could not join. No text here ever carries a token, a key or a certificate request.

    JoinError
    ├── InvalidJoinConfig     the token, pin or node name is malformed: nothing was sent
    ├── TokenUnknown          the cluster does not know the token, or it has expired
    ├── NotPermitted          the token is known, but its group may not do what joining needs
    ├── UntrustedCluster      the CA, or the signature of cluster-info, is not the one that was promised
    ├── NodeExists            a Ready node of that name is already there
    ├── CertificateDenied     the signing request was denied or failed
    └── JoinTimeout           nobody answered the signing request in time

A cluster that cannot be reached raises `kube.errors.Transient` instead: joining may simply be tried again.
"""

from __future__ import annotations


class JoinError(Exception):
    """Base of everything that stops a join and needs a person, or another token."""


class InvalidJoinConfig(JoinError):
    """Malformed input."""


class TokenUnknown(JoinError):
    """Unknown or expired token."""


class NotPermitted(JoinError):
    """403 to a bootstrap token."""


class UntrustedCluster(JoinError):
    """Somebody else answered, or the promise was wrong."""


class NodeExists(JoinError):
    """The name is taken by a living node."""


class CertificateDenied(JoinError):
    """Denied or Failed condition on the signing request."""


class JoinTimeout(JoinError):
    """The signing request stayed unanswered."""
