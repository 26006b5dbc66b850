"""Setting a message aside that can be no task here."""

import logging
from typing import Any

from celery import signals

from hive.deadletter.poison import Poison, Reason
from hive.transport.channel import Channel

logger = logging.getLogger(__name__)

#: Until a postponed message is looked at again: this part of the grace time, within these seconds.
LOOKS = 20
SHORTEST_LOOK_S = 0.25
LONGEST_LOOK_S = 15.0

#: Names of unknown tasks of which it is remembered when they were last told of.
NAMES_MOST = 1_000


class Rejection:
    """Makes dead letters of messages that can be no task here.

    Who waits for the result of such a call is told once the letter is on the broker: see :mod:`hive.runtime.results.dead_results`.

    Args:
        consumer: Celery's consumer in this worker.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._told_s: dict[str, float] = {}

    def set_aside(self, message: Any, poison: Poison) -> bool:
        """Make a dead letter of a message; false, and nothing done, if it did not come through hive's transport."""
        if not _is_ours(message):
            return False
        message.channel.dead_letter(message, poison.reason, poison.cause, poison.traceback)
        self._log(message, poison)
        signals.task_rejected.send(sender=self._consumer, message=message, exc=None)
        return True

    def postpone(self, message: Any, grace_s: float, error: Exception) -> bool:
        """Let a message wait whose task nobody here knows; it is set aside once its grace time is over.

        Returns:
            False, and nothing done, if it did not come through hive's transport.
        """
        if not _is_ours(message):
            return False
        name = _named(message)[1]
        cause = f"no worker of the queue knows the task {name!r}; waited {grace_s:g} s for one"
        poison = Poison(reason=Reason.UNKNOWN_TASK, cause=cause)

        def over() -> None:
            self._log(message, poison)
            signals.task_unknown.send(
                sender=self._consumer, message=message, exc=error, name=name, id=_named(message)[0]
            )

        look_s = min(max(grace_s / LOOKS, SHORTEST_LOOK_S), LONGEST_LOOK_S)
        # The look that finds its time over comes later than that, on an idle worker by seconds.
        if self._is_news(name, 2 * grace_s):
            logger.warning("nobody here knows the task %r: it waits up to %g s for a worker that does", name, grace_s)
        message.channel.postpone(message, poison.reason, poison.cause, grace_s=grace_s, look_s=look_s, on_over=over)
        return True

    def _is_news(self, name: str, within_s: float) -> bool:
        """Whether a name was not told of within some seconds: each of its messages comes here at every look."""
        now_s = self._consumer.app.process.clock.monotonic_s()
        told_s = self._told_s.pop(name, float("-inf"))
        is_news = now_s - told_s >= within_s
        self._told_s[name] = now_s if is_news else told_s
        if len(self._told_s) > NAMES_MOST:
            del self._told_s[next(iter(self._told_s))]
        return is_news

    @staticmethod
    def _log(message: Any, poison: Poison) -> None:
        queue = message.fence["queue"]
        logger.error("dead letter (%s) from queue %s: %s", poison.reason.value, queue, poison.cause)


def _named(message: Any) -> tuple[str | None, str]:
    """Return id and task of a message, as far as they can be used as such."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    task_id, name = headers.get("id"), headers.get("task")
    usable = isinstance(task_id, str) and task_id.isprintable() and task_id.isascii()
    return task_id if usable else None, name if isinstance(name, str) else ""


def _is_ours(message: Any) -> bool:
    return isinstance(message.channel, Channel) and getattr(message, "fence", None) is not None
