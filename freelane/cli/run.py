"""``freelane run`` and ``freelane dev``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from freelane.cli.options import settings_command
from freelane.discovery import complete, find_target
from freelane.errors import ConfigError, UnavailableError
from freelane.settings import Settings, resolve

# What `dev` is without options.
DEV = {
    "reload": True, "access_log": True,
    "access_log_format": '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s in %(took)s (%(lane)s lane)',
}  # fmt: skip


def run(target: str | None, given: dict[str, Any]) -> int:
    """Serve an ASGI app: module:app or path/to/file.py:app.

    Without APP it is looked for as the fastapi command does, in main.py, app.py, api.py and app/.
    """
    return serve(target, given, {})


def dev(target: str | None, given: dict[str, Any]) -> int:
    """Serve an ASGI app while it is written: started again when a file changes, every request logged."""
    return serve(target, given, DEV)


def serve(target: str | None, given: dict[str, Any], defaults: Mapping[str, Any]) -> int:
    settings = resolve(given, defaults=defaults)
    target = choose(target or new_app(settings))
    # Imported here: a mistake does not wait for it.
    from freelane.server import constants, shutdown
    from freelane.server.host import Server

    constants.install()
    load, served = (lambda: load_app(target, settings)), settings
    if settings.migrates:
        load, served = fronted(load, settings, target)
    server = Server(load, served, target)
    code = server.run()
    if server.deadline is not None:
        shutdown.end_threads(code, server.deadline, interrupted=server.exit.interrupted)
    return code


def choose(target: str | None) -> str:
    """The app that is named, or else the one that is found, which is said."""
    if target is not None:
        return complete(target)
    found, where = find_target()
    found = complete(found)
    print(f"freelane: serving {found}, {where}", file=sys.stderr)
    return found


def new_app(settings: Settings) -> str | None:
    """The app that --strangle serves, where its file names it."""
    if not settings.strangle:
        return None
    from freelane.migration import state_file

    found = state_file.read(state_file.choose(settings.migration_file)).get("new")
    return None if found is None else str(found)


def fronted(load: Callable[[], Any], settings: Settings, target: str) -> tuple[Callable[[], Any], Settings]:
    """What loads the app with the other sides beside it. Theirs are the lifespans: the server runs the front's."""
    from freelane.migration import build
    from freelane.server import logs

    def both() -> Any:
        try:
            return build.front(load, settings, target)
        except ConfigError:
            raise
        except Exception as exc:
            print(logs.traceback_text(exc, logs.coloured(settings, sys.stderr)), file=sys.stderr)
            raise UnavailableError(f"importing another side failed: {type(exc).__name__}: {exc}") from None

    return both, replace(settings, lifespan="on")


def load_app(target: str, settings: Settings) -> Any:
    from freelane.loader import load
    from freelane.server import logs

    try:
        return load(target, **settings.loading)
    except ConfigError:
        raise
    except Exception as exc:
        # The app's own error: its traceback is what helps.
        print(logs.traceback_text(exc, logs.coloured(settings, sys.stderr)), file=sys.stderr)
        raise UnavailableError(f"importing '{target}' failed: {type(exc).__name__}: {exc}") from None


commands = {
    "run": settings_command("run", "serve an app", run),
    "dev": settings_command("dev", "serve an app, and start it again when a file changes", dev),
}
