"""The page of ``--migration-page``: who answers what, where answers differ, how long they take, and how to move it."""

from __future__ import annotations

import asyncio
import errno
import logging
import shlex
import threading
import time
from collections import Counter
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from freelane.bench.report import STYLE, diff
from freelane.errors import ConfigError
from freelane.migration.counters import DIFFERENT, EQUAL, FAILED, RouteCounts
from freelane.migration.front import Migration
from freelane.migration.labels import UNKNOWN
from freelane.migration.patterns import percent
from freelane.migration.state_file import OWN_FILE

logger = logging.getLogger("freelane.error")

HOST = "127.0.0.1"
# Worker processes have a page each, at ports in a row.
ROW = 64

MORE = """
.share { display: flex; height: .7rem; min-width: 7rem; border-radius: 3px; overflow: hidden; background: var(--line); }
.share i { display: block; height: 100%; } .route { font-weight: 600; } td .quiet { font-size: .85rem; }
.move { display: flex; gap: .5rem; align-items: center; margin: .25rem 0; flex-wrap: wrap; }
button { font: inherit; font-size: .8rem; padding: .1rem .5rem; border: 1px solid var(--line); border-radius: 4px;
  background: var(--card); color: var(--fore); cursor: pointer; }
button:focus-visible, summary:focus-visible { outline: 2px solid var(--c0); }
.wide + details { margin-top: .8rem; } .none { color: var(--quiet); padding: 1.2rem 0; }
"""

SCRIPT = """
document.addEventListener('click', async (event) => {
  const text = event.target.dataset && event.target.dataset.copy;
  if (!text) return;
  await navigator.clipboard.writeText(text);
  event.target.textContent = 'copied';
});
setInterval(async () => {
  try {
    const answer = await fetch(location.href);
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main');
    for (const open of document.querySelectorAll('details[open]')) {
      const same = fresh.querySelector(`details[data-key="${CSS.escape(open.dataset.key)}"]`);
      if (same) same.open = true;
    }
    if (!String(getSelection())) document.querySelector('main').replaceWith(fresh);
  } catch { document.title = '(the server is gone)'; }
}, 3000);
"""

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
}


class Page:
    """On a thread of its own, on loopback. Raises ConfigError if its port cannot be had."""

    def __init__(self, front: Migration, port: int, path: Path) -> None:
        self.front = front
        self.path = path
        self.server = listen(port, handler_of(self))
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.1,), name="freelane-page", daemon=True)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server.server_port}/"

    async def start(self) -> None:
        self.thread.start()
        logger.info("The way over is at %s.", self.address)

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.shutdown)
        self.server.server_close()

    def html(self) -> str:
        return html(self.front, self.path)


def listen(port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    for number in range(port, min(port + ROW, 65536) if port else 1):
        try:
            return ThreadingHTTPServer((HOST, number), handler)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise ConfigError(f"--migration-page {port} cannot be used: {exc.strerror}") from None
    raise ConfigError(f"--migration-page {port} is in use by another program")


def handler_of(page: Page) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A name that somebody else's page made to mean this machine reads nothing here.
            host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
            if host not in (HOST, "localhost"):
                self.send_error(403)
                return
            if self.path.partition("?")[0] != "/":
                self.send_error(404)
                return
            body = page.html().encode()
            self.send_response(200)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """A look at the page is no news."""

    return Handler


def html(front: Migration, path: Path) -> str:
    title = " and ".join(side.name for side in front.sides)
    routes = front.counters.snapshot()
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">{time.strftime("%Y-%m-%d %H:%M:%S")} · kept in <code>{escape(str(path))}</code></p>',
        verdict(front, routes),
        sides(front, routes),
        table(front, routes),
        *(details(front, path, route, counts) for route, counts in in_order(routes)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{STYLE}{MORE}</style></head>\n<body><main>\n'
        + "\n".join(body)
        + f"\n</main><script>{SCRIPT}</script></body></html>\n"
    )


def in_order(routes: dict[str, RouteCounts]) -> list[tuple[str, RouteCounts]]:
    """Where answers differ first, then the busiest."""
    return sorted(routes.items(), key=lambda item: (-item[1].copies[DIFFERENT], -item[1].answered.total(), item[0]))


def verdict(front: Migration, routes: dict[str, RouteCounts]) -> str:
    if front.copier is None:
        return ""
    copies = sum((counts.copies for counts in routes.values()), Counter[str]())
    compared = copies[EQUAL] + copies[DIFFERENT]
    rest = ", ".join(f"{count:,} {name}" for name, count in sorted(copies.items()) if name not in (EQUAL, DIFFERENT))
    if not front.plan.shadow:
        kind, text = "warn", "No copies are made: freelane migration set shadow on"
    elif copies[DIFFERENT]:
        where = sum(1 for counts in routes.values() if counts.copies[DIFFERENT])
        kind = "bad"
        text = f"{copies[DIFFERENT]:,} of {compared:,} answers differ, on {where} route{'' if where == 1 else 's'}."
    elif compared:
        kind, text = "good", f"No difference in {compared:,} answers."
    else:
        kind, text = "", "Nothing was compared yet."
    return f'<p class="verdict {kind}">{text}</p>' + (f'<p class="quiet">Copies besides: {rest}.</p>' if rest else "")


def color(front: Migration, name: str) -> str:
    names = [side.name for side in front.sides]
    return f"var(--c{names.index(name) % 8})" if name in names else "var(--c7)"


def sides(front: Migration, routes: dict[str, RouteCounts]) -> str:
    rows = []
    for side in front.sides:
        found: Counter[str] = Counter()
        for counts in routes.values():
            for (name, outcome), count in counts.answered.items():
                if name == side.name:
                    found[outcome] += count
        parts = [
            f"{percent(rule.share)} of {'all' if rule.pattern.text == '*' else rule.pattern.text}"
            for rule in front.plan.rules
            if rule.side is side
        ]
        if side is front.plan.default:
            parts.append("the rest")
        if front.copier is not None and side is front.copier.side:
            parts.append("copies")
        state = '<b class="bad">switched off</b>' if side.budget.off else '<span class="good">on</span>'
        bad = found["5xx"] + found["error"]
        rows.append(
            f'<tr><td><i style="color:{color(front, side.name)}">■</i> {escape(side.name)}</td>'
            f"<td>{escape(', '.join(parts))}</td>"
            f"<td>{state}</td><td>{found.total():,}</td><td{' class=bad' if bad else ''}>{bad:,}</td></tr>"
        )
    return (
        '<div class="wide"><table><thead><tr><th>side</th><th>answers</th><th>state</th><th>answered</th><th>errors</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def table(front: Migration, routes: dict[str, RouteCounts]) -> str:
    if not routes:
        return '<p class="none">No request came yet.</p>'
    names = [side.name for side in front.sides]
    head = "".join(f"<th>{escape(name)}<br>p50 / p99 ms</th>" for name in names)
    rows = []
    for route, counts in in_order(routes):
        by_side = counts.by_side()
        total = by_side.total() or 1
        bar = "".join(
            f'<i style="width:{count / total:.2%};background:{color(front, name)}" title="{escape(name)}: {count:,}"></i>'
            for name, count in sorted(by_side.items())
        )
        words = ", ".join(f"{percent(round(count / total, 3))} {name}" for name, count in sorted(by_side.items()))
        different = counts.copies[DIFFERENT]
        lost = counts.copies.total() - counts.copies[EQUAL] - different
        times = "".join(f"<td>{milliseconds(counts, name)}</td>" for name in names)
        rows.append(
            f'<tr><td class="route">{escape(route)}</td><td>{by_side.total():,}</td>'
            f'<td><div class="share">{bar}</div><span class="quiet">{escape(words)}</span></td>'
            f"<td>{counts.copies[EQUAL]:,}</td><td{' class=bad' if different else ''}>{different:,}</td>"
            f"<td>{lost:,}</td>{times}</tr>"
        )
    return (
        '<h2>Routes</h2><div class="wide"><table><thead><tr><th>route</th><th>requests</th><th>share</th><th>equal</th>'
        f"<th>different</th><th>not<br>compared</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def milliseconds(counts: RouteCounts, side: str) -> str:
    p50, p99 = counts.percentile(side, 0.5), counts.percentile(side, 0.99)
    return "–" if p50 is None or p99 is None else f"{p50 * 1000:.2f} / {p99 * 1000:.2f}"


def details(front: Migration, path: Path, route: str, counts: RouteCounts) -> str:
    parts = [
        f"<p>{escape(when(seen.when))}: {escape(', '.join(seen.places))}</p>{diff(seen.diff)}" for seen in reversed(counts.seen)
    ]
    if counts.copies[FAILED]:
        parts.append(f'<p class="warn">{counts.copies[FAILED]:,} copies got no answer.</p>')
    parts += [move(command) for command in commands(front, path, route)]
    if not parts:
        return ""
    what = f"{counts.copies[DIFFERENT]:,} differences, the last that are not alike" if counts.seen else "move it"
    opened = " open" if counts.seen else ""
    return (
        f'<details data-key="{escape(route)}"{opened}><summary><span class="route">{escape(route)}</span>'
        f' <span class="quiet">{what}</span></summary>{"".join(parts)}</details>'
    )


def commands(front: Migration, path: Path, route: str) -> list[str]:
    """What moves a route on, and back."""
    if front.begin.candidate is None and not front.begin.rules or route in (UNKNOWN, "WebSocket"):
        return []
    method, _, place = route.partition(" ")
    rule = front.plan.rule(method, place)
    if rule is None or rule.pattern.text == "*":
        text, now = route, 0.0 if rule is None else rule.share
    else:
        text, now = rule.pattern.text, rule.share
    where = [] if path.name in (OWN_FILE, "pyproject.toml") else ["--file", str(path)]
    steps = [step for step in (0.0, 0.05, 0.25, 1.0) if step != now]
    return [shlex.join(["freelane", "migration", "set", text, percent(step), *where]) for step in steps]


def move(command: str) -> str:
    return (
        f'<div class="move"><button type="button" data-copy="{escape(command)}">copy</button>'
        f"<code>{escape(command)}</code></div>"
    )


def when(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))
