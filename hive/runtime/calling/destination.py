"""Where the plain calls of a task go: what Celery settles anew for each call, settled once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from celery.app.routes import MapRoute
from celery.app.routes import Router as CeleryRouter
from kombu.entity import maybe_delivery_mode

from hive.routing.router import Router

#: What a task may declare, and a route add to it, for its calls to be plain.
_DECLARED = frozenset({"queue", "priority", "serializer", "time_limit", "soft_time_limit"})
_ROUTED = frozenset({"queue", "priority", "serializer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the calls of a task go and how.

    Attributes:
        queue: its declaration.
        name: the queue's name.
        priority: 0 to 9; None: neither task nor route says.
        inherits_priority: whether the task that makes the call may say; not for a queue that is named, as in Celery.
        delivery_mode: kombu's number.
        serializer: kombu's name for how arguments are written.
        time_limit_s: hard limit the task declares.
        soft_time_limit_s: soft limit the task declares.
        router: Celery's router that was asked; another one is to be asked again.
        declared: the options the task declared then; other ones may lead elsewhere.
    """

    queue: Any
    name: str
    priority: int | None
    inherits_priority: bool
    delivery_mode: int
    serializer: str
    time_limit_s: float | None
    soft_time_limit_s: float | None
    router: Any
    declared: Mapping[str, Any]

    def is_current(self, amqp: Any, declared: Mapping[str, Any]) -> bool:
        """Whether router, declaration of the queue and options of the task are those it was settled with."""
        # kombu's cached properties take a lock, so they are looked up where they are kept.
        built = vars(amqp)
        return (
            self.router is built.get("router")
            and self.declared is declared
            and _is_known(built.get("queues") or {}, self.queue)
        )


class Destinations:
    """The destinations of an application's tasks, each settled at the first call.

    Args:
        app: the application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._known: dict[tuple[str, str | None, str | None], Destination | None] = {}

    def of(self, task: Any, queue: str | None) -> Destination | None:
        """Return where a call of a task goes; None: that must be asked for each call, or is no plain queue.

        Args:
            task: the task.
            queue: the queue that the call names.
        """
        app, declared = self._app, task._get_exec_options()
        key = (task.name, queue, app.conf.task_default_queue)
        known = self._known.get(key)
        if known is None or not known.is_current(vars(app).get("amqp") or app.amqp, declared):
            known = self._known[key] = self._settle(task, queue, declared)
        return known

    def _settle(self, task: Any, queue: str | None, declared: Mapping[str, Any]) -> Destination | None:
        app, router = self._app, self._app.amqp.router
        named = {name: value for name, value in declared.items() if value is not None}
        if app.conf.task_compression or not named.keys() <= _DECLARED or not _answers_all_alike(router):
            return None
        asked = {name: value for name, value in declared.items() if name in _ROUTED}
        if queue is not None:
            asked["queue"] = queue
        found: dict[str, Any] = router.route(asked, task.name, (), {}, task)
        if not found.keys() <= _ROUTED:
            return None
        target = found["queue"]
        if target.exchange.type != "direct" or not _is_known(app.amqp.queues, target):
            return None
        return Destination(
            queue=target,
            name=target.name,
            priority=found.get("priority"),
            inherits_priority="priority" not in found,
            delivery_mode=maybe_delivery_mode(target.exchange.delivery_mode or app.conf.task_default_delivery_mode),
            serializer=found.get("serializer") or app.conf.task_serializer,
            time_limit_s=named.get("time_limit"),
            soft_time_limit_s=named.get("soft_time_limit"),
            router=router,
            declared=declared,
        )


def _answers_all_alike(router: Any) -> bool:
    """Whether the same is routed the same way each time, whatever the arguments; a subclass may do anything."""
    return type(router) is CeleryRouter and all(type(route) in {MapRoute, Router} for route in router.routes)


def _is_known(queues: Any, queue: Any) -> bool:
    """Whether a queue is declared under its own name; asked of Celery's mapping without having it add one."""
    return dict.get(queues, queue.name) is queue
