"""The ``freelane`` command."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence
from typing import Any

from freelane.errors import EXIT_CONFIG, EXIT_INTERRUPTED, ConfigError
from freelane.gil_lane import start

# Each command's module, which has it as `command`, and its line in the help.
COMMANDS = {
    "run": ("freelane.cli.run", "serve an app"),
    "dev": ("freelane.cli.run", "serve an app, and start it again when a file changes"),
    "check": ("freelane.cli.check", "say what of an app needs the GIL, and which lane serves each route"),
    "routes": ("freelane.cli.check", "the routes of an app and the lane of each"),
    "bench": ("freelane.cli.bench", "prove that answers are equal under other servers, then show what they cost"),
    "migration": ("freelane.cli.migration", "move requests between two apps while they are served"),
    "build": ("freelane.cli.build", "compile an app's own modules ahead of time, for run --compiled"),
    "completion": ("freelane.cli.completion", "print the completion script of a shell"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code, of ``freelane.errors``."""
    words = sys.argv[1:] if argv is None else list(argv)
    if argv is None and words[:1] in (["run"], ["dev"]):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the server has its own: an end without a traceback
        start.keep_gil_off()
    # Imported here: this process may just have been started over.
    import click

    try:
        code = make_group().main(words, prog_name="freelane", standalone_mode=False)
    except ConfigError as exc:
        print(f"freelane: {exc}", file=sys.stderr)
        return exc.code
    except click.ClickException as exc:
        where = getattr(getattr(exc, "ctx", None), "command_path", "freelane")
        print(f"freelane: {one_line(exc.format_message())} (see {where} --help)", file=sys.stderr)
        return EXIT_CONFIG
    except click.Abort:
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0


def one_line(message: str) -> str:
    return " ".join(message.split()).removesuffix(".")


def make_group() -> Any:
    """The commands, each imported when it is asked for."""
    import click

    import freelane

    class Commands(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(COMMANDS)

        def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
            if name not in COMMANDS:
                return None
            module = importlib.import_module(COMMANDS[name][0])
            found: click.Command = module.commands[name] if hasattr(module, "commands") else module.command
            return found

        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, short) for name, (_, short) in COMMANDS.items()])

        def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
            try:
                return super().resolve_command(ctx, args)
            except click.UsageError as exc:
                from freelane.settings.sources import near

                if args and args[0] not in COMMANDS:
                    raise click.UsageError(f"no command '{args[0]}'{near(args[0], COMMANDS)}", ctx) from exc
                raise

    @click.group(
        cls=Commands,
        help=freelane.__doc__,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog="Exit codes: 0, 1 for findings of check and bench, 2 for a mistake, 3 for a failed start, 130 for Ctrl-C.",
    )
    @click.version_option(freelane.__version__, prog_name="freelane", message="%(prog)s %(version)s")
    @click.pass_context
    def group(ctx: click.Context) -> None:
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())

    return group


if __name__ == "__main__":
    sys.exit(main())
