"""``python -m benchmarks.compiled``: functions of benchmarks/apps/compiled.py, source against compiled, in one process.

Prints CPU time of this process, the best of several turns of each, one after the other. It never passes or fails by a time.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from freelane.build import builder, importer, place, project

TURNS = 15
CASES: dict[str, Callable[[Any], object]] = {
    "floats": lambda module: module.floats(),
    "integers": lambda module: module.integers(),
    "integers modulo": lambda module: module.modulo(),
    "text": lambda module: module.text(),
    "dataclasses": lambda module: module.dataclasses(),
    "hello, 10,000 times": lambda module: [module.hello() for _ in range(10_000)],
}


def modules(directory: Path) -> tuple[ModuleType, ModuleType]:
    """The source, and what was compiled of it."""
    source = Path(__file__).parent / "apps" / "compiled.py"
    for name in ("as_source", "as_compiled"):
        shutil.copyfile(source, directory / f"{name}.py")
    found = project.find("as_compiled:app", str(directory))
    cython = builder.needed()
    builder.build_project(found, place.directory(found.root, cython), cython, lambda *said: None)
    importer.install(found.root)
    sys.path.insert(0, str(found.root))
    return importlib.import_module("as_source"), importlib.import_module("as_compiled")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        pair = modules(Path(directory).resolve())
        print(importer.describe(), "(the other is the source)")
        for name, run in CASES.items():
            if run(pair[0]) != run(pair[1]):
                raise SystemExit(f"{name}: the answers differ")
            best = [float("inf")] * 2
            for _ in range(TURNS):
                for index, module in enumerate(pair):
                    began = time.process_time()
                    run(module)
                    best[index] = min(best[index], time.process_time() - began)
            print(f"{name:20} {best[0] * 1e3:8.2f} ms {best[1] * 1e3:8.2f} ms  x{best[0] / best[1]:.2f}")


if __name__ == "__main__":
    main()
