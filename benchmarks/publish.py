"""The comparison for README.md: a table, a plot, and what they were made with."""

from __future__ import annotations

from html import escape
from pathlib import Path

from freelane.bench import Result, table
from freelane.bench.results import Row, middle
from freelane.errors import ConfigError

BEGIN, END = "<!-- comparison: begin -->", "<!-- comparison: end -->"
NAME, BAR, STEP = 110, 420, 18


def markdown(result: Result) -> str:
    """Requests per second by contender and endpoint; the ratio to freelane where the machine was quiet enough."""
    scenarios = result.scenarios
    head = ["", *(f"`{scenario.split(' {')[0]}`" for scenario in scenarios)]
    lines = [head, ["---", *("---:" for _ in scenarios)]]
    names = list(dict.fromkeys(row.contender for row in result.rows))
    rows = {(row.contender, row.scenario): row for row in result.rows}
    for name in names:
        lines.append([name, *(cell(result, rows[name, scenario]) for scenario in scenarios)])
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    versions = "; ".join(
        f"{side.name}: " + " ".join(v if k in ("python", "build") else f"{k} {v}" for k, v in side.versions.items())
        for side in result.sides
    )
    made = (
        f"{result.started[:10]}, {result.machine.cpu}, {len(result.machine.cores)} cores, {result.machine.system}; "
        f"{result.generator}, {table.load_words(result.options)}; {result.placement}. `{result.command}`"
    )
    return f"{body}\n\n![requests per second](benchmarks/comparison.svg)\n\n{made}\n\n{versions}"


def cell(result: Result, row: Row) -> str:
    if row.invalid or row.rate is None:
        return "errors" if row.errors else "-"
    found = result.ratio(row)
    if found is None:
        return f"{row.rate:,.0f}"
    return f"{row.rate:,.0f} (noisy)" if result.noise(row) else f"{row.rate:,.0f} ({found.value:.2f})"


def svg(result: Result) -> str:
    """Bars of requests per second, a group for each endpoint; readable on light and on dark."""
    names = list(dict.fromkeys(row.contender for row in result.rows))
    parts, y = [], 0
    for scenario in result.scenarios:
        rows = [row for row in result.rows if row.scenario == scenario]
        most = max((row.rate or 0 for row in rows if not row.invalid), default=0) or 1
        y += 26
        parts.append(f'<text class="head" x="0" y="{y}">{escape(scenario.split(" {")[0])}</text>')
        y += 8
        for row in rows:
            rate = 0.0 if row.invalid or row.rate is None else row.rate
            kind = "first" if row.contender == names[0] else "other"
            words = f"{rate:,.0f}" if rate else "no measurement"
            parts.append(f'<text x="{NAME - 6}" y="{y + 12}" text-anchor="end">{escape(row.contender)}</text>')
            parts.append(
                f'<rect class="{kind}" x="{NAME}" y="{y + 2}" width="{rate / most * BAR:.1f}" height="{STEP - 5}" rx="2"/>'
            )
            parts.append(f'<text x="{NAME + rate / most * BAR + 6:.1f}" y="{y + 12}">{words}</text>')
            y += STEP
    style = (
        "text{font:11px system-ui,sans-serif;fill:#444}.head{font-weight:600}.first{fill:#2463c9}.other{fill:#9aa3ad}"
        "@media(prefers-color-scheme:dark){text{fill:#ccc}.first{fill:#6ea2f7}.other{fill:#6b747e}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {NAME + BAR + 70} {y + 10}"><style>{style}</style>'
        + "".join(parts)
        + "</svg>\n"
    )


def into_readme(readme: Path, plot: Path, result: Result) -> None:
    """Between its two marks. Raises ConfigError where it has none."""
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        raise ConfigError(f"{readme.name} has no {BEGIN} and {END}")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n{markdown(result)}\n{END}{after}")
    plot.write_text(svg(result))


def per_connection(results: list[Result]) -> str:
    """Memory per connection: what the most connections take over the fewest, in KiB each."""
    few, many = (pick(results, key=lambda r: int(r.options["connections"])) for pick in (min, max))
    between = many.options["connections"] - few.options["connections"]
    before = {(row.scenario, row.contender): middle(row.rss) for row in few.rows}
    lines = []
    for row in many.rows:
        old, new = before.get((row.scenario, row.contender)), middle(row.rss)
        if old is not None and new is not None and not row.invalid:
            lines.append((row.scenario, row.contender, f"{old:.0f}", f"{new:.0f}", f"{(new - old) * 1024 / between:.1f}"))
    head = ("scenario", "contender", f"MiB at {few.options['connections']}", f"MiB at {many.options['connections']}",
            "KiB per connection")  # fmt: skip
    return table.columns(head, lines)
