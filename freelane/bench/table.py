"""A result as text: what was compared, the table, and what is to be known about it."""

from __future__ import annotations

from collections.abc import Sequence

from freelane.bench.results import Result, Row, middle

HEAD = ("contender", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "RSS MiB", "CPU s/10k", "errors", "ratio to the first, 99 %")


def text(result: Result) -> str:
    parts = ["\n".join(header(result)), "\n".join(agreement(result))]
    for scenario in result.scenarios:
        rows = [row for row in result.rows if row.scenario == scenario]
        parts.append(f"{scenario}\n" + columns(HEAD, [cells(result, row) for row in rows]))
    for profile in result.profiles:
        lines = [f"profile of {profile['title']}", columns(profile["head"], profile["rows"]), *profile["notes"]]
        parts.append("\n".join(lines))
    if closing := remarks(result):
        parts.append("\n".join(closing))
    return "\n\n".join(part for part in parts if part)


def header(result: Result) -> list[str]:
    machine = result.machine
    lines = [
        f"machine    {machine.cpu}, {len(machine.cores)} cores, {machine.memory_mib} MiB, {machine.system}, "
        f"load average {machine.load_average} at the start"
    ]
    if result.rows:
        lines.append(f"load       {result.generator}, {load_words(result.options)}")
        lines.append(f"cores      {result.placement}")
    for side in result.sides:
        known = dict(side.versions)
        python = f"Python {known.pop('python')} {known.pop('build')}; " if known else ""
        lines.append(f"contender  {side.name}: {python}{', '.join(f'{name} {version}' for name, version in known.items())}")
        lines.append(f"           {side.command}")
    return lines


def load_words(options: dict[str, object]) -> str:
    rate = f" at {options['rate']:g} requests/s" if options.get("rate") else ""
    return f"{options['connections']} connections{rate}, {options['rounds']} rounds of {options['duration']:g} s, interleaved"


def agreement(result: Result) -> list[str]:
    """The verdict on the answers, with diffs, and what was not held against anybody."""
    found = result.agreement
    count = f"{found.asked} request{'s' if found.asked != 1 else ''}"
    alone = len(result.sides) == 1
    if found.differences:
        lines = [f"The answers DIFFER ({len(found.differences)} of them, {count} asked):", ""]
        for difference in found.differences:
            lines += [*str(difference).splitlines(), ""]
    else:
        lines = [f"{count} asked of one contender: nothing to compare." if alone else f"The answers are equal: {count}."]
    for label, places in found.nature.items():
        lines.append(f"  by nature    {label}: {shortened(places)}")
    for label, words in found.writing.items():
        lines.append(f"  same JSON    {label}: {', '.join(words)}")
    for label, why in found.failing.items():
        lines.append(f"  not timed    {label}: answered {why}")
    lines += [f"  not asked    {line}" for line in result.left_out]
    servers = set(found.servers.values())
    if len(servers) > 1:
        named = ", ".join(f"{name} says {value!r}" if value else f"{name} sends none" for name, value in found.servers.items())
        lines.append(f"  the server's own headers (Date, Server, framing) are not compared: Server: {named}")
    return lines


def shortened(places: Sequence[str], most: int = 6) -> str:
    return ", ".join(places[:most]) + (f" and {len(places) - most} more" if len(places) > most else "")


def cells(result: Result, row: Row) -> tuple[str, ...]:
    numbers = [
        number(row.rate, ",.0f"), *(number(row.latency(p), ".2f") for p in (50.0, 99.0, 99.9)),
        number(middle(row.rss), ".0f"), number(middle(row.cpu), ".2f"), str(sum(row.errors.values())),
    ]  # fmt: skip
    if row.invalid:
        # A contender that answers with errors is never reported as fast.
        return (row.contender, *("-",) * 4, *numbers[4:5], "-", numbers[6], f"INVALID: {row.invalid}")
    return (row.contender, *numbers, verdict(result, row))


def verdict(result: Result, row: Row) -> str:
    if row is result.first(row.scenario):
        return "1"
    found = result.ratio(row)
    if found is None:
        return "none: the first is no measurement"
    return "noisy machine: none" if result.noise(row) else str(found)


def number(value: float | None, form: str) -> str:
    return "?" if value is None else format(value, form)


def remarks(result: Result) -> list[str]:
    lines = [f"NOISY: {why}" for why in result.noisy]
    if lines:
        lines.append("No ratio is given where the machine was not quiet: end what else runs, or take more and longer rounds.")
    limited = [f"{row.scenario}, {row.contender}" for row in result.rows if row.generator_was_the_limit]
    if limited:
        lines.append(
            f"The load generator, not the server, was the limit of: {'; '.join(limited)}. Their rates are at least this."
        )
    asked = result.options.get("rate")
    slow = [f"{row.contender} reached {row.rate:,.0f}" for row in result.rows if asked and row.rate and row.rate < 0.95 * asked]
    if slow:
        lines.append(f"The rate of {asked:g}/s was not kept: {'; '.join(slow)}.")
    if result.rows and not result.separate_cores:
        lines.append("The load and the servers had no cores of their own: each took from the other.")
    return lines + result.notes


def columns(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first and the last aligned left."""
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
    last = len(head) - 1

    def line(each: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width) for i, (cell, width) in enumerate(zip(each, widths))
        ).rstrip()

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *map(line, body)])
