"""Ask every contender every request and say where they disagree, before anything is timed."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from freelane.bench import processes
from freelane.bench.answer import Answer
from freelane.bench.client import ask
from freelane.bench.contenders import Contender
from freelane.bench.differences import Agreement, Rules, explain
from freelane.bench.nature import Nature
from freelane.bench.progress import Progress
from freelane.bench.requests import Request
from freelane.bench.session import Plan
from freelane.errors import ConfigError

# Between two asks of the first contender, so that a time in whole seconds is seen to vary.
APART = 1.1
# Passes of the first contender where another seems to differ: what varies rarely is seen then.
EXTRA_PASSES = 2


class Asker:
    """Asks contenders the plan's requests, each time from a fresh start."""

    def __init__(self, plan: Plan, progress: Progress, port: int | None, timeout: float) -> None:
        self.plan = plan
        self.progress = progress
        self.port = port
        self.timeout = timeout
        self.last: dict[str, float] = {}

    def answers(self, contender: Contender, why: str) -> list[Answer]:
        """One answer to each request, in order. Raises ContenderFailed if it dies of them."""
        self.progress.stage(f"asking {contender.name}: {why}")
        with processes.serve(contender, port=self.port, timeout=self.timeout) as running:
            requests = self.plan.prepare(running)
            if (wait := APART - (time.monotonic() - self.last.get(contender.name, 0.0))) > 0:
                time.sleep(wait)
            found = []
            for number, request in enumerate(requests, 1):
                found.append(ask(running, request))
                self.progress.step(number, len(requests))
                running.check(suspicious=found[-1].problem is not None)
            self.last[contender.name] = time.monotonic()
            return found


def compare(contenders: Sequence[Contender], asker: Asker, rules: Rules) -> Agreement:
    """Whether the others answer as the first does. What it does not do twice alike counts for nothing."""
    requests, first = asker.plan.requests, contenders[0]
    if not requests:
        raise ConfigError("there is no request to ask")
    found = Agreement(asked=len(requests))
    natures = [Nature(answer, rules.strict) for answer in asker.answers(first, f"{len(requests)} requests")]
    learn(natures, asker, first, "again, for what differs by nature")
    answers = {item.name: asker.answers(item, f"{len(requests)} requests") for item in contenders[1:]}
    for _ in range(EXTRA_PASSES):
        if any(rules.keep(nature.differing(answer)) for each in answers.values() for nature, answer in zip(natures, each)):
            learn(natures, asker, first, "again, since another seems to differ")
    for number, (request, nature) in enumerate(zip(requests, natures)):
        if nature.first.failed:
            found.failing[request.label] = reason(request, nature.first)
        if varying := rules.keep(nature.varying):
            found.nature[request.label] = varying
        for contender in contenders[1:]:
            answer = answers[contender.name][number]
            if wrong := rules.keep(nature.differing(answer)):
                found.differences.append(explain(request, first.name, nature.first, contender.name, answer, wrong))
            elif not rules.strict and (words := nature.writing(answer)):
                found.writing.setdefault(request.label, []).append(f"{contender.name}: {words}")
    everyone = {first.name: [nature.first for nature in natures], **answers}
    for name, each in everyone.items():
        found.servers[name] = next((value for answer in each for value in answer.values("server")), "")
    return found


def reason(request: Request, answer: Answer) -> str:
    """How a request failed, and what may help."""
    if answer.problem is not None:
        return answer.problem
    if answer.status in (401, 403):
        return f"{answer.status} (log in with --login)"
    # A request made from a document is named by its template.
    if answer.status == 404 and (made_up := re.findall(r"\{(\w+)\}", request.name)):
        return f"404 (its values are made up; give {' '.join(f'--variable {name}=VALUE' for name in made_up)})"
    return str(answer.status)


def learn(natures: Sequence[Nature], asker: Asker, first: Contender, why: str) -> None:
    for nature, answer in zip(natures, asker.answers(first, why)):
        nature.learn(answer)
