"""What an option of uvicorn's does here, for those who give one that does nothing or something else."""

from __future__ import annotations

from typing import Any

from freelane.settings.table import Settings, defaults, flag, kinds, options


def heeded(name: str, value: Any) -> bool:
    """Whether this value of an option that can be without meaning has one."""
    known = options()[name]
    return not known.inert or value in known.heeded or (":" in known.heeded and ":" in str(value))


def notes(settings: Settings) -> list[str]:
    """One line for each option that was given and does nothing here."""
    found = []
    for name, default in defaults().items():
        value = getattr(settings, name)
        if value != default and not heeded(name, value):
            shown = spelled(name, value)
            found.append(f"{shown} does nothing here: {options()[name].inert.format(value=value)}.")
    if settings.tls and settings.ssl_cert_reqs == 1 and settings.ssl_ca_certs is None:
        found.append("--ssl-cert-reqs 1 does nothing without --ssl-ca-certs: no client is asked for a certificate.")
    return found


def spelled(name: str, value: Any) -> str:
    """An option and its value as they stand on a command line."""
    if kinds()[name] is bool and not options()[name].valued:
        return flag(name) if value else flag(name).replace("--", "--no-", 1)
    return f"{flag(name)} {str(value).lower() if isinstance(value, bool) else value}"
