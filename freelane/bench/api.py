"""``freelane.bench.compare``: the whole of it from Python; the command is this with words around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from freelane.bench import agreement, load, machine, processes
from freelane.bench import openapi as openapi_document
from freelane.bench import profile as profiles
from freelane.bench.client import ask
from freelane.bench.contenders import Contender, name_apart, parse
from freelane.bench.differences import Agreement, Rules
from freelane.bench.interrupts import interrupts
from freelane.bench.processes import Running
from freelane.bench.progress import Progress
from freelane.bench.request_files import Found
from freelane.bench.requests import Request, distinct, parse_line
from freelane.bench.results import Result, Side
from freelane.bench.runs import Scenario, Timer, Timing
from freelane.bench.session import Plan, Setup, to_time
from freelane.errors import ConfigError


def compare(
    app: str | None,
    against: Iterable[str | Contender] = (),
    requests: Iterable[str | Request] | None = None,
    *,
    openapi: str | bool = False,
    unsafe: bool = False,
    subject: str | Contender = "freelane",
    app_dir: str | Path | None = None,
    login: str | Request | None = None,
    token: str | None = None,
    setup: str | Setup | None = None,
    variables: Mapping[str, str] | None = None,
    ignore: Sequence[str] = (),
    strict: bool = False,
    compare_only: bool = True,
    anyway: bool = False,
    each: bool = False,
    profile: bool = False,
    timing: Timing | None = None,
    generator: str | None = None,
    cores: int | None = None,
    port: int | None = None,
    timeout: float = processes.START_SECONDS,
    progress: Progress | None = None,
) -> Result:
    """Ask ``app`` under ``subject`` and every one of ``against`` the same requests, and time them if asked to.

    ``app`` is ``module:app``. Without ``requests`` it is asked ``GET /``; with ``openapi`` (True, or
    the path of its document) what that tells, and what may change data with ``unsafe`` only.
    Contenders and requests are written as on the command line, or are objects. With
    ``compare_only`` nothing is timed. ``ignore`` names places that are not compared (``header etag``,
    ``headers``, ``$.took``). Times are seconds. Raises ConfigError for a mistake in what is asked,
    ContenderFailed for a contender that does not start, LoadFailed for a load generator that does
    not run. A difference is no exception: see ``Result.assert_equal``.
    """
    progress = progress or Progress()
    contenders = name_apart([
        item if isinstance(item, Contender) else parse(item, app, app_dir) for item in (subject, *against)
    ])  # fmt: skip
    if app is None and any(item.url is None and item.server for item in contenders):
        raise ConfigError("name the app: module:app")
    asked = distinct(item if isinstance(item, Request) else parse_line(item) for item in requests or ())
    left_out: list[str] = []
    variables = dict(variables or {})
    if openapi or not asked:
        progress.stage(f"asking {contenders[0].name} what it serves")
        with interrupts.handled(), processes.serve(contenders[0], port=port, timeout=timeout) as running:
            found = described(running, openapi, variables, unsafe, wanted=bool(openapi))
        asked = distinct([*asked, *found.requests])
        left_out = found.left_out
    plan = Plan(tuple(asked), parse_line(login) if isinstance(login, str) else login, token, setup, variables)
    timing = timing or Timing()
    placed = machine.place(machine.available_cores(), choose_cores(cores))
    chosen = None
    if not compare_only:
        # Said before anything is started.
        likely = to_time(asked, {})
        mixes: list[tuple[Request, ...]] = [(request,) for request in likely] if each else [tuple(likely)]
        loads = [load.Load("", mix, timing.duration, timing.connections, timing.rate, 1, timing.http2) for mix in mixes]
        chosen = load.choose(loads, generator)
    with interrupts.handled():
        made = Result(
            started=datetime.now().astimezone().isoformat(timespec="seconds"),
            machine=machine.describe(),
            sides=[Side(item.name, item.shown(), processes.versions(item)) for item in contenders],
            agreement=Agreement(),
            requests=[request.label for request in asked],
            left_out=left_out,
        )
        asker = agreement.Asker(plan, progress, port, timeout)
        made.agreement = agreement.compare(contenders, asker, Rules(tuple(ignore), strict))
        if chosen is None:
            return made
        if made.differences and not anyway:
            made.notes.append("Not timed, because the answers differ; --anyway times them all the same.")
            return made
        timed = to_time(asked, made.agreement.failing)
        if not timed:
            made.notes.append("Not timed: every request is answered with an error.")
            made.agreement.unusable = True
            return made
        numbers = [asked.index(request) for request in timed]
        scenarios = [Scenario(asked[i].label, (i,)) for i in numbers] if each else [Scenario(mixed(timed), tuple(numbers))]
        timer = Timer(
            contenders, plan, scenarios, timing, chosen[0], placed, progress, port=port, timeout=timeout,
        )  # fmt: skip
        made.generator, made.placement, made.separate_cores = chosen[1], placed.note, placed.separate
        made.options = {**vars_of(timing), "each": each, "server_cores": sorted(placed.server or ())}
        made.rows = timer.run()
        made.memory = timer.memory
        if profile:
            made.profiles = profiles.profile(
                contenders, plan, numbers, chosen[0], placed, progress,
                connections=timing.connections, port=port, timeout=timeout,
            )  # fmt: skip
    return made


def described(running: Running, openapi: str | bool, variables: Mapping[str, str], unsafe: bool, wanted: bool) -> Found:
    """What the app's document tells to ask; ``GET /`` where nobody wants that, unless only the document helps."""
    if not wanted and not ask(running, Request()).failed:
        return Found([Request()])
    try:
        document = openapi_document.fetch(running, openapi if isinstance(openapi, str) else None)
    except ConfigError:
        if wanted:
            raise
        return Found([Request()])
    made = openapi_document.requests(document, variables, unsafe=unsafe)
    if not made.requests:
        raise ConfigError("its OpenAPI document has no request to ask:\n" + "\n".join(f"  {line}" for line in made.left_out))
    return made


def choose_cores(count: int | None) -> int:
    """Half of the cores for the servers, unless told."""
    there = len(machine.available_cores())
    if count is None:
        return max(1, there // 2)
    if not 1 <= count <= there:
        raise ConfigError(f"--cores must be from 1 to {there}, the cores that there are, not {count}")
    return count


def mixed(requests: Sequence[Request]) -> str:
    return requests[0].label if len(requests) == 1 else f"{len(requests)} requests"


def vars_of(timing: Timing) -> dict[str, object]:
    return {"rounds": timing.rounds, "duration": timing.duration, "connections": timing.connections, "rate": timing.rate,
            "warm_up": timing.warm_up, "http2": timing.http2}  # fmt: skip
