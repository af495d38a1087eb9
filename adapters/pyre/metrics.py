"""What ``get_gil_metrics`` reports."""

from __future__ import annotations

import threading

from freelane.fastcore.routing.dispatcher import Dispatcher


class Counters:
    """Counts per thread, added up when they are read. ``lock`` guards the list of threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.slots: list[Slot] = []
        self.local = threading.local()
        self.dropped = 0
        self.dispatchers: list[Dispatcher] = []  # which count what they answer; only added to

    def slot(self) -> Slot:
        """The calling thread's own counter."""
        slot = getattr(self.local, "slot", None)
        if slot is None:
            slot = self.local.slot = Slot()
            with self.lock:
                self.slots.append(slot)
        return slot

    def drop(self) -> None:
        """Count a request that was refused or ran out of time."""
        with self.lock:
            self.dropped += 1

    def total(self) -> int:
        with self.lock:
            found = sum(slot.requests for slot in self.slots)
        return found + sum(dispatcher.served for dispatcher in list(self.dispatchers))


class Slot:
    """One thread's count."""

    __slots__ = ("requests",)

    def __init__(self) -> None:
        self.requests = 0


counters = Counters()


def resident_bytes() -> int:
    """Resident memory of this process; 0 where /proc is not there."""
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
    except OSError:
        return 0
    import resource

    return pages * resource.getpagesize()


def get_gil_metrics() -> tuple[int, int, int, int, int, int, int, int, int]:
    """Pyre's nine numbers: last, peak, count and total of waits for the GIL (microseconds), resident
    bytes, threads that wait, longest hold (microseconds), dropped requests, all requests.

    Handlers do not wait for a GIL here, so all that counts waits and holds is 0.
    """
    return 0, 0, 0, 0, resident_bytes(), 0, 0, counters.dropped, counters.total()
