"""Make ``adapters/compat/known.py``: what the functions that the adapters stand in for were, release by release.

    python -m compat_tests.upstream.fingerprints [PACKAGE]...

Reads every release of FastAPI, Starlette and anyio from the oldest that is compiled, or of the
packages named, through pip and the index that it is set to use, and writes one line for each run of releases in which a
function was the same. A release that changed none of them needs no new table.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from freelane.adapters.compat import fingerprint, known

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "adapters" / "compat" / "known.py"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "freelane" / "releases"
OLDEST = {"anyio": (4, 0, 0), "fastapi": (0, 110, 0), "starlette": (0, 36, 3)}

FUNCTIONS = {
    "anyio": (
        "anyio._backends._asyncio:AsyncIOBackend.run_async_from_thread",
        "anyio._backends._asyncio:AsyncIOBackend.run_sync_from_thread",
        "anyio._backends._asyncio:AsyncIOBackend.run_sync_in_worker_thread",
        "anyio._backends._asyncio:WorkerThread.run",
        "anyio.from_thread:run",
        "anyio.from_thread:run_sync",
        "anyio.to_thread:run_sync",
    ),
    "fastapi": (
        "fastapi.applications:FastAPI.__call__",
        "fastapi.applications:FastAPI.build_middleware_stack",
        "fastapi.dependencies.utils:request_body_to_args",
        "fastapi.dependencies.utils:request_params_to_args",
        "fastapi.dependencies.utils:solve_dependencies",
        "fastapi.encoders:jsonable_encoder",
        "fastapi.routing:APIRoute.handle",
        "fastapi.routing:APIRoute.matches",
        "fastapi.routing:get_request_handler",
        "fastapi.routing:request_response",
        "fastapi.routing:run_endpoint_function",
        "fastapi.routing:serialize_response",
    ),
    "starlette": (
        "starlette._exception_handler:wrap_app_handling_exceptions",
        "starlette._utils:get_route_path",
        "starlette._utils:is_async_callable",
        "starlette.applications:Starlette.__call__",
        "starlette.applications:Starlette.build_middleware_stack",
        "starlette.concurrency:run_in_threadpool",
        "starlette.middleware.errors:ServerErrorMiddleware.__call__",
        "starlette.middleware.exceptions:ExceptionMiddleware.__call__",
        "starlette.responses:JSONResponse.render",
        "starlette.responses:Response.__call__",
        "starlette.responses:Response.__init__",
        "starlette.responses:Response.init_headers",
        "starlette.routing:Mount.handle",
        "starlette.routing:Mount.matches",
        "starlette.routing:Route.handle",
        "starlette.routing:Route.matches",
        "starlette.routing:Router.app",
        "starlette.routing:request_response",
    ),
}

HEAD = '''"""What the functions that the adapters stand in for were, in each release. Made by compat_tests/upstream/fingerprints.py.

(function, {fingerprint: releases in which it was that}); "-" where a release has no such function.
"""

KNOWN: dict[str, dict[str, dict[str, str]]] = {
'''


def number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:3])


def pip(*arguments: str) -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def releases(package: str) -> list[str]:
    """Those from the oldest that is compiled, the oldest first."""
    said = pip("index", "versions", package)
    found = re.search(r"Available versions: (.*)", said)
    assert found is not None, said
    return sorted((item for item in found[1].split(", ") if number(item) >= OLDEST[package]), key=number)


def unpacked(package: str, release: str) -> Path:
    """A directory with the release, fetched once."""
    directory = CACHE / f"{package}-{release}"
    if not (directory / package).is_dir():
        options = ("install", "-q", "--no-deps", "--only-binary=:all:", "--target", str(directory), f"{package}=={release}")
        if (uv := shutil.which("uv")) is not None:  # ten times as fast
            subprocess.run([uv, "pip", *options, "--python", sys.executable], check=True)
        else:
            pip(*options)
    return directory


def fingerprints(package: str, release: str) -> dict[str, str]:
    directory = unpacked(package, release)
    known: dict[str, dict[str, str]] = {}
    for module in {name.partition(":")[0] for name in FUNCTIONS[package]}:
        file = directory / (module.replace(".", "/") + ".py")
        known[module] = fingerprint.functions(file.read_text("utf-8")) if file.is_file() else {}
    return {name: known[name.partition(":")[0]].get(name.partition(":")[2], "-") for name in FUNCTIONS[package]}


def runs(found: list[tuple[str, str]]) -> dict[str, str]:
    """{fingerprint: "first to last, ..."} of (release, fingerprint)."""
    lines: dict[str, list[list[str]]] = {}
    before = None
    for release, value in found:
        if value == before:
            lines[value][-1][1:] = [release]
        else:
            lines.setdefault(value, []).append([release])
        before = value
    return {value: ", ".join(" to ".join(run) for run in all_runs) for value, all_runs in lines.items()}


def table_of(package: str) -> dict[str, dict[str, str]]:
    """{function: {fingerprint: its releases}}."""
    found = {release: fingerprints(package, release) for release in releases(package)}
    return {name: runs([(release, values[name]) for release, values in found.items()]) for name in FUNCTIONS[package]}


def main(packages: list[str]) -> None:
    text = [HEAD]
    for package in FUNCTIONS:
        table = table_of(package) if package in packages or not packages else known.KNOWN[package]
        text.append(f'    "{package}": {{\n')
        for name, lines in table.items():
            text.append(f'        "{name}": {{\n')
            text += [f'            "{value}": "{where}",\n' for value, where in lines.items()]
            text.append("        },\n")
        text.append("    },\n")
    TABLE.write_text("".join([*text, "}\n"]))


if __name__ == "__main__":
    main(sys.argv[1:])
