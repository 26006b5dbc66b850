"""Numbers reach hiredis as text: it ends the process if a signal handler raises while it prints one."""

import subprocess
import sys

STORM = """
import random, signal
import hiredis
from hive.store.scripts import spelled

class Over(Exception):
    pass

def raise_over(*_):
    raise Over

signal.signal(signal.SIGALRM, raise_over)
rng = random.Random(7)
command = ("EVALSHA", "digest", *(60_000, 1.5) * 20, "key", b"envelope")
over_count = 0
for _ in range(3_000):
    try:
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.00001, 0.0001))
        packed = spelled(command)
        while True:
            hiredis.pack_command(tuple(packed))
    except Over:
        over_count += 1
print(over_count)
"""


def test_a_signal_while_a_command_is_packed_does_not_end_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", STORM], capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "3000"), done.stderr
