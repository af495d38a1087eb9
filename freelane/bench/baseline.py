"""An earlier run beside this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from freelane.bench.results import VERSION, Result
from freelane.bench.table import columns
from freelane.errors import ConfigError

HEAD = ("scenario", "contender", "before", "now", "now / before", "")


def read(path: str) -> dict[str, Any]:
    """What ``--save`` wrote. Raises ConfigError for a file that is something else."""
    try:
        found = json.loads(Path(path).read_text())
    except OSError as exc:
        raise ConfigError(f"cannot read the baseline '{path}': {exc.strerror}") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("version") != VERSION or "rows" not in found:
        raise ConfigError(f"'{path}' is no result of freelane bench; --save writes one")
    return found


def against(result: Result, earlier: dict[str, Any]) -> str:
    """Rates now over rates then, where both are measurements. Two runs are apart in time: only ratios to the first
    contender, which the machine's mood touches alike, are told to have moved."""
    then = {(row["scenario"], row["contender"]): row for row in earlier["rows"]}
    lines = []
    for row in result.rows:
        old = then.get((row.scenario, row.contender))
        if old is None or old["invalid"] or row.invalid or not old["rate"] or row.rate is None:
            lines.append((row.scenario, row.contender, "-", "-", "-", "not in both"))
            continue
        lines.append((row.scenario, row.contender, f"{old['rate']:,.0f}/s", f"{row.rate:,.0f}/s",
                      f"{row.rate / old['rate']:.2f}", moved(result, row, old)))  # fmt: skip
    what = f"Against the run of {earlier['started']}"
    if earlier["machine"]["cpu"] != result.machine.cpu or earlier["machine"]["cores"] != list(result.machine.cores):
        what += ", on another machine"
    return what + "\n" + columns(HEAD, lines)


def moved(result: Result, row: Any, old: dict[str, Any]) -> str:
    """Whether the ratio to the first contender has left its earlier interval."""
    now, before = result.ratio(row), old["ratio"]
    if now is None or before is None or result.noise(row) or None in (now.low, before["low"]):
        return ""
    assert now.low is not None and now.high is not None
    if now.low > before["high"] or now.high < before["low"]:
        return f"ratio moved: {before['value']:.2f} then, {now.value:.2f} now"
    return "ratio as before"
