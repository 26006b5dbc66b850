"""The functions a call of a task passes through in Celery, which instrumentation and tests put their own in place of."""

from operator import is_
from types import FunctionType, MethodType
from typing import Any

import celery.app.base
import celery.app.task
import kombu.messaging

#: Modules whose functions these are while nobody has replaced one.
_OWN = frozenset(
    {"celery.app.base", "celery.app.task", "kombu.messaging", "hive.runtime.app", "hive.runtime.calling.amqp"}
)


class Seams:
    """Watches the functions on the way of a call.

    Args:
        app: the application whose calls they are.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._seen: tuple[Any, ...] = ()
        self._are_own = False

    @property
    def are_own(self) -> bool:
        """Whether all of them are Celery's, kombu's and hive's own; looked at anew for each call."""
        app, producer = self._app, kombu.messaging.Producer
        # What kombu makes on first use takes a lock at each further one, unless it is looked up where it is kept.
        cls, built = type(app), vars(vars(app).get("amqp") or app.amqp)
        seen = (
            celery.app.task.Task.apply_async,
            celery.app.base.Celery.send_task,
            cls.send_task,
            cls.producer_or_acquire,
            producer.publish,
            producer._publish,
            built.get("send_task_message"),
            built.get("create_task_message"),
        )
        # By identity: what instrumentation wraps around a function says that it equals it.
        if len(seen) != len(self._seen) or not all(map(is_, seen, self._seen)):
            self._seen, self._are_own = seen, {_module_of(found) for found in seen} <= _OWN
        return self._are_own and "send_task" not in app.__dict__


def _module_of(found: Any) -> str | None:
    """Return where a function was written; None: it is no function, though it may answer for one as a proxy does."""
    function = found.__func__ if type(found) is MethodType else found
    return function.__globals__.get("__name__") if type(function) is FunctionType else None
