"""The prefork pool: how it learns that a child has ended."""

import os
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.asynchronous import Hub

from hive.pools.prefork import AsynPool, has_process_descriptors


@pytest.mark.skipif(not has_process_descriptors(), reason="the system gives no descriptors of processes")
def test_an_event_of_another_child_does_not_end_the_watch_of_one_that_lives() -> None:
    pool: Any = AsynPool.__new__(AsynPool)
    looks, hub = list[int](), Hub()
    pool.sees_ends, pool.maintain_pool = True, lambda: looks.append(1)
    with subprocess.Popen(["sleep", "60"]) as process:
        child = SimpleNamespace(pid=process.pid)
        pool._track_child_process(child, hub)
        watched = child._sentinel_poll
        pool._event_process_exit(hub, child)
        told, is_watched = (child._sentinel_poll, list(looks)), watched in hub.readers
        process.kill()
        assert told == (watched, [])
        assert is_watched
        hub.run_once()
        assert (child._sentinel_poll, looks) == (None, [1])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(watched)
    hub.close()
