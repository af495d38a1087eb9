"""``python -m benchmarks``: the published comparison, by ``freelane bench``.

Every contender answers the same requests; those whose answers are not the first one's are named
and left out. It measures and reports; it never passes or fails by a time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from freelane.bench import Contender, Result, compare, report, table
from freelane.bench.contenders import ContenderFailed
from freelane.bench.interrupts import interrupts
from freelane.bench.load import LoadFailed
from freelane.bench.progress import Lines
from freelane.bench.runs import Timing
from freelane.errors import ConfigError

from . import publish, same
from .environments import Missing
from .peers import OURS, ROOT, peers


@click.command(help=__doc__)
@click.option("--contender", "names", multiple=True, metavar="NAME", help="Only this one and freelane; repeatable.")
@click.option("--request", "requests", multiple=True, metavar="'METHOD /path'", help="Ask this instead; repeatable.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--duration", default=5.0, show_default=True, help="Seconds of an interval.")
@click.option("--warm-up", default=3.0, show_default=True, help="Seconds at most.")
@click.option(
    "--connections", multiple=True, type=int, help="Repeatable; memory per connection comes of several. [default: 64]"
)
@click.option("--cores", type=int, help="Cores of the servers. [default: half]")
@click.option("--quick", is_flag=True, help="One round of a second: that it works, not how fast.")
@click.option("--html", type=Path, metavar="FILE")
@click.option("--json", "json_file", type=Path, metavar="FILE")
@click.option("--readme", is_flag=True, help="Put table and plot into README.md.")
def main(
    names: tuple[str, ...], requests: tuple[str, ...], rounds: int, duration: float, warm_up: float,
    connections: tuple[int, ...], cores: int | None, quick: bool, html: Path | None, json_file: Path | None, readme: bool,
) -> None:  # fmt: skip
    if quick:
        rounds, duration, warm_up = 1, 1.0, 1.0
    try:
        contenders, missing = ready(names)
        contenders, wrong = agreeing(contenders, requests or same.REQUESTS)
        results = [
            measured(contenders, requests or same.REQUESTS, Timing(rounds, duration, count, None, warm_up), cores)
            for count in connections or (64,)
        ]
    except (ConfigError, Missing) as exc:
        raise SystemExit(f"benchmarks: {exc}") from None
    except (ContenderFailed, LoadFailed) as exc:
        print(f"benchmarks: {exc}", file=sys.stderr)
        raise SystemExit(3) from None
    except KeyboardInterrupt:
        print("benchmarks: interrupted; everything that was started is stopped", file=sys.stderr)
        raise SystemExit(130) from None
    for result in results:
        result.notes += [*missing, *wrong]
        result.command = "python -m benchmarks " + " ".join(sys.argv[1:])
        print(table.text(result) + "\n")
    if len(results) > 1:
        print(publish.per_connection(results))
    if html is not None:
        html.write_text(report.page(results[0]))
    if json_file is not None:
        json_file.write_text(json.dumps([result.as_dict() for result in results], indent=2) + "\n")
    if readme:
        publish.into_readme(ROOT / "README.md", ROOT / "benchmarks" / "comparison.svg", results[0])


def ready(names: tuple[str, ...]) -> tuple[list[Contender], list[str]]:
    """The contenders that have an environment, freelane first, and why the others have none."""
    found, missing = [], []
    for peer in peers((*names, OURS) if names else ()):
        print(f"{peer.name}: {peer.what}", file=sys.stderr, flush=True)
        try:
            found.append(peer.contender())
        except Missing as exc:
            missing.append(f"{peer.name} is not here: {exc}")
    return found, missing


def agreeing(contenders: list[Contender], requests: tuple[str, ...]) -> tuple[list[Contender], list[str]]:
    """Those that give the first one's answers, header fields aside, which frameworks choose; and what the others do."""
    first, *others = contenders
    kept, wrong = [first], []
    for other in others:
        try:
            result = compare(None, [other], requests, subject=first, ignore=("headers",), timeout=30, progress=Lines())
        except ContenderFailed as exc:
            wrong.append(f"{other.name} is left out: {exc}")
            continue
        if result.equal:
            kept.append(other)
        else:
            wrong.append(f"{other.name} is left out, since it answers otherwise:\n" + "\n".join(map(str, result.differences)))
    return kept, wrong


def measured(contenders: list[Contender], requests: tuple[str, ...], timing: Timing, cores: int | None) -> Result:
    first, *others = contenders
    return compare(None, others, requests, subject=first, ignore=("headers",), compare_only=False, each=True, timing=timing,
                   cores=cores, progress=Lines())  # fmt: skip


if __name__ == "__main__":
    interrupts.install()
    main()
