"""A hive that takes its time: its supervisor waits for the file SLOW_HIVE_GO, and its workers for ever."""

import os
import sys
import threading
from pathlib import Path
from typing import Any

from celery.signals import worker_init

from tests.support.eventually import eventually
from tests.support.small_hive import app

__all__ = ["app"]


def _wait_for_ever(**_: Any) -> None:
    threading.Event().wait()


if "hive.runtime.supervision.headless" in sys.orig_argv:
    worker_init.connect(_wait_for_ever, weak=False)
    eventually(Path(os.environ["SLOW_HIVE_GO"]).exists)
