"""The generator for machines without wrk: closed-loop clients on httpx, ended by time.

Prints the same RESULT line as the wrk script: times in microseconds, errors by kind.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import httpx


async def _client(
    client: httpx.AsyncClient, request: httpx.Request, end: float, taken: list[int], errors: dict[str, int]
) -> None:
    while time.monotonic() < end:
        begun = time.perf_counter_ns()
        try:
            response = await client.send(request)
        except httpx.ConnectError:
            errors["connect"] += 1
            await asyncio.sleep(0.01)
            continue
        except httpx.TimeoutException:
            errors["timeout"] += 1
            continue
        except httpx.TransportError:
            errors["read"] += 1
            continue
        taken.append((time.perf_counter_ns() - begun) // 1000)
        if response.status_code > 399:
            errors["status"] += 1


def _percentile(ordered: list[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


async def _run(url: str, method: str, body: str, headers: dict[str, str], connections: int, seconds: float) -> None:
    taken: list[int] = []
    errors = dict.fromkeys(("connect", "read", "write", "status", "timeout"), 0)
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=5, trust_env=False) as client:
        request = client.build_request(method, url, content=body or None, headers=headers)
        begun = time.monotonic()
        await asyncio.gather(*(_client(client, request, begun + seconds, taken, errors) for _ in range(connections)))
        elapsed = time.monotonic() - begun
    taken.sort()
    latencies = {"p50_us": _percentile(taken, 0.5), "p99_us": _percentile(taken, 0.99)}
    result = {"requests": len(taken), "us": int(elapsed * 1e6), **latencies, **errors}
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    url, method, body, headers, connections, seconds = sys.argv[1:]
    asyncio.run(_run(url, method, body, json.loads(headers), int(connections), float(seconds)))
