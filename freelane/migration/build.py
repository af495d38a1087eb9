"""A front from settings: which sides there are, and what the options and the file say of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from freelane.errors import ConfigError
from freelane.loader import load
from freelane.migration import (
    adapter,  # noqa: F401  knows the front once it is imported
    names,
    state_file,
)
from freelane.migration.budget import Budget
from freelane.migration.copies import Copier
from freelane.migration.counters import Counters
from freelane.migration.front import Migration
from freelane.migration.http_side import HTTPSide, ProcessSide
from freelane.migration.journal import Journal
from freelane.migration.patterns import pattern, share
from freelane.migration.plan import Rule, Start, Sticky
from freelane.migration.redact import Redactor
from freelane.migration.sides import AppSide, MainSide, Side
from freelane.settings import Settings

CANARY = re.compile(r"(\S+%)\s+(\S.*)\Z|(?!\S+%\Z)(\S.*)\Z", re.DOTALL)


class Sides:
    """Each side once, by its name."""

    def __init__(self, settings: Settings, target: str) -> None:
        self.settings = settings
        self.target = target
        self.main = MainSide(target, self.budget(target))
        self.others: dict[str, Side] = {}

    def budget(self, name: str) -> Budget:
        return Budget(name, self.settings.side_errors, self.settings.side_retry)

    def find(self, text: str) -> Any:
        """Raises ConfigError for what names no side."""
        text = text.strip()
        if text == self.target:
            return self.main
        if text not in self.others:
            self.others[text] = self.make(names.parse(text, self.settings.app_dir))
        return self.others[text]

    def make(self, name: names.Name) -> Side:
        settings = self.settings
        taken = {self.main.name, *(side.name for side in self.others.values())}
        shown = name.text if name.text not in taken else f"{name.text} ({len(taken) + 1})"
        budget, patience = self.budget(shown), float(settings.patience)
        if name.app is not None:
            app = load(name.app, app_dir=settings.app_dir, interface=settings.interface)
            return AppSide(shown, app, budget, settings.lifespan, patience)
        assert name.contender is not None
        kind = HTTPSide if name.contender.url is not None else ProcessSide
        return kind(shown, name.contender, budget, settings.side_timeout, patience)


def front(make: Callable[[], Any], settings: Settings, target: str) -> Migration:
    """What serves the app of ``make()``, called ``target``, with what ``settings`` put beside it. Raises ConfigError."""
    if bad := next((name for name in settings.gil if name.startswith("/")), None):
        raise ConfigError(f"--gil '{bad}' would go past the other app: name the endpoints, as module:function")
    if settings.factory and settings.loops > 1:
        raise ConfigError("--factory makes an app for each loop, which cannot share another side: use --workers")
    path = state_file.choose(settings.migration_file)
    journal = Journal(path)
    app = make()
    sides = Sides(settings, target)
    begin = started(sides, settings, state_file.read(path), str(path))
    counters, copier = Counters(), None
    if settings.shadow is not None:
        side = sides.find(settings.shadow)
        if side is sides.main:
            raise ConfigError(f"--shadow '{settings.shadow}' is the app that is served: name another")
        copier = Copier(
            side, counters, Redactor(settings.redact), ignored=(*settings.shadow_ignore, *added(settings)),
            methods=settings.shadow_methods, limit=settings.shadow_backlog, timeout=settings.side_timeout,
        )  # fmt: skip
        asked = (begin.default, begin.candidate, *(rule.side for rule in begin.rules))
        side.copier.background = side not in asked
    beside: list[Any] = [journal]
    made = Migration(
        app, sides.main, list(sides.others.values()), begin, Sticky(settings.canary_by), counters, copier, settings.lifespan,
        beside,
    )  # fmt: skip
    journal.follow(made)
    if settings.migration_page is not None:
        from freelane.migration.page import Page

        beside.append(Page(made, settings.migration_page, path))
    return made


def added(settings: Settings) -> list[str]:
    """The headers that the server adds to the served app's answers alone, as places that are not compared."""
    names = [header.partition(":")[0].strip() for header in settings.headers]
    names += ["freelane-lane", "freelane-thread", "freelane-gil"] if settings.show_lanes else []
    return [f"header {name.lower()}" for name in names]


def started(sides: Sides, settings: Settings, table: dict[str, Any], where: str) -> Start:
    """The rules of the options, before anything was moved. Raises ConfigError."""
    rules = []
    for text in settings.route:
        path, equals, name = text.partition("=")
        if not equals or not path.strip() or not name.strip():
            raise ConfigError(f"--route '{text}' is no route: write '/v1/*=old:app' or 'GET,POST /v1/*=old:app'")
        rules.append(Rule(pattern(path.strip()), sides.find(name), 1.0))
    default, candidate, part = sides.main, None, 0.0
    if settings.canary is not None:
        found = CANARY.match(settings.canary.strip())
        if found is None:
            raise ConfigError(f"--canary '{settings.canary}' names no side: write --canary '5% module:app'")
        candidate, part = sides.find(found[2] or found[3]), share(found[1] or "0%")
        if candidate is sides.main:
            raise ConfigError(f"--canary '{settings.canary}' is the app that is served: name another")
    if settings.strangle:
        if settings.canary is not None:
            raise ConfigError("--strangle and --canary both say who answers: `freelane migration set` gives a path a share")
        if "old" not in table:
            raise ConfigError(f"--strangle needs [{state_file.TABLE}] with old = 'module:app' in {where}")
        default, candidate = sides.find(table["old"]), sides.main
        if default is candidate:
            raise ConfigError(f"{where}: old = '{table['old']}' is the app that is served: name another")
        rules += [Rule(pattern(str(text).strip() or "?"), sides.main, 1.0) for text in table.get("paths", [])]
    return Start(tuple(rules), default, candidate, part)
