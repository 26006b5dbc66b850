"""A process forked from one whose threads were at work: it publishes and reaches the broker over what is its own."""

import os
import signal
import uuid
from collections.abc import Callable

from hive import Hive
from tests.support.redis_server import RedisServer

#: Seconds after which a child that waits for a lock nobody can give back is ended.
PATIENCE_S = 10


def exit_code(body: Callable[[], object]) -> int:
    """Return how a child that runs ``body`` ends: negative if a signal ended it."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE_S)
        try:
            body()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_does_not_wait_for_locks_of_its_parents_threads(redis_server: RedisServer) -> None:
    queue = f"q-{uuid.uuid4().hex[:8]}"
    app = Hive("forking", broker=redis_server.url, set_as_current=False)

    @app.task(name="nothing", shared=False, ignore_result=True)
    def nothing() -> None:
        """Do nothing."""

    def publish() -> None:
        for _ in range(3):
            nothing.apply_async(queue=queue)

    publish()
    app.access.store.stats(queue)
    # As a thread of the parent holds them while it connects.
    with app._publishers._mutex:
        assert exit_code(publish) == 0
        assert exit_code(app.close) == 0
    with app.access._mutex:
        assert exit_code(lambda: app.access.store.stats(queue)) == 0
    # The parent's own connections still serve it.
    publish()
    assert app.access.store.stats(queue).ready[0] == 9
    app.close()
