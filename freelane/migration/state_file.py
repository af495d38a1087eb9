"""The file that the way over is kept in: what to do, read again whenever it changes, and what has been done.

TOML, of which ``[tool.freelane.migration]`` is ours. Only lines of ours are changed, and only where what
comes of it reads as it should: the rest of a pyproject.toml stays as it is, byte for byte.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from freelane.errors import ConfigError
from freelane.migration.patterns import pattern, share
from freelane.migration.plan import Moves

TABLE = "tool.freelane.migration"
OWN_FILE = "freelane-migration.toml"
KEYS = {"old", "new", "paths", "share", "shares", "shadow", "progress"}
HEADER = re.compile(r"\s*\[")


def choose(named: str | None, directory: Path | None = None) -> Path:
    """The file that is named, else pyproject.toml where it has the table, else one of our own."""
    if named is not None:
        return Path(named).resolve()
    directory = Path.cwd() if directory is None else directory
    project = directory / "pyproject.toml"
    return (project if table_of(load(project)) is not None else directory / OWN_FILE).resolve()


def load(path: Path) -> dict[str, Any]:
    """Empty where there is no file. Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError(f"{path}: {exc}") from None


def table_of(document: Mapping[str, Any]) -> dict[str, Any] | None:
    found: Any = document
    for name in TABLE.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def read(path: Path) -> dict[str, Any]:
    """The table. Raises ConfigError for a key that is none of it, or a value of the wrong kind."""
    table = table_of(load(path)) or {}
    for name, value in table.items():
        if name not in KEYS:
            raise ConfigError(f"{path}: [{TABLE}] has no '{name}': it has {', '.join(sorted(KEYS))}")
        kind = {"paths": list, "shares": dict, "progress": dict}.get(name, str)
        if name == "shadow" and isinstance(value, bool):
            continue
        if not isinstance(value, kind):
            raise ConfigError(f"{path}: [{TABLE}] {name} must be a {kind.__name__}, not {value!r}")
    return table


def moves_of(table: Mapping[str, Any]) -> Moves:
    """What the table says of shares and copies. Raises ConfigError."""
    shares = {}
    for text, value in table.get("shares", {}).items():
        shares[pattern(text).text] = share(str(value))
    shadow = table.get("shadow", True)
    if not isinstance(shadow, bool):
        if shadow.lower() not in ("on", "off"):
            raise ConfigError(f"[{TABLE}] shadow must be on or off, not '{shadow}'")
        shadow = shadow.lower() == "on"
    return Moves(share(table["share"]) if "share" in table else None, shares, shadow)


def update(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the table in the file: ``change`` gets it, and alters it. Processes take turns. Raises ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            text = path.read_text() if path.exists() else ""
            before = table_of(tomllib.loads(text)) or {}
            after = json.loads(json.dumps(before))
            change(after)
            if after != before:
                write(path, rewritten(text, before, after))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as exc:
        raise ConfigError(f"{path} cannot be changed: {exc}") from None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Held while the file is replaced, so on its directory."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write(path: Path, text: str) -> None:
    """In one step: whoever reads finds the one or the other."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def rewritten(text: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """``text`` with the table as ``after``. Raises ConfigError where that takes more than lines of ours."""
    made = text
    for name in KEYS:
        if before.get(name) == after.get(name):
            continue
        value = after.get(name)
        if name in ("shares", "progress"):
            made = without(made, f"{TABLE}.{name}")
            if value:
                made = made.rstrip("\n") + "\n" * bool(made.strip()) * 2 + dump(f"{TABLE}.{name}", value)
        else:
            made = with_key(made, name, value)
    wanted = json.loads(json.dumps(tomllib.loads(text), default=str))
    place = wanted
    for part in TABLE.split(".")[:-1]:
        place = place.setdefault(part, {})
    place["migration"] = {key: value for key, value in after.items() if value not in (None, {})}
    try:
        found = json.loads(json.dumps(tomllib.loads(made), default=str))
    except tomllib.TOMLDecodeError:
        found = None
    if found is not None and table_of(found) is None and not place["migration"]:
        del place["migration"]
    if found != wanted:
        raise ConfigError(f"[{TABLE}] is written in a way that cannot be changed by itself: change it by hand")
    return made


def without(text: str, table: str) -> str:
    """``text`` without a table and what is below it."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        if HEADER.match(line):
            name = line.strip().lstrip("[")
            inside = name.startswith((f"{table}]", f"{table}."))
        if not inside:
            kept.append(line)
    return "".join(kept)


def with_key(text: str, name: str, value: Any) -> str:
    """``text`` with one key of the table set, or taken out where ``value`` is None."""
    lines = text.splitlines(keepends=True)
    start = next((at for at, line in enumerate(lines) if line.strip().partition("#")[0].strip() == f"[{TABLE}]"), None)
    made = "" if value is None else f"{name} = {scalar(value)}\n"
    if start is None:
        # Before what is below it, so that a file reads from the top.
        below = next((at for at, line in enumerate(lines) if line.startswith(f"[{TABLE}.")), len(lines))
        if below == len(lines) and lines:
            lines[-1] = lines[-1].rstrip("\n") + "\n"
            made = "\n" + f"[{TABLE}]\n" + made
        else:
            made = f"[{TABLE}]\n" + made + "\n" * bool(lines)
        lines[below:below] = [made]
        return "".join(lines)
    end = next((at for at in range(start + 1, len(lines)) if HEADER.match(lines[at])), len(lines))
    there = next((at for at in range(start + 1, end) if re.match(rf"\s*{name}\s*=", lines[at])), None)
    if there is not None:
        lines[there : there + 1] = [made]
    else:
        lines[start] = lines[start].rstrip("\n") + "\n"
        lines[start + 1 : start + 1] = [made]
    return "".join(lines)


def dump(table: str, values: Mapping[str, Any]) -> str:
    """A table of ours as TOML, tables in it below."""
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    made = f"[{table}]\n" + "".join(f"{quoted(key)} = {scalar(value)}\n" for key, value in plain.items())
    for key, value in values.items():
        if isinstance(value, dict):
            made += "\n" + dump(f"{table}.{quoted(key)}", value)
    return made


def quoted(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def scalar(value: Any) -> str:
    """JSON's strings, numbers, booleans and lists of these are TOML's."""
    return json.dumps(value, ensure_ascii=False)
