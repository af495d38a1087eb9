"""What a build has done, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from freelane.gil_lane.check import columns

# How many functions that stay Python's are named of one module.
MOST = 3


def row(record: dict[str, Any]) -> tuple[str, str, str, str]:
    """Module, what became of it, seconds, what of it is C or stays Python's."""
    if not record["compiled"]:
        return record["name"], "source", seconds(record), record["reason"]
    functions = len(record["units"]) + len(record["kept"])
    how = f"compiled, {len(record['units'])} of {functions} functions"
    return record["name"], how, seconds(record), "; ".join(f"{name}: {what}" for name, what in record["typed"].items())


def seconds(record: dict[str, Any]) -> str:
    if record.get("seconds") is None:
        return ""
    return f"{record['seconds']:.1f} s" if record.get("fresh") else "unchanged"


def table(records: list[dict[str, Any]], excluded: Iterable[tuple[Any, str]] = ()) -> str:
    rows = [row(record) for record in records]
    rows += [(module.name, "source", "", reason) for module, reason in excluded]
    text = columns(("module", "", "seconds", "what is typed, or why not"), rows)
    kept = []
    for record in records:
        if not record["compiled"]:
            continue
        for name, line, reason in record["kept"][:MOST]:
            kept.append(f"  {record['name']}:{line} {name}: {reason}")
        if len(record["kept"]) > MOST:
            kept.append(f"  {record['name']}: and {len(record['kept']) - MOST} more")
    if kept:
        text += "\n\nFunctions that stay as they are:\n" + "\n".join(kept)
    return text
