"""Worker processes by fork: each begins before anything of the app is imported."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from freelane.errors import ConfigError
from freelane.server.channel import Channel
from freelane.server.processes import Start, die_with


def forks(serve: Callable[[int, Channel], int]) -> Start:
    """What starts ``serve(index, channel)``, which returns an exit code, in a process of its own."""

    def start(index: int, sock: socket.socket, others: list[socket.socket]) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        channel = Channel(sock)
        for name in ("SIGINT", "SIGTERM", "SIGTTIN", "SIGTTOU"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)  # the supervisor's are none of this process's
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, lambda *_: channel.say("renew"))
        die_with(parent)
        for other in others:
            other.close()
        code = 1
        try:
            code = serve(index, channel)
            end_process()
        except ConfigError as exc:
            print(f"freelane: {exc}", file=sys.stderr)
            code = exc.code
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1 if exc.code else 0
            if isinstance(exc.code, str):
                print(exc.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    return start


def end_process() -> Any:
    """What the interpreter does at its end, which a forked process must not reach by returning."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
