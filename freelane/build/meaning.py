"""What of a function's code would mean something else once it is compiled."""

from __future__ import annotations

import ast
from collections.abc import Iterator

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
NESTED = (*FUNCTIONS, ast.Lambda)
# Nodes that have a place in the source.
LOCATED = (ast.stmt, ast.expr, ast.excepthandler, ast.arg, ast.keyword, ast.alias)

# Names that read the frame they are used in, or run text in it.
FRAMES = {"locals", "vars", "dir", "exec", "eval", "globals", "breakpoint", "__import__", "__builtins__", "compile"}
# Attributes that lead to frames, code or source, whatever they are read off.
INSPECTING = {
    "_getframe", "_getframemodulename", "currentframe", "stack", "getsource", "getsourcelines", "getsourcefile", "getframeinfo",
    "f_back", "f_locals", "f_globals", "f_code", "f_lineno", "gi_frame", "cr_frame", "ag_frame", "gi_code", "cr_code",
    "tb_frame",
    "extract_stack", "print_stack", "format_stack", "walk_stack", "settrace", "setprofile", "monitoring", "call_tracing",
    "__code__", "__closure__", "__globals__", "co_code", "set_trace", "getgeneratorlocals", "getcoroutinelocals",
    "getclosurevars", "warn", "warn_explicit", "warn_deprecated",
}  # fmt: skip
WARNING = {"warn", "warn_explicit", "warn_deprecated"}
LOGGING = {"debug", "info", "warning", "error", "exception", "critical", "log", "fatal"}
FOREIGN_MODULES = {"cython", "numba", "__future__"}
# Names that Cython keeps for itself.
RESERVED = ("__pyx_", "__freelane_")

TOO_NEW = {
    ast.ClassDef: "defines a class", ast.Match: "has a match statement", ast.TryStar: "has except*",
    ast.TypeAlias: "has a type statement",
}  # fmt: skip


def reason_to_keep(function: Function, method: bool, shadowed: frozenset[str]) -> str | None:
    """Why a function is not compiled; None where its meaning stays. ``shadowed`` are names that the module binds."""
    if getattr(function, "type_params", None):
        return "has type parameters"
    names = {arg.arg for arg in ast.walk(function.args) if isinstance(arg, ast.arg)}
    if any(name.startswith(RESERVED) for name in names):
        return "has names that Cython keeps for itself"
    body: list[ast.AST] = [*function.body] if isinstance(function.body, list) else [function.body]
    for statement in body:
        for node in ast.walk(statement):
            reason = reason_of(node, shadowed)
            if reason is not None:
                return reason
    return reason_of_super(function, method) or reason_of_locals(function)


def reason_of(node: ast.AST, shadowed: frozenset[str]) -> str | None:
    for kind, reason in TOO_NEW.items():
        if isinstance(node, kind):
            return reason
    if type(node).__name__ in ("TemplateStr", "Interpolation"):
        return "has a t-string"
    if isinstance(node, ast.Name):
        if node.id in FRAMES and node.id not in shadowed:
            return f"uses {node.id}, which reads its frame"
        if node.id.startswith(RESERVED):
            return "has names that Cython keeps for itself"
        if node.id in INSPECTING:
            return f"uses {node.id}, which reads frames or code"
    if isinstance(node, ast.Attribute) and node.attr in INSPECTING:
        return (
            f"uses .{node.attr}, which {'names the line it is called from' if node.attr in WARNING else 'reads frames or code'}"
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOGGING:
        if "log" in ast.unparse(node.func.value).lower():
            return "logs, and a line of the log may name the function and the line it is from"
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        for module in modules:
            if module.partition(".")[0] in FOREIGN_MODULES:
                return f"imports {module}"
    if isinstance(node, FUNCTIONS):
        return reason_of_nested(node)
    return None


def reason_of_nested(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    """A function inside: its annotations would be seen, unless ``functools.wraps`` puts others in their place."""
    if getattr(node, "type_params", None):
        return "defines a function with type parameters"
    if is_route_like(node):
        return f"defines {node.name} with a decorator that may read what it is"
    annotated = node.returns is not None or any(isinstance(arg, ast.arg) and arg.annotation for arg in ast.walk(node.args))
    if annotated and not wrapped(node):
        return f"defines {node.name}, whose annotations may be read"
    return None


def is_route_like(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(not is_wraps(item) for item in node.decorator_list)


def wrapped(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(is_wraps(item) for item in node.decorator_list)


def is_wraps(node: ast.expr) -> bool:
    """``@wraps(function)`` with nothing else said."""
    if not isinstance(node, ast.Call) or len(node.args) != 1 or node.keywords:
        return False
    return (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) == "wraps"


def reason_of_super(function: Function, method: bool) -> str | None:
    """``super()`` and ``__class__`` are given by hand: where they are used in the method itself, and nothing hides them."""
    inside = [item for node in own_nodes(function) if isinstance(node, NESTED) for item in ast.walk(node)]
    comprehensions = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    inside += [item for node in own_nodes(function) if isinstance(node, comprehensions) for item in ast.walk(node)]
    for node in inside:
        if isinstance(node, ast.Name) and node.id in ("super", "__class__"):
            return f"uses {node.id} in a function inside"
    if not uses_class(function):
        return None
    positional = [*function.args.posonlyargs, *function.args.args]
    if not method or not positional:
        return "uses super or __class__ where there is no class"
    first = positional[0].arg
    for node in own_nodes(function):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and node.id in (first, "super", "__class__"):
            return f"binds {node.id} anew, which super() reads"
        if isinstance(node, ast.Name) and node.id == "super" and not is_called(function, node):
            return "uses super without a call"
    return None


def is_called(function: Function, name: ast.Name) -> bool:
    return any(isinstance(node, ast.Call) and node.func is name for node in own_nodes(function))


def uses_class(function: Function) -> bool:
    """Whether it needs the cell of its class."""
    return any(isinstance(node, ast.Name) and node.id in ("super", "__class__") for node in own_nodes(function))


def reason_of_locals(function: Function) -> str | None:
    """A name that is annotated and never bound is local all the same."""
    bound = bound_names(function)
    for node in own_nodes(function):
        if isinstance(node, ast.AnnAssign) and node.value is None and isinstance(node.target, ast.Name):
            if not any(
                isinstance(item, ast.Name) and item.id == node.target.id and item is not node.target
                and not isinstance(item.ctx, ast.Load) for item in own_nodes(function)
            ):  # fmt: skip
                return f"declares {node.target.id} and never binds it"
    if "__class__" in bound:
        return "binds __class__"
    return None


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """What is in a function's body, without the bodies of the functions inside."""
    pending: list[ast.AST] = [function.body] if isinstance(function, ast.Lambda) else list(reversed(function.body))
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, NESTED):
            pending += [*node.args.defaults, *filter(None, node.args.kw_defaults), *getattr(node, "decorator_list", ())]
        else:
            pending += reversed(list(ast.iter_child_nodes(node)))


def bound_names(function: Function) -> set[str]:
    """The names that are local to a function: parameters and what it binds."""
    args = function.args
    found = {arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)}
    found |= {arg.arg for arg in (args.vararg, args.kwarg) if arg is not None}
    outside: set[str] = set()
    for node in own_nodes(function):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            outside |= set(node.names)
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            found.add(node.name)
    return found - outside
