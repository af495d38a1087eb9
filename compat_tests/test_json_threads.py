"""JSON of values that other threads change while it is written: some state of each of them, and never a crash."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.thread_unsafe(reason="starts a process")

STRESS = """
import json, random, sys, threading
from freelane.fastcore.json.plain import plain_text
from freelane.fastcore.json.writer import dumps

rounds = int(sys.argv[1])
words = ["a", "key with a long name", "\\u00e9", "\\U0001f40e" * 3]

def leaf(n): return random.choice([n, str(n) * 9, n / 3, None, True, [n], {"n": n}, (n, str(n)), 2**80])
shared = {"list": [leaf(n) for n in range(20)], "dict": {str(n): leaf(n) for n in range(20)}, "deep": [[[leaf(1)]]]}
shared["deep"][0][0].append({"in": [leaf(2)]})
done, failures, written = threading.Event(), [], []

def change():
    while not done.is_set():
        n = random.randrange(1 << 30)
        match n % 7:
            case 0: shared["list"].append(leaf(n))
            case 1: del shared["list"][n % (len(shared["list"]) + 1):]
            case 2: shared["dict"][random.choice(words) + str(n % 50)] = leaf(n)
            case 3: shared["dict"].clear()
            case 4: shared["deep"][0][0][:] = [leaf(n), {"in": leaf(n)}]
            case 5: shared["list"] = [leaf(n) for _ in range(n % 30)]
            case 6: shared["dict"] = {str(m): leaf(m) for m in range(n % 30)}

def write():
    made = 0
    try:
        for _ in range(rounds):
            for data in (dumps(shared), plain_text(shared)):
                if data is not None:  # a number that is too big for it
                    json.loads(data)
                    made += 1
    except BaseException as exc:
        failures.append(exc)
    finally:
        written.append(made)

changers = [threading.Thread(target=change) for _ in range(2)]
writers = [threading.Thread(target=write) for _ in range(3)]
for thread in changers + writers: thread.start()
for thread in writers: thread.join()
done.set()
for thread in changers: thread.join()
assert not failures, failures
print(sum(written))
"""


def test_values_that_change_while_they_are_written() -> None:
    done = subprocess.run([sys.executable, "-c", STRESS, "6000"], text=True, timeout=1800, capture_output=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-4000:])
    assert int(done.stdout) >= 18_000
