"""The contenders of the published comparison, each read from its file in ``contenders/``."""

from __future__ import annotations

import ast
import re
import shlex
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from freelane.bench import Contender

from .environments import Missing, environment

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).parent / "contenders"
OURS = "freelane"


@dataclass(frozen=True)
class Peer:
    """What a file says: never imported here, since its packages are in an environment of its own."""

    name: str
    what: str
    packages: tuple[str, ...]
    pythons: tuple[str, ...]  # kinds of interpreter, the best first
    command: str

    def contender(self) -> Contender:
        """Itself with an environment. Raises Missing where that cannot be had."""
        python = sys.executable if self.name == OURS else environment(self.pythons, self.packages, self.name)
        first, *rest = shlex.split(self.command)
        # '@' is a program of the environment's.
        start = (str(Path(python).parent / first[1:]),) if first.startswith("@") else ("{python}", first)
        packages = tuple(re.split(r"[=<>\[]", package)[0] for package in self.packages)
        return Contender(
            self.name, (*start, *rest), python=python, directory=ROOT, packages=packages or ("freelane", "granian", "fastapi"),
            environment={"PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip


def read(path: Path) -> Peer:
    """A contender's file: its docstring and its ``script`` block (PEP 723)."""
    text = path.read_text()
    block = re.search(r"^# /// script$\n((?:^#(?: .*)?$\n)+?)^# ///$", text, re.MULTILINE)
    if block is None:
        raise Missing(f"{path.name} has no script block")
    data = tomllib.loads("".join(line[2:] + "\n" for line in block.group(1).splitlines()))
    tool = data["tool"]["freelane-bench"]
    what = (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]
    return Peer(path.stem.replace("_", "-"), what, tuple(data["dependencies"]), tuple(tool["pythons"]), tool["command"])


def peers(names: tuple[str, ...] = ()) -> list[Peer]:
    """All of them, freelane first; or those named."""
    found = {peer.name: peer for peer in map(read, sorted(FOLDER.glob("[!_]*.py")))}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise Missing(f"there is no contender {', '.join(unknown)}; there are {', '.join(found)}")
    wanted = [peer for name, peer in found.items() if not names or name in names]
    return sorted(wanted, key=lambda peer: peer.name != OURS)
