"""``freelane build``: compile an app's own modules."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from freelane.cli.options import CONTEXT, Target
from freelane.cli.run import choose
from freelane.errors import EXIT_FOUND


def build(
    target: str | None, app_dir: str | None, include: tuple[str, ...], exclude: tuple[str, ...], check: bool, clean: bool,
    wheel: bool, everything: bool,
) -> int:  # fmt: skip
    """Compile an app's own modules, for `freelane run --compiled`.

    Its functions are compiled by Cython, what must stay Python's stays, and the answers are the same.
    """
    # Imported here: what it needs is an extra.
    from freelane.build import builder, place, project
    from freelane.build.table import table

    found = project.find(choose(target), app_dir, include, exclude, everything)
    if clean:
        shutil.rmtree(place.home(found.root), ignore_errors=True)
        print(f"freelane: {place.home(found.root)} is removed")
        return 0
    cython = builder.needed()
    directory = place.directory(found.root, cython)
    if check:
        print(table(builder.check(found, directory), found.excluded))
        return 0
    records = builder.build_project(found, directory, cython, tell)
    print(table(records, found.excluded))
    compiled = sum(record["compiled"] for record in records)
    print(f"\n{compiled} of {len(records)} modules compiled into {os.path.relpath(directory)}")
    if wheel:
        from freelane.build.wheel import make_wheel

        print(f"wheel: {make_wheel(found, Path('dist'), cython)}")
    return 0 if compiled else EXIT_FOUND


def tell(record: dict[str, Any], number: int, count: int) -> None:
    what = "compiled" if record["compiled"] else f"source: {record['reason']}"
    print(f"freelane: [{number}/{count}] {record['name']} {what} ({record['seconds']} s)", file=sys.stderr, flush=True)


command = click.Command(
    "build",
    params=[
        click.Argument(["target"], required=False, type=Target(), metavar="[APP]"),
        click.Option(["--app-dir"], metavar="DIR", help="directory to import the app from"),
        click.Option(
            ["--include"], multiple=True, metavar="PATTERN", help="modules that are compiled too (repeatable): app.tests.*"
        ),
        click.Option(["--exclude"], multiple=True, metavar="PATTERN", help="modules that are not (repeatable)"),
        click.Option(["--all", "everything"], is_flag=True, help="compile also functions that gain nothing by it"),
        click.Option(["--check"], is_flag=True, help="say what would be done, and do nothing"),
        click.Option(["--clean"], is_flag=True, help="remove what earlier builds made"),
        click.Option(
            ["--wheel"], is_flag=True, help="also make a wheel of the app with it, in dist/, for a place without a compiler"
        ),
    ],
    callback=build,
    help=build.__doc__,
    short_help="compile an app's own modules",
    context_settings=CONTEXT,
)
