"""Plain calls of tasks: those that need none of what Celery and kombu prepare for the others, sent straight to the broker.

Most calls are plain: ``task.delay(...)`` in an application whose publishing nobody watches or replaces. Their message is
the one Celery would make, field by field. Whatever is not plain goes Celery's own way, and so does the first call through
each producer, which connects and declares the queue there, and a call whose message did not reach the broker.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from celery.app.amqp import _callback_publish_retry
from celery.app.task import Task
from celery.signals import after_task_publish, before_task_publish, task_sent
from celery.utils.nodenames import anon_nodename

from hive.runtime.calling.destination import Destination, Destinations
from hive.runtime.calling.next_steps import fence_of_source
from hive.runtime.calling.publishers import Publishers
from hive.runtime.calling.seams import Seams
from hive.runtime.calling.task_message import Call
from hive.transport.envelope import PUBLISH_ID, new_id
from hive.transport.producer import DirectProducer

#: What a plain call may say beside its arguments.
OPTIONS = frozenset(
    {"task_id", "link", "link_error", "shadow", "queue", "priority", "time_limit", "soft_time_limit", "ignore_result"}
    | {"root_id", "parent_id", "add_to_parent"}
)

#: Options that replace what the task declares. None would not, so it is left to Celery.
_REPLACING = frozenset({"queue", "priority", "time_limit", "soft_time_limit"})


class PlainCalls:
    """Sends the plain calls of an application's tasks.

    Args:
        app: the application.
        publishers: lend what is sent through.
        batch_producer: returns the producer of the batch that the calling thread is in, or None.
    """

    def __init__(self, app: Any, publishers: Publishers, batch_producer: Callable[[], Any]) -> None:
        self._app = app
        self._publishers = publishers
        self._batch_producer = batch_producer
        self._destinations = Destinations(app)
        self._seams = Seams(app)
        #: The process, and Celery's name for it as a publisher.
        self._origin = (0, "")

    def send(self, task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        """Send a call if it is plain, and return its result object.

        None: it was not sent, and is to be made Celery's way with ``options``. These then hold the ids of a message that
        may have reached the broker, which drops whichever of the two comes second.

        Args:
            task: the task.
            args: positional arguments of its body, or None.
            kwargs: its named arguments, or None.
            options: what was said beside them; may be added to.

        Raises:
            TypeError: the arguments do not fit the task.
            MessageTooLargeError: the message is over the limit; nothing was sent.
            kombu.exceptions.OperationalError: the broker did not take it, and the application wants no retry.
        """
        if not (_may_be_plain(task, args, kwargs, options) and self._takes_no_detour()):
            return None
        destination = self._destinations.of(task, options.get("queue"))
        if destination is None or destination.name in self._app.backpressure.bounds:
            return None
        producer = self._batch_producer()
        if producer is not None:
            return self._send_through(producer, destination, task, args or (), kwargs or {}, options)
        with self._publishers.lend() as lent:
            return self._send_through(lent, destination, task, args or (), kwargs or {}, options)

    def _takes_no_detour(self) -> bool:
        """Whether nobody watches or replaces the application's publishing."""
        conf = self._app.conf
        return not (
            before_task_publish.receivers
            or after_task_publish.receivers
            or task_sent.receivers
            # A callback of a task that has ended: Celery repeats its publishing as no other.
            or _callback_publish_retry.get()
            or conf.task_always_eager
            or conf.task_send_sent_event
            or not self._seams.are_own
        )

    def _send_through(
        self, producer: Any, destination: Destination, task: Any, args: Any, kwargs: Any, options: dict[str, Any]
    ) -> Any:
        """Send a call through a producer that is ready for its queue, else return None."""
        if not (isinstance(producer, DirectProducer) and producer.is_ready(destination.name)):
            return None
        parent, task_id = self._app.current_worker_task, options.get("task_id") or new_id()
        if parent and fence_of_source(parent.request, task_id) is not None:
            return None
        if task.typing:
            task.__header__(*args, **kwargs)
        if task._dump_pydantic_arguments is not None and destination.serializer != "pickle":
            args, kwargs = task._dump_pydantic_arguments(args, kwargs)
        call = Call(task, task_id, args, kwargs, options, destination, parent)
        publish_id = producer.next_publish_id()
        try:
            self._publish(producer, call, publish_id)
        except Exception as error:
            if not (
                isinstance(error, producer.connection.recoverable_connection_errors)
                and self._app.conf.task_publish_retry
            ):
                with producer.connection._reraise_as_library_errors():
                    raise
            options |= {"task_id": task_id, PUBLISH_ID: publish_id}
            return None
        result = task.AsyncResult(task_id)
        result.ignored = call.is_ignored
        if parent and options.get("add_to_parent", True):
            parent.add_trail(result)
        return result

    def _publish(self, producer: DirectProducer, call: Call, publish_id: str) -> None:
        app = self._app
        if not call.is_ignored:
            app.backend.on_task_call(producer, call.id)
        pid = os.getpid()
        if self._origin[0] != pid:
            self._origin = pid, anon_nodename()
        producer.publish_plain(
            call.destination.name,
            call.body(),
            call.headers(app, self._origin[1]),
            {**call.properties(app), PUBLISH_ID: publish_id},
            call.destination.serializer,
        )


def _may_be_plain(task: Any, args: Any, kwargs: Any, options: Mapping[str, Any]) -> bool:
    """Whether a call says nothing, and its task declares nothing, that is left to Celery."""
    if options and not (
        options.keys() <= OPTIONS
        and all(options[name] is not None for name in _REPLACING & options.keys())
        and isinstance(options.get("queue", ""), str)
    ):
        return False
    return (
        # What hive adds to such a call, its own ``send_task`` does.
        task.unique is None
        and task.fair_key is None
        # Where these go is decided for each call.
        and task.routing is None
        and task.affinity is None
        and task.kind is None
        and (args is None or isinstance(args, (tuple, list)))
        and (kwargs is None or isinstance(kwargs, Mapping))
        and type(task).shadow_name is Task.shadow_name
        and not (task.soft_time_limit and task.time_limit and task.soft_time_limit > task.time_limit)
    )
