"""A contender that starts at once: ``python bench_peer.py PORT KIND``. What it answers differs by kind."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KIND = sys.argv[2]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        Handler.asked += 1
        if KIND == "dies" and path == "/price" or KIND == "dies-later" and Handler.asked > 20:
            os._exit(7)
        code = 200
        answers: dict[str, dict[str, object]] = {
            "/": {"id": str(uuid.uuid4()), "now": time.time(), "kind": "x"},
            "/login": {"access_token": "sesame"},
            "/price": {"price": 11 if KIND == "other" else 10, "currency": "EUR"},
            "/private": {"secret": 1},
        }
        value = answers.get(path)
        if value is None:
            code = 404
        elif KIND == "ordered":
            value = dict(reversed(list(value.items())))
        elif KIND == "failing" and path == "/price":
            code = 500
        elif path == "/private" and self.headers["authorization"] != "Bearer sesame":
            code = 401
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("x-kind", "b" if KIND == "other" else "a")
        self.send_header("content-type", "application/json")
        self.send_header("set-cookie", f"session={uuid.uuid4()}; Path=/" + ("" if KIND == "other" else "; HttpOnly"))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


if KIND == "never":
    time.sleep(600)
if KIND == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if KIND == "daemon":
    # A child that leaves the session, as daemons do.
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
