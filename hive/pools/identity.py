"""Whose turn it is: Celery's stacks of current tasks, kept apart for coroutines that share one thread.

Celery keys `current_task` and `Task.request` by thread. Many tasks share the loop's thread, so the key becomes the
delivery whose context is running: whatever a coroutine starts (child tasks, `asyncio.to_thread`) inherits it with its
context. Code outside of any delivery keeps the thread as its key, so other Celery code notices nothing.
"""

from contextvars import ContextVar
from typing import Any

from celery._state import _task_stack
from celery.utils.threads import get_ident

_OWNER: ContextVar[object | None] = ContextVar("hive_owner", default=None)


def current_owner() -> Any:
    """Return the delivery whose context is running, or None outside of all."""
    return _OWNER.get()


def own_context(owner: object) -> None:
    """Make ``owner`` the key of Celery's stacks in this context and in all that descend from it."""
    _OWNER.set(owner)


def identity() -> Any:
    """Return the key of Celery's stacks: the owner of this context, else the thread."""
    return _OWNER.get() or get_ident()


def separate(task: Any) -> None:
    """Key the stack of current tasks, and ``task``'s stack of requests, by context. A repeat does nothing.

    Raises:
        RuntimeError: Celery was told to use plain thread locals, which coroutines of one thread would share.
    """
    for stack in (_task_stack, task.request_stack):
        if not hasattr(type(stack), "__ident_func__"):
            raise RuntimeError("the asyncio pool cannot tell tasks apart with USE_FAST_LOCALS set: unset it")
        if stack.__ident_func__ is not identity:
            stack.__ident_func__ = identity
