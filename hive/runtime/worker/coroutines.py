"""Coroutine tasks outside of the asyncio pool: any pool runs them, on the one loop that its process keeps."""

import functools
import inspect
from collections.abc import Callable
from types import CoroutineType
from typing import Any

from celery.app.base import pydantic_wrapper
from celery.app.task import Context
from celery.worker.request import Request

from hive.pools import autoretry


def run_to_end(task: Any, args: tuple[Any, ...], value: Any) -> Any:
    """Return what a task's function really returned.

    A plain value is that already. A coroutine is run on the process's loop if a worker called the task, or called it as
    an errback, with the request of the task that failed; a caller of his own gets the coroutine, as from any
    `async def`, and so does the asyncio pool, which awaits it.

    Raises:
        Exception: what the coroutine raised, or the Retry that stands for it.
    """
    if type(value) is not CoroutineType or task.app.process_loop.is_current:
        return value
    if task.request.called_directly and not (args and isinstance(args[0], Context | Request)):
        return value
    try:
        return task.app.process_loop.call(task, value)
    except Exception as exc:
        if not autoretry.is_retried(task, exc):
            raise
        raise autoretry.retry(task, exc) from exc


def with_models(app: Any, function: Callable[..., Any], name: str, options: dict[str, Any]) -> Callable[..., Any]:
    """Return ``function`` so that a pydantic model it returns is dumped when it is awaited.

    Celery dumps what a task with ``pydantic=True`` returns; from an `async def` that is a coroutine. Its own wrapper is
    therefore put around the awaited value.
    """

    def returned(value: Any) -> Any:
        return value

    returned.__annotations__ = {"return": inspect.get_annotations(function, eval_str=True).get("return")}
    dump = pydantic_wrapper(
        app,
        returned,
        name,
        options.get("pydantic_strict", False),
        options.get("pydantic_context"),
        options.get("pydantic_dump_kwargs"),
    )

    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        return dump(await function(*args, **kwargs))

    return run
