"""Grows the router's compressed radix tree out of patterns and flattens it into rows.

Runs when routes are published; ``router`` copies the rows into C structs for its readers.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from freelane.fastcore.routing.route_pattern import (
    AS_CALL,
    AS_INT,
    REGEX,
    STATIC,
    Convertor,
    Pattern,
    Step,
)


class NodeRow(NamedTuple):
    label: tuple[int, int]  # start and size in Flat.letters
    terms: tuple[int, int]  # first and count, as in all that follow
    children: tuple[int, int]
    arms: tuple[int, int]
    lowest: int  # lowest index of any route from here on


class ArmRow(NamedTuple):
    kind: int
    text: tuple[int, int]
    regex: Callable[[str], object] | None
    target: int
    params: tuple[int, int]


class TermRow(NamedTuple):
    route: int  # its place in the sequence of patterns
    params: tuple[int, int]
    calls: bool  # a user's convertor makes a value
    ints: bool  # int() does


class ParamRow(NamedTuple):
    name: str
    convertor: Convertor | None
    making: int
    group: int


class Flat(NamedTuple):
    letters: str
    nodes: list[NodeRow]
    arms: list[ArmRow]
    terms: list[TermRow]
    params: list[ParamRow]
    frame_room: int  # most nodes with arms on any way down
    span_room: int  # most parameters of any pattern


class Draft:
    """One node: reached by its label, left by static children (one per first character)
    or by arms (one per kind of parameter). ``routes`` end here, in registration order.
    """

    __slots__ = ("label", "statics", "arms", "routes", "lowest", "forks")

    def __init__(self, label: str = "") -> None:
        self.label = label
        self.statics: dict[str, Draft] = {}
        self.arms: dict[Step, Draft] = {}
        self.routes: list[int] = []
        self.lowest = 0  # these two are filled in by flatten
        self.forks = 0  # nodes with arms from the root to here

    def by_text(self, text: str) -> "Draft":
        """The node reached by ``text``, made and split off as needed."""
        node = self
        while text:
            child = node.statics.get(text[0])
            if child is None:
                child = node.statics[text[0]] = Draft(text)
                return child
            common = _common(child.label, text)
            if common < len(child.label):
                upper = node.statics[text[0]] = Draft(child.label[:common])
                child.label = child.label[common:]
                upper.statics[child.label[0]] = child
                child = upper
            node, text = child, text[common:]
        return node

    def by_arm(self, step: Step) -> "Draft":
        child = self.arms.get(step)
        if child is None:
            child = self.arms[step] = Draft()
        return child


def grow(patterns: Sequence[Pattern]) -> Draft:
    """The tree of ``patterns``; a node's ``routes`` are their positions in the sequence."""
    root = Draft()
    for index, pattern in enumerate(patterns):
        node = root
        for step in pattern.steps:
            node = node.by_text(step.text) if step.kind == STATIC else node.by_arm(step)
        node.routes.append(index)
    return root


def flatten(patterns: Sequence[Pattern], *, first: bool) -> Flat:
    """The tree of ``patterns`` as rows, nodes breadth first, so that siblings lie together.

    ``first`` tries the arms of a node in order of registration, else the most specific first.
    """
    order = [grow(patterns)]
    for draft in order:
        draft.forks += bool(draft.arms)
        for child in (*draft.statics.values(), *draft.arms.values()):
            child.forks = draft.forks
            order.append(child)
    for draft in reversed(order):
        below = [child.lowest for child in (*draft.statics.values(), *draft.arms.values())]
        draft.lowest = min(draft.routes[:1] + below, default=0)

    flat = Flat(
        "", [], [], [], [], max(draft.forks for draft in order), max((len(pattern.params) for pattern in patterns), default=0)
    )
    params_of = [_put_params(flat.params, pattern) for pattern in patterns]
    letters: list[str] = []
    written = 0

    def put(text: str) -> tuple[int, int]:
        nonlocal written
        letters.append(text)
        written += len(text)
        return written - len(text), len(text)

    order = order[:1]
    for draft in order:
        children = len(order), len(draft.statics)
        order.extend(draft.statics[key] for key in sorted(draft.statics))
        arms = len(flat.arms), len(draft.arms)
        for step, target in sorted(
            draft.arms.items(), key=lambda arm: arm[1].lowest if first else (arm[0].rank, arm[1].lowest)
        ):
            route = target.lowest
            expression = patterns[route].regex if step.kind == REGEX else None
            regex = None if expression is None else expression.match
            text = put("" if step.kind == REGEX else step.text)
            flat.arms.append(ArmRow(step.kind, text, regex, len(order), params_of[route]))
            order.append(target)
        terms = len(flat.terms), len(draft.routes)
        for index in draft.routes:
            makings = {param.making for param in patterns[index].params}
            flat.terms.append(TermRow(index, params_of[index], AS_CALL in makings, AS_INT in makings))
        flat.nodes.append(NodeRow(put(draft.label), terms, children, arms, draft.lowest))
    return flat._replace(letters="".join(letters))


def _put_params(rows: list[ParamRow], pattern: Pattern) -> tuple[int, int]:
    first = len(rows)
    for at, param in enumerate(pattern.params):
        group = pattern.groups[at] if pattern.groups else 0
        rows.append(ParamRow(param.name, param.convertor, param.making, group))
    return first, len(pattern.params)


def _common(left: str, right: str) -> int:
    size = min(len(left), len(right))
    for at in range(size):
        if left[at] != right[at]:
            return at
    return size
