"""``freelane bench``: that contenders give equal answers, and then what the answers cost."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from freelane.bench import baseline as baselines
from freelane.bench import ci, report, request_files, table
from freelane.bench.api import compare
from freelane.bench.contenders import SERVERS, ContenderFailed
from freelane.bench.interrupts import interrupts
from freelane.bench.load import GENERATORS, LoadFailed
from freelane.bench.progress import Progress
from freelane.bench.progress import choose as choose_progress
from freelane.bench.requests import parse_line, read_variables
from freelane.bench.runs import Timing
from freelane.errors import EXIT_CONFIG, EXIT_INTERRUPTED, EXIT_STARTUP, ConfigError

EPILOG = f"""\b
A contender is one of
  SERVER[@PYTHON] [module:app] [OPTION...]   {", ".join(SERVERS)}
  module:app                                 another app, served by freelane
  cmd:COMMAND with {{port}}                    any command; {{app}} and {{python}} are filled in
  http://127.0.0.1:8000                      what runs already
each with NAME= before it if it needs one.

\b
Exit codes: 0 equal (and timed), 1 a difference, or a row that is no measurement,
2 a mistake in the command, 3 a contender or the load generator failed, 130 Ctrl-C."""


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("app", required=False)
@click.option("--against", "-a", multiple=True, metavar="CONTENDER", help="Compare with this one; repeatable.")
@click.option("--subject", default="freelane", show_default=True, metavar="CONTENDER", help="What comes first.")
@click.option("--app-dir", metavar="DIR", help="Directory to import apps from.")
@click.option("--request", "-r", "lines", multiple=True, metavar="'METHOD /path'",
              help="'[WEIGHT] METHOD /path [Name: value]... [BODY|@file]', or 'WS /path > text <'; repeatable.")  # fmt: skip
@click.option("--requests", "files", multiple=True, metavar="FILE",
              help="Ask what is in it: such lines, HAR, access log, Postman collection, .http file; repeatable.")  # fmt: skip
@click.option(
    "--openapi", is_flag=False, flag_value="", metavar="[PATH]", help="Ask what the app's own OpenAPI document tells."
)
@click.option("--unsafe", is_flag=True, help="With --openapi: also ask what may change data.")
@click.option("--variable", "variables", multiple=True, metavar="NAME=VALUE", help="Stands for {{NAME}} in requests.")
@click.option("--login", metavar="'METHOD /path'", help="Ask this first; the others carry its token or cookies.")
@click.option("--token", metavar="PLACE", help="Where the log-in's answer has the token: $.path or a header's name.")
@click.option(
    "--setup", metavar="HOOK", help="Before each start is asked: module:function, called with the URL, or cmd:COMMAND."
)
@click.option("--ignore", multiple=True, metavar="PLACE", help="Do not compare it: 'header NAME', headers, or $.path of JSON.")
@click.option("--strict", is_flag=True, help="The same JSON in other bytes is a difference.")
@click.option("--compare-only", is_flag=True, help="Time nothing.")
@click.option("--anyway", is_flag=True, help="Time contenders whose answers differ.")
@click.option("--each", is_flag=True, help="Time each request by itself instead of all as a mix.")
@click.option("--profile", is_flag=True, help="Then show where the time of each request goes: its lane, CPU, stacks by py-spy.")
@click.option("--connections", "-c", type=click.IntRange(1, 20_000), default=64, show_default=True, help="Kept alive.")
@click.option(
    "--duration", "-d", type=click.FloatRange(1, 3600), default=5.0, show_default=True, help="Seconds of an interval."
)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Intervals for each contender.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Requests per second, for latency at that rate.")
@click.option("--warm-up", type=click.FloatRange(1, 600), default=5.0, show_default=True, help="Seconds at most, until steady.")
@click.option("--cores", type=click.IntRange(min=1), help="Cores for the servers; the load gets the others. [default: half]")
@click.option("--generator", type=click.Choice(GENERATORS), help="Load generator. [default: the first that is here]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the contenders. [default: a free one]")
@click.option("--start-timeout", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Seconds to start in.")
@click.option("--json", "json_file", metavar="FILE", help="Write the result as JSON; - prints it instead of the table.")
@click.option("--save", metavar="FILE", help="Write the result for a later --baseline.")
@click.option("--baseline", metavar="FILE", help="Show an earlier run beside this one.")
@click.option("--html", metavar="FILE", help="Write a report for the browser: one page, no network.")
@click.option("--junit", metavar="FILE", help="Write the verdict as JUnit XML.")
@click.option("--github", is_flag=True, help="Print GitHub annotations. [default: under GitHub Actions]")
@click.option("--csv", "csv_file", metavar="FILE", help="Write the table as CSV; - prints it instead of the table.")
def command(**options: Any) -> int:
    """Prove that contenders give the same answers to the same requests, then show what the answers cost.

    APP is module:app or path/file.py:app; freelane serves it first, and --against names what it is
    compared with. Nothing of the app need know freelane.
    """
    return run(**options)


def run(**options: Any) -> int:
    interrupts.install()
    progress = choose_progress()
    try:
        return bench(progress, **options)
    except ConfigError as exc:
        print(f"freelane: {exc}", file=sys.stderr)
        return EXIT_CONFIG
    except (ContenderFailed, LoadFailed) as exc:
        print(f"freelane: {exc}", file=sys.stderr)
        return EXIT_STARTUP
    except KeyboardInterrupt:
        interrupts.ended()
        print("freelane: interrupted; everything that was started is stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        progress.close()


def bench(
    progress: Progress, *, lines: tuple[str, ...], files: tuple[str, ...], openapi: str | None, variables: tuple[str, ...],
    connections: int, duration: float, rounds: int, rate: float | None, warm_up: float, start_timeout: float,
    json_file: str | None, csv_file: str | None, save: str | None, baseline: str | None, html: str | None, junit: str | None,
    github: bool, **options: Any,
) -> int:  # fmt: skip
    earlier = baselines.read(baseline) if baseline is not None else None
    requests, left_out = [parse_line(line) for line in lines], list[str]()
    known: dict[str, str] = {}
    for name in files:
        found = request_files.read(name)
        requests += found.requests
        known |= found.variables
        left_out += found.left_out
    result = compare(
        options.pop("app"), requests=requests, openapi=True if openapi == "" else openapi or False,
        variables=known | read_variables(variables), timing=Timing(rounds, duration, connections, rate, warm_up),
        timeout=start_timeout, progress=progress, **options,
    )  # fmt: skip
    progress.close()
    result.left_out = left_out + result.left_out
    result.command = shlex.join(["freelane", *sys.argv[1:]])
    as_json = json.dumps(result.as_dict(), indent=2) + "\n"
    written = {json_file: as_json, save: as_json, csv_file: result.as_csv(), html: report.page(result), junit: ci.junit(result)}
    for where, made in written.items():
        if where is not None:
            write(where, made)
    if "-" not in written:
        print(table.text(result))
        if earlier is not None:
            print("\n" + baselines.against(result, earlier))
    if github or os.environ.get("GITHUB_ACTIONS") == "true":
        print("\n".join(ci.github(result)), file=sys.stderr if "-" in written else sys.stdout)
    return result.code


def write(where: str, made: str) -> None:
    if where == "-":
        print(made, end="")
        return
    try:
        Path(where).write_text(made)
    except OSError as exc:
        raise ConfigError(f"cannot write '{where}': {exc.strerror}") from None
