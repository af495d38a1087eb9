"""The report: one HTML page that holds everything, for a browser without a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from freelane.bench import plots, table
from freelane.bench.load import PERCENTILES
from freelane.bench.results import Result, Row

STYLE = """
:root { color-scheme: light dark; --back: #fcfcfb; --fore: #1c1e21; --quiet: #5d636b; --line: #d9dce0; --card: #fff;
  --good: #1a7f4b; --bad: #b3261e; --warn: #8a5a00; --add: #e3f4e8; --del: #fbe5e3;
  --c0: #2463c9; --c1: #c4551a; --c2: #2f8f5b; --c3: #8c3fb5; --c4: #b5892a; --c5: #c2356f; --c6: #2b8fa3; --c7: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --back: #15171a; --fore: #e6e8ea; --quiet: #a0a7b0; --line: #363b42;
  --card: #1d2024; --good: #5fcf93; --bad: #ff8a80; --warn: #f0b95a; --add: #173524; --del: #41201d;
  --c0: #6ea2f7; --c1: #f08b52; --c2: #62c58f; --c3: #c48be6; --c4: #dcb65a; --c5: #f07fab; --c6: #63c4d6; --c7: #a4abb6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 4rem; max-width: 68rem; background: var(--back); color: var(--fore);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.45rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
.quiet { color: var(--quiet); } .good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.verdict { font-size: 1.1rem; font-weight: 600; margin: .8rem 0 .3rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; } th { font-weight: 600; color: var(--quiet); font-size: .85rem; }
th:first-child, td:first-child, th:last-child, td:last-child, .left td, .left th { text-align: left; }
td:last-child { white-space: normal; min-width: 9rem; }
.left td { white-space: normal; vertical-align: top; overflow-wrap: anywhere; }
.plots { display: grid; gap: 1rem; align-items: start; margin-top: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
figure { margin: 0; padding: .8rem; border: 1px solid var(--line); border-radius: 6px; background: var(--card); min-width: 0; }
figure { max-width: 36rem; } figcaption { font-weight: 600; margin-bottom: .5rem; }
svg { width: 100%; height: auto; display: block; } svg text { font: 10.5px system-ui, sans-serif; fill: var(--quiet); }
.grid { stroke: var(--line); fill: none; } .line { fill: none; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem .9rem; font-size: .85rem; margin-top: .4rem; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .35em; }
.bar { display: grid; grid-template-columns: minmax(5rem, 10rem) 1fr 5rem; gap: .6rem; align-items: center; margin: .35rem 0; }
.bar > span { font-size: .85rem; overflow-wrap: anywhere; } .num { text-align: right; font-variant-numeric: tabular-nums; }
.bar > div { position: relative; height: 1.1rem; border-radius: 3px;
  background: color-mix(in srgb, var(--line) 45%, transparent); }
.bar b { display: block; height: 100%; border-radius: 3px; opacity: .8; }
.bar i { position: absolute; top: .28rem; width: .55rem; height: .55rem; margin-left: -.275rem; border-radius: 50%;
  background: var(--fore); border: 1.5px solid var(--card); }
pre { overflow-x: auto; padding: .6rem .8rem; border: 1px solid var(--line); border-radius: 6px; background: var(--card);
  font: 13px/1.45 ui-monospace, monospace; margin: .4rem 0; }
pre span { display: block; } .plus { background: var(--add); } .minus { background: var(--del); }
details { margin: .4rem 0; } summary { cursor: pointer; } code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
@media (max-width: 30rem) { .bar { grid-template-columns: 1fr 4.5rem; } .bar > span:first-child { grid-column: 1 / -1; }
  th, td { padding: .35rem .5rem; } }
"""


def page(result: Result) -> str:
    """The whole page. Its numbers are those of ``Result.as_dict``, which is in it as JSON."""
    title = " against ".join([result.sides[0].name, ", ".join(side.name for side in result.sides[1:]) or "nothing"])
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">freelane bench, {escape(result.started)}, {escape(result.machine.cpu)}, '
        f"{len(result.machine.cores)} cores</p>",
        verdict(result),
        *(scenario(result, name) for name in result.scenarios),
        memory(result),
        answers(result),
        profiles(result),
        circumstances(result),
    ]
    # "</" would end the script.
    data = json.dumps(result.as_dict()).replace("</", "<\\/")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(part for part in body if part)
        + f'\n<script type="application/json" id="result">{data}</script>\n</body></html>\n'
    )


def verdict(result: Result) -> str:
    found = result.agreement
    count = f"{found.asked} request{'s' if found.asked != 1 else ''}"
    if found.differences:
        lines = [f'<p class="verdict bad">The answers differ: {len(found.differences)} of them, {count} asked.</p>']
    elif len(result.sides) == 1:
        lines = [f'<p class="verdict">{count} asked of one contender.</p>']
    else:
        lines = [f'<p class="verdict good">The answers are equal: {count}.</p>']
    lines += [f'<p class="warn">{escape(line)}</p>' for line in table.remarks(result)]
    return "".join(lines)


def scenario(result: Result, name: str) -> str:
    rows = [row for row in result.rows if row.scenario == name]
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.HEAD)
    body = "".join(table_row(result, row) for row in rows)
    rates = [(row.contender, None if row.invalid else row.rate, [] if row.invalid else row.rates,
              "invalid" if row.invalid else f"{row.rate:,.0f}/s") for row in rows]  # fmt: skip
    curves: dict[str, dict[float, float]] = {}
    for row in rows:
        curves[row.contender] = {p: ms for p in PERCENTILES if not row.invalid and (ms := row.latency(p)) is not None}
    return (
        f'<h2>{escape(name)}</h2><div class="wide"><table data-scenario="{escape(name)}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
        f'<div class="plots"><figure><figcaption>Requests per second; a dot is a round</figcaption>{plots.bars(rates)}</figure>'
        f"<figure><figcaption>Latency by percentile</figcaption>{plots.latencies(curves)}</figure></div>"
    )


def table_row(result: Result, row: Row) -> str:
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in table.cells(result, row))
    return f"<tr{' class=bad' if row.invalid else ''}>{cells}</tr>"


def memory(result: Result) -> str:
    series = result.memory
    if not any(series.values()):
        return ""
    return (
        '<h2>Memory</h2><div class="plots"><figure><figcaption>Resident memory while each had its turn</figcaption>'
        f"{plots.over_time(series)}</figure></div>"
    )


def answers(result: Result) -> str:
    found = result.agreement
    parts = ["<h2>Answers</h2>"]
    for difference in found.differences:
        parts.append(
            f"<h3>{escape(difference.request)}</h3><p><b>{escape(difference.contender)}</b> differs from "
            f"{escape(difference.reference)} in {escape(', '.join(difference.places))}.</p>{diff(difference.diff)}"
        )
    listed = [("differs by nature", label, ", ".join(places)) for label, places in found.nature.items()]
    listed += [("the same JSON, written differently", label, ", ".join(words)) for label, words in found.writing.items()]
    listed += [("not timed", label, f"answered {why}") for label, why in found.failing.items()]
    listed += [("not asked", line.partition(": ")[0], line.partition(": ")[2]) for line in result.left_out]
    if len(set(found.servers.values())) > 1:
        listed.append(
            ("the server's own", "every request", "Server: " + ", ".join(v or "(none)" for v in found.servers.values()))
        )
    if listed:
        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in listed)
        parts.append(f'<div class="wide"><table class="left"><tbody>{rows}</tbody></table></div>')
    asked = "".join(f"<li><code>{escape(label)}</code></li>" for label in result.requests)
    parts.append(f"<details><summary>{len(result.requests)} asked</summary><ul>{asked}</ul></details>")
    return "".join(parts)


def diff(text: str) -> str:
    kinds = {"+": "plus", "-": "minus"}
    lines = "".join(f'<span class="{kinds.get(line[:1], "")}">{escape(line) or " "}</span>' for line in text.splitlines())
    return f"<pre>{lines}</pre>"


def profiles(result: Result) -> str:
    parts = []
    for profile in result.profiles:
        head = "".join(f"<th>{escape(cell)}</th>" for cell in profile["head"])
        body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in line) + "</tr>" for line in profile["rows"])
        parts.append(
            f'<h3>{escape(profile["title"])}</h3><div class="wide"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
            + "".join(f'<p class="quiet">{escape(note)}</p>' for note in profile["notes"])
        )
    return "<h2>Where the time goes</h2>" + "".join(parts) if parts else ""


def circumstances(result: Result) -> str:
    machine = result.machine
    rows: list[tuple[str, str]] = [
        ("machine", f"{machine.cpu}, {len(machine.cores)} cores, {machine.memory_mib} MiB"),
        ("system", f"{machine.system}, load average {machine.load_average} at the start"),
    ]
    if result.rows:
        rows += [("load", f"{result.generator}, {table.load_words(result.options)}"), ("cores", result.placement)]
    for side in result.sides:
        versions = ", ".join(f"{name} {version}" for name, version in side.versions.items())
        rows.append((side.name, f"{versions}\n{side.command}" if versions else side.command))
    if result.command:
        rows.append(("the same run", result.command))
    return "<h2>Circumstances</h2>" + pairs(rows)


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    cells = [(escape(name), "<br>".join(f"<code>{escape(line)}</code>" for line in value.splitlines())) for name, value in rows]
    body = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in cells)
    return f'<div class="wide"><table class="left"><tbody>{body}</tbody></table></div>'
