"""The message of one plain call, as Celery's second protocol has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from celery.utils.saferepr import saferepr
from kombu.utils.functional import maybe_list

from hive.runtime.calling.destination import Destination


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a task.

    Attributes:
        task: the task.
        id: of the task that is called.
        args: positional arguments of its body.
        kwargs: its named arguments.
        options: what the caller said beside them.
        destination: where it goes.
        parent: the task that a worker runs in this thread, and that makes the call; or None.
    """

    task: Any
    id: str
    args: Any
    kwargs: Any
    options: Mapping[str, Any]
    destination: Destination
    parent: Any

    @property
    def is_ignored(self) -> Any:
        """Whether nobody wants the result."""
        return self.options.get("ignore_result", self.task.ignore_result)

    def headers(self, app: Any, origin: str) -> dict[str, Any]:
        """Return the headers.

        Args:
            app: the application of the task.
            origin: the process that publishes.
        """
        said, destination = self.options, self.destination
        root_id, parent_id = self._ancestors()
        return {
            "lang": "py",
            "task": self.task.name,
            "id": self.id,
            "shadow": said.get("shadow") or None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [
                said.get("time_limit", destination.time_limit_s),
                said.get("soft_time_limit", destination.soft_time_limit_s),
            ],
            "root_id": root_id,
            "parent_id": parent_id,
            "argsrepr": _printed(self.args, app, app.amqp.argsrepr_maxsize) if self.args else "()",
            "kwargsrepr": _printed(self.kwargs, app, app.amqp.kwargsrepr_maxsize) if self.kwargs else "{}",
            "origin": origin,
            "ignore_result": self.is_ignored,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        }

    def _ancestors(self) -> tuple[str, str | None]:
        """Return the ids of the first task of the tree and of the one above."""
        root_id, parent_id = self.options.get("root_id"), self.options.get("parent_id")
        if self.parent and not (root_id and parent_id):
            request = self.parent.request
            root_id, parent_id = root_id or request.root_id or request.id, parent_id or request.id
        return root_id or self.id, parent_id

    def body(self) -> tuple[Any, ...]:
        """Return what is written with the serializer: the arguments, and what follows from the task."""
        steps = {
            "callbacks": maybe_list(self.options.get("link")),
            "errbacks": maybe_list(self.options.get("link_error")),
            "chain": None,
            "chord": None,
        }
        return self.args, self.kwargs, steps

    def properties(self, app: Any) -> dict[str, Any]:
        """Return kombu's properties, less those that it adds by itself."""
        priority = self.options.get("priority", self.destination.priority)
        if self._may_inherit and priority is None and app.conf.task_inherit_parent_priority:
            priority = self.parent.request.delivery_info.get("priority")
        return {
            "correlation_id": self.id,
            "reply_to": app.thread_oid,
            "delivery_mode": self.destination.delivery_mode,
            "priority": priority or 0,
        }

    @property
    def _may_inherit(self) -> bool:
        has_ancestors = self.options.get("root_id") and self.options.get("parent_id")
        return bool(self.parent) and not has_ancestors and self.destination.inherits_priority


def _printed(arguments: Any, app: Any, longest: int) -> str:
    return str(saferepr(arguments, longest, maxlevels=app.conf.task_repr_maxlevels))
