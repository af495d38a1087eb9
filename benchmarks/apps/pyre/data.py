"""A data API: numpy in the gil lane, ticks over WebSocket, binary calls between services.

The series are in ``app.state``, which the processes of the gil lane share.

    freelane run benchmarks.apps.pyre.data:app
"""

from __future__ import annotations

import json
import math
from typing import Any

from freelane.adapters.pyre import Pyre, PyreWebSocket, exceptions

app = Pyre(title="Series")
PREFIX = "series:"


@app.on_startup
def load() -> None:
    for index, name in enumerate(("ACME", "BOLT", "CORE")):
        if PREFIX + name not in app.state:
            keep(name, [100 + 10 * math.sin((n + 7 * index) / 5) + index for n in range(250)])


def keep(name: str, values: list[float]) -> None:
    app.state[PREFIX + name] = json.dumps(values)


def values_of(name: str) -> list[float]:
    found = app.state.get(PREFIX + name)
    if found is None:
        raise exceptions.NotFound(f"no series '{name}'")
    values: list[float] = json.loads(found)
    return values


@app.get("/series")
def names() -> list[str]:
    return sorted(key.removeprefix(PREFIX) for key in app.state.keys() if key.startswith(PREFIX))


@app.put("/series/{name}")
def put(name: str, values: dict[str, list[float]]) -> tuple[dict[str, int], int]:
    found = values.get("values")
    if not found or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in found):
        raise exceptions.UnprocessableEntity("values must be a list of numbers")
    keep(name, [float(v) for v in found])
    app.state.incr("writes", 1)
    return {"count": len(found)}, 201


@app.get("/series/{name}/summary", gil=True)
def summary(name: str, window: int = 20) -> dict[str, Any]:
    """Moments and the last moving average, by numpy."""
    import numpy as np

    values = np.asarray(values_of(name))
    if not 1 <= window <= len(values):
        raise exceptions.UnprocessableEntity(f"window must be from 1 to {len(values)}")
    average = np.convolve(values, np.ones(window) / window, mode="valid")
    return {"mean": float(values.mean()), "std": float(values.std()), "average": float(average[-1]), "n": len(values)}


@app.get("/correlation", gil=True)
def correlation(name: list[str]) -> dict[str, Any]:
    import numpy as np

    if len(name) < 2:
        raise exceptions.UnprocessableEntity("name at least two series")
    rows = [values_of(one) for one in name]
    shortest = min(map(len, rows))
    matrix = np.corrcoef([row[-shortest:] for row in rows])
    return {"names": name, "matrix": [[round(float(value), 6) for value in row] for row in matrix]}


@app.get("/percentile/{name}/{p}")
def percentile(name: str, p: float) -> dict[str, float]:
    """A computation in plain Python, on the free lane: as many at once as there are cores."""
    values = sorted(values_of(name))
    if not 0 <= p <= 100:
        raise exceptions.UnprocessableEntity("p must be from 0 to 100")
    return {"value": values[min(len(values) - 1, int(p / 100 * len(values)))]}


@app.websocket("/ticks/{name}")
def ticks(ws: PyreWebSocket) -> None:
    """The last values as asked for: ``{"last": 3}``; an unknown series closes with 4404."""
    name = ws.params["name"]
    try:
        values = values_of(name)
    except exceptions.NotFound:
        ws.close(4404, "no such series")
        return
    while (message := ws.recv()) is not None:
        try:
            count = int(json.loads(message)["last"])
        except (ValueError, KeyError, TypeError):
            ws.send(json.dumps({"error": 'send {"last": n}'}))
            continue
        ws.send(json.dumps({"name": name, "values": values[-count:] if count > 0 else []}))


@app.rpc("/rpc/latest")
def latest(data: dict[str, Any]) -> dict[str, float]:
    return {name: values_of(name)[-1] for name in data.get("names", [])}


if __name__ == "__main__":
    app.run()
