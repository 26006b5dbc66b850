"""What a task declares of itself, checked where it is defined: in a worker it would be too late for its message."""

import string
from collections.abc import Iterable
from typing import Any

from hive.agents.types import Resources
from hive.resilience.limiter import Limit
from hive.runtime.calling.unique import Unique


def require_declaration(task: Any) -> None:
    """Refuse what a task declares if it cannot be meant.

    Args:
        task: the class or object with the attributes of :class:`hive.runtime.task.HiveTask`.

    Raises:
        TypeError: the sentence names the task, the option and what to write.
    """
    for option in ("breaker", "exclusive"):
        value = getattr(task, option, None)
        if not (value is None or isinstance(value, str) or _all(value, str)):
            raise TypeError(f"task {task.name!r}: {option}={value!r}: write a name, or a list of names")
    for option in ("fair_key", "affinity"):
        value = getattr(task, option, None)
        if not (value is None or isinstance(value, str)):
            raise TypeError(f'task {task.name!r}: {option}={value!r}: write a template such as "{{tenant}}"')
    _require_templates(task)
    if not _all(task.limits, Limit):
        raise TypeError(
            f"task {task.name!r}: limits={task.limits!r}: write a list, such as [Limit.requests(100, per_s=1, key=...)]"
        )
    needs = getattr(task, "needs", None)
    if not (needs is None or isinstance(needs, Resources)):
        raise TypeError(f"task {task.name!r}: needs={needs!r}: write Resources(memory_mb=..., cores=...)")
    if task.durable_terms is not None and task.acks_late is False:
        raise TypeError(f"task {task.name!r}: durable needs acks_late: its message must last as long as its steps")
    if not (task.unique is None or isinstance(task.unique, Unique)):
        raise TypeError(f"task {task.name!r}: unique={task.unique!r}: write Unique(within_s=...)")


def _require_templates(task: Any) -> None:
    for option in ("exclusive", "fair_key", "affinity"):
        value = getattr(task, option, None) or ()
        for template in [value] if isinstance(value, str) else value:
            try:
                list(string.Formatter().parse(template))
            except ValueError as error:
                raise TypeError(f"task {task.name!r}: {option}={template!r} is no template: {error}") from error


def _all(values: Any, kind: type) -> bool:
    return isinstance(values, Iterable) and all(isinstance(value, kind) for value in values)
