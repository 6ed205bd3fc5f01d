"""The certificate authority that a memory cluster shows: a real certificate, of which nobody has the key."""

from __future__ import annotations

from typing import Final

CA_PEM: Final = b"""\
-----BEGIN CERTIFICATE-----
MIIBJTCBzKADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBm1lbW9yeTAg
Fw0yMDAxMDEwMDAwMDBaGA8yOTk5MDEwMTAwMDAwMFowETEPMA0GA1UEAwwGbWVt
b3J5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/aBCwc90cPGDxXQPtnOkFjIE
Sx4SpwO3G8PN59PIW/Zudv8ByHDXIVwxdMklgDO7pD7EDlJqYaTbu7NLU25gAKMT
MBEwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiBSaIfyqz/o2nR/
2w2/Kkj3br+zXbq/6DFAJGJIQG1MkAIhAKCP8ee1ZNifVC5bAPDMT330NugwTimU
ndknlq8v4Tty
-----END CERTIFICATE-----
"""
