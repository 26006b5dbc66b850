"""One execution of a coroutine task: what the tracer knows about it."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from celery import Task
from celery.app.task import Context, get_actual_ignore_result
from celery.app.trace import task_has_custom
from celery.exceptions import InvalidTaskError

from hive.pools.job import Job

#: The hooks of a task that the tracer calls.
HOOKS = ("before_start", "on_success", "after_return")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A coroutine task with what is the same for all its executions."""

    task: Any
    call: Callable[..., Awaitable[Any]]
    hooks: frozenset[str]

    @classmethod
    def of(cls, task: Any) -> "Traced":
        """Look at ``task`` once."""
        hooks = frozenset(hook for hook in HOOKS if task_has_custom(task, hook))
        return cls(task=task, call=_body_of(task), hooks=hooks)


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One execution; state and value are what `task_postrun` is told."""

    job: Job
    traced: Traced
    id: str
    args: Any
    kwargs: Any
    context: Context
    started_s: float
    state: str | None = None
    value: Any = None
    is_started: bool = False

    @property
    def task(self) -> Any:
        """The task that is executed."""
        return self.traced.task

    @property
    def stores_result(self) -> bool:
        """Whether anybody may ask for the result."""
        return not get_actual_ignore_result(self.task, self.context)

    @property
    def root_id(self) -> str:
        """Id of the first task of the workflow."""
        return self.context.root_id or self.id

    @property
    def name(self) -> str:
        """Name in logs: the shadow name if it has one."""
        return self.context.shadow or self.task.name


def context_of(request: dict[str, Any], args: Any, kwargs: Any) -> Context:
    """Return the request as the task sees it.

    Raises:
        InvalidTaskError: the keyword arguments are none.
    """
    if not hasattr(kwargs, "items"):
        raise InvalidTaskError("Task keyword arguments is not a mapping")
    return Context(request, args=args, kwargs=kwargs, called_directly=False)


def is_coroutine_task(task: Any) -> bool:
    """Whether the task's function is an `async def`, whatever is wrapped around it."""
    function = getattr(task, "_orig_run", task.run)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inspect.unwrap(function))


def _body_of(task: Any) -> Callable[..., Awaitable[Any]]:
    """Return what to call: the task if its class overrides `__call__` for reasons of its own, else its function."""
    owner = next(base for base in type(task).__mro__ if "__call__" in base.__dict__)
    if owner is Task or owner.__module__.startswith("hive."):
        return getattr(task, "_orig_run", task.run)
    return task
