"""The report: circumstances, raw rows, ratios. The same data as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

from .machine import Machine
from .runs import Row
from .servers import Server


@dataclass(frozen=True)
class Ratio:
    """How many times the first of two rows' throughput is the second's, round by round."""

    lane: str
    what: str
    median: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Circumstances:
    machine: Machine
    servers: Sequence[Server]
    versions: dict[str, dict[str, str]]
    generator: str
    target: str
    rounds: int
    seconds: float


def ratios(rows: Sequence[Row], subject: str, against: str | None) -> list[Ratio]:
    """Subject to peer at each placement, and all cores to one core of the same server."""
    found = {(row.lane, row.server, row.cores): row for row in rows if row.invalid is None}
    lanes = list(dict.fromkeys(row.lane for row in rows))
    made = []
    for lane in lanes:
        for cores in ("one core", "all cores"):
            ours, theirs = found.get((lane, subject, cores)), found.get((lane, against or "", cores))
            if ours and theirs:
                made.append(_ratio(lane, f"{subject} / {against}, {cores}", ours, theirs))
        for server in filter(None, (subject, against)):
            every, one = found.get((lane, server, "all cores")), found.get((lane, server, "one core"))
            if every and one:
                made.append(_ratio(lane, f"{server}: all cores / one core", every, one))
    return made


def _ratio(lane: str, what: str, over: Row, under: Row) -> Ratio:
    # Neighbouring intervals are compared with each other, so that a machine that drifts does not decide.
    each = [a / b for a, b in zip(over.rates(), under.rates(), strict=True)]
    return Ratio(lane, what, round(median(each), 2), round(min(each), 2), round(max(each), 2))


def as_json(circumstances: Circumstances, rows: Sequence[Row], found: Sequence[Ratio]) -> dict[str, object]:
    return {
        "machine": circumstances.machine.as_dict(),
        "load_generator": circumstances.generator,
        "target": circumstances.target,
        "rounds": circumstances.rounds,
        "seconds_per_interval": circumstances.seconds,
        "servers": circumstances.versions,
        "rows": [{**asdict(row), "invalid": row.invalid} for row in rows],
        "ratios": [asdict(ratio) for ratio in found],
    }


def text(circumstances: Circumstances, rows: Sequence[Row], found: Sequence[Ratio]) -> str:
    parts = [_header(circumstances, rows), _rows_table(rows)]
    if found:
        parts.append(_ratios_table(found))
    return "\n\n".join(parts)


def _header(circumstances: Circumstances, rows: Sequence[Row]) -> str:
    machine = circumstances.machine
    lines = [
        f"machine   {machine.cpu}, {len(machine.cores)} cores, {machine.memory_mib} MiB, {machine.system}, "
        f"load average {machine.load_average} at the start",
        f"load      {circumstances.generator}, {circumstances.rounds} rounds of {circumstances.seconds:g} s, "
        f"interleaved; app {circumstances.target}",
    ]
    for server in circumstances.servers:
        known = dict(circumstances.versions[server.name])
        python = f"Python {known.pop('python')} {known.pop('build')} build"
        packages = ", ".join(f"{name} {version}" for name, version in known.items())
        states = {row.gil for row in rows if row.server == server.name}
        lines.append(f"{server.name:<9} {python}, GIL {_gil_words(states)}; {packages}")
    lines += [f"{label:<9} {note}" for label, note in dict.fromkeys((r.cores, r.placement) for r in rows)]
    return "\n".join(lines)


def _gil_words(states: set[bool | None]) -> str:
    words = {True: "on", False: "off", None: "not told by the app"}
    return "/".join(words[state] for state in (True, False, None) if state in states) or "unknown"


def _table(head: Sequence[str], body: Sequence[Sequence[str]], left: int) -> str:
    """Columns as wide as their widest cell; the first ``left`` of them aligned left."""
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *map(line, body)])


def _rows_table(rows: Sequence[Row]) -> str:
    head = ("lane", "server", "cores", "requests/s", "lowest", "highest", "p50 ms", "p99 ms", "RSS MiB", "")
    body = []
    for row in rows:
        rss = f"{row.rss_mib:.0f}" if row.rss_mib is not None else "?"
        if not row.samples:
            numbers = ("-",) * 5
        else:
            rates = row.rates()
            numbers = (f"{median(rates):,.0f}", f"{min(rates):,.0f}", f"{max(rates):,.0f}")
            numbers += (f"{row.middle('p50_ms'):.2f}", f"{row.middle('p99_ms'):.2f}")
        verdict = f"INVALID: {row.invalid}" if row.invalid else ""
        body.append((row.lane, row.server, row.cores, *numbers, rss, verdict))
    return _table(head, body, 3)


def _ratios_table(found: Sequence[Ratio]) -> str:
    head = ("lane", "ratio", "median", "lowest", "highest")
    body = [(r.lane, r.what, f"{r.median:.2f}", f"{r.lowest:.2f}", f"{r.highest:.2f}") for r in found]
    return _table(head, body, 2)
