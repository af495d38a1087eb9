"""The ``freelane`` command."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, NoReturn

import freelane
from freelane.errors import EXIT_CONFIG, ConfigError
from freelane.gil_lane import start
from freelane.settings import Settings, convert, flag, resolve
from freelane.settings import kinds as setting_kinds


class Parser(argparse.ArgumentParser):
    """Reports a bad option as one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="freelane", description=freelane.__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"freelane {freelane.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    run = commands.add_parser("run", help="serve an app", description="Serve an ASGI app.", allow_abbrev=False)
    add_settings(run)
    check = commands.add_parser(
        "check", help="say what of an app needs the GIL, and which lane serves each route",
        description="Import an app in an interpreter that is thrown away, and say what `freelane run` would do with it. "
        "Exits with 1 where something needs a person.", allow_abbrev=False,
    )  # fmt: skip
    check.add_argument("--json", action="store_true", help="print JSON")
    add_settings(check)
    commands.add_parser("bench", help="prove that answers are equal under other servers, then show what they cost")
    return parser


def add_settings(run: argparse.ArgumentParser) -> None:
    run.add_argument("target", help="module:app or path/to/file.py:app")
    kinds = setting_kinds()
    for item in fields(Settings):
        help = item.metadata["help"]
        options: dict[str, Any] = {"dest": item.name, "default": argparse.SUPPRESS}
        if kinds[item.name] is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif kinds[item.name] is list:
            options |= {"action": "append", "metavar": "NAME"}
        else:
            options["metavar"] = "N" if kinds[item.name] in (int, float) else "VALUE"
            if item.metadata["choices"]:
                options["metavar"] = "|".join(item.metadata["choices"])
        shown = (
            ""
            if item.default in (None, "", False, MISSING)
            else f" (default: {'yes' if item.default is True else item.default})"
        )
        run.add_argument(flag(item.name), help=help + shown, **options)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Exit codes: 0, 1 for the app's own import error, 2 for a mistake, 3 for failed startup."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["bench"]:
        from freelane.cli import bench  # what only this command needs stays unloaded

        return bench.main(words[1:])
    if argv is None and words[:1] == ["run"]:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the server has its own: an end without a traceback
        start.keep_gil_off()
    try:
        arguments = vars(build_parser().parse_args(argv))
        command = arguments.pop("command")
        target = arguments.pop("target")
        as_json = arguments.pop("json", False)
        given = {
            name: convert(name, value, flag(name)) if isinstance(value, str) else value for name, value in arguments.items()
        }
        settings = resolve(given)
        # Imported here: what a start does not need, and what a mistake does not, stays out.
        if command == "check":
            from freelane.cli import check

            return check.run(target, settings, as_json)
        from freelane.server import constants, shutdown
        from freelane.server.host import Server

        constants.install()
        server = Server(lambda: load_app(target, settings), settings, target)
        code = server.run()
        if server.deadline is not None:
            shutdown.end_threads(code, server.deadline, interrupted=server.exit.interrupted)
        return code
    except ConfigError as exc:
        print(f"freelane: {exc}", file=sys.stderr)
        return EXIT_CONFIG


def load_app(target: str, settings: Settings) -> Any:
    import traceback

    from freelane.loader import load

    try:
        return load(target, factory=settings.factory, app_dir=settings.app_dir, alias=settings.alias)
    except ConfigError:
        raise
    except Exception as exc:
        # The app's own error: its traceback is what helps.
        traceback.print_exc()
        raise SystemExit(f"freelane: importing '{target}' failed: {type(exc).__name__}: {exc}") from None


if __name__ == "__main__":
    sys.exit(main())
