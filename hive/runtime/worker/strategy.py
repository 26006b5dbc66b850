"""Taking in the messages of a task: the short way for a plain call, Celery's own for all others.

A call is plain if it may begin at once: no eta, no expiry, no rate limit, nothing that could revoke it. Most calls are. What Celery's way does for them that can be seen is done here too.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from celery import signals
from celery.app import trace
from celery.worker import state
from celery.worker.request import create_request_cls
from celery.worker.strategy import default as celery_strategy

from hive.runtime.worker.request import CELERY_HEADERS, HiveRequest

#: Headers with which a task does not begin at once, or may not begin at all.
NOT_PLAIN = ("eta", "expires", "stamped_headers")


class PlainRequest(HiveRequest):
    """The request of a plain call: made of the message by one look at each header.

    Args:
        message: as hive's channel delivers it, in Celery's second protocol, its body found to be a call.
        task: whose call it is.
        consumer: the worker's.
        app: the application.
    """

    def __init__(self, message: Any, task: Any, consumer: Any, app: Any) -> None:
        # Celery's constructor is not called: it reads the times and zones that a plain call does not have.
        headers, properties, info = message.headers, message.properties, message.delivery_info
        payload = message.payload
        known = headers.get
        self._message, self._app, self._task, self._utc, self._decoded = message, app, task, True, False
        self._body, self._content_type, self._content_encoding = (
            message.body,
            message.content_type,
            message.content_encoding,
        )
        self._Request__payload = payload
        self._args, self._kwargs, _ = payload
        self.id, self._type = headers["id"], headers["task"]
        self.name = known("shadow") or self._type
        self._root_id, self._parent_id = known("root_id"), known("parent_id")
        self._argsrepr, self._kwargsrepr = known("argsrepr", ""), known("kwargsrepr", "")
        if limits := known("timelimit"):
            self.time_limits = limits
        ignored = known("ignore_result")
        self._ignore_result = task.ignore_result if ignored is None else ignored
        self._eta = self._expires = None
        self._on_ack, self._on_reject = message.end, message.give_up
        self._hostname, self._eventer = consumer.hostname, consumer.event_dispatcher
        self._connection_errors = consumer.connection_errors
        self._delivery_info = {
            "exchange": info.get("exchange"),
            "routing_key": info.get("routing_key"),
            "priority": properties.get("priority"),
            "redelivered": info.get("redelivered", False),
        }
        # Not a copy, as Celery's is: thousands of these may wait, and nobody asks for the headers as they came.
        request = self._request_dict = headers
        if "headers" not in request:
            request["headers"] = {name: headers[name] for name in headers.keys() - CELERY_HEADERS}
        request["properties"] = properties
        request["reply_to"], request["correlation_id"] = properties.get("reply_to"), properties.get("correlation_id")
        request["hostname"], request["delivery_info"] = self._hostname, self._delivery_info
        request["args"], request["kwargs"] = self._args, self._kwargs
        self._join(message)


class Strategy:
    """Takes in the messages of one task, in the place of Celery's function for that.

    Args:
        task: the task.
        app: the application.
        consumer: the worker's; built anew with each of its connections.
    """

    def __init__(self, task: Any, app: Any, consumer: Any) -> None:
        self._task, self._app, self._consumer = task, app, consumer
        self._take_in_full: Callable[..., Any] = celery_strategy(task, app, consumer)
        self._is_plain = _request_class(task) is HiveRequest
        self._log = logging.getLogger("celery.worker.strategy")
        self._logs = self._log.isEnabledFor(logging.INFO)
        eventer = consumer.event_dispatcher
        self._send_event = eventer.send if eventer and eventer.enabled and task.send_events else None
        self._revoked: Collection[str] = consumer.controller.state.revoked
        self._limits: Mapping[str, Any] = {} if consumer.disable_rate_limits else consumer.task_buckets
        self._request_class: Any = None

    def __call__(self, *args: Any) -> Any:
        """Take a message in as Celery does."""
        return self._take_in_full(*args)

    def takes(self, message: Any) -> bool:
        """As the function :func:`takes`, for a message of this task."""
        headers, consumer = message.headers, self._consumer
        if (
            not self._is_plain
            or any(headers.get(name) is not None for name in NOT_PLAIN)
            or headers["id"] in self._revoked
            or self._limits.get(self._task.name)
            or not isinstance(message.payload, (list, tuple))
            or _restores_prefetch(consumer)
        ):
            return False
        request = self._made(message)
        if self._logs:
            self._note(request)
        signals.task_received.send(sender=consumer, request=request)
        if self._send_event is not None:
            self._tell(request)
        state.task_reserved(request)
        for callback in consumer.on_task_message:
            callback(request)
        consumer.on_task_request(request)
        return True

    def _made(self, message: Any) -> PlainRequest:
        if self._request_class is None:
            consumer = self._consumer
            self._request_class = create_request_cls(
                PlainRequest,
                self._task,
                consumer.pool,
                consumer.hostname,
                consumer.event_dispatcher,
                task_ready=state.task_ready if self._app.conf.worker_deduplicate_successful_tasks else _ready,
                app=self._app,
            )
        request: PlainRequest = self._request_class(message, self._task, self._consumer, self._app)
        return request

    def _note(self, request: PlainRequest) -> None:
        fields = {
            "id": request.id,
            "name": request.name,
            "args": request.argsrepr,
            "kwargs": request.kwargsrepr,
            "eta": None,
        }
        self._log.info(trace.LOG_RECEIVED, fields, extra={"data": fields})

    def _tell(self, request: PlainRequest) -> None:
        if self._send_event is not None:
            self._send_event(
                "task-received",
                uuid=request.id,
                name=request.name,
                args=request.argsrepr,
                kwargs=request.kwargsrepr,
                root_id=request.root_id,
                parent_id=request.parent_id,
                retries=request.request_dict.get("retries", 0),
                eta=None,
                expires=None,
            )


def takes(strategies: Mapping[str, Any], message: Any) -> bool:
    """Take a message in if it is a plain call of a known task; false if it is not, and nothing was done."""
    strategy = strategies.get(message.headers["task"]) if "task" in message.headers else None
    return isinstance(strategy, Strategy) and strategy.takes(message)


def _ready(request: Any, successful: bool = False) -> None:  # noqa: ARG001 - Celery's signature
    """Note the end of a task; ids of those that ended well are kept only where somebody asks for them."""
    state.task_ready(request)
    if request.time_start:
        process = request._app.process
        process.service_s.append(max(process.clock.wall_ms() / 1000 - request.time_start, 0.0))


def _restores_prefetch(consumer: Any) -> bool:
    """Whether the worker lowered its prefetch count after a reconnect, and raises it as tasks end."""
    return (
        consumer.restart_count > 0
        and not consumer._maximum_prefetch_restored
        and consumer._new_prefetch_count <= consumer.max_prefetch_count
    )


def _request_class(task: Any) -> Any:
    return HiveRequest if task.Request in {"hive.runtime.worker.request:HiveRequest", HiveRequest} else None
