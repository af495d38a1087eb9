"""``freelane run`` and ``freelane dev``."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from typing import Any

from freelane.cli.options import settings_command
from freelane.discovery import complete, find_target
from freelane.errors import ConfigError, UnavailableError
from freelane.settings import Settings, resolve

# What `dev` is without options.
DEV = {"reload": True, "access_log": True}


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
    target = choose(target)
    # Imported here: a mistake does not wait for it.
    from freelane.server import constants, shutdown
    from freelane.server.host import Server

    constants.install()
    server = Server(lambda: load_app(target, settings), settings, target)
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


def load_app(target: str, settings: Settings) -> Any:
    from freelane.loader import load

    try:
        return load(target, **settings.loading)
    except ConfigError:
        raise
    except Exception as exc:
        # The app's own error: its traceback is what helps.
        traceback.print_exc()
        raise UnavailableError(f"importing '{target}' failed: {type(exc).__name__}: {exc}") from None


commands = {
    "run": settings_command("run", "serve an app", run),
    "dev": settings_command("dev", "serve an app, and start it again when a file changes", dev),
}
