"""Serve through Granian's public API alone, for a Granian whose private names have moved."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from freelane.gil_lane import gil_watch
from freelane.server import granian, signals
from freelane.server.rsgi import LAST_STEPS, RSGIApplication
from freelane.settings import Settings, tls

logger = logging.getLogger("freelane.error")


def serve(load: Callable[[], Any], settings: Settings, missing: list[str]) -> int:
    """Serve ``wrap(load())`` over plain RSGI until SIGINT or SIGTERM; returns 0.

    Every answer is the same, but each request takes Granian's own way to the loop, `def`
    endpoints run on anyio's threads, and a failed startup is Granian's to report.
    """
    logger.warning(
        "Granian %s is not one freelane knows (%s): serving over plain RSGI, which is slower and lacks limits, added headers, "
        "restarts, health and metrics. Install granian>=2.7,<3.",
        granian.version(),
        "; ".join(missing),
    )
    with key_file(settings) as key:
        return run(load, settings, key)


@contextlib.contextmanager
def key_file(settings: Settings) -> Iterator[Path | None]:
    """The private key in a file that Granian reads. Granian resolves its path, so that a name under /proc would not do."""
    if not settings.tls:
        yield None
    elif (plain := tls.decrypted(settings)) is None:
        yield Path(tls.key_file(settings))
    else:
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        with tempfile.NamedTemporaryFile(dir=memory) as file:  # for its owner alone
            file.write(plain)
            file.flush()
            yield Path(file.name)


def run(load: Callable[[], Any], settings: Settings, key: Path | None) -> int:
    package = granian.package()
    server = package.Granian(
        "freelane",
        address=settings.host,
        port=settings.port,
        uds=None if settings.uds is None else Path(settings.uds),
        interface=package.constants.Interfaces.RSGI,
        workers=settings.workers,
        http=package.constants.HTTPModes(settings.http_versions),
        log_level=package.log.LogLevels(settings.log_level),
        log_access=settings.access_log,
        ssl_cert=None if settings.ssl_certfile is None else Path(settings.ssl_certfile),
        ssl_key=key,
        ssl_protocol_min=package.constants.SSLProtocols.tls12,
        ssl_ca=None if (authorities := tls.client_authorities(settings)) is None else Path(authorities),
        ssl_client_verify=tls.verifies(settings),
        workers_kill_timeout=settings.patience + LAST_STEPS,
    )
    applications: list[RSGIApplication] = []

    def make(*_: Any) -> RSGIApplication:
        applications.append(RSGIApplication(load(), settings))
        return applications[-1]

    if gil_watch.free_threaded():
        server.on_startup(lambda: signals.assure(signals.HANDLED))
    # Its annotation knows apps that are called; RSGI's have `__rsgi__`.
    server.serve(target_loader=make, wrap_loader=False)
    for application in applications:
        application.close()
    return 0
