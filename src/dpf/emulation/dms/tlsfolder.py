"""The Secret that is mounted into a DMS pod: certificate, key and CA, read again when they have changed.

Called by `__main__`, and by gRPC's threads at every connection.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import structlog

from dpf.kube import credentials
from dpf.kube import errors as kube_errors
from dpf.provisioning.install.redfish.tls import Identity

_LOG: Final = structlog.get_logger(__name__)
_CERTIFICATE: Final = "tls.crt"
_KEY: Final = "tls.key"
_CA: Final = "ca.crt"


class TLSFolder:
    """Keeps what it has read while a newer one cannot be used."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError, and ValueError when the files are no key and certificates; neither quotes them."""
        self._folder = folder
        self._stamp = self._look()
        self._identity = self._read()

    def identity(self) -> Identity:
        """As it is now."""
        try:
            stamp = self._look()
            if stamp != self._stamp:
                self._identity, self._stamp = self._read(), stamp
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            _LOG.error("the new certificate cannot be used, keeping the old one", folder=str(self._folder), why=why)
        return self._identity

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        stats = ((self._folder / name).stat() for name in (_CERTIFICATE, _KEY, _CA))
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)

    def _read(self) -> Identity:
        certificate, key, ca = ((self._folder / name).read_bytes() for name in (_CERTIFICATE, _KEY, _CA))
        own = credentials.ClientCertificate(certificate_pem=certificate, key_pem=key)
        try:
            credentials.tls_context(credentials.Trust(ca_pem=ca), own)
        except (kube_errors.CredentialsError, ssl.SSLError):
            raise ValueError(f"{self._folder} has no usable {_CERTIFICATE}, {_KEY} and {_CA}") from None
        return Identity(ca_pem=ca, certificate_pem=certificate, key_pem=key)
