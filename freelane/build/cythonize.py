"""Cython's part: a text in, a file of C out, with the names and lines of the source in it."""

from __future__ import annotations

import builtins
import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from freelane.build.positions import Positions
from freelane.build.stack import PXD, STACK

DIRECTIVES = {
    "language_level": 3, "binding": True, "annotation_typing": False, "freethreading_compatible": True,
    "emit_code_comments": False, "autotestdict": False, "show_performance_hints": False, "warn.unreachable": False,
    "warn.deprecated.IF": False, "cdivision": False, "always_allow_keywords": True,
}  # fmt: skip
FACTORY, INNER = "__freelane_unit_", "__freelane_inner"


class CythonFailed(Exception):
    """Cython does not take a text. ``lines`` are the source's lines that it names."""

    def __init__(self, message: str, lines: tuple[int, ...]) -> None:
        super().__init__(message)
        self.lines = lines


def known_builtins() -> frozenset[str]:
    """The names that Cython and this interpreter both know to be Python's."""
    from Cython.Compiler.PyrexTypes import KNOWN_PYTHON_BUILTINS

    return frozenset(KNOWN_PYTHON_BUILTINS).intersection(dir(builtins))


def translate(text: Path, name: str, source: str, positions: Positions, names: dict[int, str]) -> Path:
    """Write the C of the module ``name`` beside its ``text``. ``names`` are the units' qualified ones.

    Raises CythonFailed.
    """
    from Cython.Compiler import Errors, Options, Pipeline
    from Cython.Compiler.Main import CompilationSource, Context, create_default_resultobj
    from Cython.Compiler.ParseTreeTransforms import CalculateQualifiedNamesTransform
    from Cython.Compiler.Scanning import FileSourceDescriptor
    from Cython.Compiler.StringEncoding import EncodedString

    Options.cache_builtins = False  # people patch builtins.open
    Options.error_on_unknown_names = True
    Options.emit_code_comments = False
    (text.parent / f"{STACK}.pxd").write_text(PXD)
    c_file = text.with_suffix(".c")
    options = Options.CompilationOptions(
        Options.default_options, compiler_directives=dict(DIRECTIVES), output_file=str(c_file), module_name=name,
        c_line_in_traceback=False, language_level=3, include_path=[str(text.parent)],
    )  # fmt: skip
    context = Context.from_options(options)
    made = CompilationSource(FileSourceDescriptor(str(text), str(text)), EncodedString(name), str(text.parent))
    result = create_default_resultobj(made, options)
    stages = Pipeline.create_py_pipeline(context, options, result)

    class Source(FileSourceDescriptor):  # type: ignore[misc]
        def get_relative_path(self) -> Path:
            """What tracebacks say, wherever the build runs."""
            return Path(source)

    moved = Moved(Source(source, source), positions)
    stages.insert(1, moved)
    after = next(index for index, stage in enumerate(stages) if isinstance(stage, CalculateQualifiedNamesTransform))
    stages.insert(after + 1, lambda tree: rename(tree, names, EncodedString))
    messages = io.StringIO()
    with contextlib.redirect_stderr(messages):
        context.setup_errors(options, result)
        try:
            error, _ = Pipeline.run_pipeline(stages, made)
            context.teardown_errors(error, options, result)
            failed = result.num_errors or error is not None
        except Errors.CompileError:
            failed = True
        except Exception as exc:  # a fault of Cython's own
            raise CythonFailed(f"Cython failed: {type(exc).__name__}: {exc}", ()) from exc
    if failed or not c_file.exists():
        said = messages.getvalue()
        raise CythonFailed(summary(said), tuple(lines_in(said, str(text), source, positions)))
    finished(c_file)
    return c_file


def summary(said: str) -> str:
    found = re.findall(r"^(?!warning: )[^\s:].*?:\d+:\d+: (.*)$", said, re.MULTILINE)
    errors = [line for line in found if not line.startswith("warning")] or found
    return (
        f"Cython: {errors[0]}" if errors else f"Cython: {said.strip().splitlines()[-1] if said.strip() else 'no reason given'}"
    )


def lines_in(said: str, text: str, source: str, positions: Positions) -> list[int]:
    found = []
    for file, line, column in re.findall(r"^(?!warning: )(\S.*?):(\d+):(\d+): ", said, re.MULTILINE):
        if Path(file).name == Path(text).name and Path(file).name != Path(source).name or file.endswith(text):
            found.append(positions.line(int(line), int(column)))
        else:
            found.append(int(line))
    return found


class Moved:
    """A stage: every node's place becomes that in the source."""

    def __init__(self, descriptor: Any, positions: Positions) -> None:
        self.descriptor = descriptor
        self.positions = positions
        self.known: dict[tuple[int, int], Any] = {}

    def place(self, pos: Any) -> Any:
        key = pos[1:]
        if key not in self.known:
            self.known[key] = (self.descriptor, self.positions.line(*key), pos[2])
        return self.known[key]

    def __call__(self, tree: Any) -> Any:
        for node in nodes_of(tree):
            if isinstance(node.pos, tuple):
                node.pos = self.place(node.pos)
        return tree


def rename(tree: Any, names: dict[int, str], string: Any) -> Any:
    """Give functions the names that they have in the source, in ``__qualname__`` and in tracebacks."""
    from Cython.Compiler.Nodes import DefNode, DefNodeWrapper

    pattern = re.compile(rf"{FACTORY}(\d+)\.<locals>\.{INNER}")
    for node in nodes_of(tree):
        qualname = getattr(node, "qualname", None)
        if isinstance(qualname, str) and FACTORY in qualname:
            node.qualname = string(pattern.sub(lambda match: names[int(match[1])], qualname))
            if getattr(node, "name", None) == INNER:
                node.name = string(node.qualname.rpartition(".")[2])
        entry = getattr(node, "entry", None)
        if isinstance(node, DefNodeWrapper) and getattr(node, "name", None) == INNER:
            node.name = node.target.name
        if isinstance(node, DefNode) and entry is not None:
            entry.qualified_name = string(node.name)
    return tree


def nodes_of(tree: Any) -> Iterator[Any]:
    """Each node of a parse tree once, by whatever attribute it hangs; its own come after it was looked at."""
    from Cython.Compiler.Nodes import Node

    seen: set[int] = set()
    pending = [tree]
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        for value in vars(node).values():
            if isinstance(value, Node):
                pending.append(value)
            elif isinstance(value, (list, tuple)):
                pending += [item for item in value if isinstance(item, Node)]


# Frameworks ask `inspect.isfunction` and its like, which look at `__class__` too: compiled objects say what they stand for.
# The types are apart from those of other modules that Cython compiled.
CLASSES = {
    "__pyx_CyFunction_getsets": "function", "__pyx_Coroutine_getsets": "coroutine", "__pyx_Generator_getsets": "generator",
}  # fmt: skip
KINDS = {
    "function": "return Py_NewRef((PyObject *) &PyFunction_Type);", "coroutine": "return Py_NewRef((PyObject *) &PyCoro_Type);",
    "generator": "return Py_NewRef((PyObject *) &PyGen_Type);",
}  # fmt: skip


def finished(c_file: Path) -> None:
    """What Cython says of its own: helpers that the source does not have in tracebacks, its words for a division by zero."""
    try:
        _ = 1.0 / 0.0
    except ZeroDivisionError as exc:
        words = str(exc)
    text = c_file.read_text("utf-8")
    text = re.sub(r'__Pyx_AddTraceback\("[^"]*__freelane_[^;]*;', "", text)
    text = text.replace('PyExc_ZeroDivisionError, "float division"', f'PyExc_ZeroDivisionError, "{words}"')
    text = text.replace('__PYX_ABI_MODULE_NAME "_cython_"', '__PYX_ABI_MODULE_NAME "_freelane_"')
    text = text.replace('"<cyfunction %U at %p>"', '"<function %U at %p>"')
    for table, kind in CLASSES.items():
        name = f"freelane_class_of_{table}"
        getter = f"static PyObject *{name}(PyObject *self, void *context) {{ (void) self; (void) context; {KINDS[kind]} }}"
        start = f"static PyGetSetDef {table}[] = {{"
        text = text.replace(start, f'{getter}\n{start}\n    {{"__class__", {name}, 0, 0, 0}},')
    c_file.write_text(text, "utf-8")


def cython_version() -> str:
    """Raises ImportError where there is none."""
    import Cython

    return str(Cython.__version__)
