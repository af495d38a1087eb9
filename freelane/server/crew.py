"""The workers of one process: their apps start one after the other, then they serve together."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Sequence

from freelane.server.worker import Worker


class Crew:
    """A single worker has the thread of who asks, where apps expect to be; several have one each.

    ``startup``, then ``serve`` or ``dismiss``, on the main thread.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = workers
        self.members = [Member(worker) for worker in workers] if len(workers) > 1 else []
        # Guards `missing`, how many workers do not serve yet.
        self.lock = threading.Lock()
        self.missing = len(workers)
        self.on_serving: Callable[[], object] = lambda: None

    def startup(self, check: Callable[[], None]) -> None:
        """Run the app's startup for each worker, and ``check()`` after it. Raises what either does, once nothing runs."""
        if not self.members:
            self.workers[0].startup()
            return
        try:
            for member in self.members:
                member.start(self)
                check()
        except BaseException:
            self.dismiss()
            raise

    def serve(self, on_serving: Callable[[], object]) -> None:
        """Serve until every worker has stopped; ``on_serving()`` is called once all of them serve."""
        self.on_serving = on_serving
        if not self.members:
            self.workers[0].run(self.arrive)
            return
        for member in self.members:
            member.go.set()
        self.join()

    def dismiss(self) -> None:
        """Stop what has started, without serving."""
        for worker in self.workers:
            worker.stop()
        if not self.members:
            self.workers[0].finish()
            return
        for member in self.members:
            member.give_up()
        for member in self.members:
            member.join()

    def arrive(self) -> None:
        """A worker serves."""
        with self.lock:
            self.missing -= 1
            last = not self.missing
        if last:
            self.on_serving()

    def lose(self) -> None:
        """A worker has failed: the others would serve as if nothing had happened."""
        for worker in self.workers:
            worker.stop()

    def join(self) -> None:
        for member in self.members:
            member.join()
        for member in self.members:
            if member.error is not None:
                raise member.error


class Member:
    """A worker on a thread of its own: an app's lifespan and its requests share their loop's thread."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.thread: threading.Thread | None = None
        self.started = threading.Event()
        self.go = threading.Event()
        # What startup or serving raised; read once the thread has said so or has ended.
        self.error: BaseException | None = None

    def start(self, crew: Crew) -> None:
        """Run startup on the thread. Raises what that raises."""
        # A thread inherits what the import set from CPython 3.14 on only.
        context = contextvars.copy_context()
        self.thread = threading.Thread(target=context.run, args=(self.run, crew), name=f"freelane-worker-{self.worker.number}")
        self.thread.start()
        wait(self.started)
        if self.error is not None:
            raise self.error

    def run(self, crew: Crew) -> None:
        try:
            self.worker.startup()
        except BaseException as exc:
            self.error = exc
            return
        finally:
            self.started.set()
        self.go.wait()
        try:
            if self.worker.stopping.is_set():
                self.worker.finish()
            else:
                self.worker.run(crew.arrive)
        except BaseException as exc:
            self.error = exc
            crew.lose()

    def give_up(self) -> None:
        """Let the thread end, in the middle of its app's startup if need be."""
        self.go.set()
        if self.thread is not None and not self.started.is_set():
            runtime = self.worker.runtime
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                runtime.loop.call_soon_threadsafe(runtime.lifespan.cancel)

    def join(self) -> None:
        # Signals are handled between the steps of this thread, so it must not sleep in a lock.
        while self.thread is not None and self.thread.is_alive():
            self.thread.join(0.2)


def wait(event: threading.Event) -> None:
    while not event.wait(0.2):
        pass
