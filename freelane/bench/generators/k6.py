"""k6: any request, closed or at a fixed rate, for more CPU than the others take.

At a fixed rate it starts requests when they are due whatever the ones before do, on as many
connections as are granted; what it could not start in time it calls dropped, an error here.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from freelane.bench.load import PERCENTILES, TIMEOUT_SECONDS, Load, Sample, first_line

NAME = "k6"

SCRIPT = """
import http from 'k6/http';
const plan = JSON.parse(open('./plan.json'));
const bodies = plan.requests.map((it) => it.body === null ? null : new Uint8Array(it.body).buffer);
const params = plan.requests.map((it) => ({
  headers: it.headers, redirects: 0, timeout: plan.timeout, responseType: 'none', tags: { name: 'all' },
}));
export const options = {
  scenarios: { all: plan.scenario },
  summaryTrendStats: plan.stats,
  discardResponseBodies: true,
  insecureSkipTLSVerify: true,
};
let at = -1;
export default function () {
  if (at < 0) at = __VU * 17;
  const number = plan.order[at++ % plan.order.length];
  const it = plan.requests[number];
  http.request(it.method, it.url, bodies[number], params[number]);
}
export function handleSummary(data) {
  return { './summary.json': JSON.stringify(data.metrics) };
}
"""


def version() -> str | None:
    return first_line([NAME, "version"], "k6")


def cannot(load: Load) -> str | None:
    return "takes HTTP/2 over TLS only" if load.http2 else None


def command(load: Load, scratch: Path) -> list[str]:
    distinct = list(dict.fromkeys(load.requests))
    places = {request: number for number, request in enumerate(distinct)}
    duration = f"{load.seconds:g}s"
    scenario: dict[str, object] = {"duration": duration, "gracefulStop": "0s"}
    if load.rate is None:
        scenario |= {"executor": "constant-vus", "vus": load.connections}
    else:
        # Its rate is a whole number per unit of time.
        scenario |= {"executor": "constant-arrival-rate", "rate": max(1, round(load.rate * 10)), "timeUnit": "10s",
                     "preAllocatedVUs": load.connections, "maxVUs": load.connections}  # fmt: skip
    (scratch / "plan.json").write_text(json.dumps({
        "requests": [{"method": item.method, "url": load.url + item.path, "headers": dict(item.headers),
                      "body": list(item.body) if item.body else None} for item in distinct],
        "order": [places[request] for request in load.requests],
        "scenario": scenario, "timeout": f"{TIMEOUT_SECONDS}s",
        "stats": [*(f"p({p:g})" for p in PERCENTILES if p < 100), "max"],
    }))  # fmt: skip
    (scratch / "load.js").write_text(SCRIPT)
    return [shutil.which(NAME) or NAME, "run", "--quiet", "--no-usage-report", "--log-output=none", "load.js"]


def read(load: Load, printed: str, scratch: Path) -> Sample:
    metrics = json.loads((scratch / "summary.json").read_text())
    trend = metrics["http_req_duration"]["values"]
    latency = {p: trend["max" if p == 100 else f"p({p:g})"] for p in PERCENTILES}
    counts = {
        "status or connection": metrics["http_req_failed"]["values"]["passes"],
        "dropped": metrics.get("dropped_iterations", {"values": {"count": 0}})["values"]["count"],
    }
    errors = {kind: int(count) for kind, count in counts.items() if count}
    return Sample(int(metrics["http_reqs"]["values"]["count"]), load.seconds, latency, errors)
