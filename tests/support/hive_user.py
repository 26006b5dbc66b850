"""A program that uses a hive until it is told to go: ``python -m tests.support.hive_user``."""

import sys

from hive import ensure_running
from tests.support.small_hive import add

with ensure_running("tests.support.small_hive:app", timeout_s=50) as hive:
    total = add.delay(2, 3).get(timeout=20)
    sys.stdout.write(f"{hive.started} {total}\n")
    sys.stdout.flush()
    sys.stdin.readline()
sys.stdout.write("left\n")
