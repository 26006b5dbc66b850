"""Taking children from a prefork pool without taking anything from a task.

Celery's pool ends a child by a signal, and takes for idle what has not said yet that it began: a task that was on its way
to such a child is lost with it, or begun and killed. It also takes a child a second time that has not ended yet. Here only
a child goes that has nothing and is sent nothing, and it is not killed: it reads from its pipe that it is to end, behind
whatever else might be there, closes what it has open, and ends.
"""

from typing import Any

from celery.concurrency import asynpool


class ShrinkingPool(asynpool.AsynPool):
    """Celery's pool of children; shrinking takes idle ones only, as many as there are."""

    def shrink(self, n: int = 1) -> None:
        """Have ``n`` children fewer, or as many as are idle: what is busy stays, and nothing is raised for it."""
        for child in [child for child in self._pool if self._is_idle(child)][:n]:
            self._let_go(child)

    def _is_idle(self, child: Any) -> bool:
        fd = child.inqW_fd
        is_up = fd in self._all_inqueues and self._fileno_to_inq.get(fd) is child
        has_work = fd in self._busy_workers or fd in self._active_writes or self._worker_active(child)
        return is_up and not has_work and not getattr(child, "_controlled_termination", False)

    def _let_go(self, child: Any) -> None:
        self._processes -= 1
        if self._putlock:
            self._putlock.shrink()
        # Its exit code is to be taken for what it is, and no task goes there any more.
        child._controlled_termination = True
        self._all_inqueues.discard(child.inqW_fd)
        child.inq.put(None)
