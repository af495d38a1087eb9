"""Plots for the report, as SVG or HTML text that needs nothing else. Widths suit a phone; colours come from the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 360, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 22, 34
COLOURS = 8  # the page has so many; then lines are dashed

Points = Sequence[tuple[float, float]]


def colour(number: int) -> str:
    return f"var(--c{number % COLOURS})"


def bars(rows: Sequence[tuple[str, float | None, Sequence[float], str]]) -> str:
    """Throughput: a bar for each (name, value, value of each round, words beside it), a dot for each round."""
    most = max((max([value or 0, *each]) for _, value, each, _ in rows), default=0) or 1
    made = []
    for number, (name, value, each, words) in enumerate(rows):
        dots = "".join(f'<i style="left:{100 * one / most:.2f}%" title="{one:,.0f}/s"></i>' for one in each)
        bar = f'<b style="width:{100 * (value or 0) / most:.2f}%;background:{colour(number)}"></b>'
        made.append(
            f'<div class="bar"><span>{escape(name)}</span><div>{bar}{dots}</div><span class="num">{escape(words)}</span></div>'
        )
    return f'<div class="bars">{"".join(made)}</div>'


def latencies(series: Mapping[str, Mapping[float, float]]) -> str:
    """Latency by percentile, both axes logarithmic: each step to the right is ten times rarer."""
    lines = {
        name: [(nines(p), ms) for p, ms in sorted(latency.items()) if 50 <= p < 100 and ms > 0]
        for name, latency in series.items()
    }  # fmt: skip
    ticks = [(nines(p), f"{p:g}") for p in (50, 90, 99, 99.9, 99.99)]
    return plot(lines, ticks, "percentile", "ms", log=True)


def nines(percentile: float) -> float:
    return -math.log10(1 - percentile / 100)


def over_time(series: Mapping[str, Points]) -> str:
    """Memory in MiB over the seconds of a contender's own turns."""
    last = max((x for points in series.values() for x, _ in points), default=0.0)
    step = nice(last / 4)
    ticks = [(step * i, f"{step * i:g}") for i in range(int(last / step) + 1)] if step else []
    return plot(series, ticks, "seconds of its own turns", "MiB", log=False)


def nice(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if value <= 0:
        return 0.0
    base = float(10 ** math.floor(math.log10(value)))
    return next(step * base for step in (1, 2, 5, 10) if step * base >= value * 0.999)


def plot(series: Mapping[str, Points], ticks: Sequence[tuple[float, str]], across: str, up: str, *, log: bool) -> str:
    every = [point for points in series.values() for point in points]
    if not every:
        return '<p class="quiet">No data.</p>'
    low_x, high_x = min([x for x, _ in ticks] or [0.0]), max([x for x, _ in [*every, *ticks[:1]]])
    if log:
        high_x = max(high_x, ticks[2][0])
    low, high = min(y for _, y in every), max(y for _, y in every)
    marks = log_marks(low, high) if log else even_marks(high)
    low, high = min(low, marks[0]) if log else 0.0, max(high, marks[-1])

    def at_x(x: float) -> float:
        return LEFT + (x - low_x) / ((high_x - low_x) or 1) * (WIDTH - LEFT - RIGHT)

    def at_y(y: float) -> float:
        share = (math.log(y / low) / (math.log(high / low) or 1)) if log else (y - low) / ((high - low) or 1)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(up)} by {escape(across)}">']
    for y in marks:
        out.append(f'<path class="grid" d="M{LEFT} {at_y(y):.1f}H{WIDTH - RIGHT}"/>')
        out.append(f'<text x="{LEFT - 5}" y="{at_y(y) + 3.5:.1f}" text-anchor="end">{y:g}</text>')
    for x, words in ticks:
        if x <= high_x:
            out.append(f'<text x="{at_x(x):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{words}</text>')
    out.append(f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{across}</text>')
    out.append(f'<text class="axis" x="4" y="12">{up}</text>')
    for number, points in enumerate(series.values()):
        style = f"stroke:{colour(number)}" + (";stroke-dasharray:5 3" if number >= COLOURS else "")
        if points:
            path = "M" + "L".join(f"{at_x(x):.1f} {at_y(y):.1f}" for x, y in points)
            out.append(f'<path class="line" style="{style}" d="{path}{"h.01" if len(points) == 1 else ""}"/>')
    out.append("</svg>")
    return "".join(out) + legend(list(series), [bool(points) for points in series.values()])


def log_marks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 2 else (1,)
    marks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    inside = [mark for mark in marks if low * 0.4 <= mark <= high * 2.5]
    return inside or [low, high]


def even_marks(high: float) -> list[float]:
    step = nice(high / 4) or 1.0
    return [step * i for i in range(int(math.ceil(high / step)) + 1)]


def legend(names: Sequence[str], there: Sequence[bool]) -> str:
    made = "".join(
        f'<span><i style="background:{colour(i)}"></i>{escape(name)}</span>' for i, name in enumerate(names) if there[i]
    )
    return f'<div class="legend">{made}</div>'
