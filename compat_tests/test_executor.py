"""FastFuture, Executor and LoopQueue: one behaviour a test."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from freelane.fastcore.threads.executor import Executor, ExecutorFull, ExecutorStopped, usable_cores
from freelane.fastcore.threads.future import FastFuture
from freelane.fastcore.threads.loop_queue import LoopQueue
from freelane.gil_lane.gil_watch import free_threaded


@pytest.fixture
def executor() -> Iterator[Executor]:
    # Under pytest-run-parallel every thread of a test shares it.
    made = Executor(limit=4, backlog_limit=1000)
    yield made
    made.shutdown()


def test_result_reaches_a_thread(executor: Executor) -> None:
    assert executor.submit(lambda a, b: a + b, 1, b=2).result(120) == 3


def test_result_reaches_a_loop(executor: Executor) -> None:
    async def main() -> int:
        return await executor.submit(lambda: 7)

    assert asyncio.run(main()) == 7


def test_result_reaches_a_loop_through_its_lane(executor: Executor) -> None:
    async def main() -> tuple[list[int], LoopQueue]:
        lane = LoopQueue(asyncio.get_running_loop())
        futures = [executor.submit(pow, n, 2, lane=lane) for n in range(8)]
        return [await future for future in futures], lane

    results, lane = asyncio.run(main())
    assert results == [n * n for n in range(8)]


def test_what_a_signal_handler_raises_loses_nothing_that_was_posted() -> None:
    loop = asyncio.new_event_loop()
    lane, seen = LoopQueue(loop), list[int]()
    try:
        for callback, value in ((sys.exit, 3), (seen.append, 1)):
            lane.post(callback, value)
        with pytest.raises(SystemExit):
            loop.run_forever()
        lane.post(seen.append, 2)
        lane.post(lambda _: loop.stop(), None)
        loop.run_forever()
    finally:
        loop.close()
    assert seen == [1, 2]


def test_exception_is_raised_where_it_is_awaited(executor: Executor) -> None:
    def fail() -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        executor.submit(fail).result(120)

    async def main() -> None:
        await executor.submit(fail)

    with pytest.raises(LookupError, match="here"):
        asyncio.run(main())


def test_result_times_out(executor: Executor) -> None:
    release = threading.Event()
    future = executor.submit(release.wait)
    with pytest.raises(TimeoutError):
        future.result(0.05)
    release.set()
    assert future.result(120) is True


def test_queued_work_can_be_cancelled_and_running_work_cannot() -> None:
    executor = Executor(limit=1)
    release = threading.Event()
    running = executor.submit(release.wait)
    while not running.running():
        time.sleep(0.001)
    queued = executor.submit(lambda: 1)
    assert queued.cancel()
    assert not running.cancel()
    release.set()
    assert running.result(120) is True
    with pytest.raises(asyncio.CancelledError):
        queued.result(120)
    executor.shutdown()


def test_cancelled_task_waits_for_running_work(executor: Executor) -> None:
    ended = threading.Event()

    def work() -> None:
        time.sleep(0.2)
        ended.set()

    async def main() -> None:
        async def wait() -> None:
            await executor.submit(work)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(main())


def test_awaiting_result_on_the_loop_is_refused(executor: Executor) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.InvalidStateError):
            FastFuture().result()

    asyncio.run(main())


def test_work_runs_in_a_copy_of_the_context(executor: Executor) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    variable.set("outer")

    def work() -> str:
        seen = variable.get()
        variable.set("inner")
        return seen

    assert executor.submit(work).result(120) == "outer"
    assert variable.get() == "outer"


def test_full_queue_is_refused_and_nothing_is_lost() -> None:
    executor = Executor(limit=1, backlog_limit=2)
    release = threading.Event()
    futures = [executor.submit(release.wait) for _ in range(3)]
    with pytest.raises(ExecutorFull):
        executor.submit(release.wait)
    assert not executor.run_here(lambda _: None, None)
    release.set()
    assert [future.result(120) for future in futures] == [True] * 3
    executor.shutdown()


def test_slots_grow_for_work_that_waits() -> None:
    executor = Executor(limit=40)
    barrier = threading.Barrier(40)
    futures = [executor.submit(barrier.wait, 20) for _ in range(40)]
    # The barrier opens only when all forty run at once.
    assert sorted(future.result(30) for future in futures) == list(range(40))
    executor.shutdown()


def test_run_here_runs_on_this_thread_and_then_what_queued() -> None:
    executor = Executor(limit=1)
    order: list[Any] = []

    def first(_: None) -> None:
        order.append(threading.get_ident())
        executor.run_here(lambda _: order.append("queued"), None)
        order.append("first ends")

    assert executor.run_here(first, None)
    assert order == [threading.get_ident(), "first ends", "queued"]
    assert executor.busy_slots == 0


def test_server_threads_are_left_for_the_loop() -> None:
    cores = usable_cores()
    executor = Executor(limit=cores + 20)
    release = threading.Event()
    seen: set[int] = set()

    def wait(_: None) -> None:
        seen.add(threading.get_ident())
        release.wait(120)

    servers = [threading.Thread(target=executor.run_here, args=(wait, None)) for _ in range(cores)]
    for thread in servers:
        thread.start()
    assert within(20, lambda: executor.busy_slots == cores)
    deadline = time.monotonic() + 120
    # Until there is a free slot, and then once more, into it.
    while executor.busy_slots == executor.allowed and time.monotonic() < deadline:
        executor.run_here(wait, None)
        time.sleep(0.01)
    executor.run_here(wait, None)
    release.set()
    for thread in servers:
        thread.join()
    assert threading.get_ident() not in seen
    assert time.monotonic() < deadline
    executor.shutdown()


@pytest.mark.skipif(not free_threaded(), reason="with the GIL, threads that only compute hardly alternate")
def test_a_server_thread_too_many_sleeps_until_the_others_are_held_up() -> None:
    executor = Executor(limit=usable_cores())
    held, ends = threading.Event(), threading.Event()

    def serve() -> None:
        # What one of the server's threads does under load: one short job after the other.
        while not ends.is_set():
            executor.run_here(lambda _: held.is_set() and ends.wait(120), None)

    servers = [threading.Thread(target=serve) for _ in range(executor.cores + 1)]
    for thread in servers:
        thread.start()
    try:
        assert within(20, lambda: executor.parked)
        held.set()
        assert within(20, lambda: not executor.parked)
    finally:
        ends.set()
        for thread in servers:
            thread.join(120)
    assert executor.busy_slots == 0
    executor.shutdown()


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.001)
    return holds()


def test_shutdown_cancels_what_waits_and_refuses_more() -> None:
    executor = Executor(limit=1)
    release = threading.Event()
    running = executor.submit(release.wait)
    queued = executor.submit(release.wait)
    executor.shutdown()
    release.set()
    assert running.result(120) is True
    assert queued.cancelled()
    with pytest.raises(ExecutorStopped):
        executor.submit(print)


def test_many_threads_submit_at_once() -> None:
    executor = Executor(limit=8, backlog_limit=10_000)
    barrier = threading.Barrier(6)
    sums: list[int] = []

    def submit() -> None:
        barrier.wait()
        sums.append(sum(executor.submit(lambda n=n: n).result(20) for n in range(200)))

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [sum(range(200))] * 6
    executor.shutdown()


def test_lane_wakes_the_loop_once_for_a_batch() -> None:
    async def main() -> None:
        lane = LoopQueue(asyncio.get_running_loop())
        seen: list[int] = []
        barrier = threading.Barrier(4)

        def post(start: int) -> None:
            barrier.wait()
            for n in range(start, start + 500):
                assert lane.post(seen.append, n)

        threads = [threading.Thread(target=post, args=(n * 500,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()  # the loop is blocked meanwhile: everything becomes one batch
        await asyncio.sleep(0.05)
        assert sorted(seen) == list(range(2000))
        assert lane.posted == 2000
        assert lane.wakeups == 1

    asyncio.run(main())


def test_lane_keeps_each_threads_order() -> None:
    async def main() -> list[int]:
        lane = LoopQueue(asyncio.get_running_loop())
        seen: list[int] = []
        await asyncio.to_thread(lambda: [lane.post(seen.append, n) for n in range(1000)])
        await asyncio.sleep(0.05)
        return seen

    assert asyncio.run(main()) == list(range(1000))


def test_lane_survives_a_callback_that_raises() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        problems: list[Any] = []
        loop.set_exception_handler(lambda _, context: problems.append(context["exception"]))
        lane = LoopQueue(loop)
        seen: list[int] = []
        lane.post(lambda n: 1 / n, 0)
        lane.post(seen.append, 1)
        await asyncio.sleep(0.05)
        assert seen == [1] and isinstance(problems[0], ZeroDivisionError)

    asyncio.run(main())


def test_closed_lane_refuses() -> None:
    loop = asyncio.new_event_loop()
    lane = LoopQueue(loop)
    loop.close()
    assert not lane.post(print, None)


class Waits:
    """A callback that tells which thread freed it, as a task would stop every thread when another than its loop's does."""

    def __init__(self, freed: list[int]) -> None:
        self.freed = freed

    def __call__(self, future: Any) -> None:
        pass

    def __del__(self) -> None:
        self.freed.append(threading.get_ident())


class SlowPost:
    """A lane whose ``post`` returns when this thread has run what another one posted."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.posted: queue.SimpleQueue[tuple[Callable[[Any], object], Any]] = queue.SimpleQueue()
        self.ran = threading.Event()

    def post(self, callback: Callable[[Any], object], argument: Any) -> bool:
        self.posted.put((callback, argument))
        return self.ran.wait(20)

    def run(self) -> None:
        callback, argument = self.posted.get(timeout=20)
        callback(argument)


def test_what_waits_for_a_future_is_freed_where_it_is_called() -> None:
    loop = asyncio.new_event_loop()
    lane, freed = SlowPost(loop), list[int]()
    future: FastFuture[int] = FastFuture(lane)  # type: ignore[arg-type]
    future.add_done_callback(Waits(freed))
    other = threading.Thread(target=future.set_result, args=(1,))
    other.start()
    lane.run()
    lane.ran.set()
    other.join()
    loop.close()
    assert freed == [threading.get_ident()]


def test_urgent_work_goes_first_and_beyond_the_slots_that_wait_for_it() -> None:
    executor = Executor(2, cores=2)
    released, began = threading.Event(), threading.Semaphore(0)

    def waits() -> bool:
        began.release()
        return released.wait(20)

    waiting = [executor.submit(waits) for _ in range(4)]
    assert began.acquire(timeout=20) and began.acquire(timeout=20)
    # Both slots are taken and two more calls queue for them.
    executor.submit_now(released.set).result(20)
    assert [future.result(20) for future in waiting] == [True] * 4
    executor.shutdown()


def test_urgent_work_is_done_when_the_executor_ends() -> None:
    executor = Executor(1, cores=1)
    go, began, done = threading.Event(), threading.Event(), threading.Event()
    running = executor.submit(lambda: (began.set(), go.wait(20)))  # type: ignore[func-returns-value]
    assert began.wait(20)
    executor.submit_now(done.set)
    executor.shutdown()
    assert done.wait(20)
    go.set()
    running.result(20)


# -- what happens when a thread, or what keeps one, fails


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    # Where a server was run in this process, the log reaches pytest by two ways.
    return lambda: "\n".join(record.getMessage() for record in {id(record): record for record in caplog.records}.values())


def hold(running: threading.Event, release: threading.Event) -> None:
    running.set()
    release.wait(120)


@pytest.mark.thread_unsafe(reason="reads the log")
def test_a_call_that_cannot_be_ended_costs_no_slot(told: Callable[[], str]) -> None:
    executor = Executor(limit=1, cores=1)

    def end(argument: object) -> None:
        raise SystemExit("a mistake")

    for _ in range(3):
        assert executor.run_here(end, None)
    assert executor.submit(lambda: 7).result(120) == 7
    blocked = threading.Event()
    waiting = executor.submit(blocked.wait, 120)
    assert executor.run_here(end, None)  # queued: a thread of the pool runs it
    blocked.set()
    assert waiting.result(120) and executor.submit(lambda: 8).result(120) == 8
    assert told().count("could not be ended") == 4
    executor.shutdown()


@pytest.mark.thread_unsafe(reason="replaces how threads start")
def test_calls_wait_while_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch, told: Callable[[], str]) -> None:
    start = threading.Thread.start
    failures: list[str] = []
    executor = Executor(limit=8, cores=1)
    release, running = threading.Event(), threading.Event()
    first = executor.submit(hold, running, release)
    assert running.wait(120)

    def refuse(thread: threading.Thread) -> None:
        if thread.name.endswith("watch") and failures:
            start(thread)
        else:
            failures.append(thread.name)
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    # The watch cannot start, then it can, and finds no thread for what waits.
    queued = [executor.submit(lambda n=n: n) for n in range(4)]
    deadline = time.monotonic() + 120
    while len(failures) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert failures[0].endswith("watch") and not any(future.done() for future in queued)
    monkeypatch.setattr(threading.Thread, "start", start)
    assert [future.result(120) for future in queued] == [0, 1, 2, 3]
    release.set()
    first.result(120)
    assert "cannot watch its queue" in told() and "calls wait until that can be" in told()
    executor.shutdown()


@pytest.mark.thread_unsafe(reason="replaces a clock")
def test_a_watch_that_fails_goes_on(monkeypatch: pytest.MonkeyPatch, told: Callable[[], str]) -> None:
    executor = Executor(limit=4, cores=1)
    release, running = threading.Event(), threading.Event()
    first = executor.submit(hold, running, release)
    assert running.wait(120)
    cpu = time.process_time
    failed: list[int] = []

    def once() -> float:
        if len(failed) < 3:
            failed.append(1)
            raise OSError("no clock")
        return cpu()

    monkeypatch.setattr(time, "process_time", once)
    assert executor.submit(lambda: 7).result(120) == 7
    assert len(failed) == 3 and "goes on" in told()
    release.set()
    first.result(120)
    executor.shutdown()


@pytest.mark.thread_unsafe(reason="has a loop")
def test_what_is_posted_behind_an_exit_is_found_by_the_next_run() -> None:
    loop = asyncio.new_event_loop()
    lane = LoopQueue(loop)
    ran: list[str] = []

    def leave(argument: object) -> None:
        raise SystemExit(3)

    lane.post(leave, None)
    lane.post(ran.append, "behind")
    with pytest.raises(SystemExit):
        loop.run_forever()
    executor = Executor(limit=1, cores=1)

    async def shutdown() -> int:
        return await executor.submit(lambda: 7, lane=lane)

    assert loop.run_until_complete(asyncio.wait_for(shutdown(), 120)) == 7
    assert ran == ["behind"]
    loop.close()
    executor.shutdown()
