"""Certificates and keys, checked before anything is started; Granian, which has rustls, takes fewer forms than OpenSSL."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from freelane.errors import ConfigError

if TYPE_CHECKING:
    from freelane.settings.table import Settings

# What begins a private key in PEM: plain and encrypted PKCS#8 (RFC 7468, 10 and 11), PKCS#1 and SEC1 (RFC 5915, 4).
PLAIN = b"-----BEGIN PRIVATE KEY-----"
PKCS8 = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
TRADITIONAL = (b"-----BEGIN RSA PRIVATE KEY-----", b"-----BEGIN EC PRIVATE KEY-----")


def check(settings: Settings) -> None:
    from freelane.settings.table import flag

    if settings.ssl_certfile is None:
        for name in ("ssl_keyfile", "ssl_ca_certs", "ssl_client_verify"):
            if getattr(settings, name):
                raise ConfigError(f"{flag(name)} needs --ssl-certfile")
        return
    for name in ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs"):
        path = getattr(settings, name)
        if path is None:
            continue
        try:
            with open(path, "rb"):
                pass
        except OSError as exc:
            raise ConfigError(f"{flag(name)}: cannot read '{path}': {exc.strerror}") from None
    keyfile = settings.ssl_keyfile or settings.ssl_certfile
    if settings.ssl_keyfile is None and not has_key(read(keyfile)):
        raise ConfigError(f"--ssl-certfile '{keyfile}' has no private key in it: name its file with --ssl-keyfile")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, settings.ssl_keyfile_password or "")
        if settings.ssl_ca_certs is not None:
            context.load_verify_locations(settings.ssl_ca_certs)
    except (ssl.SSLError, OSError) as exc:
        raise ConfigError(
            f"--ssl-certfile '{settings.ssl_certfile}' and --ssl-keyfile '{keyfile}' "
            f"cannot be used: {getattr(exc, 'reason', None) or exc}"
        ) from None
    if verifies(settings) and settings.ssl_ca_certs is None:
        asked = "--ssl-client-verify" if settings.ssl_client_verify else "--ssl-cert-reqs 2"
        raise ConfigError(f"{asked} needs --ssl-ca-certs: without, no client could be let in")
    private_key(settings).close()  # here and not only when serving: a mistake is told before anything is started


def verifies(settings: Settings) -> bool:
    """Whether no client is served without a certificate."""
    return settings.ssl_client_verify or settings.ssl_cert_reqs == 2


def client_authorities(settings: Settings) -> str | None:
    """What clients' certificates are checked against; None where clients are not asked for one, as by uvicorn's default."""
    return settings.ssl_ca_certs if verifies(settings) or settings.ssl_cert_reqs == 1 else None


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def has_key(pem: bytes) -> bool:
    return any(mark in pem for mark in (PLAIN, PKCS8, *TRADITIONAL))


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """The path that Granian is given; ``fd`` holds a key that no file has."""

    path: str | None
    fd: int | None = None

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)


def private_key(settings: Settings) -> PrivateKey:
    """The key as Granian takes it, decrypted in memory. Raises ConfigError."""
    path = key_file(settings)
    if (plain := decrypted(settings)) is None:
        return PrivateKey(path)
    if not hasattr(os, "memfd_create"):
        raise needs(path, "Linux")
    fd = os.memfd_create("freelane-key")
    os.write(fd, plain)
    return PrivateKey(f"/proc/self/fd/{fd}", fd)


def key_file(settings: Settings) -> str:
    path = settings.ssl_keyfile or settings.ssl_certfile
    assert path is not None
    return path


def decrypted(settings: Settings) -> bytes | None:
    """An encrypted key without its password, since Granian aborts on what OpenSSL encrypts; None for another key.

    Raises ConfigError.
    """
    path = key_file(settings)
    pem = read(path)
    if b"ENCRYPTED" not in pem:
        return None  # OpenSSL, too, does not mind a password that nothing needs
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise needs(path, "cryptography") from None
    begin = min(pem.find(mark) for mark in (PKCS8, *TRADITIONAL) if mark in pem)
    end = pem.index(b"-----", pem.index(b"-----END", begin) + 8) + 5
    try:
        key = serialization.load_pem_private_key(pem[begin:end] + b"\n", (settings.ssl_keyfile_password or "").encode())
    except (ValueError, TypeError) as exc:
        raise ConfigError(f"the private key in '{path}' cannot be used: {exc}") from None
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def needs(path: str, what: str) -> ConfigError:
    cure = "pip install 'freelane[standard]', or " if what == "cryptography" else ""
    return ConfigError(
        f"the private key in '{path}' is encrypted, which needs {what}: {cure}"
        f"write it without a password: openssl pkcs8 -topk8 -nocrypt -in {path} -out key.pem"
    )
