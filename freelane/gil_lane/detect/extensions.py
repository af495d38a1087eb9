"""Extension modules, and what each says of the GIL (PEP 703, "Py_mod_gil"; C API, ``PyModuleDef``).

A module with multi-phase initialisation says it in a slot, which is read where it lies; for
the others, and to confirm, a throw-away interpreter imports each alone and looks at the GIL.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from types import ModuleType
from typing import Any, Literal

from freelane.fastcore import remembered

State = Literal["safe", "turns the GIL on", "no wheel for this interpreter"]

PY_MOD_GIL = 4
PY_MOD_GIL_NOT_USED = 1
# In words of the machine: PyModuleDef is a PyObject, m_init, m_index, m_copy, then m_name,
# m_doc, m_size, m_methods, m_slots. PyModuleObject is a PyObject, md_dict, md_def, md_state,
# md_weaklist, md_name and, on free-threaded builds, md_gil.
SLOTS_AT = 3 + 4
MD_GIL_AT = 5
WORD = struct.calcsize("P")
# The versions whose layout that is.
KNOWN = ((3, 13), (3, 14))


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension module; ``distribution`` and ``version`` are "" where nobody installed it."""

    name: str
    file: str
    state: State
    distribution: str = ""
    version: str = ""

    @property
    def unsafe(self) -> bool:
        return self.state != "safe"

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.state == "safe":
            return ""
        if self.state == "turns the GIL on":
            package = f"a release of {self.distribution}" if self.distribution else "a build"
            return f"its endpoints run in the gil lane; {package} that supports free threading needs no lane"
        return "its endpoints run in the gil lane, on --gil-python"


def is_extension(module: Any) -> bool:
    file = getattr(getattr(module, "__spec__", None), "origin", None) or ""
    return isinstance(file, str) and file.endswith(tuple(EXTENSION_SUFFIXES))


def loaded() -> list[ModuleType]:
    """The extension modules of this process, the standard library's and freelane's left out."""
    return [
        module
        for module in list(sys.modules.values())
        if is_extension(module) and not is_known(module.__spec__)  # type: ignore[arg-type]
    ]


def is_known(spec: ModuleSpec) -> bool:
    return "/lib-dynload/" in str(spec.origin) or spec.name.startswith("freelane.fastcore.")


def declares_safe(module: ModuleType) -> bool | None:
    """Whether ``module`` says that it does not need the GIL; None where that cannot be read."""
    if sys.version_info[:2] not in KNOWN or not isinstance(module, ModuleType):
        return None
    if "free-threading build" not in sys.version:
        return None
    import ctypes

    get_def = ctypes.pythonapi.PyModule_GetDef
    get_def.restype, get_def.argtypes = ctypes.c_void_p, [ctypes.py_object]
    definition = get_def(module)
    if definition:
        slots = ctypes.c_void_p.from_address(definition + object.__basicsize__ + SLOTS_AT * WORD).value
        while slots and (number := ctypes.c_int.from_address(slots).value):
            if number == PY_MOD_GIL:
                return bool(ctypes.c_void_p.from_address(slots + WORD).value == PY_MOD_GIL_NOT_USED)
            slots += 2 * WORD
    # Single-phase: what PyUnstable_Module_SetGIL left.
    return bool(ctypes.c_void_p.from_address(id(module) + object.__basicsize__ + MD_GIL_AT * WORD).value == 1)


CONFIRM = """
import _imp, json, os, sys, warnings
from importlib.machinery import ExtensionFileLoader, ModuleSpec
warnings.simplefilter("ignore")
answers = {}
for name, file in json.load(sys.stdin):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = b"?"
        try:
            spec = ModuleSpec(name, ExtensionFileLoader(name, file), origin=file)
            spec.has_location = True
            _imp.create_dynamic(spec)
        except BaseException:
            pass
        else:
            code = b"0"
        if sys._is_gil_enabled():
            code = b"1"
        os.write(write, code)
        os._exit(0)
    os.close(write)
    answers[name] = os.read(read, 1).decode()
    os.close(read)
    os.waitpid(pid, 0)
print("\\n" + json.dumps(answers))
"""


def confirm(modules: Iterable[tuple[str, str]]) -> dict[str, bool]:
    """Which of ``(name, file)`` turn the GIL on, each imported alone in a fork of a fresh interpreter.

    A module that cannot be imported alone is left out.
    """
    asked = list(modules)
    if not asked:
        return {}
    import json
    import subprocess

    command = [sys.executable, "-I", "-S", "-c", CONFIRM]
    try:
        # Without -X gil=0, which would hide the answer.
        done = subprocess.run(command, input=json.dumps(asked), text=True, capture_output=True, timeout=60)
        answers = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError):
        return {}
    return {name: answer == "1" for name, answer in answers.items() if answer in "01"}


def judge(modules: list[tuple[str, str]]) -> dict[str, bool]:
    """As ``confirm``, remembering the answers by the files' contents."""
    keys = {name: key for name, file in modules if (key := contents(name, file)) is not None}
    answers = {}
    for name, key in keys.items():
        known = remembered.recall("extensions", key)
        if known in ("safe", "unsafe"):
            answers[name] = known == "unsafe"
    for name, turns in confirm((name, file) for name, file in modules if name not in answers).items():
        answers[name] = turns
        if name in keys:
            remembered.keep("extensions", keys[name], "unsafe" if turns else "safe")
    return answers


def contents(name: str, file: str) -> str | None:
    try:
        with open(file, "rb") as source:
            return remembered.digest(name.encode(), source.read())
    except OSError:
        return None


def unsafe_loaded() -> dict[str, ModuleType]:
    """The imported extension modules that need the GIL, by name; what a module says of itself is confirmed once."""
    doubtful = {module.__spec__.name: module for module in loaded() if not declares_safe(module)}  # type: ignore[union-attr]
    files = [(name, module.__spec__.origin or "") for name, module in doubtful.items()]  # type: ignore[union-attr]
    answers = judge(files)
    return {name: module for name, module in doubtful.items() if answers.get(name, True)}


def survey() -> list[Extension]:
    """Every extension module of this process with its state and what it belongs to."""
    import importlib.metadata

    owners = importlib.metadata.packages_distributions()
    unsafe = unsafe_loaded()
    found = []
    for module in loaded():
        name: str = module.__spec__.name  # type: ignore[union-attr]
        state: State = "turns the GIL on" if name in unsafe else "safe"
        found.append(extension(name, module.__spec__.origin or "", state, owners))  # type: ignore[union-attr]
    return sorted(found, key=lambda item: (item.state == "safe", item.name))


def extension(name: str, file: str, state: State, owners: Any) -> Extension:
    import importlib.metadata

    distribution = next(iter(owners.get(name.partition(".")[0], ())), "")
    version = importlib.metadata.version(distribution) if distribution else ""
    return Extension(name, file, state, distribution, version)


def as_json(found: Iterable[Extension]) -> list[dict[str, Any]]:
    return [asdict(item) for item in found]
