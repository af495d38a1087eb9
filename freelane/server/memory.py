"""How much memory this process has."""

from __future__ import annotations

import os


def resident_bytes() -> int:
    """The memory of this process (proc(5)); 0 where nothing tells."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
