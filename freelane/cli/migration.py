"""``freelane migration``: look at the way from one app to another, and move it while the server runs."""

from __future__ import annotations

from typing import Any

import click

from freelane.errors import ConfigError
from freelane.migration import state_file
from freelane.migration.patterns import pattern, percent, share

FILE = click.option("--file", metavar="FILE", help="As --migration-file of `freelane run` names it.")


@click.group("migration", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Move requests from one app to another, and back, while `freelane run` serves both."""


@command.command("set")
@click.argument("what")
@click.argument("value")
@FILE
def set_(what: str, value: str, file: str | None) -> int:
    """Set what a running server does, from its next request on.

    \b
      freelane migration set share 10%         of all requests, to the canary
      freelane migration set '/items/*' 50%    of a path's requests
      freelane migration set shadow off        make no copies; on makes them
    """
    path = state_file.choose(file)

    def change(table: dict[str, Any]) -> None:
        if what == "shadow":
            if value not in ("on", "off"):
                raise ConfigError(f"shadow is on or off, not '{value}'")
            table["shadow"] = value
        elif what == "share":
            table["share"] = percent(share(value))
        elif what.startswith(("/", "*")) or " " in what:
            table.setdefault("shares", {})[pattern(what).text] = percent(share(value))
        else:
            raise ConfigError(f"there is no '{what}' to set: write share, shadow or a path")

    state_file.update(path, change)
    click.echo(f"{path}: {what} is {value}")
    return 0


@command.command("unset")
@click.argument("what")
@FILE
def unset(what: str, file: str | None) -> int:
    """Take back what was set: share, shadow or a path."""
    path = state_file.choose(file)

    def change(table: dict[str, Any]) -> None:
        place = table if what in ("share", "shadow") else table.get("shares", {})
        if what not in place:
            raise ConfigError(f"{path}: '{what}' is not set")
        del place[what]

    state_file.update(path, change)
    click.echo(f"{path}: {what} is as the server was started")
    return 0


@command.command("show")
@FILE
def show(file: str | None) -> int:
    """Print what is set, and how far the way is."""
    path = state_file.choose(file)
    table = state_file.read(path)
    click.echo(f"{path}")
    for name in ("old", "new", "paths", "share", "shadow"):
        if name in table:
            value = table[name]
            click.echo(f"  {name}: {', '.join(value) if isinstance(value, list) else value}")
    for text, value in table.get("shares", {}).items():
        click.echo(f"  {text}: {value}")
    for route, counts in table.get("progress", {}).items():
        if isinstance(counts, dict):
            click.echo(f"  {route}")
            for name, count in counts.items():
                click.echo(f"    {count:>10} {name}")
    return 0
