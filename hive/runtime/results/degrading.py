"""Fallbacks of tasks that a guard stops in their body: a breaker or a limit around a block of it."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from hive.errors import GuardRefusedError
from hive.runtime.results.fallback import Refusal, fallback_of


def degrading(app: Any, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return the function of a task so that a refusal it does not catch becomes the task's fallback.

    Where no fallback has a value, and where no worker runs it, the refusal is raised as it was.

    Args:
        app: the application.
        function: of a task that declares a fallback.
        name: of the task.
    """

    def instead(error: GuardRefusedError) -> Any:
        request = app.tasks[name].request
        refusal = Refusal(guard=error.guard, reason=error.reason, due_ms=None)
        found = None
        if not request.called_directly:
            found = fallback_of(app, request, refusal, request.args or (), request.kwargs or {})
        if found is None:
            raise error
        return found[0]

    @functools.wraps(function)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except GuardRefusedError as error:
            return await app.awaiting.call(instead, error)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except GuardRefusedError as error:
            return instead(error)

    chosen: Any = awaited if inspect.iscoroutinefunction(function) else called
    # Celery reads a function's parameters without following what it wraps.
    chosen.__signature__ = inspect.signature(function)
    return chosen
